//! The record of a burn outside a run: every pulse is in the journal before it is on the chip.

use async_trait::async_trait;
use chrono::Utc;
use station_device::efuse::{BurnWitness, PulseResult};
use station_esp::Chip;
use station_esp::efuse::plan::PulseRecord;
use station_line::approval::ApprovalId;
use station_line::event::{EventKind, Mac};
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
        let finished = EventKind::burn_finished(None, &self.mac, pulse, result);
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
