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
    match decided {
        Ok(approval) => Ok(approval),
        Err(Stop::Failed(error)) => Err(error),
        Err(Stop::Refused(error)) => {
            let refused = EventKind::Refused {
                operation: OPERATION.to_owned(),
                code: error.code().to_owned(),
                reason: format!("plan {}: {error}", request.plan.id()),
            };
            journal.note(clock.now(), refused).await?;
            Err(error)
        }
    }
}

/// Why a run does not begin.
enum Stop {
    /// It must not, and nobody has put that on record yet.
    Refused(StartError),
    /// It cannot, or whoever decides about approvals has put the refusal on record itself.
    Failed(StartError),
}

impl From<JournalError> for Stop {
    fn from(error: JournalError) -> Self {
        Self::Failed(error.into())
    }
}

/// Who runs it, as far as that is known.
fn by(request: &RunRequest) -> String {
    request
        .operator
        .clone()
        .unwrap_or_else(|| "station".to_owned())
}

async fn rehearsal(request: &RunRequest, journal: &Journal, clock: &dyn Clock) -> Result<(), Stop> {
    for bay in &request.bays {
        let address = bay.connector.name().parse::<Address>();
        if !matches!(address, Ok(Address::Virtual(_))) {
            let bay = bay.name.clone();
            return Err(Stop::Refused(StartError::RealBay { bay }));
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
) -> Result<ApprovalId, Stop> {
    let plan = request.plan.id();
    let not_released =
        |code: &'static str, reason: String| StartError::NotReleased { code, reason };
    let not_armed = |code: &'static str, reason: String| StartError::NotArmed { code, reason };
    let trusted = match &request.keys {
        Some(keys) => keys
            .trusted_keys()
            .map_err(|error| Stop::Refused(not_released(error.code(), error.to_string())))?,
        // Without a store nobody is trusted.
        None => TrustedKeys::new(Vec::new()),
    };
    match journal.released(plan, &trusted) {
        Ok(_) => {}
        Err(error @ JournalError::Release(_)) => {
            let refused = not_released(error.code(), error.to_string());
            return Err(Stop::Refused(refused));
        }
        Err(error) => return Err(error.into()),
    }
    if !request.arm {
        let refused = not_armed("not-armed", "nobody said so".to_owned());
        return Err(Stop::Refused(refused));
    }
    let used = journal.use_approval(UseApproval {
        at: clock.now(),
        run: None,
        elapsed_us: 0,
        approval: request.approval.clone(),
        subject: Subject::Plan(plan.clone()),
        by: by(request),
        operation: OPERATION.to_owned(),
        // Looked at again by the writer: the release may have been withdrawn since.
        trusted,
    });
    match used.await {
        Ok(approval) => Ok(approval),
        Err(error @ JournalError::Approval(_)) => {
            Err(Stop::Failed(not_armed(error.code(), error.to_string())))
        }
        Err(error @ JournalError::Release(_)) => {
            Err(Stop::Failed(not_released(error.code(), error.to_string())))
        }
        Err(error) => Err(error.into()),
    }
}
