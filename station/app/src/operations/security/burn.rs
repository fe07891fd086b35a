//! One chip's fuses outside a run: looked at, planned, burned.
//!
//! Invariants: what is burned is a plan made from a look at the chip in this very conversation; pulses whose
//! end nobody saw are settled first; a burn, once begun, comes to the end of its pulse whoever goes away; a
//! chip that is not as it must be is put into quarantine before anybody is told.

use chrono::Utc;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use station_device::efuse::{BurnError, Burned, PulseVerdict};
use station_device::session::{AfterSession, Session};
use station_esp::efuse::plan::{BurnPlan, PulseRecord, Refusals, Snapshot, Wish};
use station_esp::efuse::reconcile::{Verdict, reconcile};
use station_esp::words::counted;
use station_line::approval::{ApprovalId, Subject};
use station_line::event::{EventKind, Mac};
use station_line::journal::{BurnRow, Journal};

use super::super::attached::{Attached, reported};
use super::record::Recorded;
use crate::operation::{Call, Exit, OperationError};
use crate::station::Station;
use crate::station::permit::{Asked, permit, record};

/// A chip's fuses as they are.
pub(super) struct Looked {
    pub(super) snapshot: Snapshot,
    pub(super) mac: Mac,
}

/// One chip in conversation, and its fuses as they are.
pub(super) struct Bench {
    session: Session,
    pub(super) looked: Looked,
    /// The last pulse told the chip to stop answering; it cannot be asked to start its application.
    silent: bool,
}

impl Bench {
    /// Connects and looks at every fuse.
    pub(super) async fn open(
        station: &Station,
        attached: &Attached,
        call: &Call,
    ) -> Result<Self, OperationError> {
        let mut session = attached.connect(station, call).await?;
        let looked = reported(call, "reading fuses", None, session.fuse_snapshot()).await;
        match looked {
            Ok(snapshot) => Ok(Self {
                session,
                looked: Looked {
                    mac: Mac::new(snapshot.mac.to_string()),
                    snapshot,
                },
                silent: false,
            }),
            Err(error) => Err(match attached.finish(session, Err(error.into())).await {
                Ok(()) => OperationError::new("internal", "a failure got lost"),
                Err(error) => error,
            }),
        }
    }

    /// Whether flash holds these bytes, as the chip reads it over the wire.
    ///
    /// # Errors
    /// Those of the chip.
    pub(super) async fn has(&mut self, offset: u32, bytes: &[u8]) -> Result<bool, OperationError> {
        use md5::Digest as _;
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let found = self.session.md5(offset, length).await?;
        let wanted: [u8; 16] = md5::Md5::digest(bytes).into();
        Ok(wanted == found)
    }

    /// Lets the chip go, whatever came of it.
    pub(super) async fn close<T>(
        self,
        attached: &Attached,
        outcome: Result<T, OperationError>,
    ) -> Result<T, OperationError> {
        if self.silent {
            let _gone = self.session.close(AfterSession::Stay).await;
            return outcome;
        }
        attached.finish(self.session, outcome).await
    }
}

impl Looked {
    /// What the record says was ever meant to be burned into this chip and may be there.
    pub(super) async fn earlier(
        &self,
        station: &Station,
    ) -> Result<Vec<PulseRecord>, OperationError> {
        if !station.journal_path().exists() {
            return Ok(Vec::new());
        }
        let mac = self.mac.clone();
        let rows = station
            .read(move |reader| Ok(reader.burns_of(&mac)?))
            .await?;
        Ok(kept(rows))
    }

    /// Makes the plan.
    pub(super) fn plan(&self, wish: &Wish, earlier: &[PulseRecord]) -> Result<BurnPlan, Refusals> {
        BurnPlan::make(&self.snapshot, wish, earlier)
    }
}

fn kept(rows: Vec<BurnRow>) -> Vec<PulseRecord> {
    rows.into_iter()
        .filter(|row| row.state.may_be_there())
        .map(|row| row.pulse)
        .collect()
}

