//! The record: every fact in SQLite, in one order, before anyone sees it.
//!
//! Invariants: table `event` is the truth and is only ever appended to, each row chained to the one
//! before it by SHA-256; every other table is derived from it in the same transaction; an append is
//! acknowledged when it is durable; one station writes, any number of readers read; the first loss
//! is final until the station is restarted.
//!
//! Reading order: `Draft` to event and row (`stamp`), what may follow what ([`Grammar`]), what it
//! changes in the derived tables (`projection`), the one writer and its queue, the open [`Journal`],
//! then readers.

mod allowance;
mod approval;
mod backup;
mod burn;
mod command;
mod crash;
mod custody;
mod error;
mod feed;
mod grammar;
mod lock;
mod open;
mod permit;
mod projection;
mod queue;
mod reader;
mod rebuild;
mod recover;
mod release;
mod schema;
mod serial;
mod stamp;
mod statements;
mod verify;
mod writer;

pub(crate) use allowance::Share;
pub use burn::{BurnRow, BurnState};
pub(crate) use command::{Claim, SerialRequest};
pub use command::{ImageRecord, MAX_ATTACHMENT_BYTES, PlanRecord, Standing};
pub use crash::{CrashMoment, CrashPoint};
pub use custody::{KeyRow, Quarantine, QuarantineRow};
pub use error::JournalError;
pub use feed::{FeedError, Subscription};
pub use grammar::{Grammar, GrammarError};
pub(crate) use open::Acknowledgement;
pub use open::{Execution, Journal, OpenOptions};
pub use reader::{Identity, MAX_EVENTS, Reader};
pub(crate) use reader::{optional_time_at, time_at, time_column};
pub use rebuild::rebuild;
pub use recover::INTERRUPTED;
pub use schema::Durability;
pub(crate) use stamp::Draft;
pub use stamp::{Head, MAX_BODY_BYTES};
pub use verify::{Finding, VerifyReport};
pub use writer::Health;

#[cfg(test)]
pub(crate) mod tests;
