//! Pulses in the record: what may follow what, what a crash leaves, and what is never burned twice.

use proptest::prelude::*;
use station_esp::secret::Secret;

use super::story::{
    Place, Story, bay, burned, identified, intended, mac, noon, pulse, reconciled, started,
};
use crate::approval::{Approval, ApprovalId, Grant, Subject, UseApproval};
use crate::event::{
    AttemptId, BurnVerdict, Event, EventKind, Mac, PlanId, PulseRecord, ReconcileVerdict,
};
use crate::journal::{BurnState, Draft, Journal, JournalError, PlanRecord, rebuild};
use crate::outcome::Outcome;
use crate::release::{StationKey, TrustedKeys};

const PLAN: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const OTHER: &str = "2222222222222222222222222222222222222222222222222222222222222222";

async fn note(journal: &Journal, kind: EventKind) -> Result<(), JournalError> {
    journal.note(noon(), kind).await.map(drop)
}

fn quarantined(mac: &Mac) -> EventKind {
    EventKind::UnitQuarantined {
        attempt: None,
        mac: mac.clone(),
        code: "burn-unclear".into(),
        reason: "the block is hidden".into(),
    }
}

fn let_go(mac: &Mac) -> EventKind {
    EventKind::UnitReleased {
        mac: mac.clone(),
        by: "anna".into(),
        reason: "looked at it".into(),
    }
}

#[tokio::test]
async fn a_pulse_ends_once_and_is_not_burned_again() {
    let place = Place::new();
    let journal = place.journal();
    let (unit, one) = (mac(1), pulse(PLAN, 1, 2));
    let done = || burned(None, &unit, &one, BurnVerdict::Done);
    note(&journal, done()).await.unwrap_err();
    note(&journal, intended(None, &unit, &one)).await.unwrap();
    note(&journal, intended(None, &unit, &one))
        .await
        .unwrap_err();
    note(&journal, burned(None, &mac(2), &one, BurnVerdict::Done))
        .await
        .unwrap_err();
    note(&journal, done()).await.unwrap();
    note(&journal, done()).await.unwrap_err();
    note(
        &journal,
        reconciled(None, &unit, &one, ReconcileVerdict::NotDone),
    )
    .await
    .unwrap_err();
    note(&journal, intended(None, &unit, &one))
        .await
        .unwrap_err();
    // Another unit is another matter, and so is another pulse.
    note(&journal, intended(None, &mac(2), &one)).await.unwrap();
    note(&journal, intended(None, &unit, &pulse(PLAN, 2, 2)))
        .await
        .unwrap();
    drop(journal);
    place.verified_events();
}

#[tokio::test]
async fn a_unit_burns_one_pulse_at_a_time() {
    let place = Place::new();
    let journal = place.journal();
    let unit = mac(1);
    note(&journal, intended(None, &unit, &pulse(PLAN, 1, 2)))
        .await
        .unwrap();
    for next in [pulse(PLAN, 2, 2), pulse(OTHER, 1, 1)] {
        note(&journal, intended(None, &unit, &next))
            .await
            .unwrap_err();
    }
}

#[tokio::test]
async fn only_what_is_known_not_to_be_there_is_burned_again() {
    for (end, again) in [
        (BurnVerdict::Done, false),
        (BurnVerdict::Silent, false),
        (BurnVerdict::Failed, true),
    ] {
        let place = Place::new();
        let journal = place.journal();
        let (unit, one) = (mac(1), pulse(PLAN, 1, 1));
        note(&journal, intended(None, &unit, &one)).await.unwrap();
        note(&journal, burned(None, &unit, &one, end))
            .await
            .unwrap();
        let second = note(&journal, intended(None, &unit, &one)).await;
        assert_eq!(second.is_ok(), again, "{end:?}");
        drop(journal);
        place.verified_events();
    }
    for (found, again) in [
        (ReconcileVerdict::Done, false),
        (ReconcileVerdict::NotDone, true),
        (ReconcileVerdict::Partly, true),
        (ReconcileVerdict::Unclear, false),
    ] {
        let place = Place::new();
        let journal = place.journal();
        let (unit, one) = (mac(1), pulse(PLAN, 1, 1));
        note(&journal, intended(None, &unit, &one)).await.unwrap();
        note(&journal, reconciled(None, &unit, &one, found))
            .await
            .unwrap();
        let second = note(&journal, intended(None, &unit, &one)).await;
        assert_eq!(second.is_ok(), again, "{found:?}");
    }
}

