//! Partition tables: read, shown, converted, made, analysed, written to a chip.
//!
//! Invariants: a table that breaks a rule is refused with the place of the mistake before anything is
//! written; a chip's table is replaced only where nothing that is in flash would be lost sight of.

mod analyze;
mod content;
mod convert;
mod flash;
mod layout;
mod read;
mod table;

pub use analyze::{AnalyzeParameters, AnalyzeView, PartitionAnalyze, RegionView};
pub use content::ContentView;
pub use convert::{ConvertParameters, ConvertView, Form, PartitionConvert};
pub use flash::{Change, ChangeView, FlashParameters, FlashTableView, PartitionFlash};
pub use layout::{
    CustomParameters, LayoutView, OtaParameters, PartitionCreateOta, PartitionCustom,
};
pub use read::{PartitionParameters, PartitionRead, PartitionShow, ShowParameters};
pub use table::{FindingView, PartitionView, RuleParameters, SecureBoot, TableView};
pub(super) use table::{refused, table_file};
