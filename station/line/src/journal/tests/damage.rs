//! Disks that fill, files that rot, hands that edit.

use std::io::{Seek, SeekFrom, Write};

use rusqlite::Connection;
use serde_json::json;

use super::story::{Place, Story, mac, noon};
use crate::event::{EventKind, Seq};
use crate::journal::stamp::{StoredEvent, time_text};
use crate::journal::statements::insert_event;
use crate::journal::{Health, Journal, OpenOptions, Reader, rebuild};
use crate::outcome::Outcome;

async fn one_run(place: &Place) {
    let journal = place.journal();
    let mut story = Story::begin(&journal, 1).await;
    story.unit(1, &mac(1), Outcome::Pass).await;
    story.unit(1, &mac(2), Outcome::Fail).await;
    story.end().await;
}

fn note(text: &str) -> EventKind {
    EventKind::Refused {
        operation: "run".into(),
        code: "test".into(),
        reason: text.into(),
    }
}

#[tokio::test]
async fn events_plans_and_attachments_cannot_be_changed_or_deleted() {
    let place = Place::new();
    one_run(&place).await;
    let db = Connection::open(place.path()).unwrap();
    for sql in [
        "UPDATE event SET body = '{}' WHERE seq = 2",
        "DELETE FROM event WHERE seq = 12",
        "UPDATE plan SET text = ''",
        "DELETE FROM plan",
        "INSERT OR REPLACE INTO event SELECT seq, at, elapsed_us, run, kind, '{}', prev_hash, hash
            FROM event WHERE seq = 3",
        "INSERT INTO event SELECT seq + 100, at, elapsed_us, run, kind, body, prev_hash, hash
            FROM event WHERE seq = 3",
    ] {
        let refused = db.execute(sql, []).unwrap_err();
        assert_eq!(
            refused.sqlite_error_code(),
            Some(rusqlite::ErrorCode::ConstraintViolation),
            "{sql}"
        );
    }
    place.verified_events();
}

#[tokio::test]
async fn the_schema_refuses_impossible_rows() {
    let place = Place::new();
    one_run(&place).await;
    let db = Connection::open(place.path()).unwrap();
    for sql in [
        "UPDATE attempt SET outcome = 'great' WHERE attempt = 1",
        "UPDATE attempt SET outcome = 'pass', mac = NULL, code = NULL WHERE attempt = 2",
        "UPDATE unit SET mac = '00:00:00:00:00:00' WHERE attempts = 1",
        "UPDATE unit SET mac = '7C:DF:A1:00:00:01' WHERE attempts = 1",
        "INSERT INTO serial VALUES ('A1', 'p', 1, NULL, 'bound', '', 1, NULL)",
        "INSERT INTO measurement VALUES (99, 1, 'flash', 1, 'x', 9e999, NULL, NULL, NULL, NULL,
            NULL, 'pass')",
        "INSERT INTO measurement VALUES (99, 1, 'flash', 1, 'x', NULL, NULL, NULL, NULL, NULL,
            NULL, 'pass')",
    ] {
        db.execute(sql, []).expect_err(sql);
    }
}

