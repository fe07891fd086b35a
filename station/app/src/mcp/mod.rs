//! The MCP server: a face over the registry, on standard input and output.
//!
//! Standard output is the protocol and nothing else. Each operation is a tool with input and output schema
//! and annotations; a tool error is a value with code, message and hint; progress is sent only where the
//! client gave a token, strictly rising, and never after the result.

mod confirm;
mod progress;
mod server;
mod tool;

pub use server::serve_stdio;
