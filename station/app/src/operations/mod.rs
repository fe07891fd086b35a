//! Every operation, one file per family or larger operation, and the registry of them all.

pub mod approval;
pub mod attached;
pub mod bays;
pub mod chip;
pub mod connect;
pub mod console;
pub mod flash;
mod images;
pub mod journal;
pub mod keys;
pub mod partition;
pub mod production;
pub mod quality;
pub mod recipe;
pub mod release;
pub mod security;
mod text;
pub mod units;

pub use production::BatchParameters;
pub use quality::Selection;

use crate::operation::Registry;

/// Every operation the station has, in the order of the reference.
pub fn registry() -> Registry {
    Registry::new()
        .with::<bays::ScanPorts>()
        .with::<chip::DetectChip>()
        .with::<chip::ChipInfo>()
        .with::<connect::ConnectAdvanced>()
        .with::<connect::TestConnection>()
        .with::<console::ResetChip>()
        .with::<chip::MacAddressRead>()
        .with::<console::SerialMonitor>()
        .with::<flash::FlashFirmware>()
        .with::<flash::FlashMulti>()
        .with::<flash::FlashRead>()
        .with::<flash::FlashErase>()
        .with::<flash::FlashId>()
        .with::<flash::FlashVerify>()
        .with::<flash::FlashEncrypt>()
        .with::<partition::PartitionRead>()
        .with::<security::SecurityAudit>()
        .with::<security::SecurityValidate>()
        .with::<security::SecurityConfigure>()
        .with::<security::EfuseRead>()
        .with::<security::EfusePlan>()
        .with::<security::EfuseBurn>()
        .with::<security::EncryptionEnable>()
        .with::<security::SecureBootEnable>()
        .with::<keys::KeyGenerate>()
        .with::<keys::KeyImport>()
        .with::<keys::KeyList>()
        .with::<keys::KeyEscrow>()
        .with::<keys::KeyForget>()
        .with::<security::PublicKeyDigest>()
        .with::<security::ImageSign>()
        .with::<security::ImageVerifySignature>()
        .with::<production::BatchProgram>()
        .with::<recipe::RecipeCheck>()
        .with::<release::RecipeRelease>()
        .with::<release::RecipeWithdraw>()
        .with::<release::RecipeReleaseList>()
        .with::<approval::ApprovalList>()
        .with::<approval::ApprovalGrant>()
        .with::<units::UnitQuarantineList>()
        .with::<units::UnitRelease>()
        .with::<production::RunStatus>()
        .with::<production::RunEvents>()
        .with::<production::RunCancel>()
        .with::<production::RunList>()
        .with::<production::BayStart>()
        .with::<production::BayClear>()
        .with::<quality::UnitTrace>()
        .with::<quality::Yield>()
        .with::<quality::FailurePareto>()
        .with::<journal::JournalVerify>()
        .with::<journal::JournalRebuild>()
        .with::<journal::JournalBackup>()
}
