//! Every operation, one file per family or larger operation, and the registry of them all.

pub mod approval;
pub mod attached;
pub mod bays;
pub mod cert;
pub mod chip;
mod columns;
pub mod connect;
pub mod console;
pub mod firmware;
pub mod flash;
mod flasher_args;
mod images;
pub mod journal;
pub mod keys;
mod latest;
pub mod nvs;
pub mod ota;
pub mod partition;
mod place;
pub mod production;
pub mod quality;
pub mod recipe;
pub mod release;
pub mod security;
mod source;
mod target;
mod text;
pub mod units;

pub use latest::Latest;
pub use production::BatchParameters;
pub(crate) use production::batch_order;
pub use quality::Selection;

use crate::operation::Registry;

/// Every operation the station has, in the order of the reference.
pub fn registry() -> Registry {
    line(trust(content(board(Registry::new()))))
}

/// Operations on one chip as it is attached: found, talked to, its flash.
fn board(registry: Registry) -> Registry {
    registry
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
}

/// Operations on what goes into a flash.
fn content(registry: Registry) -> Registry {
    registry
        .with::<firmware::ElfToBinary>()
        .with::<firmware::ElfToRamBinary>()
        .with::<firmware::BinaryMerge>()
        .with::<firmware::BinarySplit>()
        .with::<firmware::FirmwareAnalyze>()
        .with::<firmware::BootloaderBuild>()
        .with::<firmware::AppPrepare>()
        .with::<firmware::BinaryOptimize>()
        .with::<firmware::SizeAnalysis>()
        .with::<partition::PartitionRead>()
        .with::<partition::PartitionShow>()
        .with::<partition::PartitionConvert>()
        .with::<partition::PartitionCreateOta>()
        .with::<partition::PartitionCustom>()
        .with::<partition::PartitionAnalyze>()
        .with::<partition::PartitionFlash>()
        .with::<nvs::NvsCreate>()
        .with::<nvs::NvsRead>()
        .with::<nvs::NvsKeysMake>()
        .with::<cert::CertCreate>()
        .with::<cert::CertRead>()
        .with::<cert::MatterCreate>()
        .with::<ota::PackageCreate>()
        .with::<ota::OtaValidate>()
        .with::<ota::OtaStatus>()
        .with::<ota::OtaSet>()
        .with::<ota::OtaRollback>()
        .with::<ota::PartitionSetup>()
        .with::<ota::FlashPrepare>()
        .with::<ota::OtaDeploy>()
}

/// Operations of security: fuses, keys, signatures.
fn trust(registry: Registry) -> Registry {
    registry
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
}

/// Operations of the line: runs, what they may do, what the record says.
fn line(registry: Registry) -> Registry {
    registry
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
