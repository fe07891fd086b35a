//! Updates over the air: packages made, checked and handed out; the choice of a slot read and changed.
//!
//! Invariants: a package is checked before anything is made of it, and one that nobody trusted signed is
//! taken only where the caller says so; a chip's choice of a slot is changed only towards an application that
//! is there, and is read back.

mod choice;
mod create;
mod deploy;
mod package;
mod prepare;
mod push;
mod select;
mod setup;
mod status;
mod trust;
mod validate;

pub use create::{CreateParameters, CreateView, PackageCreate};
pub use deploy::{DeployParameters, DeployView, OtaDeploy, ServedView};
pub use package::ManifestView;
pub use prepare::{FlashPrepare, PlacedView, PrepareParameters, PrepareView};
pub use push::PushedView;
pub use select::{OtaRollback, OtaSet, RollbackParameters, SelectView, SetParameters, StateChoice};
pub use setup::{PartitionSetup, SetupParameters, SetupView};
pub use status::{OtaStatus, RecordView, SlotView, StatusParameters, StatusView};
pub use trust::TrustParameters;
pub use validate::{OtaValidate, SignatureView, ValidateParameters, ValidateView};
