//! The coordinator: the only maker of events of a run.
//!
//! It takes what bays tell it in batches, stamps every fact, hands the batch to the journal, and
//! only when that is on disk answers those who wait. While it waits the next batch gathers in the
//! bounded channel, so that many bays share one wait for the disk.
//!
//! Invariants: nothing is answered that is not in the journal; after the journal is lost (or
//! refuses a batch, which would leave a hole) nothing is claimed any more, every running attempt is
//! told to end, and what ends from then on is reported as an error, not as recorded; it never waits
//! for a bay.

use std::sync::Arc;

use station_esp::words::counted;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::context::RunContext;
use super::gate::Gate;
use super::ledger::OpenAttempt;
use super::message::{Admission, AttemptEnd, Message, Order};
use super::record::Record;
use super::report::{AttemptReport, RunReport};
use crate::event::{AttemptId, BayCondition, BayName, CancelMode, EventKind, Tally};
use crate::journal::{Health, JournalError, Share};
use crate::outcome::{Failure, Outcome};
use crate::plan::Mode;
use crate::serial::SerialSource;

/// Messages taken at once.
const BATCH: usize = 256;

/// What a person can ask of a run.
#[derive(Clone, Debug)]
pub(super) enum Control {
    /// End the run.
    Cancel { mode: CancelMode, by: String },
    /// Start what is in a bay, or in every bay.
    Start { bay: Option<BayName> },
    /// Put a quarantined bay back into service.
    Clear { bay: BayName },
}

/// A bay as the coordinator sees it.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) name: BayName,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) open: Option<OpenAttempt>,
    pub(super) task: tokio::task::Id,
}

/// Somebody who waits until what was recorded so far is on disk.
#[derive(Debug)]
enum Waiting {
    Begun(oneshot::Sender<AttemptId>, AttemptId),
    Admitted(oneshot::Sender<Admission>, Admission),
    Recorded(oneshot::Sender<Result<(), Failure>>),
    Named(oneshot::Sender<Failure>, Failure),
    Ended(Box<Held>),
}

/// An end that is recorded and waits to be shown.
#[derive(Debug)]
struct Held {
    bay: usize,
    report: AttemptReport,
    reply: Option<oneshot::Sender<Outcome>>,
}

/// The coordinator of one run.
#[derive(Debug)]
pub(super) struct Coordinator {
    pub(super) context: Arc<RunContext>,
    pub(super) record: Record,
    pub(super) seats: Vec<Seat>,
    pub(super) tasks: JoinSet<()>,
    pub(super) messages: mpsc::Receiver<Message>,
    pub(super) controls: mpsc::Receiver<Control>,
    pub(super) gate: Gate,
    pub(super) serials: Option<Arc<SerialSource>>,
    /// What may still be begun of this product and revision, over all runs.
    pub(super) share: Share,
    pub(super) state: RunState,
}

/// What changes as the run goes on.
#[derive(Debug, Default)]
pub(super) struct RunState {
    waiting: Vec<Waiting>,
    held: Vec<Held>,
    tally: Tally,
    attempts: Vec<AttemptReport>,
    reason: Option<String>,
    cancelled: Option<CancelMode>,
    finish_sent: bool,
}

impl Coordinator {
    /// Runs to the end of the run and returns what it came to.
    pub(super) async fn run(mut self) -> RunReport {
        let began = Instant::now();
        let mut health = self.record.health();
        let mut freed = self.share.freed();
        let limited = self.quota().is_some();
        let mut controls_open = true;
        let mut batch = Vec::with_capacity(BATCH);
        self.turn().await;
        loop {
            tokio::select! {
                biased;
                control = self.controls.recv(), if controls_open => match control {
                    Some(control) => self.control(control),
                    None => controls_open = false,
                },
                lost = lost(&mut health), if !self.record.is_lost() => self.lose(lost),
                count = self.messages.recv_many(&mut batch, BATCH) => {
                    for message in batch.drain(..) {
                        self.message(message).await;
                    }
                    if count == 0 && self.tasks.is_empty() {
                        break;
                    }
                    if count == 0 {
                        self.reap().await;
                    }
                }
                Some(ended) = self.tasks.join_next_with_id() => self.bay_ended(ended),
                // Another run left something of the quota.
                Ok(()) = freed.changed(), if limited => {}
            }
            self.turn().await;
        }
        self.finish(began).await
    }

    /// Waits for a bay whose channel is closed already.
    async fn reap(&mut self) {
        if let Some(ended) = self.tasks.join_next_with_id().await {
            self.bay_ended(ended);
        }
    }

    /// What follows every batch: the disk, the answers, the next starts, perhaps the end.
    async fn turn(&mut self) {
        if let Err(error) = self.record.flush().await {
            self.lose(error);
        }
        self.answer();
        self.release();
        self.judge_end();
        self.admit();
    }

    fn quota(&self) -> Option<u64> {
        self.context.plan.contents().run.quota
    }

