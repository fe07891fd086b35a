//! Which flash chip a board carries.
//!
//! Invariant: a size comes from the chip's own id, read twice the same; an id that no flash chip can
//! have is an error and not a default.

use station_esp::chip::ChipSpec;
use station_esp::command::Request;
use station_esp::flash::JedecId;

use crate::error::DeviceError;
use crate::loader::{Loader, PROMPT};
use crate::session::{FlashIdentity, Session};

/// "Read identification", the same on every serial flash chip (JEDEC JESD216).
const READ_ID: u8 = 0x9F;

/// Asks the flash chip who it is.
pub(crate) async fn identify(
    loader: &mut Loader,
    spec: &ChipSpec,
) -> Result<FlashIdentity, DeviceError> {
    let answer = loader.flash_command(spec, READ_ID, 24).await?;
    let id = JedecId::from_register(answer);
    let jedec = u32::from_be_bytes([0, id.maker, id.family, id.capacity]);
    if !id.is_present() {
        return Err(DeviceError::FlashId {
            jedec,
            detail: "nothing answers".into(),
        });
    }
    let size = id.size().ok_or_else(|| DeviceError::FlashId {
        jedec,
        detail: format!("no size has the code 0x{:02x}", id.capacity),
    })?;
    Ok(FlashIdentity {
        jedec,
        maker: id.maker_name(),
        size,
    })
}

/// Tells the loader how large the flash is.
pub(crate) async fn set_parameters(loader: &mut Loader, size: u32) -> Result<(), DeviceError> {
    let request = Request::SpiSetParams {
        id: 0,
        total_size: size,
        block_size: 64 * 1024,
        sector_size: 4096,
        page_size: 256,
        status_mask: 0xFFFF,
    };
    loader.ask_again(&request, PROMPT).await.map(drop)
}

impl Session {
    /// Asks the flash chip who it is, again.
    ///
    /// # Errors
    /// `FlashId` when no flash chip answers, `SecureDownload`, or an error of the link.
    pub async fn flash_id(&mut self) -> Result<FlashIdentity, DeviceError> {
        identify(&mut self.loader, self.spec).await
    }

    /// The size of the flash in bytes; what was assumed, in secure download mode.
    #[must_use]
    pub fn flash_size(&self) -> u32 {
        self.flash_size
    }
}
