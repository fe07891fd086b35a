//! The one writer: turns batches of commands into transactions.
//!
//! Invariants: a batch is one transaction and one wait for the disk; within it a command that is
//! refused leaves no trace and harms no other; nothing is answered before the commit; the first loss
//! is kept and answers everything that comes later; the same code runs on the writer's thread and, in
//! simulations, in the caller.

use std::mem;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};
use tokio::sync::{broadcast, watch};

use super::approval::decide;
use super::burn::burns_of;
use super::command::{Command, MAX_ATTACHMENT_BYTES, Receipt, SerialRequest};
use super::crash::{CrashMoment, CrashPoint};
use super::error::JournalError;
use super::grammar::Grammar;
use super::lock::WriterLock;
use super::projection::project;
use super::serial::{Asker, ListMarks, commitments, grant, voiding};
use super::stamp::{Draft, Head, StoredEvent, stamp, time_text};
use super::statements::{LastNumbers, insert_event, last_numbers, read_head, standing, store_plan};
use super::{recover, schema};
use crate::approval::UseApproval;
use crate::event::{AttemptId, Event, EventKind, Seq};
use crate::outcome::Outcome;

/// Whether the journal can still record.
#[derive(Clone, Debug)]
pub enum Health {
    /// It can.
    Sound,
    /// It cannot, and never will again before the station is restarted.
    Lost(JournalError),
}

/// The connection that may write, and everything that is decided under its transactions.
#[derive(Debug)]
pub(super) struct Writer {
    db: Connection,
    head: Head,
    grammar: Grammar,
    marks: ListMarks,
    crash: Option<CrashPoint>,
    lost: Option<JournalError>,
    feed: broadcast::Sender<Arc<Event>>,
    health: watch::Sender<Health>,
    /// Events of the batch under way.
    fresh: Vec<Arc<Event>>,
    _lock: WriterLock,
}

/// How a command that is refused is taken back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Undo {
    /// To where it began: others share its transaction.
    Savepoint,
    /// With its transaction: it is alone, and a savepoint for nothing would cost a tenth.
    Transaction,
}

/// What became of a batch.
pub(super) struct Settled {
    /// One answer per command, in order.
    pub(super) answers: Vec<Result<Receipt, JournalError>>,
    /// What became durable, to be published after the answers are given.
    pub(super) events: Vec<Arc<Event>>,
}

impl Writer {
    /// Opens the journal, closes what a crash left open, and returns the largest numbers in use.
    pub(super) fn open(
        path: &Path,
        options: &super::OpenOptions,
        feed: broadcast::Sender<Arc<Event>>,
        health: watch::Sender<Health>,
    ) -> Result<(Self, LastNumbers), JournalError> {
        let lock = WriterLock::acquire(path)?;
        let db = schema::open_writer(path, options.durability)?;
        let mut writer = Self {
            head: Head::EMPTY,
            grammar: Grammar::new(),
            marks: ListMarks::default(),
            crash: options.crash,
            lost: None,
            feed,
            health,
            fresh: Vec::new(),
            _lock: lock,
            db,
        };
        if let Some(pages) = options.page_limit {
            let limited = writer.db.pragma_update(None, "max_page_count", pages);
            limited.map_err(|error| JournalError::writing(&error))?;
        }
        writer.name_journal(options)?;
        writer.head = read_head(&writer.db)?;
        writer.recover(options.opened_at)?;
        let numbers = last_numbers(&writer.db).map_err(|error| JournalError::writing(&error))?;
        writer.grammar = Grammar::resume(writer.head, numbers.run, numbers.attempt);
        Ok((writer, numbers))
    }

    fn name_journal(&self, options: &super::OpenOptions) -> Result<(), JournalError> {
        let insert = "INSERT INTO journal (only, journal_id, created_at)
                      VALUES (1, lower(hex(randomblob(16))), ?1) ON CONFLICT DO NOTHING";
        let named = self
            .db
            .execute(insert, params![time_text(options.opened_at)]);
        named
            .map(drop)
            .map_err(|error| JournalError::writing(&error))
    }

    fn recover(&mut self, at: chrono::DateTime<chrono::Utc>) -> Result<(), JournalError> {
        let drafts = recover::closing_events(&self.db, at)?;
        if drafts.is_empty() {
            return Ok(());
        }
        let first = self.next_seq();
        self.run_sql("BEGIN IMMEDIATE")?;
        for draft in drafts {
            let (event, stored) = stamp(self.head, draft)?;
            self.insert(&event, &stored)?;
            self.head = stored.head();
        }
        CrashPoint::strike(self.crash, CrashMoment::BeforeCommit, first, self.head.seq);
        self.run_sql("COMMIT")?;
        CrashPoint::strike(
            self.crash,
            CrashMoment::AfterCommitBeforeAck,
            first,
            self.head.seq,
        );
        Ok(())
    }

    /// The end of the chain.
    pub(super) fn head(&self) -> Head {
        self.head
    }

