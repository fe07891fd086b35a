//! What the writer can be asked to do, and what it answers.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::burn::BurnRow;
use super::custody::Quarantine;
use super::error::JournalError;
use super::stamp::Draft;
use crate::approval::{ApprovalId, UseApproval};
use crate::event::{AttemptId, Event, Mac, PlanId, RunId, Serial};
use crate::plan::Plan;
use crate::serial::SerialSource;

/// Largest attachment, in bytes: the largest flash of a supported chip.
pub const MAX_ATTACHMENT_BYTES: usize = 32 * 1024 * 1024;

/// A plan as the journal keeps it, with digests in place of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanRecord {
    /// The plan's identity.
    pub id: PlanId,
    /// Product it makes.
    pub product: String,
    /// Revision of the product.
    pub revision: Option<String>,
    /// The recipe's text, as written.
    pub text: String,
    /// Every image.
    pub images: Vec<ImageRecord>,
    /// Version of the station that compiled it.
    pub station: String,
}

/// An image of a recorded plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageRecord {
    /// Name steps use.
    pub name: String,
    /// Where the bytes came from, for people.
    pub origin: String,
    /// Flash offset in bytes.
    pub offset: u32,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the bytes, hex.
    pub sha256: String,
}

impl PlanRecord {
    /// Describes a plan, compiled by the station of this version.
    pub fn of(plan: &Plan, station: &str) -> Self {
        let contents = plan.contents();
        let images = contents.images.iter().map(|image| ImageRecord {
            name: image.name.clone(),
            origin: image.origin.clone(),
            offset: image.offset,
            size: u64::try_from(image.bytes.len()).unwrap_or(u64::MAX),
            sha256: image.sha256.clone(),
        });
        Self {
            id: plan.id().clone(),
            product: contents.product.clone(),
            revision: contents.revision.clone(),
            text: contents.source.clone(),
            images: images.collect(),
            station: station.to_owned(),
        }
    }
}

/// Which serial number an attempt may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The unit's own, or the next one.
    OwnOrNext,
    /// Only the one the unit has already: nothing is reserved.
    OwnOnly,
}

/// An attempt that asks for its unit's serial number.
#[derive(Clone, Debug)]
pub(crate) struct SerialRequest {
    /// Wall clock; also the day that stands in the number.
    pub(crate) at: DateTime<Utc>,
    /// Microseconds since the run began.
    pub(crate) elapsed_us: u64,
    /// The run.
    pub(crate) run: RunId,
    /// The attempt.
    pub(crate) attempt: AttemptId,
    /// The unit.
    pub(crate) mac: Mac,
    /// Where numbers come from.
    pub(crate) source: Arc<SerialSource>,
    /// Which number will do.
    pub(crate) claim: Claim,
}

/// How a unit and its product stand in the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Attempts on this unit so far, the one that is open included.
    pub attempts: u64,
    /// Whether it passed this product and revision before.
    pub passed: bool,
    /// Units of this product and revision that passed, over all runs.
    pub passed_units: u64,
    /// Pulses whose end nobody has seen, or which the unit could not explain.
    pub open_burns: u64,
    /// Why the unit waits for a person, if it does.
    pub quarantine: Option<Quarantine>,
}

/// One request to the writer.
#[derive(Debug)]
pub(super) enum Command {
    /// Append these, all or none.
    Append(Vec<Draft>),
    /// Append an [`crate::event::EventKind::AttachmentStored`] together with its bytes.
    Attach(Box<Draft>, Arc<[u8]>),
    /// Give a unit its serial number.
    Reserve(SerialRequest),
    /// Make a serial number void.
    Void {
        at: DateTime<Utc>,
        serial: Serial,
        reason: String,
    },
    /// Keep a plan, unless it is there already.
    StorePlan(DateTime<Utc>, Box<PlanRecord>),
    /// Look at a unit and its product.
    Stand {
        mac: Mac,
        product: String,
        revision: Option<String>,
    },
    /// Use an approval up, or record why it cannot be used.
    UseApproval(Box<UseApproval>),
    /// Look at what was burned into a unit.
    Burns { mac: Mac },
}

/// What the writer answers, once it is durable.
#[derive(Clone, Debug, Default)]
pub(super) struct Receipt {
    /// The events asked for, in order, without those the writer added.
    pub(super) events: Vec<Arc<Event>>,
    /// The serial number, if one was asked for.
    pub(super) serial: Option<Serial>,
    /// The standing, if it was asked for.
    pub(super) standing: Option<Standing>,
    /// The approval that was used or why none was, if one was asked for.
    pub(super) approval: Option<Result<ApprovalId, JournalError>>,
    /// The intents, if they were asked for.
    pub(super) burns: Vec<BurnRow>,
}