/// One pulse that was burned.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PulseView {
    /// Its place in the plan, from 1
    pub number: u16,
    /// The block
    pub block: u8,
    /// What it does, a line each
    pub does: Vec<String>,
    /// done, or silent when the chip stopped answering as it was told to
    pub verdict: String,
    /// How often it was programmed
    pub tries: u8,
}

/// What was burned.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BurnView {
    /// MAC of the unit
    pub mac: String,
    /// Digest of the plan
    pub digest: String,
    /// The pulses, in order; none if everything was as it should be already
    pub pulses: Vec<PulseView>,
    /// Wishes that were fulfilled before
    pub satisfied: Vec<String>,
    /// What is not wrong and yet worth a word
    pub warnings: Vec<String>,
    /// The approval that was used; none if nothing was to be burned
    pub approval: Option<String>,
    /// Whether the chip still answers its loader fully
    pub answers: bool,
    /// The plan that was burned, as it was approved
    pub plan: Value,
}

impl BurnView {
    /// In words, for people.
    pub(super) fn words(&self) -> String {
        let count = self.pulses.len();
        let mut words = if count == 0 {
            format!(
                "{}: everything is as it should be already; nothing was burned",
                self.mac
            )
        } else {
            format!("{}: {} burned", self.mac, counted(count, "pulse"))
        };
        for pulse in &self.pulses {
            for does in &pulse.does {
                words += &format!("\n  {}. {does}: {}", pulse.number, pulse.verdict);
            }
        }
        if !self.answers {
            words += "\nthe chip answers its loader no more, or only in secure download mode, as it was told to";
        }
        for warning in &self.warnings {
            words += &format!("\nwarning: {warning}");
        }
        words
    }
}

/// Who asks to burn what, under which approval.
pub(super) struct Order<'a> {
    pub(super) station: &'a Station,
    pub(super) call: &'a Call,
    /// Name of the operation.
    pub(super) operation: &'static str,
    pub(super) approval: Option<&'a str>,
}