    fn next_seq(&self) -> Seq {
        Seq(self.head.seq.0 + 1)
    }

    /// Carries out a batch as one transaction. Nothing is published yet.
    pub(super) fn settle(&mut self, commands: Vec<Command>) -> Settled {
        let count = commands.len();
        let outcome = match &self.lost {
            Some(error) => Err(error.clone()),
            None => self.transact(commands),
        };
        let events = mem::take(&mut self.fresh);
        match outcome {
            Ok(answers) => Settled { answers, events },
            Err(error) => {
                self.lose(&error);
                let answers = (0..count).map(|_| Err(error.clone())).collect();
                Settled {
                    answers,
                    events: Vec::new(),
                }
            }
        }
    }

    /// Shows durable events to the subscribers.
    pub(super) fn publish(&self, events: Vec<Arc<Event>>) {
        if let (Some(first), Some(last)) = (events.first(), events.last()) {
            CrashPoint::strike(self.crash, CrashMoment::AfterAck, first.seq, last.seq);
        }
        for event in events {
            // No subscriber is not an error.
            let _ = self.feed.send(event);
        }
    }

    fn lose(&mut self, error: &JournalError) {
        if self.lost.is_none() {
            self.lost = Some(error.clone());
            self.health.send_replace(Health::Lost(error.clone()));
        }
    }

    fn transact(
        &mut self,
        commands: Vec<Command>,
    ) -> Result<Vec<Result<Receipt, JournalError>>, JournalError> {
        let first = self.next_seq();
        let before = self.head;
        self.run_sql("BEGIN IMMEDIATE")?;
        let answers = self.perform_all(commands).and_then(|answers| {
            CrashPoint::strike(self.crash, CrashMoment::BeforeCommit, first, self.head.seq);
            self.run_sql("COMMIT").map(|()| answers)
        });
        match &answers {
            Ok(_) => CrashPoint::strike(
                self.crash,
                CrashMoment::AfterCommitBeforeAck,
                first,
                self.head.seq,
            ),
            Err(_) => {
                // SQLite may have rolled back by itself, then this fails and says so.
                let _ = self.db.execute_batch("ROLLBACK");
                self.head = before;
                self.fresh.clear();
            }
        }
        answers
    }

    fn perform_all(
        &mut self,
        commands: Vec<Command>,
    ) -> Result<Vec<Result<Receipt, JournalError>>, JournalError> {
        let undo = if commands.len() == 1 {
            Undo::Transaction
        } else {
            Undo::Savepoint
        };
        let mut answers = Vec::with_capacity(commands.len());
        for command in commands {
            answers.push(self.perform_or_undo(command, undo)?);
        }
        Ok(answers)
    }

    /// Ok(Err(…)) is a refusal of this command alone, Err(…) a loss.
    fn perform_or_undo(
        &mut self,
        command: Command,
        undo: Undo,
    ) -> Result<Result<Receipt, JournalError>, JournalError> {
        let head = self.head;
        let fresh = self.fresh.len();
        // Cheap: what is open is shared, not copied.
        let grammar = self.grammar.clone();
        if undo == Undo::Savepoint {
            self.run_sql("SAVEPOINT command")?;
        }
        let answer = self.perform(command);
        if let Err(error) = &answer {
            if error.is_loss() {
                return Err(error.clone());
            }
            match undo {
                Undo::Savepoint => self.run_sql("ROLLBACK TO command")?,
                Undo::Transaction => {
                    self.run_sql("ROLLBACK")?;
                    self.run_sql("BEGIN IMMEDIATE")?;
                }
            }
            self.head = head;
            self.grammar = grammar;
            self.fresh.truncate(fresh);
            self.marks.clear();
        }
        if undo == Undo::Savepoint {
            self.run_sql("RELEASE command")?;
        }
        Ok(answer)
    }

    fn perform(&mut self, command: Command) -> Result<Receipt, JournalError> {
        match command {
            Command::Append(drafts) => {
                let events = drafts.into_iter().map(|draft| self.append(draft));
                let events = events.collect::<Result<_, _>>()?;
                Ok(Receipt {
                    events,
                    ..Receipt::default()
                })
            }
            Command::Attach(draft, bytes) => {
                self.store_bytes(&draft.kind, &bytes)?;
                let event = self.append(*draft)?;
                Ok(Receipt {
                    events: vec![event],
                    ..Receipt::default()
                })
            }
            Command::Reserve(request) => self.reserve(&request),
            Command::Void { at, serial, reason } => {
                let kind = voiding(&self.db, &serial, &reason)?;
                let event = self.append(Draft {
                    at,
                    elapsed_us: 0,
                    run: None,
                    kind,
                })?;
                Ok(Receipt {
                    events: vec![event],
                    ..Receipt::default()
                })
            }
            Command::StorePlan(at, plan) => {
                store_plan(&self.db, &time_text(at), &plan)
                    .map_err(|error| JournalError::writing(&error))?;
                Ok(Receipt::default())
            }
            Command::Stand {
                mac,
                product,
                revision,
            } => {
                let standing = standing(
                    &self.db,
                    mac.as_str(),
                    &product,
                    revision.as_deref().unwrap_or(""),
                )
                .map_err(|error| JournalError::writing(&error))?;
                Ok(Receipt {
                    standing: Some(standing),
                    ..Receipt::default()
                })
            }
            Command::UseApproval(request) => self.use_approval(&request),
            Command::Burns { mac } => {
                let burns = burns_of(&self.db, &mac);
                let burns = burns.map_err(|error| JournalError::reading(&error))?;
                Ok(Receipt {
                    burns,
                    ..Receipt::default()
                })
            }
        }
    }

