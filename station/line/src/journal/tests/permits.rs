//! Approvals, releases and keys in the record.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::Connection;
use station_esp::secret::Secret;

use super::story::{PLAN, Place, mac, noon, plan};
use crate::approval::{
    Approval, ApprovalId, ApprovalRefusal, ApprovalState, Grant, MAX_VALIDITY, Subject, UseApproval,
};
use crate::event::{Event, EventKind, Mac, PlanId};
use crate::journal::{Journal, JournalError};
use crate::keys::Custody;
use crate::release::{StationKey, TrustedKeys};

fn subject() -> Subject {
    Subject::Burn("ab".repeat(32))
}

fn later(minutes: i64) -> DateTime<Utc> {
    noon() + TimeDelta::minutes(minutes)
}

async fn granted(journal: &Journal) -> Approval {
    let grant = Grant {
        at: noon(),
        subject: subject(),
        by: "anna".into(),
        valid: subject().default_validity(),
    };
    journal.grant(grant).await.unwrap()
}

fn wish(approval: Option<&ApprovalId>, at: DateTime<Utc>) -> UseApproval {
    UseApproval {
        at,
        run: None,
        elapsed_us: 0,
        approval: approval.cloned(),
        subject: subject(),
        by: "agent".into(),
        operation: "efuse burn".into(),
        trusted: TrustedKeys::default(),
    }
}

/// The last event must say that the use was refused, with this code.
fn assert_recorded(place: &Place, error: &JournalError, code: &str) {
    assert_eq!(error.code(), code);
    assert!(!error.is_loss() && error.hint().is_some());
    let last: Event = place.verified_events().pop().unwrap();
    let EventKind::Refused {
        operation,
        code: recorded,
        ..
    } = last.kind
    else {
        panic!("{:?} is no refusal", last.kind);
    };
    assert_eq!(
        (operation.as_str(), recorded.as_str()),
        ("efuse burn", code)
    );
}

#[tokio::test]
async fn an_approval_is_used_once() {
    let place = Place::new();
    let journal = place.threaded();
    let approval = granted(&journal).await;
    let used = journal
        .use_approval(wish(Some(&approval.id), later(1)))
        .await;
    assert_eq!(used.unwrap(), approval.id);
    for again in [wish(Some(&approval.id), later(2)), wish(None, later(2))] {
        let error = journal.use_approval(again).await.unwrap_err();
        assert_recorded(&place, &error, "approval-used");
    }
    let listed = place.reader().approvals(later(3), 9).unwrap();
    assert_eq!(listed[0].state, ApprovalState::Used);
    assert_eq!(listed[0].used_by.as_deref(), Some("agent"));
}

#[tokio::test]
async fn of_many_who_ask_at_once_one_gets_it() {
    let place = Place::new();
    let journal = place.threaded();
    granted(&journal).await;
    let asks = (0..64).map(|_| {
        let journal = journal.clone();
        tokio::spawn(async move { journal.use_approval(wish(None, later(1))).await.is_ok() })
    });
    let answers = futures_util::future::join_all(asks).await;
    let yes = answers.into_iter().filter(|yes| *yes.as_ref().unwrap());
    assert_eq!(yes.count(), 1);
    drop(journal);
    let words = place.verified_events();
    let used = words.iter().filter(|e| e.kind.word() == "approval_used");
    assert_eq!((used.count(), words.len()), (1, 65));
}

#[tokio::test]
async fn an_approval_ends_on_time() {
    let place = Place::new();
    let journal = place.journal();
    let approval = granted(&journal).await;
    assert_eq!(approval.expires_at, later(15));
    for at in [later(15), later(600)] {
        let error = journal
            .use_approval(wish(Some(&approval.id), at))
            .await
            .unwrap_err();
        assert_recorded(&place, &error, "approval-expired");
    }
    assert_eq!(
        place.reader().approvals(later(15), 9).unwrap()[0].state,
        ApprovalState::Expired
    );
    let just = later(15) - TimeDelta::microseconds(1);
    journal.use_approval(wish(None, just)).await.unwrap();
}