#[tokio::test]
async fn a_crash_in_a_pulse_leaves_it_open_and_counts_it_once() {
    let place = Place::new();
    let unit = mac(1);
    let one = pulse(PLAN, 1, 2);
    {
        let journal = place.journal();
        let mut story = Story::begin(&journal, 1).await;
        let attempt = story.contact(1, &unit).await;
        story
            .tell(intended(Some(attempt), &unit, &one))
            .await
            .unwrap();
    }
    let journal = place.journal();
    let words: Vec<_> = place.verified_events()[4..]
        .iter()
        .map(|event| event.kind.word().to_owned())
        .collect();
    assert_eq!(
        words,
        [
            "attempt_finished",
            "run_finished",
            "recovered",
            "burns_left_open"
        ]
    );
    let left = place.verified_events().pop().unwrap().kind;
    assert_eq!(left, EventKind::BurnsLeftOpen { burns: 1, units: 1 });
    let open = journal.unfinished_burns(&unit).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].state, &open[0].pulse), (BurnState::Open, &one));
    assert_eq!(open[0].attempt, Some(AttemptId(1)));
    assert_eq!(journal.unfinished_burns(&mac(2)).await.unwrap(), []);
    drop(journal);
    let events = place.verified_events().len();
    drop(place.journal());
    assert_eq!(
        place.verified_events().len(),
        events,
        "a second start says nothing new"
    );
    let journal = place.journal();
    note(
        &journal,
        reconciled(None, &unit, &one, ReconcileVerdict::Partly),
    )
    .await
    .unwrap();
    assert_eq!(journal.unfinished_burns(&unit).await.unwrap(), []);
    let burns = journal.burns_of(&unit).await.unwrap();
    assert_eq!(burns[0].state, BurnState::Partly);
    assert!(burns[0].reconciled && burns[0].state.may_be_there());
}

#[tokio::test]
async fn a_unit_whose_burn_is_open_does_not_pass() {
    let place = Place::new();
    let journal = place.journal();
    let mut story = Story::begin(&journal, 1).await;
    let unit = mac(1);
    let attempt = story.contact(1, &unit).await;
    let one = pulse(PLAN, 1, 1);
    story
        .tell(intended(Some(attempt), &unit, &one))
        .await
        .unwrap();
    let passed = super::story::finished(attempt, 1, Some(&unit), None, Outcome::Pass);
    assert_eq!(
        story.tell(passed.clone()).await.unwrap_err().code(),
        "journal-refused"
    );
    let standing = journal.standing(&unit, "sensor", Some("C")).await.unwrap();
    assert_eq!(standing.open_burns, 1);
    story
        .tell(reconciled(
            Some(attempt),
            &unit,
            &one,
            ReconcileVerdict::Unclear,
        ))
        .await
        .unwrap();
    story.tell(passed.clone()).await.unwrap_err();
    note(&journal, quarantined(&unit)).await.unwrap();
    note(&journal, let_go(&unit)).await.unwrap();
    story.tell(passed).await.unwrap();
    drop((story, journal));
    place.verified_events();
}

#[tokio::test]
async fn a_quarantined_unit_is_neither_burned_nor_passed_until_a_person_looked() {
    let place = Place::new();
    let journal = place.journal();
    let mut story = Story::begin(&journal, 1).await;
    let unit = mac(1);
    note(&journal, let_go(&unit)).await.unwrap_err();
    note(&journal, quarantined(&unit)).await.unwrap();
    note(&journal, quarantined(&unit)).await.unwrap();
    let attempt = story.contact(1, &unit).await;
    let one = pulse(PLAN, 1, 1);
    story
        .tell(intended(Some(attempt), &unit, &one))
        .await
        .unwrap_err();
    let passed = super::story::finished(attempt, 1, Some(&unit), None, Outcome::Pass);
    story.tell(passed.clone()).await.unwrap_err();
    let standing = journal.standing(&unit, "sensor", Some("C")).await.unwrap();
    assert_eq!(standing.quarantine.unwrap().code, "burn-unclear");
    assert!(place.reader().quarantine(&unit).unwrap().is_some());
    note(&journal, let_go(&unit)).await.unwrap();
    assert_eq!(place.reader().quarantine(&unit).unwrap(), None);
    assert_eq!(place.reader().quarantines(9).unwrap().len(), 2);
    note(&journal, let_go(&unit)).await.unwrap_err();
    story
        .tell(intended(Some(attempt), &unit, &one))
        .await
        .unwrap();
    story
        .tell(burned(Some(attempt), &unit, &one, BurnVerdict::Done))
        .await
        .unwrap();
    story.tell(passed).await.unwrap();
    drop((story, journal));
    place.verified_events();
}

