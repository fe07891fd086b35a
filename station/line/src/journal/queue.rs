//! How commands reach the writer: through a bounded queue to its thread, or directly.
//!
//! Invariants: commands are carried out in the order they were handed over; whatever waits when the
//! thread wakes becomes one batch; a command is answered exactly once, and if the thread dies, with
//! an error.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::command::{Command, Receipt};
use super::error::JournalError;
use super::writer::{Settled, Writer};

/// Most commands in one transaction.
const BATCH: usize = 512;

/// Commands that may wait. Whoever brings more waits too.
const DEPTH: usize = 4096;

type Answer = Result<Receipt, JournalError>;

#[derive(Debug)]
pub(super) struct Ticket {
    command: Command,
    answer: oneshot::Sender<Answer>,
}

/// The way to the writer.
#[derive(Debug)]
pub(super) enum Queue {
    /// A thread of its own. Both are there until the queue is dropped.
    Thread {
        tickets: Option<mpsc::Sender<Ticket>>,
        thread: Option<JoinHandle<()>>,
    },
    /// The caller's thread.
    Inline(Box<Mutex<Writer>>),
}

/// An answer that may still be on its way.
#[derive(Debug)]
pub(super) enum Pending {
    /// It is there.
    Ready(Option<Box<Answer>>),
    /// The writer has the command.
    Waiting(oneshot::Receiver<Answer>),
}

impl Queue {
    /// Gives the writer a thread.
    pub(super) fn threaded(writer: Writer) -> std::io::Result<Self> {
        let (tickets, waiting) = mpsc::channel(DEPTH);
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write_batches(writer, waiting))?;
        Ok(Self::Thread {
            tickets: Some(tickets),
            thread: Some(thread),
        })
    }

    /// Lets callers run the writer.
    pub(super) fn inline(writer: Writer) -> Self {
        Self::Inline(Box::new(Mutex::new(writer)))
    }

    /// Hands a command over; waits only while the queue is full.
    pub(super) async fn submit(&self, command: Command) -> Pending {
        match self {
            Self::Inline(writer) => Pending::Ready(Some(Box::new(write_now(writer, command)))),
            Self::Thread { tickets, .. } => {
                let (answer, answered) = oneshot::channel();
                match tickets {
                    Some(tickets) if tickets.send(Ticket { command, answer }).await.is_ok() => {
                        Pending::Waiting(answered)
                    }
                    _ => Pending::Ready(Some(Box::new(Err(JournalError::Closed)))),
                }
            }
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if let Self::Thread { tickets, thread } = self {
            // Without senders the thread writes what is left and ends; waiting for it means that
            // the file is closed and its lock free when the journal is gone.
            drop(tickets.take());
            if let Some(thread) = thread.take() {
                let _ = thread.join();
            }
        }
    }
}

impl Future for Pending {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        match &mut *self {
            Self::Ready(answer) => Poll::Ready(
                answer
                    .take()
                    .map_or(Err(JournalError::Closed), |answer| *answer),
            ),
            Self::Waiting(answered) => Pin::new(answered)
                .poll(context)
                .map(|answer| answer.unwrap_or(Err(JournalError::Closed))),
        }
    }
}

fn write_now(writer: &Mutex<Writer>, command: Command) -> Answer {
    // A writer that panicked is not trusted again, but its callers are still answered.
    let mut writer = writer
        .lock()
        .map_err(|_: PoisonError<_>| JournalError::Closed)?;
    let Settled {
        mut answers,
        events,
    } = writer.settle(vec![command]);
    writer.publish(events);
    answers.pop().unwrap_or(Err(JournalError::Closed))
}

fn write_batches(mut writer: Writer, mut waiting: mpsc::Receiver<Ticket>) {
    let mut tickets = Vec::with_capacity(BATCH);
    while waiting.blocking_recv_many(&mut tickets, BATCH) > 0 {
        let (commands, answers): (Vec<_>, Vec<_>) = tickets
            .drain(..)
            .map(|ticket| (ticket.command, ticket.answer))
            .unzip();
        let settled = writer.settle(commands);
        for (answer, to) in settled.answers.into_iter().zip(answers) {
            // Whoever stopped waiting finds the event in the journal.
            let _ = to.send(answer);
        }
        writer.publish(settled.events);
    }
}
