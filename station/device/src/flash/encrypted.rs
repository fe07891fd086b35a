//! Writing an image that the chip encrypts on its way into flash.
//!
//! Invariants: every byte is written, erased flash included, because it would be decrypted into
//! something else; nothing is compared or proven, for flash holds what only the chip can make; a
//! chip that was told to refuse this is not asked.

use station_esp::Chip;
use station_esp::command::{DataBlock, Dialect, FlashBegin, Opcode, Request};
use station_esp::efuse::map::{FuseField, FuseMap, fuse_map};
use station_esp::efuse::{EfuseImage, FieldName};
use station_esp::slip;
use tokio::time::Instant;

use super::prepared::PreparedImage;
use super::progress::{Phase, ProgressSink};
use super::write::{WriteOptions, Writer, Written};
use crate::error::DeviceError;
use crate::loader::{erase, program};
use crate::session::Session;

/// Bytes that the chip's encryption takes at once, which what is sent is filled up to; esptool fills
/// up to the same, so that both leave the same flash.
const fn alignment(chip: Chip) -> u32 {
    if matches!(chip, Chip::Esp32) { 32 } else { 16 }
}

impl Session {
    /// Writes the plain bytes of an image so that the chip encrypts them with the key in its fuses.
    /// Ciphertext made by the station is written with [`Session::write`] as it is.
    ///
    /// A region that the link spoiled is begun again up to `retries` times. The result is never
    /// verified.
    ///
    /// # Errors
    /// `Unsupported` where loader or fuses do not allow it; `FlashRange`; `FlashWrite` when the chip
    /// reports that its flash failed; or an error of the link.
    pub async fn write_encrypted(
        &mut self,
        image: &PreparedImage,
        retries: u32,
        progress: &dyn ProgressSink,
    ) -> Result<Written, DeviceError> {
        let length = u32::try_from(image.bytes().len()).unwrap_or(u32::MAX);
        let padded = length
            .checked_next_multiple_of(alignment(self.spec.chip))
            .unwrap_or(u32::MAX);
        self.within_flash(image.offset(), padded)?;
        self.may_encrypt()?;
        self.has_its_key().await?;
        let (start, sent) = (Instant::now(), self.loader.wire().sent());
        let how = WriteOptions {
            skip_unchanged: false,
            verify: false,
            retries,
        };
        let mut writer = Writer {
            session: self,
            image,
            how: &how,
            progress,
            done: 0,
            restarts: 0,
        };
        let mut tries = 0;
        while let Err(error) = writer.send_for_encryption(padded).await {
            writer.begin_again(&mut tries, error).await?;
        }
        writer.tell(Phase::Write, length);
        let restarts = writer.restarts;
        Ok(Written {
            skipped: false,
            bytes: length.into(),
            wire_bytes: self.loader.wire().sent() - sent,
            took: start.elapsed(),
            verified: false,
            restarts,
        })
    }

    /// Whether loader and fuses let the chip encrypt what is sent to it.
    fn may_encrypt(&self) -> Result<(), DeviceError> {
        let refuse = |detail: String| {
            Err(DeviceError::Unsupported {
                what: "encryption of a download by the chip".into(),
                detail,
            })
        };
        let dialect = self.loader.dialect();
        if !self.spec.begin_has_encrypt_word(dialect) {
            return refuse(format!(
                "the {} of {} cannot; the stub can",
                dialect.word(),
                self.spec.chip.title()
            ));
        }
        // In secure download mode the fuses are not known, and the chip itself refuses.
        let Some(fuses) = &self.identity.fuses else {
            return Ok(());
        };
        let refused = fuses.read(FieldName::DisableDownloadEncrypt);
        if refused.is_some_and(|value| value != 0) {
            return refuse(
                "its fuses forbid it for good; write ciphertext made by the station instead".into(),
            );
        }
        Ok(())
    }
}

/// ESP32: FLASH_CRYPT_CONFIG that lets the whole key follow the address.
const CRYPT_CONFIG: u64 = 0xF;
/// Purposes of a key that encrypts flash; the second half of a long one is never alone.
const FLASH_KEYS: [&str; 2] = ["XTS_AES_128_KEY", "XTS_AES_256_KEY_1"];