#[tokio::test]
async fn what_happens_in_an_attempt_is_its_units() {
    let place = Place::new();
    let journal = place.journal();
    let mut story = Story::begin(&journal, 1).await;
    let attempt = story.contact(1, &mac(1)).await;
    let one = pulse(PLAN, 1, 1);
    for wrong in [
        intended(Some(attempt), &mac(2), &one),
        intended(Some(AttemptId(9)), &mac(1), &one),
        intended(None, &mac(1), &one),
        intended(Some(attempt), &Mac::new("7C:DF:A1:00:00:01"), &one),
    ] {
        assert_eq!(
            story.tell(wrong).await.unwrap_err().code(),
            "journal-grammar"
        );
    }
}

#[tokio::test]
async fn a_person_settles_what_the_chip_cannot_say() {
    let place = Place::new();
    let journal = place.journal();
    let (unit, one) = (mac(1), pulse(PLAN, 1, 1));
    note(&journal, intended(None, &unit, &one)).await.unwrap();
    let unclear = || reconciled(None, &unit, &one, ReconcileVerdict::Unclear);
    note(&journal, unclear()).await.unwrap();
    note(&journal, unclear()).await.unwrap();
    note(&journal, quarantined(&unit)).await.unwrap();
    assert_eq!(journal.unfinished_burns(&unit).await.unwrap().len(), 1);
    note(&journal, let_go(&unit)).await.unwrap();
    assert_eq!(journal.unfinished_burns(&unit).await.unwrap(), []);
    let burns = place.reader().burns(false, 9).unwrap();
    assert_eq!(burns[0].state, BurnState::Released);
    assert_eq!(place.reader().burns(true, 9).unwrap(), []);
    drop(journal);
    place.verified_events();
}

/// What the rules say of one pulse, kept beside the journal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Model {
    Fresh,
    Open,
    Again,
    Closed,
    Unclear,
}

#[derive(Default)]
struct Bench {
    pulses: std::collections::BTreeMap<(u64, u8, u16), Model>,
    quarantined: std::collections::BTreeSet<u64>,
}

impl Bench {
    fn pulse(&mut self, key: (u64, u8, u16)) -> &mut Model {
        self.pulses.entry(key).or_insert(Model::Fresh)
    }

    /// Whether the journal must take this, and what it changes.
    fn expects(&mut self, key: (u64, u8, u16), what: u8) -> bool {
        let busy = self.pulses.iter().any(|((unit, ..), state)| {
            *unit == key.0 && matches!(state, Model::Open | Model::Unclear)
        });
        let locked = self.quarantined.contains(&key.0);
        let now = *self.pulse(key);
        let next = match what {
            0 if !busy && !locked && matches!(now, Model::Fresh | Model::Again) => Model::Open,
            1 | 2 if now == Model::Open => Model::Closed,
            3 if now == Model::Open => Model::Again,
            4 if matches!(now, Model::Open | Model::Unclear) => Model::Closed,
            5 | 6 if matches!(now, Model::Open | Model::Unclear) => Model::Again,
            7 if matches!(now, Model::Open | Model::Unclear) => Model::Unclear,
            8 => {
                self.quarantined.insert(key.0);
                return true;
            }
            9 if locked => {
                self.quarantined.remove(&key.0);
                for ((unit, ..), state) in &mut self.pulses {
                    if *unit == key.0 && *state == Model::Unclear {
                        *state = Model::Closed;
                    }
                }
                return true;
            }
            _ => return false,
        };
        *self.pulse(key) = next;
        true
    }
}

