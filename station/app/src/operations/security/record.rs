//! The record of a burn outside a run: every pulse is in the journal before it is on the chip.

use async_trait::async_trait;
use chrono::Utc;
use station_device::efuse::{BurnWitness, PulseResult, PulseVerdict};
use station_esp::Chip;
use station_esp::efuse::plan::PulseRecord;
use station_esp::efuse::reconcile::{Reconciled, Verdict};
use station_line::approval::ApprovalId;
use station_line::event::{BurnVerdict, EventKind, Mac, ReconcileVerdict};
use station_line::journal::Journal;
use tokio_util::sync::CancellationToken;

/// Writes down what is burned into one unit.
pub(super) struct Recorded {
    pub(super) journal: Journal,
    pub(super) mac: Mac,
    pub(super) chip: Chip,
    pub(super) approval: ApprovalId,
    /// Whoever asked does not want it any more: no further pulse is begun.
    pub(super) cancelled: CancellationToken,
}

#[async_trait]
impl BurnWitness for Recorded {
    async fn intended(&mut self, pulse: &PulseRecord) -> Result<(), String> {
        if self.cancelled.is_cancelled() {
            return Err("whoever asked for it does not want it any more".to_owned());
        }
        let intended = EventKind::BurnIntended {
            attempt: None,
            mac: self.mac.clone(),
            chip: self.chip.name().to_owned(),
            approval: Some(self.approval.clone()),
            pulse: pulse.clone(),
        };
        self.note(intended).await
    }

    async fn finished(&mut self, pulse: &PulseRecord, result: &PulseResult) -> Result<(), String> {
        let (verdict, detail) = match &result.verdict {
            PulseVerdict::Done => (BurnVerdict::Done, None),
            PulseVerdict::Silent => (BurnVerdict::Silent, None),
            PulseVerdict::Failed { reason } => (BurnVerdict::Failed, Some(reason.clone())),
        };
        let finished = EventKind::BurnFinished {
            attempt: None,
            mac: self.mac.clone(),
            plan: pulse.plan.clone(),
            number: pulse.number,
            verdict,
            tries: result.tries,
            before: result.before.clone(),
            after: result.after.clone(),
            detail,
        };
        self.note(finished).await
    }
}

impl Recorded {
    async fn note(&self, kind: EventKind) -> Result<(), String> {
        match self.journal.note(Utc::now(), kind).await {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{error} [{}]", error.code())),
        }
    }
}

/// What the chip says about a pulse whose end nobody saw, for the record.
pub(super) fn reconciled(mac: &Mac, found: &Reconciled) -> EventKind {
    let (verdict, detail) = match &found.verdict {
        Verdict::Done => (ReconcileVerdict::Done, None),
        Verdict::NotDone => (ReconcileVerdict::NotDone, None),
        Verdict::Partly { detail } => (ReconcileVerdict::Partly, Some(detail.clone())),
        Verdict::Unclear { reason } => (ReconcileVerdict::Unclear, Some(reason.clone())),
    };
    EventKind::BurnReconciled {
        attempt: None,
        mac: mac.clone(),
        plan: found.plan.clone(),
        number: found.number,
        verdict,
        detail,
    }
}