    fn admit(&mut self) {
        let gate = &mut self.gate;
        let quota = self.context.plan.contents().run.quota;
        let admitted = self.share.begin(quota, |left| {
            let admitted = gate.admit(left);
            (admitted, gate.in_flight())
        });
        for bay in admitted {
            self.order(bay, Order::Granted);
        }
    }

    /// Orders never wait: a bay that does not listen is one that is busy or gone.
    fn order(&self, bay: usize, order: Order) {
        if let Err(error) = self.seats[bay].orders.try_send(order) {
            tracing::debug!(bay = %self.seats[bay].name, %error, "an order was not taken");
        }
    }

    /// Ends the run early: nobody starts any more.
    pub(super) fn close(&mut self, reason: Option<String>) {
        self.gate.close();
        if self.state.reason.is_none() {
            self.state.reason = reason;
        }
        if !self.state.finish_sent {
            self.state.finish_sent = true;
            for bay in 0..self.seats.len() {
                self.order(bay, Order::Finish);
            }
        }
    }

    fn judge_end(&mut self) {
        if self.gate.units_done() {
            self.close(None);
        }
        if let Some(quota) = self.quota()
            && self.share.left(quota) == 0
            && self.gate.in_flight() == 0
        {
            let units = counted(quota, "unit");
            self.close(Some(format!("the quota of {units} is reached")));
        }
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Cancel { mode, by } => self.cancel(mode, by),
            Control::Start { bay } => {
                if self.context.plan.contents().run.mode == Mode::Carrier {
                    self.gate.force();
                }
                // One board of a carrier is started with all the others.
                let all = bay.is_none() || self.context.plan.contents().run.mode == Mode::Carrier;
                for index in 0..self.seats.len() {
                    if all || bay.as_ref() == Some(&self.seats[index].name) {
                        self.order(index, Order::Start);
                    }
                }
            }
            Control::Clear { bay } => {
                let index = self.seats.iter().position(|seat| seat.name == bay);
                if let Some(index) = index {
                    self.order(index, Order::Clear);
                }
            }
        }
    }

    fn cancel(&mut self, mode: CancelMode, by: String) {
        if self.state.cancelled == Some(CancelMode::Stop) || self.state.cancelled == Some(mode) {
            return;
        }
        self.state.cancelled = Some(mode);
        self.close(Some(format!("cancelled by {by}")));
        self.record.add(EventKind::CancelRequested { by, mode });
        if mode == CancelMode::Stop {
            self.context.stop.cancel();
        }
    }

    async fn message(&mut self, message: Message) {
        match message {
            Message::Fact { bay, kind } => {
                if let Some(open) = &mut self.seats[bay].open {
                    open.learn(&kind);
                    self.record.add(kind);
                }
            }
            Message::Attachment {
                bay,
                attempt,
                step,
                name,
                bytes,
            } => {
                if self.seats[bay].open.is_some() {
                    let attached = self.record.attach(attempt, step, name, bytes).await;
                    if let Err(error) = attached {
                        self.lose(error);
                    }
                }
            }
            Message::Condition { bay, to, reason } => {
                self.gate.condition(bay, to);
                let bay = self.seats[bay].name.clone();
                self.record.add(EventKind::BayChanged { bay, to, reason });
            }
            Message::Ask { bay } => self.gate.ask(bay),
            Message::Withdraw { bay } => self.gate.withdraw(bay),
            Message::Begin { bay, reply } => self.begin(bay, reply),
            Message::Identified { bay, unit, reply } => {
                let admission = self.identified(bay, unit).await;
                self.state.waiting.push(Waiting::Admitted(reply, admission));
            }
            Message::NeedSerial { bay, claim, reply } => {
                let answer = self.serial_for(bay, claim).await;
                // A bay that is gone does not need its number; the unit keeps it.
                let _ = reply.send(answer);
            }
            Message::Durable { bay, kind, reply } => match &mut self.seats[bay].open {
                Some(open) => {
                    open.learn(&kind);
                    self.record.add(kind);
                    self.state.waiting.push(Waiting::Recorded(reply));
                }
                // The attempt is over: nothing may follow from what it still wants to say.
                None => {
                    let _ = reply.send(Err(Failure::internal("the attempt")));
                }
            },
            Message::Burns { bay, reply } => {
                let answer = self.burns_of(bay).await;
                let _ = reply.send(answer);
            }
            Message::Nameless {
                bay,
                chip,
                failure,
                reply,
            } => {
                let failure = self.nameless(bay, chip.as_deref(), failure).await;
                self.state.waiting.push(Waiting::Named(reply, failure));
            }
            Message::Ended { bay, end, reply } => self.ended(bay, end, Some(reply)),
        }
    }

    fn begin(&mut self, bay: usize, reply: oneshot::Sender<AttemptId>) {
        if self.record.is_lost() || self.state.cancelled.is_some() {
            // The reply is dropped: without a recorded beginning nothing is done, and whoever waits
            // for the bay, as the others of its carrier do, waits no more.
            self.gate.withdraw(bay);
            return;
        }
        let attempt = self.record.next_attempt();
        let seat = &mut self.seats[bay];
        seat.open = Some(OpenAttempt::new(attempt));
        let bay = seat.name.clone();
        self.record.add(EventKind::AttemptStarted { attempt, bay });
        self.state.waiting.push(Waiting::Begun(reply, attempt));
    }

    /// Closes a bay's attempt, if one is open.
    fn ended(&mut self, bay: usize, end: AttemptEnd, reply: Option<oneshot::Sender<Outcome>>) {
        let seat = &mut self.seats[bay];
        let Some(open) = seat.open.take() else {
            return;
        };
        let passed_before = open.passed_before;
        let (facts, report) = open.close(seat.name.clone(), end);
        for fact in facts {
            self.record.add(fact);
        }
        self.gate.ended(bay, report.outcome);
        if report.outcome == Outcome::Pass && !passed_before {
            self.share.add_pass();
        }
        self.state
            .waiting
            .push(Waiting::Ended(Box::new(Held { bay, report, reply })));
    }

    /// Answers everyone whose facts are on disk, or says that they never will be.
    fn answer(&mut self) {
        let lost = self.record.is_lost();
        for waiting in std::mem::take(&mut self.state.waiting) {
            match waiting {
                // Whoever does not wait any more has ended, or will be closed as ended.
                Waiting::Begun(reply, attempt) => {
                    if !lost {
                        let _ = reply.send(attempt);
                    }
                }
                Waiting::Admitted(reply, admission) => {
                    let _ = reply.send(match lost {
                        true => Admission::TurnedAway(Failure::journal_lost()),
                        false => admission,
                    });
                }
                Waiting::Recorded(reply) => {
                    let _ = reply.send(match lost {
                        true => Err(Failure::journal_lost()),
                        false => Ok(()),
                    });
                }
                Waiting::Named(reply, failure) => {
                    let _ = reply.send(match lost {
                        true => Failure::journal_lost(),
                        false => failure,
                    });
                }
                Waiting::Ended(held) => self.hold(*held, lost),
            }
        }
    }

    fn hold(&mut self, mut held: Held, lost: bool) {
        if lost {
            unrecorded(&mut held.report);
        }
        self.state.tally.add(held.report.outcome);
        self.state.held.push(held);
    }

    /// Shows ends: at once, or in a carrier when the last of its bays has ended.
    fn release(&mut self) {
        let carrier = self.context.plan.contents().run.mode == Mode::Carrier;
        if carrier && self.gate.in_flight() > 0 {
            return;
        }
        for held in std::mem::take(&mut self.state.held) {
            self.gate.release(held.bay);
            if let Some(reply) = held.reply {
                let _ = reply.send(held.report.outcome);
            }
            self.state.attempts.push(held.report);
        }
    }

    /// Takes note that the journal records no more.
    pub(super) fn lose(&mut self, error: JournalError) {
        if self.record.lose(error) {
            self.context.lost.cancel();
            self.close(Some("the journal records no more".to_owned()));
        }
    }

    fn bay_ended(&mut self, ended: Result<(tokio::task::Id, ()), JoinError>) {
        let (id, broke) = match ended {
            Ok((id, ())) => (id, false),
            Err(error) => (error.id(), true),
        };
        let Some(bay) = self.seats.iter().position(|seat| seat.task == id) else {
            return;
        };
        if let Some(open) = &self.seats[bay].open {
            let end = AttemptEnd {
                attempt: open.id,
                outcome: Outcome::Error,
                failure: Some(Failure::internal("the bay")),
                failed_step: None,
            };
            self.ended(bay, end, None);
        }
        if broke {
            let name = self.seats[bay].name.clone();
            let reason = Some("the bay broke off inside the station".to_owned());
            let to = BayCondition::Quarantined;
            self.record.add(EventKind::BayChanged {
                bay: name,
                to,
                reason,
            });
        }
        self.gate.gone(bay);
    }

    async fn finish(mut self, began: Instant) -> RunReport {
        let state = &mut self.state;
        let (tally, reason) = (state.tally, state.reason.clone());
        self.record.add(EventKind::RunFinished {
            tally,
            reason: reason.clone(),
        });
        if let Err(error) = self.record.flush().await {
            self.lose(error);
        }
        RunReport {
            run: self.context.run,
            tally,
            attempts: self.state.attempts,
            reason: self.state.reason,
            cancelled: self.state.cancelled.is_some(),
            journal_lost: self.record.into_loss(),
            took: began.elapsed(),
        }
    }
}

/// Returns when the journal is lost, with what it says.
async fn lost(health: &mut watch::Receiver<Health>) -> JournalError {
    match health
        .wait_for(|health| matches!(health, Health::Lost(_)))
        .await
    {
        Ok(health) => match &*health {
            Health::Lost(error) => error.clone(),
            Health::Sound => JournalError::Closed,
        },
        Err(_) => JournalError::Closed,
    }
}

/// What is not in the journal may not be claimed.
fn unrecorded(report: &mut AttemptReport) {
    report.recorded = false;
    report.outcome = Outcome::Error;
    report.failure = Some(Failure::journal_lost());
}