fn act(unit: &Mac, one: &PulseRecord, what: u8) -> EventKind {
    match what {
        0 => intended(None, unit, one),
        1 => burned(None, unit, one, BurnVerdict::Done),
        2 => burned(None, unit, one, BurnVerdict::Silent),
        3 => burned(None, unit, one, BurnVerdict::Failed),
        4 => reconciled(None, unit, one, ReconcileVerdict::Done),
        5 => reconciled(None, unit, one, ReconcileVerdict::NotDone),
        6 => reconciled(None, unit, one, ReconcileVerdict::Partly),
        7 => reconciled(None, unit, one, ReconcileVerdict::Unclear),
        8 => quarantined(unit),
        _ => let_go(unit),
    }
}

/// Whether a stream fits a fresh journal.
async fn fits(events: &[Event]) -> bool {
    let place = Place::new();
    let journal = place.journal();
    for event in events {
        let draft = Draft {
            at: event.at,
            elapsed_us: 0,
            run: None,
            kind: event.kind.clone(),
        };
        if journal.append(draft).await.is_err() {
            return false;
        }
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_journal_takes_exactly_what_the_rules_allow(
        acts in proptest::collection::vec((1..3_u64, 0..2_u8, 1..3_u16, 0..10_u8), 1..80)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let place = Place::new();
            let journal = place.journal();
            let mut bench = Bench::default();
            for (unit, plan, number, what) in acts {
                let one = pulse([PLAN, OTHER][usize::from(plan)], number, 2);
                let allowed = bench.expects((unit, plan, number), what);
                let taken = note(&journal, act(&mac(unit), &one, what)).await;
                assert_eq!(taken.is_ok(), allowed, "{what} of {unit}/{plan}/{number}");
            }
            let open = bench.pulses.values().filter(|state| **state == Model::Open).count();
            assert_eq!(
                place.reader().burns(true, 99).unwrap().iter()
                    .filter(|burn| burn.state == BurnState::Open).count(),
                open
            );
            drop(journal);
            let events = place.verified_events();
            rebuild(place.path()).unwrap();
            assert_eq!(place.verified_events(), events);
            // An end whose intent is gone does not fit any more.
            for (index, event) in events.iter().enumerate() {
                let ends = matches!(event.kind, EventKind::BurnFinished { .. });
                if ends {
                    let intent = events[..index].iter().rposition(|before| matches!(
                        (&before.kind, &event.kind),
                        (
                            EventKind::BurnIntended { mac, pulse, .. },
                            EventKind::BurnFinished { mac: unit, plan, number, .. },
                        ) if mac == unit && pulse.plan == *plan && pulse.number == *number
                    )).unwrap();
                    let mut left = events.clone();
                    left.remove(intent);
                    assert!(!fits(&left).await, "event {}", event.seq);
                }
            }
        });
    }
}

#[tokio::test]
async fn a_pulse_that_names_an_approval_was_allowed_by_it() {
    let place = Place::new();
    let journal = place.journal();
    let allow = |subject: Subject| Grant {
        at: noon(),
        valid: subject.default_validity(),
        subject,
        by: "anna".into(),
    };
    let under = |approval: &ApprovalId, plan: &str| EventKind::BurnIntended {
        attempt: None,
        mac: mac(1),
        chip: "esp32c3".into(),
        approval: Some(approval.clone()),
        pulse: pulse(plan, 1, 1),
    };
    let use_up = |approval: &Approval| UseApproval {
        at: noon(),
        run: None,
        elapsed_us: 0,
        approval: Some(approval.id.clone()),
        subject: approval.subject.clone(),
        by: "agent".into(),
        operation: "efuse burn".into(),
        trusted: TrustedKeys::default(),
    };
    let stranger = ApprovalId::parse(&"0".repeat(32)).unwrap();
    note(&journal, under(&stranger, PLAN)).await.unwrap_err();
    let burn = journal.grant(allow(Subject::Burn(PLAN.into()))).await;
    let burn = burn.unwrap();
    note(&journal, under(&burn.id, PLAN)).await.unwrap_err();
    journal.use_approval(use_up(&burn)).await.unwrap();
    note(&journal, under(&burn.id, OTHER)).await.unwrap_err();
    note(&journal, under(&burn.id, PLAN)).await.unwrap();
    let one = pulse(PLAN, 1, 1);
    let failed = burned(None, &mac(1), &one, BurnVerdict::Failed);
    note(&journal, failed).await.unwrap();
    // It may be burned again, under an approval of its own.
    note(&journal, under(&burn.id, PLAN)).await.unwrap_err();
    let operation = Subject::operation("efuse burn", &serde_json::json!({}));
    let operation = journal.grant(allow(operation)).await.unwrap();
    journal.use_approval(use_up(&operation)).await.unwrap();
    note(&journal, under(&operation.id, PLAN))
        .await
        .unwrap_err();
    let again = journal.grant(allow(Subject::Burn(PLAN.into()))).await;
    let again = again.unwrap();
    journal.use_approval(use_up(&again)).await.unwrap();
    note(&journal, under(&again.id, PLAN)).await.unwrap();
    drop(journal);
    place.verified_events();
}

