//! The server behind the protocol: lists tools, calls operations, answers cancellation.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};
use serde_json::Value;

use super::confirm::Elicited;
use super::progress::forward;
use super::tool::{answer, describe, refusal};
use crate::operation::{
    Call, CallProgress, Confirmation, Face, OperationError, Registry, SilentProgress,
};
use crate::station::{CancelSignals, EndSignals, Station};

const INSTRUCTIONS: &str = "A factory station for boards with ESP32-family chips. A port is a bay's name \
    or an address: tty:/dev/ttyUSB0, tcp://host:port, rfc2217://host:port, or virtual:N for a virtual \
    board. esp_batch_program starts a run and returns its id at once; follow it with run_status or \
    run_events (pass the last seq you saw). yield, failure_pareto and unit_trace read the record.";

/// The registry as an MCP server.
#[derive(Clone)]
struct Server {
    registry: Registry,
    station: Arc<Station>,
}

/// Serves the registry on standard input and output until the client hangs up, or until the process is
/// asked to end. Runs are stopped then, and their last events written.
///
/// # Errors
/// When the transport fails before or while serving.
pub async fn serve_stdio(registry: Registry, station: Arc<Station>) -> Result<(), OperationError> {
    let mut others = CancelSignals::catch()?;
    let mut end = EndSignals::catch()?;
    let asked = Arc::clone(&station);
    let cancelling = async {
        loop {
            let mode = others.asked().await;
            asked.cancel_runs(mode, "another terminal").await;
        }
    };
    let outcome = tokio::select! {
        outcome = session(registry, Arc::clone(&station)) => outcome,
        () = cancelling => Ok(()),
        _ = end.asked() => Ok(()),
    };
    station.close().await;
    outcome
}

/// One client's session, from its first word to the end of its input.
async fn session(registry: Registry, station: Arc<Station>) -> Result<(), OperationError> {
    let broken = |error: &dyn std::error::Error| {
        OperationError::new("mcp-transport", format!("the MCP session broke: {error}"))
    };
    let server = Server { registry, station };
    let session = match server.serve(rmcp::transport::stdio()).await {
        Ok(session) => session,
        // A client that leaves before it has said anything has broken nothing.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(broken(&error)),
    };
    session.waiting().await.map_err(|error| broken(&error))?;
    Ok(())
}

/// Who asks, as the client calls itself: one short line.
fn asker(context: &RequestContext<RoleServer>) -> String {
    let name = context
        .client_info()
        .map(|client| client.name)
        .unwrap_or_default();
    let name: String = name
        .chars()
        .filter(|sign| !sign.is_control())
        .take(100)
        .collect();
    if name.trim().is_empty() {
        "mcp client".to_owned()
    } else {
        name
    }
}

impl Server {
    fn tools(&self) -> Vec<Tool> {
        self.registry
            .iter()
            .flat_map(|operation| {
                let declaration = operation.declaration();
                std::iter::once(declaration.name)
                    .chain(declaration.aliases.iter().copied())
                    .map(|name| describe(operation.as_ref(), name))
            })
            .collect()
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let mut name = Implementation::new("station", env!("CARGO_PKG_VERSION"));
        name.title = Some("Factory station for ESP32-family boards".to_owned());
        let mut config = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        config.server_info = name;
        config.instructions = Some(INSTRUCTIONS.to_owned());
        config
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools().into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(operation) = self.registry.find(&request.name) else {
            let message = format!("there is no tool named `{}`", request.name);
            return Err(ErrorData::invalid_params(message, None));
        };
        let (progress, forwarder): (Arc<dyn CallProgress>, _) =
            match context.meta.get_progress_token() {
                Some(token) => {
                    let (latest, task) = forward(context.peer.clone(), token);
                    (Arc::new(latest), Some(task))
                }
                None => (Arc::new(SilentProgress), None),
            };
        let by = asker(&context);
        let person = Arc::new(Elicited::of(&context, request.input_responses));
        let call = Call {
            face: Face::Mcp,
            by,
            progress,
            confirmation: Arc::clone(&person) as Arc<dyn Confirmation>,
            cancelled: context.ct.clone(),
        };
        let parameters = request
            .arguments
            .map_or_else(|| Value::Object(Default::default()), Value::Object);
        let outcome = tokio::select! {
            biased;
            outcome = operation.invoke(&self.station, parameters, &call) => outcome,
            () = context.ct.cancelled() => Err(OperationError::new("cancelled", "the client cancelled it")),
        };
        if let Some(task) = forwarder {
            // Waited for, so that no notification follows the result.
            task.abort();
            let _ended = task.await;
        }
        if let (Err(_), Some(question)) = (&outcome, person.incomplete()) {
            return Ok(CallToolResponse::InputRequired(question));
        }
        let result = match outcome {
            Ok(invoked) => answer(invoked),
            Err(error) => refusal(&error),
        };
        Ok(CallToolResponse::Complete(result))
    }
}
