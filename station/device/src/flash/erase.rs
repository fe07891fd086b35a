//! Making flash blank.

use station_esp::command::Request;

use crate::error::DeviceError;
use crate::loader::{CHIP_ERASE, erase};
use crate::session::Session;

impl Session {
    /// Erases whole sectors.
    ///
    /// # Errors
    /// `InvalidInput` for a range that is not made of sectors, `FlashRange`, `Unsupported` without
    /// the stub (no ROM can erase without writing), `SecureDownload`, a flash error of the stub, or
    /// an error of the link.
    pub async fn erase_region(&mut self, offset: u32, length: u32) -> Result<(), DeviceError> {
        self.whole_sectors(offset, length)?;
        let request = Request::EraseRegion { offset, length };
        self.loader
            .ask_again(&request, erase(length.into()))
            .await
            .map(drop)
    }

    /// Erases all of the flash.
    ///
    /// # Errors
    /// `Unsupported` without the stub, `SecureDownload`, a flash error of the stub, or an error of
    /// the link.
    pub async fn erase_flash(&mut self) -> Result<(), DeviceError> {
        self.loader
            .ask(&Request::EraseFlash, CHIP_ERASE)
            .await
            .map(drop)
    }
}