impl Session {
    /// The fuses must hold a key, and the ESP32 must mix it with the address as everybody else does:
    /// otherwise the chip writes what nothing can read back later. In secure download mode nobody
    /// can look.
    async fn has_its_key(&mut self) -> Result<(), DeviceError> {
        if self.loader.is_secure() {
            return Ok(());
        }
        let map = fuse_map(self.spec.chip, self.loader.revision());
        let refuse = |detail: &str| {
            Err(DeviceError::Unsupported {
                what: "encryption of a download by the chip".into(),
                detail: detail.into(),
            })
        };
        if !self.holds_flash_key(map).await? {
            return refuse("its fuses hold no key for flash encryption; burn one first");
        }
        match map.field("FLASH_CRYPT_CONFIG") {
            Some(field) if self.fuse(field).await? != CRYPT_CONFIG => {
                refuse("FLASH_CRYPT_CONFIG must be burned as 0xf first")
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn holds_flash_key(&mut self, map: &FuseMap) -> Result<bool, DeviceError> {
        if let Some(field) = map.field("FORCE_USE_KEY_MANAGER_KEY")
            && self.fuse(field).await? != 0
        {
            return Ok(true);
        }
        if !map.purposes.is_empty() {
            for slot in map.key_slots() {
                let Some(field) = slot.purpose.and_then(|name| map.field(name)) else {
                    continue;
                };
                let code = u8::try_from(self.fuse(field).await?).ok();
                let purpose = code.and_then(|code| map.purpose_code(code));
                if purpose.is_some_and(|purpose| FLASH_KEYS.contains(&purpose.name)) {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        // ESP32 and ESP32-C2: the first slot is for this key, hidden or with something in it.
        let Some(slot) = map.key_slots().next() else {
            return Ok(false);
        };
        if let Some(field) = map.field("RD_DIS") {
            let hidden = self.fuse(field).await?;
            if slot
                .read_disable
                .bits()
                .next()
                .is_some_and(|bit| hidden >> bit & 1 == 1)
            {
                return Ok(true);
            }
        }
        for word in 0..slot.words {
            let address = slot.read + u32::from(word) * 4;
            if self.loader.read_register_surely(address).await? != 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The value of a field of at most 64 bits, read now.
    async fn fuse(&mut self, field: &FuseField) -> Result<u64, DeviceError> {
        let mut fuses = EfuseImage::new(self.spec.chip);
        let map = fuses.map();
        for part in field.parts {
            for word in part.bit / 32..=(part.bit + part.width - 1) / 32 {
                let block = map.block(part.block);
                let word = u8::try_from(word).ok();
                if let Some(address) = word.and_then(|word| block?.word_address(word)) {
                    let value = self.loader.read_register_surely(address).await?;
                    fuses.set_word(address, value);
                }
            }
        }
        Ok(fuses.number(field).unwrap_or(0))
    }
}

impl Writer<'_> {
    /// All bytes in plain blocks, after an order to encrypt them.
    async fn send_for_encryption(&mut self, padded: u32) -> Result<(), DeviceError> {
        self.tell(Phase::Erase, 0);
        let dialect = self.session.loader.dialect();
        let sizes = self.session.spec.flash_write;
        // The ROM takes whole blocks, the stub as many bytes as were announced.
        let size = match dialect {
            Dialect::Rom => sizes.rom,
            Dialect::Stub => sizes.stub,
        };
        let start = self.image.offset();
        let begin = FlashBegin {
            erase_size: padded,
            blocks: padded.div_ceil(size),
            block_size: size,
            offset: start,
            encrypt: Some(true),
        };
        let begin = Request::FlashBegin(begin);
        let patience = erase(padded.into());
        if let Err(error) = self.session.loader.ask(&begin, patience).await {
            return Err(self.failed_at(start, 1, error));
        }
        let (mut raw, mut frame) = (Vec::new(), Vec::new());
        let content = self.image.bytes().clone();
        let mut reached = 0;
        for (sequence, data) in (0u32..).zip(content.chunks(size as usize)) {
            let mut block = data.to_vec();
            let whole = match dialect {
                Dialect::Rom => size,
                Dialect::Stub => {
                    (data.len() as u32).next_multiple_of(alignment(self.session.spec.chip))
                }
            };
            block.resize(whole as usize, 0xFF);
            raw.clear();
            frame.clear();
            Request::FlashData(DataBlock {
                sequence,
                data: &block,
            })
            .encode(dialect, &mut raw);
            slip::encode(&raw, &mut frame);
            // Two blocks: the stub answers once it has programmed the one before.
            let patience = program(u64::from(size) * 2);
            self.block(start + reached, Opcode::FlashData, &frame, patience)
                .await?;
            reached += data.len() as u32;
            self.tell(Phase::Write, reached);
        }
        if dialect == Dialect::Rom {
            return Ok(());
        }
        let end = Request::FlashEnd { reboot: false };
        match self.session.loader.ask(&end, program(size.into())).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failed_at(start + reached, 1, error)),
        }
    }
}
