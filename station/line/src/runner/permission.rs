//! Whether a run may do what cannot be undone: its plan is released, and the run is armed.
//!
//! Invariants: a plan that does nothing irreversible needs neither; who is refused learns why, the
//! refusal is on record, and nothing was touched; an approval is used up by one run, durably,
//! before the run begins; a rehearsal burns virtual boards only, and is on record as one.

use station_device::Address;

use super::request::{RunRequest, StartError};
use crate::approval::UseApproval;
use crate::approval::{ApprovalId, Subject};
use crate::clock::Clock;
use crate::event::EventKind;
use crate::journal::{Journal, JournalError};
use crate::release::TrustedKeys;

/// Name of the operation in the record of a refusal.
const OPERATION: &str = "run";

/// Asks for leave to run a plan. The answer is the approval that was used up, if one was needed.
pub(super) async fn of_run(
    request: &RunRequest,
    journal: &Journal,
    clock: &dyn Clock,
) -> Result<Option<ApprovalId>, StartError> {
    if request.plan.needs_keys() && request.keys.is_none() {
        return Err(StartError::NoKeyStore);
    }
    if !request.plan.is_irreversible() {
        return Ok(None);
    }
    let decided = if request.rehearsal {
        rehearsal(request, journal, clock).await.map(|()| None)
    } else {
        armed(request, journal, clock).await.map(Some)
    };
    // Whoever decides about approvals has put its refusals on record itself.
    let unsaid = match &decided {
        Err(StartError::NotReleased { .. } | StartError::RealBay { .. }) => true,
        Err(StartError::NotArmed { .. }) => !request.arm,
        Err(_) | Ok(_) => false,
    };
    if let (Err(error), true) = (&decided, unsaid) {
        let refused = EventKind::Refused {
            operation: OPERATION.to_owned(),
            code: error.code().to_owned(),
            reason: format!("plan {}: {error}", request.plan.id()),
        };
        journal.note(clock.now(), refused).await?;
    }
    decided
}

/// Who runs it, as far as that is known.
fn by(request: &RunRequest) -> String {
    request
        .operator
        .clone()
        .unwrap_or_else(|| "station".to_owned())
}

async fn rehearsal(
    request: &RunRequest,
    journal: &Journal,
    clock: &dyn Clock,
) -> Result<(), StartError> {
    for bay in &request.bays {
        let address = bay.connector.name().parse::<Address>();
        if !matches!(address, Ok(Address::Virtual(_))) {
            let bay = bay.name.clone();
            return Err(StartError::RealBay { bay });
        }
    }
    let invoked = EventKind::OperationInvoked {
        operation: OPERATION.to_owned(),
        face: "runner".to_owned(),
        by: by(request),
        parameters: serde_json::json!({
            "rehearsal": true,
            "plan": request.plan.id().as_str(),
        }),
    };
    journal.note(clock.now(), invoked).await?;
    Ok(())
}

async fn armed(
    request: &RunRequest,
    journal: &Journal,
    clock: &dyn Clock,
) -> Result<ApprovalId, StartError> {
    let plan = request.plan.id();
    let not_released =
        |code: &'static str, reason: String| StartError::NotReleased { code, reason };
    let trusted = match &request.keys {
        Some(keys) => keys
            .trusted_keys()
            .map_err(|error| not_released(error.code(), error.to_string()))?,
        // Without a store nobody is trusted.
        None => TrustedKeys::new(Vec::new()),
    };
    match journal.released(plan, &trusted) {
        Ok(_) => {}
        Err(error @ JournalError::Release(_)) => {
            return Err(not_released(error.code(), error.to_string()));
        }
        Err(error) => return Err(error.into()),
    }
    if !request.arm {
        return Err(StartError::NotArmed {
            code: "not-armed",
            reason: "nobody said so".to_owned(),
        });
    }
    let used = journal.use_approval(UseApproval {
        at: clock.now(),
        run: None,
        elapsed_us: 0,
        approval: request.approval.clone(),
        subject: Subject::Plan(plan.clone()),
        by: by(request),
        operation: OPERATION.to_owned(),
    });
    match used.await {
        Ok(approval) => Ok(approval),
        Err(error @ JournalError::Approval(_)) => Err(StartError::NotArmed {
            code: error.code(),
            reason: error.to_string(),
        }),
        Err(error) => Err(error.into()),
    }
}