#[tokio::test]
async fn what_nobody_approved_is_refused() {
    let place = Place::new();
    let journal = place.journal();
    let error = journal
        .use_approval(wish(None, later(1)))
        .await
        .unwrap_err();
    assert_recorded(&place, &error, "approval-missing");
    let stranger = ApprovalId::parse(&"0".repeat(32)).unwrap();
    let error = journal
        .use_approval(wish(Some(&stranger), later(1)))
        .await
        .unwrap_err();
    assert_recorded(&place, &error, "approval-unknown");
    let approval = granted(&journal).await;
    let mut other = wish(Some(&approval.id), later(1));
    other.subject = Subject::Burn("cd".repeat(32));
    let error = journal.use_approval(other.clone()).await.unwrap_err();
    assert_recorded(&place, &error, "approval-mismatch");
    assert!(matches!(
        error,
        JournalError::Approval(ApprovalRefusal::Mismatch { .. })
    ));
    other.approval = None;
    let error = journal.use_approval(other).await.unwrap_err();
    assert_recorded(&place, &error, "approval-missing");
    journal.use_approval(wish(None, later(1))).await.unwrap();
}

#[tokio::test]
async fn an_approval_that_was_altered_in_the_file_allows_nothing() {
    for harm in [
        "UPDATE approval SET expires_at = '2099-01-01T00:00:00.000000Z'",
        "UPDATE approval SET used = 0",
        "UPDATE approval SET uses = 5",
        "UPDATE approval SET granted_by = 'eve'",
        "UPDATE approval SET granted_seq = granted_seq + 1",
        "INSERT INTO approval (approval, subject, granted_by, granted_at, granted_seq, expires_at,
             uses)
         SELECT 'ffffffffffffffffffffffffffffffff', subject, granted_by, granted_at, 77,
             expires_at, uses FROM approval",
    ] {
        let place = Place::new();
        let journal = place.journal();
        let approval = granted(&journal).await;
        journal
            .use_approval(wish(Some(&approval.id), later(1)))
            .await
            .unwrap();
        Connection::open(place.path())
            .unwrap()
            .execute(harm, [])
            .unwrap();
        let id = if harm.starts_with("INSERT") {
            ApprovalId::parse(&"f".repeat(32)).unwrap()
        } else {
            approval.id
        };
        let refused = journal.use_approval(wish(Some(&id), later(2))).await;
        assert_eq!(refused.unwrap_err().code(), "approval-altered", "{harm}");
        let refused = journal.use_approval(wish(None, later(2))).await;
        refused.unwrap_err();
    }
}

#[tokio::test]
async fn an_altered_event_allows_nothing_either() {
    let place = Place::new();
    let journal = place.journal();
    let approval = granted(&journal).await;
    let db = Connection::open(place.path()).unwrap();
    db.execute_batch("DROP TRIGGER event_is_never_changed")
        .unwrap();
    let far = "2099-01-01T00:00:00Z";
    db.execute(
        "UPDATE event SET body = json_set(body, '$.expires_at', ?1) WHERE kind = 'approved'",
        [far],
    )
    .unwrap();
    db.execute(
        "UPDATE approval SET expires_at = '2099-01-01T00:00:00.000000Z'",
        [],
    )
    .unwrap();
    let refused = journal
        .use_approval(wish(Some(&approval.id), later(2)))
        .await;
    assert_eq!(refused.unwrap_err().code(), "approval-altered");
}

#[tokio::test]
async fn nobody_approves_for_ever_or_for_no_time() {
    let place = Place::new();
    let journal = place.journal();
    for valid in [Duration::ZERO, MAX_VALIDITY + Duration::from_secs(1)] {
        let grant = Grant {
            at: noon(),
            subject: subject(),
            by: "anna".into(),
            valid,
        };
        assert_eq!(
            journal.grant(grant).await.unwrap_err().code(),
            "journal-refused"
        );
    }
    assert_eq!(place.verified_events(), []);
}

#[tokio::test]
async fn a_plan_runs_as_released_only_while_it_is() {
    let place = Place::new();
    let journal = place.journal();
    let key = StationKey::from_secret(&Secret::new(vec![9; 32])).unwrap();
    let trusted = TrustedKeys::new([key.public_hex()]);
    let id = PlanId::new(PLAN);
    let code = |trusted: &TrustedKeys| journal.released(&id, trusted).unwrap_err().code();
    assert_eq!(code(&trusted), "release-missing");
    journal
        .withdraw(noon(), &id, "anna", "none")
        .await
        .unwrap_err();
    let release = journal
        .release(noon(), &plan(), &key, "anna")
        .await
        .unwrap();
    assert_eq!(journal.released(&id, &trusted).unwrap(), release);
    assert_eq!(code(&TrustedKeys::default()), "release-untrusted");
    let again = journal
        .release(later(1), &plan(), &key, "bob")
        .await
        .unwrap();
    assert_eq!(again, release);
    journal
        .withdraw(later(2), &id, "anna", "wrong image")
        .await
        .unwrap();
    assert_eq!(code(&trusted), "release-withdrawn");
    journal
        .release(later(3), &plan(), &key, "anna")
        .await
        .unwrap();
    journal.released(&id, &trusted).unwrap();
    assert_eq!(place.reader().releases(9).unwrap().len(), 2);
    let sql = "UPDATE release SET product = 'other' WHERE withdrawn_at IS NULL";
    drop(place.verified_events());
    Connection::open(place.path())
        .unwrap()
        .execute(sql, [])
        .unwrap();
    assert_eq!(code(&trusted), "release-forged");
}