#[tokio::test]
async fn an_approval_of_a_plan_covers_one_run_of_it() {
    let place = Place::new();
    let journal = place.journal();
    let grant = |plan: &str| Grant {
        at: noon(),
        valid: std::time::Duration::from_secs(60),
        subject: Subject::Plan(PlanId::new(plan)),
        by: "anna".into(),
    };
    let key = StationKey::from_secret(&Secret::new(vec![9; 32])).unwrap();
    let trusted = TrustedKeys::new([key.public_hex()]);
    let mut approvals = Vec::new();
    for plan in [super::story::PLAN, OTHER] {
        let granted = journal.grant(grant(plan)).await.unwrap();
        let record = PlanRecord {
            id: PlanId::new(plan),
            ..super::story::plan()
        };
        let released = journal.release(noon(), &record, &key, "anna").await;
        released.unwrap();
        let wish = UseApproval {
            at: noon(),
            run: None,
            elapsed_us: 0,
            approval: Some(granted.id.clone()),
            subject: granted.subject,
            by: "operator".into(),
            operation: "run".into(),
            trusted: trusted.clone(),
        };
        journal.use_approval(wish).await.unwrap();
        approvals.push(granted.id);
    }
    let under = |attempt, unit: &Mac, approval: &ApprovalId| EventKind::BurnIntended {
        attempt,
        mac: unit.clone(),
        chip: "esp32c3".into(),
        approval: Some(approval.clone()),
        pulse: pulse(PLAN, 1, 1),
    };
    note(&journal, under(None, &mac(9), &approvals[0]))
        .await
        .unwrap_err();
    let mut story = Story::begin(&journal, 2).await;
    for (bay, unit) in [(1, mac(1)), (2, mac(2))] {
        let attempt = story.contact(bay, &unit).await;
        let of_another = under(Some(attempt), &unit, &approvals[1]);
        story.tell(of_another).await.unwrap_err();
        let own = under(Some(attempt), &unit, &approvals[0]);
        story.tell(own).await.unwrap();
    }
    let mut second = Story::begin(&journal, 1).await;
    let attempt = second.contact(1, &mac(3)).await;
    let used_up = under(Some(attempt), &mac(3), &approvals[0]);
    second.tell(used_up).await.unwrap_err();
    drop((story, second, journal));
    place.verified_events();
}

#[tokio::test]
async fn a_pulse_is_ended_by_who_began_it_and_by_nobody_after_a_restart() {
    let place = Place::new();
    let journal = place.journal();
    let mut story = Story::begin(&journal, 2).await;
    let (unit, one) = (mac(1), pulse(PLAN, 1, 1));
    let attempt = story.contact(1, &unit).await;
    let begun = intended(Some(attempt), &unit, &one);
    story.tell(begun).await.unwrap();
    // Another bay meets the same MAC meanwhile, and the command line too.
    let other = story.contact(2, &unit).await;
    for who in [Some(other), None] {
        let ended = burned(who, &unit, &one, BurnVerdict::Done);
        let found = reconciled(who, &unit, &one, ReconcileVerdict::NotDone);
        for kind in [ended, found] {
            let refused = match who {
                Some(_) => story.tell(kind).await.map(drop),
                None => note(&journal, kind).await,
            };
            assert_eq!(refused.unwrap_err().code(), "journal-refused", "{who:?}");
        }
    }
    let open = intended(None, &mac(2), &one);
    note(&journal, open).await.unwrap();
    drop((story, journal));
    let journal = place.journal();
    let late = burned(None, &mac(2), &one, BurnVerdict::Done);
    note(&journal, late).await.unwrap_err();
    for unit in [unit, mac(2)] {
        let found = reconciled(None, &unit, &one, ReconcileVerdict::Done);
        note(&journal, found).await.unwrap();
    }
    drop(journal);
    place.verified_events();
}

