//! An operation as an MCP tool: its schemas and annotations, and its answers and errors as tool results.

use std::sync::Arc;

use rmcp::model::{CallToolResult, ContentBlock, Tool, ToolAnnotations};

use crate::operation::{AnyOperation, Effect, Invoked, OperationError};

/// Describes an operation under `name` (its own or one of its aliases).
pub(super) fn describe(operation: &dyn AnyOperation, name: &'static str) -> Tool {
    let declaration = operation.declaration();
    let annotations = ToolAnnotations::with_title(declaration.title)
        .read_only(declaration.effect == Effect::Read)
        .destructive(declaration.effect != Effect::Read)
        .idempotent(declaration.idempotent)
        .open_world(false);
    Tool::new(
        name,
        declaration.summary,
        Arc::new(operation.input_schema()),
    )
    .with_title(declaration.title)
    .with_raw_output_schema(Arc::new(operation.output_schema()))
    .with_annotations(annotations)
}

/// An answer: structured, and in words for clients that show only text.
pub(super) fn answer(invoked: Invoked) -> CallToolResult {
    let mut result = CallToolResult::structured(invoked.answer);
    result.content = vec![ContentBlock::text(invoked.words)];
    result
}

/// A refusal or failure. It is not structured content, because that must fit the tool's output schema.
pub(super) fn refusal(error: &OperationError) -> CallToolResult {
    let text = serde_json::to_string(error).unwrap_or_else(|_| error.to_string());
    CallToolResult::error(vec![ContentBlock::text(text)])
}
