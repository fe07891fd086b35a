//! The words on the wire and in the journal, frozen: one example of every kind.

use std::fmt::Write as _;

use serde_json::json;
use station_device::FailureClass;

use super::story::{
    PLAN, bay, failure, finished, identified, mac, measured, noon, pulse, run_finished,
    run_started, started, step, step_finished, step_started,
};
use crate::approval::{ApprovalId, Subject};
use crate::event::{
    AttemptId, BayCondition, BurnVerdict, CancelMode, Event, EventKind, ReconcileVerdict, RunId,
    Seq, Serial, Tally, Token,
};
use crate::journal::Draft;
use crate::journal::stamp::{Head, stamp};
use crate::keys::Custody;
use crate::outcome::{Failure, Outcome, StepOutcome};

const ATTEMPT: AttemptId = AttemptId(7);

fn serial() -> Serial {
    Serial::new("SN000007")
}

fn approval() -> ApprovalId {
    ApprovalId::parse(&"5a".repeat(16)).unwrap()
}

#[expect(clippy::too_many_lines, reason = "a flat list")]
fn one_of_each() -> Vec<EventKind> {
    let pool = || "sensor".to_owned();
    vec![
        run_started(2),
        EventKind::BayChanged {
            bay: bay(1),
            to: BayCondition::Quarantined,
            reason: Some("3 errors in a row".into()),
        },
        started(ATTEMPT, 1),
        identified(ATTEMPT, &mac(7)),
        step_started(ATTEMPT, "test", 1),
        measured(ATTEMPT, "test", 1, 3301.5),
        step_finished(ATTEMPT, "test", 1, StepOutcome::Error),
        EventKind::StepRetrying {
            attempt: ATTEMPT,
            step: step("test"),
            from: step("flash"),
            after_us: 250_000,
        },
        EventKind::SerialReserved {
            attempt: ATTEMPT,
            pool: pool(),
            position: 7,
            serial: serial(),
        },
        EventKind::SerialBound {
            attempt: ATTEMPT,
            pool: pool(),
            serial: serial(),
            mac: mac(7),
        },
        EventKind::SerialCommitted {
            attempt: ATTEMPT,
            pool: pool(),
            serial: serial(),
            mac: mac(7),
        },
        EventKind::SerialVoided {
            pool: pool(),
            serial: serial(),
            reason: "misprint".into(),
        },
        EventKind::AttachmentStored {
            attempt: ATTEMPT,
            step: step("test"),
            name: "console".into(),
            sha256: "cd".repeat(32),
            size: 512,
        },
        finished(ATTEMPT, 1, Some(&mac(7)), Some(&serial()), Outcome::Fail),
        EventKind::CancelRequested {
            by: "anna".into(),
            mode: CancelMode::Drain,
        },
        run_finished(Tally {
            pass: 1,
            fail: 2,
            error: 3,
            aborted: 4,
        }),
        EventKind::OperationInvoked {
            operation: "run".into(),
            face: "mcp".into(),
            by: "agent".into(),
            parameters: json!({ "recipe": "demo.toml" }),
        },
        EventKind::Refused {
            operation: "attempt".into(),
            code: "seen-before".into(),
            reason: "the unit passed before".into(),
        },
        EventKind::Recovered {
            attempts: 1,
            runs: 1,
            serials: 0,
        },
        EventKind::BurnIntended {
            attempt: Some(ATTEMPT),
            mac: mac(7),
            chip: "esp32c3".into(),
            approval: Some(approval()),
            pulse: pulse(PLAN, 2, 4),
        },
        EventKind::BurnFinished {
            attempt: Some(ATTEMPT),
            mac: mac(7),
            plan: PLAN.into(),
            number: 2,
            verdict: BurnVerdict::Failed,
            tries: 3,
            before: Token::Words(vec![0, 0x80]),
            after: Token::Hidden,
            detail: Some("2 coding errors".into()),
        },
        EventKind::BurnReconciled {
            attempt: None,
            mac: mac(7),
            plan: PLAN.into(),
            number: 2,
            verdict: ReconcileVerdict::NotDone,
            detail: None,
        },
        EventKind::BurnsLeftOpen { burns: 2, units: 1 },
        EventKind::Approved {
            approval: approval(),
            subject: Subject::Burn(PLAN.into()),
            by: "anna".into(),
            expires_at: noon() + chrono::TimeDelta::minutes(15),
            uses: 1,
        },
        EventKind::ApprovalUsed {
            approval: approval(),
            subject: Subject::Plan(crate::event::PlanId::new(PLAN)),
            by: "agent".into(),
        },
        EventKind::RecipeReleased {
            plan: crate::event::PlanId::new(PLAN),
            product: "sensor".into(),
            revision: Some("C".into()),
            by: "anna".into(),
            key: "ab".repeat(32),
            signature: "cd".repeat(64),
        },
        EventKind::RecipeWithdrawn {
            plan: crate::event::PlanId::new(PLAN),
            by: "anna".into(),
            reason: "wrong image".into(),
        },
        EventKind::KeySealed {
            attempt: Some(ATTEMPT),
            key: "flash".into(),
            mac: Some(mac(7)),
            key_kind: "xts-aes128".into(),
            purpose: Some("XTS_AES_128_KEY".into()),
            fingerprint: "0f".repeat(16),
            custody: Custody::Escrow,
        },
        EventKind::KeyForgotten {
            attempt: None,
            key: "flash".into(),
            mac: None,
            fingerprint: "0f".repeat(16),
            by: "anna".into(),
            reason: "custody".into(),
        },
        EventKind::UnitQuarantined {
            attempt: Some(ATTEMPT),
            mac: mac(7),
            code: "burn-unclear".into(),
            reason: "the block is hidden".into(),
        },
        EventKind::UnitReleased {
            mac: mac(7),
            by: "anna".into(),
            reason: "looked at it".into(),
        },
        EventKind::Unknown(json!({ "kind": "bay_polished", "data": { "shine": 1 } })),
    ]
}