#[tokio::test]
async fn a_unit_with_an_unclear_pulse_is_not_burned() {
    let place = Place::new();
    let journal = place.journal();
    let (unit, one, next) = (mac(1), pulse(PLAN, 1, 2), pulse(OTHER, 1, 1));
    note(&journal, intended(None, &unit, &one)).await.unwrap();
    let unclear = reconciled(None, &unit, &one, ReconcileVerdict::Unclear);
    note(&journal, unclear).await.unwrap();
    note(&journal, intended(None, &unit, &next))
        .await
        .unwrap_err();
    note(&journal, intended(None, &mac(2), &next))
        .await
        .unwrap();
    let done = reconciled(None, &unit, &one, ReconcileVerdict::Done);
    note(&journal, done).await.unwrap();
    note(&journal, intended(None, &unit, &next)).await.unwrap();
    drop(journal);
    place.verified_events();
}

#[tokio::test]
async fn of_too_many_pulses_the_one_under_way_is_not_lost() {
    let place = Place::new();
    let journal = place.journal();
    let unit = mac(1);
    note(&journal, intended(None, &unit, &pulse(PLAN, 1, 1)))
        .await
        .unwrap();
    rusqlite::Connection::open(place.path())
        .unwrap()
        .execute_batch(
            "UPDATE burn SET intended_seq = 20000;
             WITH RECURSIVE n (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < 12000)
             INSERT INTO burn (intended_seq, mac, chip, plan, number, of, block, pulse, intended_at,
                 state, settled_seq)
             SELECT n, mac, chip, printf('%064x', n), 1, 1, block, pulse, intended_at, 'done', n
             FROM burn, n",
        )
        .unwrap();
    let open = journal.unfinished_burns(&unit).await.unwrap();
    assert_eq!(open.len(), 1);
    let burns = journal.burns_of(&unit).await.unwrap();
    assert!(burns.is_sorted_by_key(|burn| burn.seq));
    assert_eq!(burns.last(), open.first());
    drop(journal);
    rebuild(place.path()).unwrap();
    place.verified_events();
}

#[tokio::test]
async fn a_unit_that_went_to_another_bay_is_not_taken_for_what_is_in_its_old_one() {
    let place = Place::new();
    let journal = place.journal();
    let mut story = Story::begin(&journal, 3).await;
    let last = |number| place.reader().last_in(&bay(number)).unwrap();
    // The third bay begins before the unit comes to it.
    let early = journal.next_attempt();
    story.tell(started(early, 3)).await.unwrap();
    story.unit(1, &mac(1), Outcome::Error).await;
    assert_eq!(last(1), Some((mac(1), false)));
    let under_way = || place.reader().under_way(&mac(1)).unwrap();
    assert_eq!(under_way(), None);
    story.tell(identified(early, &mac(1))).await.unwrap();
    assert_eq!((last(1), under_way()), (None, Some(bay(3))));
    let aborted = Outcome::Aborted;
    story.finish(early, 3, Some(&mac(1)), None, aborted).await;
    // It is back, and then goes on elsewhere.
    story.unit(1, &mac(1), Outcome::Error).await;
    assert_eq!(last(1), Some((mac(1), false)));
    story.unit(2, &mac(1), Outcome::Fail).await;
    assert_eq!((last(1), last(2)), (None, Some((mac(1), false))));
    story.unit(1, &mac(2), Outcome::Pass).await;
    assert_eq!(last(1), Some((mac(2), true)));
}
