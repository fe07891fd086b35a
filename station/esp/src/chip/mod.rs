//! The twelve chips, one table per chip, and what identifies a single one of them.
//!
//! Invariants: tables are constants and complete, a chip without a fact says so with `None`; image
//! ids are unique; every address is absolute. Facts come from the Espressif technical reference
//! manuals through espflash 4.7.0 (`target/mod.rs`, `target/efuse/*.rs`), cross-checked against the
//! values esptool 5.6 uses; where only one of them knows a fact, the field says which.

mod mac;
mod name;
mod revision;
mod spec;

mod esp32;
mod esp32c2;
mod esp32c3;
mod esp32c5;
mod esp32c6;
mod esp32c61;
mod esp32h2;
mod esp32h4;
mod esp32p4;
mod esp32s2;
mod esp32s3;
mod esp32s31;

#[cfg(test)]
mod tests;

pub use mac::{MacAddress, ParseMacError};
pub use name::{Chip, UnknownChip};
pub use revision::{ParseRevisionError, Revision};
pub use spec::{
    Architecture, ChipSpec, Crystal, FlashWriteSizes, MemoryKind, MemoryRegion, SecurityInfoShape,
    SpiRegisters, StrapRegisters, SuperWatchdog, UartRegisters, UartSource, UsbSupport,
    WatchdogRegisters,
};

impl Chip {
    /// The table of this chip.
    #[must_use]
    pub fn spec(self) -> &'static ChipSpec {
        match self {
            Self::Esp32 => &esp32::SPEC,
            Self::Esp32S2 => &esp32s2::SPEC,
            Self::Esp32S3 => &esp32s3::SPEC,
            Self::Esp32C2 => &esp32c2::SPEC,
            Self::Esp32C3 => &esp32c3::SPEC,
            Self::Esp32C5 => &esp32c5::SPEC,
            Self::Esp32C6 => &esp32c6::SPEC,
            Self::Esp32C61 => &esp32c61::SPEC,
            Self::Esp32H2 => &esp32h2::SPEC,
            Self::Esp32H4 => &esp32h4::SPEC,
            Self::Esp32P4 => &esp32p4::SPEC,
            Self::Esp32S31 => &esp32s31::SPEC,
        }
    }

    /// The chip with this id in image headers and in the answer to GET_SECURITY_INFO.
    #[must_use]
    pub fn from_image_id(id: u16) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|chip| chip.spec().image_id == id)
    }

    /// The chip with this word at [`ChipSpec::MAGIC_ADDRESS`].
    #[must_use]
    pub fn from_magic(magic: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|chip| chip.spec().magic == Some(magic))
    }
}
