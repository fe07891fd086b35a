//! Small lines that happen in a test: drafts with sensible contents, and journals in a folder of
//! their own.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use station_device::FailureClass;
use tempfile::TempDir;

use crate::event::{
    AttemptId, BayName, BurnVerdict, Event, EventKind, Mac, PlanId, PulseRecord, ReconcileVerdict,
    RunId, Serial, StepName, Tally, Token,
};
use crate::journal::{
    Claim, Draft, ImageRecord, Journal, JournalError, OpenOptions, PlanRecord, Reader,
    SerialRequest,
};
use crate::outcome::{Failure, Limits, Measurement, Outcome, StepOutcome, Value};
use crate::serial::{SerialPattern, SerialSource};

pub(crate) const PLAN: &str = "00000000000000000000000000000000000000000000000000000000000000aa";

/// A journal's folder.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.file("line.db")
    }

    /// A journal that writes at once, without waiting for the disk.
    pub(crate) fn journal(&self) -> Journal {
        Journal::open(self.path(), &OpenOptions::simulation(noon())).unwrap()
    }

    /// A journal with its own thread.
    pub(crate) fn threaded(&self) -> Journal {
        let options = OpenOptions {
            opened_at: noon(),
            ..OpenOptions::default()
        };
        Journal::open(self.path(), &options).unwrap()
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::open(self.path()).unwrap()
    }

    /// All events, after a check that everything about the journal is in order.
    pub(crate) fn verified_events(&self) -> Vec<Event> {
        let reader = self.reader();
        let report = reader.verify().unwrap();
        assert_eq!(report.findings, []);
        let events = reader
            .events_since(crate::event::Seq(0), None, usize::MAX)
            .unwrap();
        assert_eq!(report.events, u64::try_from(events.len()).unwrap());
        events
    }
}

pub(crate) fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_793_275_200, 0).unwrap()
}

pub(crate) fn mac(number: u64) -> Mac {
    let bytes = number.to_be_bytes();
    Mac::new(format!(
        "7c:df:a1:{:02x}:{:02x}:{:02x}",
        bytes[5], bytes[6], bytes[7]
    ))
}

pub(crate) fn bay(number: u64) -> BayName {
    BayName::new(format!("bay{number}"))
}

pub(crate) fn step(name: &str) -> StepName {
    StepName::new(name)
}

pub(crate) fn plan() -> PlanRecord {
    PlanRecord {
        id: PlanId::new(PLAN),
        product: "sensor".into(),
        revision: Some("C".into()),
        text: "format = 1".into(),
        images: vec![ImageRecord {
            name: "app".into(),
            origin: "app.elf".into(),
            offset: 0x1_0000,
            size: 3,
            sha256: "ab".repeat(32),
        }],
        station: "0.1.0".into(),
    }
}

pub(crate) fn pool(name: &str, pattern: &str) -> Arc<SerialSource> {
    let pattern = SerialPattern::parse(pattern).unwrap();
    Arc::new(SerialSource::Pool {
        name: name.into(),
        pattern,
    })
}

pub(crate) fn draft(run: RunId, micros: u64, kind: EventKind) -> Draft {
    let at = noon() + TimeDelta::microseconds(i64::try_from(micros).unwrap());
    Draft {
        at,
        elapsed_us: micros,
        run: Some(run),
        kind,
    }
}

pub(crate) fn run_started(bays: u64) -> EventKind {
    EventKind::RunStarted {
        plan: PlanId::new(PLAN),
        product: "sensor".into(),
        bays: (1..=bays).map(bay).collect(),
        lot: Some("L1".into()),
        operator: None,
        units: None,
        station: "0.1.0".into(),
    }
}

pub(crate) fn run_finished(tally: Tally) -> EventKind {
    EventKind::RunFinished {
        tally,
        reason: None,
    }
}

pub(crate) fn started(attempt: AttemptId, number: u64) -> EventKind {
    EventKind::AttemptStarted {
        attempt,
        bay: bay(number),
    }
}

pub(crate) fn identified(attempt: AttemptId, mac: &Mac) -> EventKind {
    EventKind::UnitIdentified {
        attempt,
        mac: mac.clone(),
        chip: "esp32c3".into(),
        revision: "0.4".into(),
        flash_size: Some(4 << 20),
        earlier_attempts: 0,
    }
}

pub(crate) fn step_started(attempt: AttemptId, name: &str, try_number: u32) -> EventKind {
    EventKind::StepStarted {
        attempt,
        step: step(name),
        try_number,
    }
}

pub(crate) fn step_finished(
    attempt: AttemptId,
    name: &str,
    try_number: u32,
    outcome: StepOutcome,
) -> EventKind {
    let good = matches!(outcome, StepOutcome::Pass | StepOutcome::Skipped);
    EventKind::StepFinished {
        attempt,
        step: step(name),
        try_number,
        outcome,
        took_us: 900,
        failure: (!good).then(|| failure(FailureClass::Link)),
    }
}

pub(crate) fn measured(attempt: AttemptId, name: &str, try_number: u32, value: f64) -> EventKind {
    let value = Value::Number(value);
    let limits = Limits {
        min: Some(3200.0),
        max: Some(3400.0),
        equals: None,
    };
    let verdict = limits.judge(&value);
    let name_of_value = "vdd".into();
    EventKind::Measured {
        attempt,
        step: step(name),
        try_number,
        measurement: Measurement {
            name: name_of_value,
            value,
            unit: Some("mV".into()),
            limits,
            verdict,
        },
    }
}

pub(crate) fn failure(class: FailureClass) -> Failure {
    Failure {
        class,
        code: format!("{}-lost", class.word()),
        message: "no answer within 3 s".into(),
        hint: None,
    }
}