fn event(kind: EventKind) -> Event {
    Event {
        seq: Seq(9),
        at: noon(),
        elapsed_us: 1500,
        run: Some(RunId(2)),
        kind,
    }
}

#[test]
fn the_json_of_every_kind_is_what_it_always_was() {
    let mut text = String::new();
    for kind in one_of_each() {
        writeln!(text, "{}", serde_json::to_string(&event(kind)).unwrap()).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn every_kind_comes_back_from_its_json() {
    for kind in one_of_each() {
        let event = event(kind);
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            serde_json::from_str::<Event>(&text).unwrap(),
            event,
            "{text}"
        );
    }
}

#[test]
fn every_kind_has_its_word_and_an_example() {
    let mut kinds = one_of_each();
    kinds.pop();
    let words: Vec<_> = kinds.iter().map(EventKind::word).collect();
    assert_eq!(words, EventKind::WORDS);
    for kind in &kinds {
        assert_eq!(serde_json::to_value(kind).unwrap()["kind"], kind.word());
    }
}

#[test]
fn every_kind_comes_back_from_its_row_and_unknown_kinds_are_not_written() {
    let mut kinds = one_of_each();
    let unknown = kinds.pop().unwrap();
    let draft = |kind| Draft {
        at: noon(),
        elapsed_us: 1,
        run: Some(RunId(1)),
        kind,
    };
    let mut head = Head::EMPTY;
    for kind in kinds {
        let (event, stored) = stamp(head, draft(kind)).unwrap();
        assert_eq!(stored.event().unwrap(), event);
        assert_eq!(stored.prev_hash, head.hash);
        head = stored.head();
    }
    assert_eq!(
        stamp(head, draft(unknown)).unwrap_err().code(),
        "journal-refused"
    );
}

#[test]
fn the_chain_is_what_it_always_was() {
    let draft = Draft {
        at: noon(),
        elapsed_us: 1,
        run: Some(RunId(1)),
        kind: run_started(1),
    };
    let (_, stored) = stamp(Head::EMPTY, draft).unwrap();
    insta::assert_snapshot!(hex::encode(stored.hash));
}

#[test]
fn a_known_kind_with_a_strange_body_is_damage_and_not_a_newer_event() {
    let draft = Draft {
        at: noon(),
        elapsed_us: 1,
        run: Some(RunId(1)),
        kind: started(ATTEMPT, 1),
    };
    let (_, mut stored) = stamp(Head::EMPTY, draft).unwrap();
    stored.body = r#"{"attempt":"seven"}"#.into();
    assert_eq!(stored.event().unwrap_err().code(), "journal-corrupt");
}

#[test]
fn an_event_that_is_too_large_is_refused() {
    let message = "x".repeat(crate::journal::MAX_BODY_BYTES);
    let failure = Failure {
        message,
        ..failure(FailureClass::Station)
    };
    let kind = EventKind::StepFinished {
        attempt: ATTEMPT,
        step: step("test"),
        try_number: 1,
        outcome: StepOutcome::Error,
        took_us: 1,
        failure: Some(failure),
    };
    let draft = Draft {
        at: noon(),
        elapsed_us: 1,
        run: Some(RunId(1)),
        kind,
    };
    assert_eq!(
        stamp(Head::EMPTY, draft).unwrap_err().code(),
        "journal-refused"
    );
}
