//! What a run is asked to do, and why it may not begin.

use std::fmt;
use std::sync::Arc;

use station_device::DeviceError;
use station_device::port::Connector;
use station_esp::words::counted;
use thiserror::Error;

use crate::approval::ApprovalId;
use crate::event::BayName;
use crate::journal::JournalError;
use crate::keys::KeyStore;
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
    /// Where keys are: needed by plans that burn some, and for releases.
    pub keys: Option<KeyStore>,
    /// Whether a plan that does what cannot be undone may do it. It must be released, and an
    /// approval of it is used up.
    pub arm: bool,
    /// The approval to use; without one, any that allows the plan.
    pub approval: Option<ApprovalId>,
    /// Does what cannot be undone without release and approval, on virtual boards only.
    pub rehearsal: bool,
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
            keys: None,
            arm: false,
            approval: None,
            rehearsal: false,
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
    #[error("the quota of {} of `{product}` is used up", counted(*.quota, "unit"))]
    QuotaReached {
        /// The recipe's quota.
        quota: u64,
        /// Its product.
        product: String,
    },
    /// The plan does what cannot be undone, and nobody released it.
    #[error("the plan does what cannot be undone and is not released: {reason}")]
    NotReleased {
        /// Code of the reason, `release-missing`.
        code: &'static str,
        /// Why it does not count as released.
        reason: String,
    },
    /// The plan does what cannot be undone, and the run is not armed.
    #[error("the plan does what cannot be undone and the run is not armed: {reason}")]
    NotArmed {
        /// Code of the reason, `approval-expired`.
        code: &'static str,
        /// Why it is not.
        reason: String,
    },
    /// A rehearsal was asked for in a bay that is not virtual.
    #[error("bay `{bay}` is not virtual, and a rehearsal burns without approval")]
    RealBay {
        /// The bay.
        bay: BayName,
    },
    /// The plan burns keys, and the run has no store of them.
    #[error("the plan burns keys and the run has no key store")]
    NoKeyStore,
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
            Self::NotReleased { .. } => "recipe-not-released",
            Self::NotArmed { .. } => "recipe-not-armed",
            Self::RealBay { .. } => "rehearsal-on-hardware",
            Self::NoKeyStore => "no-key-store",
            Self::Prepare { source, .. } => source.code(),
            Self::Internal => "internal",
            Self::Journal(error) => error.code(),
        }
    }
}
