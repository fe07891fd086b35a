//! What a run is asked to do, and why it may not begin.

use std::fmt;
use std::sync::Arc;

use station_device::DeviceError;
use station_device::port::Connector;
use thiserror::Error;

use crate::event::BayName;
use crate::journal::JournalError;
use crate::plan::Plan;

/// Most bays of one run.
pub const MAX_BAYS: usize = 64;

/// One fixed place of the jig and the way to the chip in it.
#[derive(Clone)]
pub struct Bay {
    /// Its name, unique in the run.
    pub name: BayName,
    /// How its port is opened.
    pub connector: Arc<dyn Connector>,
}

impl fmt::Debug for Bay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bay")
            .field("name", &self.name)
            .field("connector", &self.connector.name())
            .finish()
    }
}

/// What to run, where, and for whom.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// What every unit gets.
    pub plan: Arc<Plan>,
    /// Where. At least one, at most [`MAX_BAYS`], with different names.
    pub bays: Vec<Bay>,
    /// Lot the units belong to.
    pub lot: Option<String>,
    /// Who runs it.
    pub operator: Option<String>,
    /// Ends the run after so many units. A unit is an attempt that ended pass, fail or error;
    /// aborted ones (also a unit that was turned away) do not count.
    pub units: Option<u64>,
    /// Whether each bay takes part for one attempt only.
    pub once: bool,
    /// Version of the station, for the record.
    pub station: String,
}

impl RunRequest {
    /// A run of `plan` on `bays` until it is cancelled.
    pub fn new(plan: Arc<Plan>, bays: Vec<Bay>) -> Self {
        Self {
            plan,
            bays,
            lot: None,
            operator: None,
            units: None,
            once: false,
            station: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Why a run did not begin.
#[derive(Debug, Error)]
pub enum StartError {
    /// No bay was given.
    #[error("a run needs at least one bay")]
    NoBays,
    /// Too many bays were given.
    #[error("a run takes at most {MAX_BAYS} bays, not {given}")]
    TooManyBays {
        /// How many were given.
        given: usize,
    },
    /// Two bays have one name.
    #[error("two bays are called `{name}`")]
    SameName {
        /// The name.
        name: BayName,
    },
    /// As many units as the quota allows have already passed.
    #[error("the quota of {quota} units of `{product}` is used up")]
    QuotaReached {
        /// The recipe's quota.
        quota: u64,
        /// Its product.
        product: String,
    },
    /// An image could not be made ready.
    #[error("cannot prepare image `{image}`")]
    Prepare {
        /// Which image.
        image: String,
        /// Why.
        #[source]
        source: DeviceError,
    },
    /// A task of the station ended before its work.
    #[error("the station broke off while preparing images")]
    Internal,
    /// The journal does not record.
    #[error("the journal does not take the run")]
    Journal(#[from] JournalError),
}

impl StartError {
    /// Returns a stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoBays => "no-bays",
            Self::TooManyBays { .. } => "too-many-bays",
            Self::SameName { .. } => "same-bay-name",
            Self::QuotaReached { .. } => "quota-reached",
            Self::Prepare { source, .. } => source.code(),
            Self::Internal => "internal",
            Self::Journal(error) => error.code(),
        }
    }
}
