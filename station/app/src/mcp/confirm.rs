//! The person behind an MCP client, asked to confirm what cannot be undone.
//!
//! A client that opened a session is asked with `elicitation/create`. A client of protocol 2026-07-28 gets
//! an incomplete result with the question and calls again with the answer; nothing has been done until then.
//! A client that did not say it can ask people is refused.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rmcp::RoleServer;
use rmcp::model::{
    ClientResult, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction,
    ElicitationSchema, InputRequest, InputRequests, InputRequiredResult, InputResponses,
    ServerRequest,
};
use rmcp::service::{Peer, PeerRequestOptions, RequestContext};
use serde_json::{Value, json};

use crate::operation::{
    Confirmation, OPEN, OperationError, Question, TYPED_DIGITS, declined, impossible,
};

/// Longest a person is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

/// Name of the question in an incomplete result.
const QUESTION: &str = "confirmation";

/// Name of what is typed.
const TYPED: &str = "digits";

/// How the client can be asked.
enum Way {
    /// Not at all.
    Never,
    /// By a request of its own.
    Request(Peer<RoleServer>),
    /// By an incomplete result; here is what it answered, if this call brings an answer.
    Retry(Option<Value>),
}

/// The person behind one call.
pub(super) struct Elicited {
    way: Way,
    /// Asked in this call, and to be sent instead of a result.
    open: Mutex<Option<Question>>,
}

impl Elicited {
    /// Who can be asked during a call.
    pub(super) fn of(
        context: &RequestContext<RoleServer>,
        responses: Option<InputResponses>,
    ) -> Self {
        let can = context
            .client_capabilities()
            .and_then(|capabilities| capabilities.elicitation)
            // A client that names no mode means forms (MCP 2025-06-18).
            .is_some_and(|modes| modes.form.is_some() || modes.url.is_none());
        let way = if !can {
            Way::Never
        } else if context.meta.protocol_version().is_some() {
            // Only a client without a session says in each request which protocol it speaks.
            Way::Retry(responses.and_then(|mut responses| responses.remove(QUESTION)))
        } else {
            Way::Request(context.peer.clone())
        };
        Self {
            way,
            open: Mutex::default(),
        }
    }

    /// The incomplete result to send, if the operation waits for an answer that only another call can bring.
    pub(super) fn incomplete(&self) -> Option<InputRequiredResult> {
        let open = self
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()?;
        let request = InputRequest::Elicitation(ElicitRequest::new(form(&open).ok()?));
        let requests = InputRequests::from([(QUESTION.to_owned(), request)]);
        Some(InputRequiredResult::from_input_requests(requests))
    }
}

#[async_trait]
impl Confirmation for Elicited {
    fn at_hand(&self) -> bool {
        // Asked only by the operation that grants approvals: a client must want that, not stumble upon it.
        false
    }

    async fn confirm(&self, question: &Question) -> Result<(), OperationError> {
        match &self.way {
            Way::Never => Err(impossible()),
            Way::Retry(Some(answer)) => match serde_json::from_value(answer.clone()) {
                Ok(answer) => judge(question, answer),
                Err(_) => Err(declined()),
            },
            Way::Retry(None) => {
                *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(question.clone());
                Err(OperationError::new(
                    OPEN,
                    "a person has to confirm it first",
                ))
            }
            Way::Request(peer) => ask(peer, question).await,
        }
    }
}

/// Asks by a request of its own and waits for the answer, for a bounded time.
async fn ask(peer: &Peer<RoleServer>, question: &Question) -> Result<(), OperationError> {
    let request = ServerRequest::ElicitRequest(ElicitRequest::new(form(question)?));
    let options = PeerRequestOptions::with_timeout(PATIENCE);
    let answered = async {
        peer.send_request_with_option(request, options)
            .await?
            .await_response()
            .await
    };
    match answered.await {
        Ok(ClientResult::ElicitResult(answer)) => judge(question, answer),
        Ok(_) | Err(_) => Err(declined()),
    }
}

fn judge(question: &Question, answer: ElicitResult) -> Result<(), OperationError> {
    if answer.action != ElicitationAction::Accept {
        return Err(declined());
    }
    let content = answer.content.unwrap_or_default();
    question.judge(
        content
            .get(TYPED)
            .and_then(Value::as_str)
            .unwrap_or_default(),
    )
}

/// The question as a form with one field.
fn form(question: &Question) -> Result<ElicitRequestParams, OperationError> {
    let schema = json!({
        "type": "object",
        "properties": { TYPED: {
            "type": "string",
            "title": "Digest",
            "description": format!("The first {TYPED_DIGITS} digits of the digest shown"),
        }},
        "required": [TYPED],
    });
    let internal =
        |error: serde_json::Error| OperationError::new("internal", format!("no form: {error}"));
    let requested_schema: ElicitationSchema = serde_json::from_value(schema).map_err(internal)?;
    Ok(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: format!(
            "{}\nThis cannot be undone. Type the first {TYPED_DIGITS} digits of its digest to approve it.",
            question.text
        ),
        requested_schema,
    })
}