#[tokio::test]
async fn a_release_that_is_withdrawn_between_the_look_and_the_use_allows_nothing() {
    let place = Place::new();
    let journal = place.threaded();
    let key = StationKey::from_secret(&Secret::new(vec![9; 32])).unwrap();
    let trusted = TrustedKeys::new([key.public_hex()]);
    let id = PlanId::new(PLAN);
    let wish = |trusted: &TrustedKeys| UseApproval {
        subject: Subject::Plan(id.clone()),
        trusted: trusted.clone(),
        ..wish(None, later(3))
    };
    let grant = Grant {
        at: noon(),
        subject: Subject::Plan(id.clone()),
        by: "anna".into(),
        valid: Duration::from_secs(3600),
    };
    let approval = journal.grant(grant).await.unwrap();
    let early = journal.use_approval(wish(&trusted)).await.unwrap_err();
    assert_recorded(&place, &early, "release-missing");
    let released = journal.release(noon(), &plan(), &key, "anna").await;
    released.unwrap();
    let stranger = journal.use_approval(wish(&TrustedKeys::default())).await;
    assert_recorded(&place, &stranger.unwrap_err(), "release-untrusted");
    // Whoever is to begin has looked; then somebody withdraws.
    journal.released(&id, &trusted).unwrap();
    let withdrawn = journal.withdraw(later(2), &id, "bob", "wrong image").await;
    withdrawn.unwrap();
    let late = journal.use_approval(wish(&trusted)).await.unwrap_err();
    assert_recorded(&place, &late, "release-withdrawn");
    // The refusals have not used the approval up.
    let released = journal.release(later(3), &plan(), &key, "anna").await;
    released.unwrap();
    let used = journal.use_approval(wish(&trusted)).await.unwrap();
    assert_eq!(used, approval.id);
}

#[tokio::test]
async fn a_release_that_was_withdrawn_stays_so_whatever_the_table_says() {
    let place = Place::new();
    let journal = place.journal();
    let key = StationKey::from_secret(&Secret::new(vec![9; 32])).unwrap();
    let trusted = TrustedKeys::new([key.public_hex()]);
    let id = PlanId::new(PLAN);
    let released = journal.release(noon(), &plan(), &key, "anna").await;
    released.unwrap();
    let withdrawn = journal.withdraw(later(1), &id, "anna", "wrong image").await;
    withdrawn.unwrap();
    let sql = "UPDATE release SET withdrawn_at = NULL, withdrawn_by = NULL, reason = NULL";
    Connection::open(place.path())
        .unwrap()
        .execute(sql, [])
        .unwrap();
    let error = journal.released(&id, &trusted).unwrap_err();
    assert_eq!(error.code(), "release-withdrawn");
    assert!(error.to_string().contains("wrong image"), "{error}");
}

#[tokio::test]
async fn a_release_under_another_key_is_not_taken_for_ones_own() {
    let place = Place::new();
    let journal = place.journal();
    let key = |byte| StationKey::from_secret(&Secret::new(vec![byte; 32])).unwrap();
    let (old, new) = (key(8), key(9));
    let release = |key: StationKey| {
        let journal = journal.clone();
        async move { journal.release(noon(), &plan(), &key, "anna").await }
    };
    release(old.clone()).await.unwrap();
    let refused = release(new.clone()).await.unwrap_err();
    assert_eq!(refused.code(), "journal-refused");
    let id = PlanId::new(PLAN);
    journal.withdraw(noon(), &id, "anna", "old").await.unwrap();
    let released = release(new.clone()).await.unwrap();
    assert_eq!(released.key, new.public_hex());
    Connection::open(place.path())
        .unwrap()
        .execute("UPDATE release SET product = 'other'", [])
        .unwrap();
    let refused = release(new).await.unwrap_err();
    assert_eq!(refused.code(), "release-forged");
}