impl Order<'_> {
    /// Settles what is open, refuses a unit in quarantine, and returns what may be on the chip already.
    ///
    /// # Errors
    /// `unit-under-way`, `unit-quarantined`, `burn-unclear`; those of the journal.
    pub(super) async fn settle(
        &self,
        journal: &Journal,
        looked: &Looked,
    ) -> Result<Vec<PulseRecord>, OperationError> {
        let mac = looked.mac.clone();
        let bay = self
            .station
            .read(move |reader| Ok(reader.under_way(&mac)?))
            .await?;
        if let Some(bay) = bay {
            // Another chip with the same MAC, or the same one by another way: its pulses are not this one's.
            let message = format!("unit {} is in an attempt in bay `{bay}`", looked.mac);
            let error = OperationError::new("unit-under-way", message)
                .hint(
                    "wait for the end of the attempt, or find out which of the two chips is a copy",
                )
                .exit(Exit::Refused);
            return Err(record(journal, self.operation, error).await?);
        }
        let mac = looked.mac.clone();
        if let Some(why) = self
            .station
            .read(move |reader| Ok(reader.quarantine(&mac)?))
            .await?
        {
            let message = format!(
                "unit {} is in quarantine: {} [{}]",
                looked.mac, why.reason, why.code
            );
            let error = OperationError::new("unit-quarantined", message)
                .hint("look at it, then `station units release MAC --reason …`")
                .exit(Exit::Refused);
            return Err(record(journal, self.operation, error).await?);
        }
        let open = journal.unfinished_burns(&looked.mac).await?;
        let open: Vec<PulseRecord> = open.into_iter().map(|row| row.pulse).collect();
        let mut unclear = None;
        for found in reconcile(&open, &looked.snapshot) {
            journal
                .note(
                    Utc::now(),
                    EventKind::burn_reconciled(None, &looked.mac, &found),
                )
                .await?;
            if let Verdict::Unclear { reason } = found.verdict {
                unclear.get_or_insert(reason);
            }
        }
        if let Some(reason) = unclear {
            return Err(quarantine(journal, &looked.mac, "burn-unclear", reason).await?);
        }
        Ok(kept(journal.burns_of(&looked.mac).await?))
    }

    /// Makes the plan of a wish; a refusal is recorded.
    ///
    /// # Errors
    /// The codes of refusals (`docs/efuse-refusals.md`); those of the journal.
    pub(super) async fn plan(
        &self,
        journal: &Journal,
        looked: &Looked,
        wish: &Wish,
        earlier: &[PulseRecord],
    ) -> Result<BurnPlan, OperationError> {
        match looked.plan(wish, earlier) {
            Ok(plan) => Ok(plan),
            Err(refusals) => Err(record(journal, self.operation, refused(&refusals)).await?),
        }
    }

    /// Looks at the chip and settles what is open on it; lets it go again if that cannot be done.
    /// Returns what may be on the chip already, too.
    ///
    /// # Errors
    /// Those of the connection and of [`Order::settle`].
    pub(super) async fn open(
        &self,
        journal: &Journal,
        attached: &Attached,
    ) -> Result<(Bench, Vec<PulseRecord>), OperationError> {
        let bench = Bench::open(self.station, attached, self.call).await?;
        match self.settle(journal, &bench.looked).await {
            Ok(earlier) => Ok((bench, earlier)),
            Err(error) => bench.close(attached, Err(error)).await,
        }
    }

    /// Plans what is wished, burns it and lets the chip go; also if the wish could not be made.
    ///
    /// # Errors
    /// That of the wish; as [`Order::plan`] and [`Order::finish`].
    pub(super) async fn fulfil(
        &self,
        journal: &Journal,
        (bench, earlier): (Bench, Vec<PulseRecord>),
        wish: Result<Wish, OperationError>,
        attached: &Attached,
    ) -> Result<BurnView, OperationError> {
        let planned = match wish {
            Ok(wish) => self.plan(journal, &bench.looked, &wish, &earlier).await,
            Err(error) => Err(error),
        };
        self.finish(journal, bench, planned, attached).await
    }

    /// Gets leave for the plan and burns it.
    ///
    /// # Errors
    /// Those of [`permit`] and of the burner.
    pub(super) async fn burn(
        &self,
        journal: &Journal,
        bench: Bench,
        plan: BurnPlan,
    ) -> (Option<Bench>, Result<BurnView, OperationError>) {
        let mut view = view(&bench.looked, &plan);
        if plan.is_empty() {
            return (Some(bench), Ok(view));
        }
        let approval = match self.permitted(journal, &plan).await {
            Ok(approval) => approval,
            Err(error) => return (Some(bench), Err(error)),
        };
        view.approval = Some(approval.to_string());
        let (bench, burned) = self.pulses(journal, bench, plan, approval).await;
        let burned = match burned {
            Ok(burned) => burned,
            Err(error) => return (bench, Err(error)),
        };
        for (pulse, result) in view.pulses.iter_mut().zip(&burned.pulses) {
            pulse.verdict = result.verdict.word().to_owned();
            pulse.tries = result.tries;
        }
        view.answers = burned.after.is_some();
        (bench, Ok(view))
    }

    /// Burns the plan and lets the chip go; also if the plan could not be made.
    ///
    /// # Errors
    /// That of the plan; as [`Order::burn`].
    pub(super) async fn finish(
        &self,
        journal: &Journal,
        bench: Bench,
        planned: Result<BurnPlan, OperationError>,
        attached: &Attached,
    ) -> Result<BurnView, OperationError> {
        let plan = match planned {
            Ok(plan) => plan,
            Err(error) => return bench.close(attached, Err(error)).await,
        };
        match self.burn(journal, bench, plan).await {
            (Some(bench), Ok(mut view)) => {
                // What is burned is burned, also if the chip cannot be started afterwards: an error would
                // say that nothing came of it.
                if let Err(error) = bench.close(attached, Ok(())).await {
                    view.warnings.push(format!(
                        "the chip was not started again: {} [{}]",
                        error.message, error.code
                    ));
                }
                Ok(view)
            }
            (Some(bench), Err(error)) => bench.close(attached, Err(error)).await,
            (None, outcome) => outcome,
        }
    }

    async fn permitted(
        &self,
        journal: &Journal,
        plan: &BurnPlan,
    ) -> Result<ApprovalId, OperationError> {
        let text = plan.describe();
        let asked = Asked {
            operation: self.operation,
            subject: Subject::Burn(plan.digest_hex()),
            text: &text,
        };
        permit(journal, self.call, &asked, self.approval).await
    }

    /// Burns on a task of its own, which nobody can drop.
    async fn pulses(
        &self,
        journal: &Journal,
        mut bench: Bench,
        plan: BurnPlan,
        approval: ApprovalId,
    ) -> (Option<Bench>, Result<Burned, OperationError>) {
        let mut witness = Recorded {
            journal: journal.clone(),
            mac: bench.looked.mac.clone(),
            chip: bench.looked.snapshot.chip,
            approval,
            cancelled: self.call.cancelled.clone(),
        };
        let guard = self.station.burning().await;
        let task = tokio::spawn(async move {
            let burned = bench.session.burn(&plan, &mut witness).await;
            let burned = judged(&witness, burned).await;
            drop(guard);
            if let Ok(burned) = &burned {
                let silent = |pulse: &station_device::efuse::PulseResult| match pulse.verdict {
                    PulseVerdict::Silent => true,
                    PulseVerdict::Done | PulseVerdict::Failed { .. } => false,
                };
                bench.silent = burned.pulses.iter().any(silent);
                if let Some(after) = &burned.after {
                    bench.looked.snapshot = after.clone();
                }
            }
            (bench, burned)
        });
        match reported(self.call, "burning", None, task).await {
            Ok((bench, burned)) => (Some(bench), burned),
            Err(error) => {
                let message = format!("the burn broke off: {error}");
                (None, Err(OperationError::new("internal", message)))
            }
        }
    }
}