pub(crate) fn finished(
    attempt: AttemptId,
    number: u64,
    mac: Option<&Mac>,
    serial: Option<&Serial>,
    outcome: Outcome,
) -> EventKind {
    let passed = outcome == Outcome::Pass;
    EventKind::AttemptFinished {
        attempt,
        bay: bay(number),
        mac: mac.cloned(),
        serial: serial.cloned(),
        outcome,
        took_us: 5000,
        failure: (!passed).then(|| failure(FailureClass::Link)),
        failed_step: (!passed).then(|| step("flash")),
    }
}

/// A pulse of a burn plan that burns one block after the other.
pub(crate) fn pulse(plan: &str, number: u16, of: u16) -> PulseRecord {
    PulseRecord {
        plan: plan.into(),
        number,
        of,
        block: u8::try_from(of - number).unwrap() % 11,
        before: Token::Words(vec![0, 0]),
        after: Token::Secret([7; 32]),
        does: vec!["burns KEY_PURPOSE_0 = 4".into()],
        last_contact: number == of,
    }
}

pub(crate) fn intended(attempt: Option<AttemptId>, mac: &Mac, pulse: &PulseRecord) -> EventKind {
    EventKind::BurnIntended {
        attempt,
        mac: mac.clone(),
        chip: "esp32c3".into(),
        approval: None,
        pulse: pulse.clone(),
    }
}

pub(crate) fn burned(
    attempt: Option<AttemptId>,
    mac: &Mac,
    pulse: &PulseRecord,
    verdict: BurnVerdict,
) -> EventKind {
    EventKind::BurnFinished {
        attempt,
        mac: mac.clone(),
        plan: pulse.plan.clone(),
        number: pulse.number,
        verdict,
        tries: 1,
        before: pulse.before.clone(),
        after: pulse.after.clone(),
        detail: None,
    }
}

pub(crate) fn reconciled(
    attempt: Option<AttemptId>,
    mac: &Mac,
    pulse: &PulseRecord,
    verdict: ReconcileVerdict,
) -> EventKind {
    EventKind::BurnReconciled {
        attempt,
        mac: mac.clone(),
        plan: pulse.plan.clone(),
        number: pulse.number,
        verdict,
        detail: None,
    }
}

/// A run that is told step by step.
pub(crate) struct Story {
    pub(crate) journal: Journal,
    pub(crate) run: RunId,
    micros: u64,
    pub(crate) tally: Tally,
}

impl Story {
    /// Begins a run on so many bays.
    pub(crate) async fn begin(journal: &Journal, bays: u64) -> Self {
        journal.store_plan(noon(), plan()).await.unwrap();
        let run = journal.next_run();
        let mut story = Self {
            journal: journal.clone(),
            run,
            micros: 0,
            tally: Tally::default(),
        };
        story.tell(run_started(bays)).await.unwrap();
        story
    }

    pub(crate) fn draft(&mut self, kind: EventKind) -> Draft {
        self.micros += 1000;
        draft(self.run, self.micros, kind)
    }

    /// Appends one event.
    pub(crate) async fn tell(&mut self, kind: EventKind) -> Result<Arc<Event>, JournalError> {
        let draft = self.draft(kind);
        self.journal.append(draft).await
    }

    /// Starts an attempt and says whose it is.
    pub(crate) async fn contact(&mut self, number: u64, mac: &Mac) -> AttemptId {
        let attempt = self.journal.next_attempt();
        self.tell(started(attempt, number)).await.unwrap();
        self.tell(identified(attempt, mac)).await.unwrap();
        attempt
    }

    pub(crate) async fn serial(
        &mut self,
        attempt: AttemptId,
        mac: &Mac,
        source: &Arc<SerialSource>,
    ) -> Result<Serial, JournalError> {
        self.claim(attempt, mac, source, Claim::OwnOrNext).await
    }

    pub(crate) async fn claim(
        &mut self,
        attempt: AttemptId,
        mac: &Mac,
        source: &Arc<SerialSource>,
        claim: Claim,
    ) -> Result<Serial, JournalError> {
        self.micros += 1000;
        let Draft { at, elapsed_us, .. } = draft(self.run, self.micros, run_started(1));
        let request = SerialRequest {
            at,
            elapsed_us,
            run: self.run,
            attempt,
            mac: mac.clone(),
            source: Arc::clone(source),
            claim,
        };
        self.journal.reserve_serial(request).await
    }

    /// One step from start to end.
    pub(crate) async fn step(&mut self, attempt: AttemptId, name: &str, outcome: StepOutcome) {
        self.tell(step_started(attempt, name, 1)).await.unwrap();
        self.tell(step_finished(attempt, name, 1, outcome))
            .await
            .unwrap();
    }

    pub(crate) async fn finish(
        &mut self,
        attempt: AttemptId,
        number: u64,
        mac: Option<&Mac>,
        serial: Option<&Serial>,
        outcome: Outcome,
    ) {
        self.tell(finished(attempt, number, mac, serial, outcome))
            .await
            .unwrap();
        self.tally.add(outcome);
    }

    /// A whole attempt without a serial number.
    pub(crate) async fn unit(&mut self, number: u64, mac: &Mac, outcome: Outcome) {
        let attempt = self.contact(number, mac).await;
        let of_step = match outcome {
            Outcome::Pass => StepOutcome::Pass,
            Outcome::Fail => StepOutcome::Fail,
            Outcome::Error => StepOutcome::Error,
            Outcome::Aborted => StepOutcome::Aborted,
        };
        self.step(attempt, "flash", of_step).await;
        self.finish(attempt, number, Some(mac), None, outcome).await;
    }

    pub(crate) async fn end(mut self) {
        let tally = self.tally;
        self.tell(run_finished(tally)).await.unwrap();
    }
}