#[tokio::test]
async fn of_more_approvals_than_are_looked_through_the_latest_explains() {
    let place = Place::new();
    let journal = place.journal();
    let mut last = None;
    for number in 1..=1002 {
        let grant = Grant {
            at: noon(),
            subject: subject(),
            by: "anna".into(),
            valid: Duration::from_secs(number),
        };
        last = Some(journal.grant(grant).await.unwrap().id);
    }
    journal
        .use_approval(wish(last.as_ref(), noon()))
        .await
        .unwrap();
    let first = journal.use_approval(wish(None, noon())).await.unwrap();
    let seconds = |id: &ApprovalId| {
        let all = place.reader().approvals(noon(), usize::MAX).unwrap();
        let found = all.into_iter().find(|approval| approval.id == *id);
        (found.unwrap().expires_at - noon()).num_seconds()
    };
    assert_eq!(seconds(&first), 1, "the one that ends first is used first");
    let error = journal.use_approval(wish(None, later(60))).await;
    assert_eq!(error.unwrap_err().code(), "approval-used");
}

fn sealed(unit: Option<&Mac>, fingerprint: &str) -> EventKind {
    EventKind::KeySealed {
        attempt: None,
        key: "flash".into(),
        mac: unit.cloned(),
        key_kind: "xts-aes128".into(),
        purpose: None,
        fingerprint: fingerprint.into(),
        custody: Custody::Escrow,
    }
}

fn of_kind(mut event: EventKind, kind: &str) -> EventKind {
    if let EventKind::KeySealed { key_kind, .. } = &mut event {
        kind.clone_into(key_kind);
    }
    event
}

fn forgotten(unit: Option<&Mac>, fingerprint: &str) -> EventKind {
    EventKind::KeyForgotten {
        attempt: None,
        key: "flash".into(),
        mac: unit.cloned(),
        fingerprint: fingerprint.into(),
        by: "anna".into(),
        reason: "custody".into(),
    }
}

#[tokio::test]
async fn a_key_is_always_the_same_and_ends_once() {
    let place = Place::new();
    let journal = place.journal();
    let unit = mac(1);
    for (kind, taken) in [
        (sealed(Some(&unit), "aa"), true),
        (sealed(Some(&unit), "aa"), true),
        (sealed(Some(&unit), "bb"), false),
        (of_kind(sealed(Some(&unit), "aa"), "hmac"), false),
        (sealed(Some(&mac(2)), "bb"), true),
        (sealed(None, "cc"), true),
        (forgotten(Some(&unit), "bb"), false),
        (forgotten(Some(&unit), "aa"), true),
        (forgotten(Some(&unit), "aa"), true),
        (sealed(Some(&unit), "aa"), false),
        (sealed(Some(&unit), "dd"), false),
    ] {
        let words = format!("{kind:?}");
        assert_eq!(journal.note(noon(), kind).await.is_ok(), taken, "{words}");
    }
    let keys = place.reader().keys(Some(&unit), 9).unwrap();
    assert_eq!(keys.len(), 1);
    assert!(keys[0].forgotten_at.is_some());
    let all = place.reader().keys(None, 9).unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(all[2].mac, None);
    drop(journal);
    place.verified_events();
}

#[tokio::test]
async fn approvals_and_releases_are_not_left_as_notes() {
    let place = Place::new();
    let journal = place.journal();
    let kind = EventKind::Approved {
        approval: ApprovalId::parse(&"1".repeat(32)).unwrap(),
        subject: subject(),
        by: "eve".into(),
        expires_at: later(15),
        uses: 1,
    };
    assert_eq!(
        journal.note(noon(), kind).await.unwrap_err().code(),
        "journal-refused"
    );
}

/// A row in every table of this edition.
pub(super) async fn everything(place: &Place) {
    let journal = place.journal();
    let key = StationKey::from_secret(&Secret::new(vec![9; 32])).unwrap();
    journal
        .release(noon(), &plan(), &key, "anna")
        .await
        .unwrap();
    let approval = granted(&journal).await;
    let used = journal
        .use_approval(wish(Some(&approval.id), later(1)))
        .await;
    used.unwrap();
    let unit = mac(1);
    let pulse = super::story::pulse(&"ab".repeat(32), 1, 2);
    for kind in [
        sealed(Some(&unit), "aa"),
        super::story::intended(None, &unit, &pulse),
        super::story::burned(None, &unit, &pulse, crate::event::BurnVerdict::Done),
        EventKind::UnitQuarantined {
            attempt: None,
            mac: unit.clone(),
            code: "burn-unclear".into(),
            reason: "the block is hidden".into(),
        },
    ] {
        journal.note(noon(), kind).await.unwrap();
    }
}
