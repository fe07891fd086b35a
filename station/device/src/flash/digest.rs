//! MD5 over flash, computed by the chip.

use md5::{Digest, Md5};
use station_esp::command::{Opcode, Request, md5_from_body};

use super::prepared::{Md5Digest, blank_md5};
use crate::error::DeviceError;
use crate::loader::digest;
use crate::session::Session;

impl Session {
    /// The MD5 over a range of flash, computed by the chip.
    ///
    /// # Errors
    /// `FlashRange`, `SecureDownload`, a flash error of the loader, or an error of the link.
    pub async fn md5(&mut self, offset: u32, length: u32) -> Result<Md5Digest, DeviceError> {
        self.within_flash(offset, length)?;
        let request = Request::SpiFlashMd5 { offset, length };
        let reply = self
            .loader
            .ask_again(&request, digest(length.into()))
            .await?;
        md5_from_body(&reply.body).ok_or_else(|| DeviceError::Protocol {
            what: Opcode::SpiFlashMd5.word().into(),
            detail: format!("an answer of {} bytes", reply.body.len()),
        })
    }

    /// Whether a range of flash is erased.
    ///
    /// # Errors
    /// Those of [`Session::md5`].
    pub async fn is_blank(&mut self, offset: u32, length: u32) -> Result<bool, DeviceError> {
        Ok(self.md5(offset, length).await? == blank_md5(length))
    }

    /// Whether flash holds exactly `bytes` from `offset` on.
    ///
    /// # Errors
    /// Those of [`Session::md5`].
    pub async fn holds(&mut self, offset: u32, bytes: &[u8]) -> Result<bool, DeviceError> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let expected: Md5Digest = Md5::digest(bytes).into();
        Ok(self.matches(offset, length, &expected).await?.is_ok())
    }

    /// Whether the chip can compute an MD5 over its flash.
    pub(super) fn has_digest(&self) -> bool {
        self.loader.allows(Opcode::SpiFlashMd5).is_ok()
    }

    /// Whether a range has this MD5. A mismatch is asked for twice: the answer carries no checksum
    /// of its own.
    pub(super) async fn matches(
        &mut self,
        offset: u32,
        length: u32,
        expected: &Md5Digest,
    ) -> Result<Result<(), Md5Digest>, DeviceError> {
        if self.md5(offset, length).await? == *expected {
            return Ok(Ok(()));
        }
        let found = self.md5(offset, length).await?;
        Ok(if found == *expected {
            Ok(())
        } else {
            Err(found)
        })
    }
}
