//! Burns a plan on a task of its own, with the record as its witness.
//!
//! Invariants: no pulse begins before its intent is on disk; whoever wants the step to end is heard
//! between two pulses and never within one; the burning goes on to the end of its pulse even if
//! nobody waits for it any more, and then stops.

use std::sync::Arc;

use async_trait::async_trait;
use station_device::FailureClass;
use station_device::efuse::{BurnError, BurnWitness, Burned, PulseResult};
use station_esp::efuse::plan::{BurnPlan, PulseRecord};
use tokio_util::sync::CancellationToken;

use crate::approval::ApprovalId;
use crate::event::{AttemptId, EventKind, Mac};
use crate::outcome::Failure;
use crate::runner::attempt::{Attempt, Turn};
use crate::runner::context::DurablePen;

/// Writes down what is about to be burned, and what was.
struct Witness {
    pen: DurablePen,
    attempt: AttemptId,
    mac: Mac,
    chip: String,
    approval: Option<ApprovalId>,
    halt: CancellationToken,
}

#[async_trait]
impl BurnWitness for Witness {
    async fn intended(&mut self, pulse: &PulseRecord) -> Result<(), String> {
        if self.halt.is_cancelled() {
            return Err("the step is to end".to_owned());
        }
        let event = EventKind::BurnIntended {
            attempt: Some(self.attempt),
            mac: self.mac.clone(),
            chip: self.chip.clone(),
            approval: self.approval.clone(),
            pulse: pulse.clone(),
        };
        self.pen
            .write(event)
            .await
            .map_err(|failure| failure.message)
    }

    async fn finished(&mut self, pulse: &PulseRecord, result: &PulseResult) -> Result<(), String> {
        let event = EventKind::burn_finished(Some(self.attempt), &self.mac, pulse, result);
        self.pen
            .write(event)
            .await
            .map_err(|failure| failure.message)
    }
}

/// Burns a plan to its end, or to the end of the pulse during which the step was to end.
pub(super) async fn burn(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    plan: Arc<BurnPlan>,
) -> Result<Burned, Failure> {
    let mac = attempt.mac().ok_or_else(|| Failure::internal("the unit"))?;
    let mut session = attempt.chip.take()?;
    let closes = plan.pulses().iter().any(|pulse| pulse.last_contact);
    let halt = CancellationToken::new();
    let mut witness = Witness {
        pen: attempt.bay.pen(),
        attempt: attempt.id,
        mac,
        chip: session.identity().chip.name().to_owned(),
        approval: attempt.run.approval.clone(),
        halt: halt.clone(),
    };
    // Should this future be dropped, the burner stops before its next pulse.
    let _stop = halt.clone().drop_guard();
    // Whatever happens from here on, until the end is known.
    attempt.unsettled = true;
    let mut work = tokio::spawn(async move {
        let burned = session.burn(&plan, &mut witness).await;
        (session, burned)
    });
    let mut ending: Option<Failure> = None;
    let joined = loop {
        tokio::select! {
            biased;
            joined = &mut work => break joined,
            failure = turn.ends.over(), if ending.is_none() => {
                halt.cancel();
                ending = Some(failure);
            }
        }
    };
    let Ok((session, burned)) = joined else {
        return Err(Failure::internal("the burner"));
    };
    attempt.chip.give_back(session);
    match burned {
        Ok(burned) => {
            attempt.unsettled = false;
            attempt.closed |= closes;
            Ok(burned)
        }
        Err(error) => Err(failed(attempt, &error, ending).await),
    }
}

/// What a burn that did not reach its end is called, and what follows for the unit.
async fn failed(attempt: &mut Attempt<'_>, error: &BurnError, ending: Option<Failure>) -> Failure {
    let failure = Failure::of_burn(error);
    match error {
        BurnError::Failed { .. } | BurnError::Unexpected { .. } => {
            attempt.quarantine(error.code(), failure.message).await
        }
        BurnError::Refused { .. } => match ending {
            Some(ending) => ending,
            None if attempt.run.lost.is_cancelled() => Failure::journal_lost(),
            None => failure,
        },
        // The chip answered with something else than the plan was made for: what is on it now is
        // not known to be what the record says.
        BurnError::ChipChanged { .. } => failure,
        BurnError::Device(_)
        | BurnError::Crystal { .. }
        | BurnError::NotRecorded { .. }
        | BurnError::Garbled { .. }
        | BurnError::Interrupted { .. } => failure,
    }
}

impl Failure {
    fn of_burn(error: &BurnError) -> Self {
        let class: FailureClass = error.class();
        let failure = Self::new(class, error.code(), error.to_string());
        match error.hint() {
            Some(hint) => failure.hinted(&hint),
            None => failure,
        }
    }
}