/// A failed burn as an error; a chip that is not as it must be is put into quarantine first.
async fn judged(
    witness: &Recorded,
    burned: Result<Burned, BurnError>,
) -> Result<Burned, OperationError> {
    let error = match burned {
        Ok(burned) => return Ok(burned),
        Err(error) => error,
    };
    if let BurnError::Failed { .. } | BurnError::Unexpected { .. } = &error {
        let kind = EventKind::UnitQuarantined {
            attempt: None,
            mac: witness.mac.clone(),
            code: error.code().to_owned(),
            reason: error.to_string(),
        };
        witness.journal.note(Utc::now(), kind).await?;
    }
    Err(error.into())
}

/// Puts a unit into quarantine and returns the error that says so.
async fn quarantine(
    journal: &Journal,
    mac: &Mac,
    code: &str,
    reason: String,
) -> Result<OperationError, OperationError> {
    let message = format!("unit {mac} is put into quarantine: {reason}");
    let kind = EventKind::UnitQuarantined {
        attempt: None,
        mac: mac.clone(),
        code: code.to_owned(),
        reason,
    };
    journal.note(Utc::now(), kind).await?;
    Ok(OperationError::new(code, message)
        .hint("look at it, then `station units release MAC --reason …`")
        .exit(Exit::Refused))
}

/// Why no plan can be made, all reasons at once.
pub(super) fn refused(refusals: &Refusals) -> OperationError {
    let mut error =
        OperationError::new(refusals.code(), format!("no plan can be made: {refusals}"))
            .exit(Exit::Refused);
    error.hint = refusals
        .0
        .first()
        .map(|refusal| refusal.hint.as_str().into());
    error.causes = refusals.0.iter().map(ToString::to_string).collect();
    error.detail = serde_json::to_value(refusals).ok().map(Box::new);
    error
}

fn view(looked: &Looked, plan: &BurnPlan) -> BurnView {
    let pulses = plan.pulses().iter().map(|pulse| PulseView {
        number: pulse.number,
        block: pulse.block,
        does: pulse.does.clone(),
        verdict: String::new(),
        tries: 0,
    });
    BurnView {
        mac: looked.mac.to_string(),
        digest: plan.digest_hex(),
        pulses: pulses.collect(),
        satisfied: plan.satisfied().to_vec(),
        warnings: plan.warnings().to_vec(),
        approval: None,
        answers: true,
        plan: serde_json::to_value(plan.view()).unwrap_or_default(),
    }
}