    fn append(&mut self, draft: Draft) -> Result<Arc<Event>, JournalError> {
        if let EventKind::AttemptFinished {
            attempt,
            outcome: Outcome::Pass,
            ..
        } = &draft.kind
        {
            self.commit_serials(&draft, *attempt)?;
        }
        self.append_as_is(draft)
    }

    fn commit_serials(&mut self, end: &Draft, attempt: AttemptId) -> Result<(), JournalError> {
        for kind in commitments(&self.db, attempt)? {
            let Draft {
                at,
                elapsed_us,
                run,
                ..
            } = *end;
            self.append_as_is(Draft {
                at,
                elapsed_us,
                run,
                kind,
            })?;
        }
        Ok(())
    }

    fn append_as_is(&mut self, draft: Draft) -> Result<Arc<Event>, JournalError> {
        let (event, stored) = stamp(self.head, draft)?;
        self.grammar.check(&event)?;
        self.insert(&event, &stored)?;
        self.grammar.apply(&event);
        self.head = stored.head();
        let event = Arc::new(event);
        self.fresh.push(Arc::clone(&event));
        Ok(event)
    }

    fn insert(&self, event: &Event, stored: &StoredEvent) -> Result<(), JournalError> {
        insert_event(&self.db, stored)
            .and_then(|()| project(&self.db, event))
            .map_err(|error| JournalError::writing(&error))
    }

    fn reserve(&mut self, request: &SerialRequest) -> Result<Receipt, JournalError> {
        let asker = Asker {
            attempt: request.attempt,
            mac: &request.mac,
            on: request.at.date_naive(),
            claim: request.claim,
        };
        let grant = grant(&self.db, &mut self.marks, &request.source, asker)?;
        let mut events = Vec::with_capacity(grant.facts.len());
        for kind in grant.facts {
            let SerialRequest {
                at,
                elapsed_us,
                run,
                ..
            } = *request;
            events.push(self.append(Draft {
                at,
                elapsed_us,
                run: Some(run),
                kind,
            })?);
        }
        Ok(Receipt {
            events,
            serial: Some(grant.serial),
            ..Receipt::default()
        })
    }

    /// Decides and records in one step: either the use, or why there is none.
    fn use_approval(&mut self, request: &UseApproval) -> Result<Receipt, JournalError> {
        let decision = decide(&self.db, self.head, request)?;
        let kind = match &decision {
            Ok(approval) => EventKind::ApprovalUsed {
                approval: approval.clone(),
                subject: request.subject.clone(),
                by: request.by.clone(),
            },
            Err(refusal) => EventKind::Refused {
                operation: request.operation.clone(),
                code: refusal.code().to_owned(),
                reason: refusal.to_string(),
            },
        };
        let event = self.append(Draft {
            at: request.at,
            elapsed_us: request.elapsed_us,
            run: request.run,
            kind,
        })?;
        Ok(Receipt {
            events: vec![event],
            approval: Some(decision),
            ..Receipt::default()
        })
    }

    fn store_bytes(&self, kind: &EventKind, bytes: &[u8]) -> Result<(), JournalError> {
        let refused = |what: &str| {
            Err(JournalError::Refused {
                what: what.to_owned(),
            })
        };
        let EventKind::AttachmentStored { sha256, size, .. } = kind else {
            return refused("bytes without an attachment");
        };
        if bytes.len() > MAX_ATTACHMENT_BYTES {
            return refused("an attachment that is larger than a chip's flash");
        }
        let digest = hex::encode(Sha256::digest(bytes));
        if digest != *sha256 || u64::try_from(bytes.len()) != Ok(*size) {
            return refused("an attachment whose bytes do not match its digest");
        }
        let insert = "INSERT INTO blob (sha256, bytes) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        self.db
            .prepare_cached(insert)
            .and_then(|mut statement| statement.execute(params![sha256, bytes]))
            .map(drop)
            .map_err(|error| JournalError::writing(&error))
    }

    fn run_sql(&self, sql: &'static str) -> Result<(), JournalError> {
        self.db
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map(drop)
            .map_err(|error| JournalError::writing(&error))
    }

    /// The connection, for tests that break it.
    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.db
    }
}