/// Removes what protects the events, does something to them, and puts it back.
fn tamper(place: &Place, sql: &str) -> Vec<(String, Option<Seq>)> {
    let db = Connection::open(place.path()).unwrap();
    let trigger: String = db
        .query_row(
            "SELECT sql FROM sqlite_schema WHERE name = 'event_is_never_changed'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let deletion: String = db
        .query_row(
            "SELECT sql FROM sqlite_schema WHERE name = 'event_is_never_deleted'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    db.execute_batch("DROP TRIGGER event_is_never_changed; DROP TRIGGER event_is_never_deleted")
        .unwrap();
    db.execute_batch(sql).unwrap();
    db.execute_batch(&format!("{trigger}; {deletion}")).unwrap();
    drop(db);
    let report = place.reader().verify().unwrap();
    report
        .findings
        .into_iter()
        .map(|finding| (finding.code, finding.seq))
        .collect()
}

#[tokio::test]
async fn an_edited_event_is_found() {
    let place = Place::new();
    one_run(&place).await;
    let sql = "UPDATE event SET body = replace(body, 'sensor', 'censor') WHERE seq = 1";
    assert_eq!(tamper(&place, sql), [("chain".to_owned(), Some(Seq(1)))]);
}

#[tokio::test]
async fn every_column_of_an_event_is_under_the_hash() {
    for change in [
        "at = '2020-01-01T00:00:00.000000Z'",
        "elapsed_us = elapsed_us + 1",
        "run = 2",
        "kind = 'step_starteD'",
        "hash = zeroblob(32)",
        "prev_hash = zeroblob(32)",
    ] {
        let place = Place::new();
        one_run(&place).await;
        let found = tamper(&place, &format!("UPDATE event SET {change} WHERE seq = 4"));
        assert!(
            found.contains(&("chain".to_owned(), Some(Seq(4)))),
            "{change}: {found:?}"
        );
    }
}

#[tokio::test]
async fn a_removed_event_is_found() {
    let place = Place::new();
    one_run(&place).await;
    let found = tamper(&place, "DELETE FROM event WHERE seq = 4");
    assert!(
        found.contains(&("gap".to_owned(), Some(Seq(5)))),
        "{found:?}"
    );
    assert!(
        found.contains(&("chain".to_owned(), Some(Seq(5)))),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_tail_cut_off_is_found_through_the_tables_it_leaves() {
    let place = Place::new();
    one_run(&place).await;
    let found = tamper(&place, "DELETE FROM event WHERE seq > 10");
    assert!(found.iter().any(|(code, _)| code == "derived"), "{found:?}");
}

#[tokio::test]
async fn an_edited_table_is_found_and_a_rebuild_mends_it() {
    let place = Place::new();
    one_run(&place).await;
    let sql = "UPDATE attempt SET outcome = 'pass', code = NULL WHERE attempt = 2;
               DELETE FROM step WHERE attempt = 1";
    let found = tamper(&place, sql);
    assert_eq!(
        found,
        [("derived".to_owned(), None), ("derived".to_owned(), None)]
    );
    assert_eq!(rebuild(place.path()).unwrap(), 12);
    place.verified_events();
}

#[tokio::test]
async fn every_table_of_what_cannot_be_undone_is_under_the_same_guard() {
    for sql in [
        "UPDATE burn SET state = 'not_done'",
        "UPDATE burn SET pulse = '{}'",
        "DELETE FROM burn",
        "UPDATE approval SET expires_at = '2099-01-01T00:00:00.000000Z'",
        "DELETE FROM approval",
        "UPDATE release SET withdrawn_at = released_at",
        "UPDATE key SET fingerprint = 'other'",
        "UPDATE quarantine SET released_at = since_at",
        "DELETE FROM quarantine",
    ] {
        let place = Place::new();
        super::permits::everything(&place).await;
        let events = place.verified_events().len();
        assert_eq!(tamper(&place, sql), [("derived".to_owned(), None)], "{sql}");
        assert_eq!(
            rebuild(place.path()).unwrap(),
            u64::try_from(events).unwrap()
        );
        place.verified_events();
    }
}

#[tokio::test]
async fn the_schema_refuses_what_cannot_have_been_burned_or_allowed() {
    let place = Place::new();
    super::permits::everything(&place).await;
    let db = Connection::open(place.path()).unwrap();
    for sql in [
        "UPDATE burn SET state = 'perhaps'",
        "UPDATE burn SET number = 3",
        "UPDATE burn SET mac = 'ff:ff:ff:ff:ff:ff'",
        "UPDATE burn SET plan = 'x'",
        "UPDATE burn SET state = 'open'",
        "INSERT INTO burn SELECT intended_seq + 100, mac, chip, plan, number, of, block, pulse,
            attempt, approval, intended_at, state, left_open, settled_seq, settled_at, reconciled,
            tries, before, after, detail FROM burn",
        "UPDATE approval SET used = 2",
        "UPDATE approval SET expires_at = granted_at",
        "INSERT INTO release SELECT released_seq + 100, plan, product, revision, released_by,
            released_at, key, signature, NULL, NULL, NULL FROM release",
        "UPDATE release SET signature = 'x'",
        "UPDATE key SET custody = 'lost'",
    ] {
        db.execute(sql, []).expect_err(sql);
    }
}

#[tokio::test]
async fn a_journal_from_a_newer_station_is_refused_by_all() {
    let place = Place::new();
    one_run(&place).await;
    Connection::open(place.path())
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let before = std::fs::read(place.path()).unwrap();
    let refused = Journal::open(place.path(), &OpenOptions::default()).unwrap_err();
    assert_eq!(refused.code(), "journal-newer");
    assert_eq!(
        Reader::open(place.path()).unwrap_err().code(),
        "journal-newer"
    );
    assert_eq!(rebuild(place.path()).unwrap_err().code(), "journal-newer");
    assert_eq!(std::fs::read(place.path()).unwrap(), before);
}

#[test]
fn another_programs_database_is_left_alone() {
    let place = Place::new();
    Connection::open(place.path())
        .unwrap()
        .execute_batch("CREATE TABLE notes (x)")
        .unwrap();
    let refused = Journal::open(place.path(), &OpenOptions::default()).unwrap_err();
    assert_eq!(refused.code(), "journal-foreign");
    assert_eq!(
        Reader::open(place.path()).unwrap_err().code(),
        "journal-foreign"
    );
}

#[test]
fn a_missing_file_is_no_journal_to_read() {
    let place = Place::new();
    assert_eq!(
        Reader::open(place.path()).unwrap_err().code(),
        "journal-open"
    );
    assert_eq!(rebuild(place.path()).unwrap_err().code(), "journal-open");
    assert!(!place.path().exists());
    let nowhere = place.file("missing").join("line.db");
    let refused = Journal::open(nowhere, &OpenOptions::default()).unwrap_err();
    assert_eq!(refused.code(), "journal-open");
}

#[test]
fn a_file_that_is_no_database_is_called_corrupt() {
    let place = Place::new();
    std::fs::write(
        place.path(),
        "not a database, but long enough to be looked at ".repeat(100),
    )
    .unwrap();
    let refused = Journal::open(place.path(), &OpenOptions::default()).unwrap_err();
    assert_eq!(refused.code(), "journal-corrupt");
}

#[tokio::test]
async fn a_corrupted_page_is_found_and_named() {
    let place = Place::new();
    let journal = place.journal();
    for _ in 0..600 {
        journal
            .note(noon(), note(&"text ".repeat(40)))
            .await
            .unwrap();
    }
    drop(journal);
    let length = std::fs::metadata(place.path()).unwrap().len();
    let mut file = std::fs::File::options()
        .write(true)
        .open(place.path())
        .unwrap();
    // The last pages hold the youngest events.
    for page in (length / 4096 - 8)..(length / 4096) {
        file.seek(SeekFrom::Start(page * 4096)).unwrap();
        file.write_all(&[0xa5; 4096]).unwrap();
    }
    drop(file);
    let broken = match place.reader().verify() {
        Err(error) => error.code() == "journal-corrupt",
        Ok(report) => report
            .findings
            .iter()
            .any(|finding| finding.code == "integrity"),
    };
    assert!(broken);
    let refused = Journal::open(place.path(), &OpenOptions::default()).unwrap_err();
    assert_eq!(refused.code(), "journal-corrupt");
}

#[tokio::test]
async fn a_full_disk_loses_the_journal_and_nothing_acknowledged() {
    let place = Place::new();
    drop(place.threaded());
    let options = OpenOptions {
        page_limit: Some(70),
        ..OpenOptions::default()
    };
    let journal = Journal::open(place.path(), &options).unwrap();
    let health = journal.health();
    let mut acknowledged = 0;
    let error = loop {
        match journal.note(noon(), note(&"text ".repeat(100))).await {
            Ok(event) => acknowledged = event.seq.0,
            Err(error) => break error,
        }
        assert!(acknowledged < 10_000);
    };
    assert!(acknowledged > 0);
    assert_eq!(error.code(), "journal-write");
    assert!(error.is_loss());
    assert!(matches!(&*health.borrow(), Health::Lost(error) if error.code() == "journal-write"));
    // It stays lost, even for what would fit.
    let again = journal.note(noon(), note("")).await.unwrap_err();
    assert_eq!(again.code(), "journal-write");
    drop(journal);
    let events = place.verified_events();
    assert_eq!(events.last().unwrap().seq, Seq(acknowledged));
    // With room again, a restart goes on where it stopped.
    let journal = place.threaded();
    assert_eq!(
        journal.note(noon(), note("")).await.unwrap().seq,
        Seq(acknowledged + 1)
    );
}

#[tokio::test]
async fn a_database_that_turns_read_only_loses_the_journal() {
    let place = Place::new();
    let journal = place.journal();
    journal.note(noon(), note("")).await.unwrap();
    journal.sabotage(|db| db.pragma_update(None, "query_only", true).unwrap());
    let error = journal.note(noon(), note("")).await.unwrap_err();
    assert_eq!(error.code(), "journal-write");
    journal.sabotage(|db| db.pragma_update(None, "query_only", false).unwrap());
    assert_eq!(
        journal.note(noon(), note("")).await.unwrap_err().code(),
        "journal-write"
    );
    drop(journal);
    assert_eq!(place.verified_events().len(), 1);
}

#[tokio::test]
async fn a_write_protected_file_is_read_but_not_written() {
    let place = Place::new();
    one_run(&place).await;
    let mut permissions = std::fs::metadata(place.path()).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(place.path(), permissions).unwrap();
    let refused = Journal::open(place.path(), &OpenOptions::default()).unwrap_err();
    assert_eq!(refused.code(), "journal-write");
    place.verified_events();
}

#[tokio::test]
async fn an_event_of_a_newer_station_is_kept_and_shown_as_it_stands() {
    let place = Place::new();
    one_run(&place).await;
    let head = place.reader().head().unwrap();
    let mut stored = StoredEvent {
        seq: head.seq.0 + 1,
        at: time_text(noon()),
        elapsed_us: 0,
        run: None,
        kind: "bay_polished".into(),
        body: r#"{"bay":"bay1","shine":0.1}"#.into(),
        prev_hash: head.hash,
        hash: [0; 32],
    };
    stored.hash = stored.computed_hash();
    insert_event(&Connection::open(place.path()).unwrap(), &stored).unwrap();

    let whole = json!({ "kind": "bay_polished", "data": { "bay": "bay1", "shine": 0.1 } });
    let events = place.verified_events();
    assert_eq!(
        events.last().unwrap().kind,
        EventKind::Unknown(whole.clone())
    );
    assert_eq!(events.last().unwrap().kind.word(), "bay_polished");
    let journal = place.journal();
    journal.note(noon(), note("")).await.unwrap();
    let mut lines = Vec::new();
    place.reader().export(None, &mut lines).unwrap();
    let line = String::from_utf8(lines)
        .unwrap()
        .lines()
        .nth(12)
        .unwrap()
        .to_owned();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&line["kind"], &line["data"]),
        (&whole["kind"], &whole["data"])
    );
    place.verified_events();
}

#[tokio::test]
async fn a_backup_is_a_whole_journal_and_overwrites_nothing() {
    let place = Place::new();
    let journal = place.threaded();
    let mut story = Story::begin(&journal, 1).await;
    story.unit(1, &mac(1), Outcome::Pass).await;
    let copy = place.file("copy.db");
    let reader = journal.reader().unwrap();
    reader.backup(&copy).unwrap();
    story.end().await;
    assert_eq!(reader.backup(&copy).unwrap_err().code(), "file-exists");
    let copied = Reader::open(&copy).unwrap();
    let report = copied.verify().unwrap();
    assert_eq!(
        (report.findings.len(), report.events, report.open),
        (0, 6, true)
    );
    assert_eq!(copied.identity().unwrap(), reader.identity().unwrap());
    drop(copied);
    drop(Journal::open(&copy, &OpenOptions::default()).unwrap());
    let nowhere = place.file("missing").join("copy.db");
    assert_eq!(reader.backup(nowhere).unwrap_err().code(), "journal-open");
    let names: Vec<_> = std::fs::read_dir(copy.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".backup"))
        .collect();
    assert_eq!(names, Vec::<String>::new());
}
