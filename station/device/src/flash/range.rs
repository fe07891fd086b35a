//! Ranges of flash that an operation may touch.

use super::split::SECTOR;
use crate::error::DeviceError;
use crate::session::Session;

impl Session {
    /// Makes sure that a range lies in the flash.
    pub(super) fn within_flash(&self, offset: u32, length: u32) -> Result<(), DeviceError> {
        let end = u64::from(offset) + u64::from(length);
        if end <= u64::from(self.flash_size) {
            return Ok(());
        }
        Err(DeviceError::FlashRange {
            offset,
            length,
            size: self.flash_size,
        })
    }

    /// Makes sure that a range is made of whole sectors of the flash.
    pub(super) fn whole_sectors(&self, offset: u32, length: u32) -> Result<(), DeviceError> {
        let sector = SECTOR as u32;
        if !offset.is_multiple_of(sector) || !length.is_multiple_of(sector) || length == 0 {
            return Err(DeviceError::InvalidInput {
                what: format!("0x{offset:x} + 0x{length:x}"),
                detail: format!("is not a number of whole sectors of 0x{sector:x} bytes"),
            });
        }
        self.within_flash(offset, length)
    }
}
