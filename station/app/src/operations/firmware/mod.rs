//! Images on the host: made of an ELF, merged and split, looked at, changed, prepared for a target.
//!
//! Invariants: nothing here touches a board; a file that cannot be written is refused before any work, and
//! what is written is written whole; what comes out is what the library makes, which equals Espressif's
//! tools byte for byte.

mod analyze;
mod bootloader;
mod elf;
mod merge;
mod optimize;
mod prepare;
mod report;
mod settings;
mod size;
mod sources;
mod split;

pub use analyze::{AnalyzeParameters, FirmwareAnalyze};
pub use bootloader::{BootloaderBuild, BootloaderParameters, BootloaderView};
pub use elf::{ElfParameters, ElfToBinary, ElfToRamBinary, MadeView, RamParameters, SecurePadding};
pub use merge::{BinaryMerge, MergeForm, MergeParameters, MergeView, MergedView};
pub use optimize::{BinaryOptimize, LevelView, OptimizeParameters, OptimizeView, PointView};
pub use prepare::{AppPrepare, EncryptedView, PrepareParameters, PrepareView, SignedView};
pub use report::{
    AnalyzeView, AppView, BootView, ChecksumView, HashView, HeaderView, ImageSignatureView,
    RefusedView, SegmentView,
};
pub use settings::{FlashParameters, Mode, RevisionParameters};
pub use size::{
    FitView, RegionView, SectionView, SizeAnalysis, SizeParameters, SizeView, SymbolView,
};
pub use split::{BinarySplit, PieceView, SplitParameters, SplitView};
