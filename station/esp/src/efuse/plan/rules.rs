//! What is legal bit by bit and still destroys a product.
//!
//! Invariants: rules look at what the chip will be after the plan and speak only about what the
//! plan changes; a danger somebody may want is named by [`Danger`], anything else is refused.
//!
//! Sources: ESP-IDF's security guides (flash encryption, secure boot v1 and v2, host-based security
//! workflows), its errata notes and Kconfig help texts; each chip's technical reference manual.

use crate::chip::{Chip, Revision};
use crate::efuse::map::{FuseBlock, KeyPurpose};

use super::bits::Bits;
use super::draft::{Draft, scheme};
use super::guards::{self, RD_DIS, WR_DIS};
use super::pieces::KeyPlaces;
use super::{ContentPlan, Danger};

/// The fields that count switching flash encryption on; a chip has one of them.
pub(crate) const CRYPT_COUNT: [&str; 2] = ["SPI_BOOT_CRYPT_CNT", "FLASH_CRYPT_CNT"];
/// The fields that switch secure boot on.
pub(crate) const SECURE_BOOT: [&str; 3] = ["SECURE_BOOT_EN", "ABS_DONE_0", "ABS_DONE_1"];
/// The fields that close or narrow download mode.
pub(crate) const DOWNLOAD: [&str; 3] = [
    "ENABLE_SECURITY_DOWNLOAD",
    "DIS_DOWNLOAD_MODE",
    "UART_DOWNLOAD_DIS",
];
/// The digest slots of secure boot and the bits that revoke them.
pub(crate) const DIGESTS: [(&str, &str); 3] = [
    ("SECURE_BOOT_DIGEST0", "SECURE_BOOT_KEY_REVOKE0"),
    ("SECURE_BOOT_DIGEST1", "SECURE_BOOT_KEY_REVOKE1"),
    ("SECURE_BOOT_DIGEST2", "SECURE_BOOT_KEY_REVOKE2"),
];

impl Draft<'_> {
    /// Whether the plan sets any bit of a field.
    fn sets(&self, name: &str) -> bool {
        self.set_in(&self.missing(), name)
    }

    /// Whether the plan makes true what was not.
    pub(super) fn turns(&self, is: impl Fn(&Self, &Bits) -> bool) -> bool {
        !is(self, &self.now) && is(self, &self.end())
    }

    /// Everything that looks at the whole of the plan.
    pub(super) fn check_rules(&mut self) {
        self.check_purposes();
        self.check_hiding();
        self.check_scheme();
        self.check_encryption();
        self.check_secure_boot();
        self.check_usb();
        self.check_download();
    }

    /// The block a key of this purpose lies in, given bits.
    pub(crate) fn slot_of(&self, bits: &Bits, purpose: &KeyPurpose) -> Option<&'static FuseBlock> {
        self.map.key_slots().find(|block| {
            let field = block.purpose.and_then(|name| self.map.field(name));
            field.is_some_and(|field| bits.number(field) == u64::from(purpose.code))
        })
    }

    /// Whether a block holds something: bits, or it is hidden.
    pub(super) fn holds(&self, bits: &Bits, block: &FuseBlock) -> bool {
        !bits.is_blank(block.number)
            || guards::hidden_words(self.map, &self.now, block).contains(&true)
    }

    /// Purposes set as plain fields must fit their slot, too.
    fn check_purposes(&mut self) {
        let (missing, end) = (self.missing(), self.end());
        for block in self.map.key_slots() {
            let Some(field) = block.purpose.and_then(|name| self.map.field(name)) else {
                continue;
            };
            if !missing.touches(field) {
                continue;
            }
            let code = end.number(field);
            let purpose = u8::try_from(code)
                .ok()
                .and_then(|code| self.map.purpose_code(code));
            match purpose {
                None => {
                    let what = format!("no purpose has the code {code}");
                    self.refuse(
                        "purpose-unknown",
                        field.name,
                        what,
                        "wish a purpose by name",
                    );
                }
                Some(purpose) if purpose.unfit.contains(&block.number) => {
                    let what = format!("its hardware cannot use `{}`", purpose.name);
                    if !self.refused("slot-unfit", block.name) {
                        self.refuse("slot-unfit", block.name, what, "take another key block");
                    }
                }
                Some(_) => {}
            }
        }
    }

    fn refused(&self, code: &str, place: &str) -> bool {
        let mut refusals = self.refusals.iter();
        refusals.any(|one| one.code == code && one.place == place)
    }

    /// Digests, and keys without a purpose, must stay readable.
    fn check_hiding(&mut self) {
        let (missing, end) = (self.missing(), self.end());
        for block in self.map.blocks {
            let newly = guards::read_guards(block).into_iter();
            let newly: Vec<u8> = newly
                .filter(|index| guards::guard_set(self.map, &missing, RD_DIS, *index))
                .collect();
            if newly.is_empty() {
                continue;
            }
            if let Some(why) = self.must_stay_readable(block, &end, &newly) {
                let hint = "leave the read protection out";
                self.refuse("must-stay-readable", block.name, why, hint);
            }
        }
    }

    fn must_stay_readable(&self, block: &FuseBlock, end: &Bits, newly: &[u8]) -> Option<String> {
        let wished = |purpose: &str| {
            let mut keys = self.wish.keys.iter();
            keys.any(|key| key.purpose == purpose)
        };
        if self.map.chip == Chip::Esp32 {
            let v2 = wished("secure_boot_v2") || self.set_in(end, "ABS_DONE_1");
            let digest = block.number == 2 && v2;
            return digest.then(|| "the ROM must read the digest of secure boot v2".to_owned());
        }
        if self.map.chip == Chip::Esp32C2 {
            let digest = wished("SECURE_BOOT_DIGEST") || self.set_in(end, "SECURE_BOOT_EN");
            let whole = wished("XTS_AES_128_KEY") || self.set_in(end, "XTS_KEY_LENGTH_256");
            let high = newly.contains(&1) && digest && !whole;
            return high.then(|| "the ROM must read the digest of secure boot".to_owned());
        }
        let field = block.purpose.and_then(|name| self.map.field(name))?;
        let code = u8::try_from(end.number(field)).ok()?;
        let purpose = self.map.purpose_code(code)?;
        let open = !purpose.hidden;
        open.then(|| {
            format!(
                "a block for `{}` must be readable to be of use",
                purpose.name
            )
        })
    }

    /// ESP32: the coding scheme is not changed under content.
    fn check_scheme(&mut self) {
        let end = self.end();
        if !self.sets("CODING_SCHEME") || self.map.chip != Chip::Esp32 {
            return;
        }
        let value = scheme(self.map, &end);
        if value == 2 {
            let what = "the coding scheme REPEAT is not supported";
            self.refuse(
                "scheme-unsupported",
                "CODING_SCHEME",
                what,
                "wish NONE or 3/4",
            );
        }
        let content = (1..=3).any(|block| {
            let block = self.map.block(block);
            block.is_some_and(|block| self.holds(&end, block))
        });
        if content {
            let what = "it would change the meaning of blocks that hold something";
            let hint = "burn the scheme first, alone, on a chip with blank blocks";
            self.refuse("scheme-with-content", "CODING_SCHEME", what, hint);
        }
    }

    fn encrypts(&self, bits: &Bits) -> bool {
        let mut counts = CRYPT_COUNT.iter().filter_map(|name| self.map.field(name));
        counts.any(|field| bits.number(field).count_ones() % 2 == 1)
    }

    fn has_encryption_key(&self, bits: &Bits) -> bool {
        match KeyPlaces::of(self.map.chip) {
            KeyPlaces::Fixed => self
                .map
                .block(1)
                .is_some_and(|block| self.holds(bits, block)),
            KeyPlaces::Halves => {
                let block = self.map.block_named("BLOCK_KEY0");
                block.is_some_and(|block| {
                    let low = bits
                        .block(block.number)
                        .iter()
                        .take(4)
                        .any(|word| *word != 0);
                    low || guards::hidden_words(self.map, &self.now, block).contains(&true)
                })
            }
            KeyPlaces::Slots => {
                let managed = self.set_in(bits, "FORCE_USE_KEY_MANAGER_KEY");
                let has = |name: &str| {
                    let purpose = self.map.purpose(name);
                    let block = purpose.and_then(|purpose| self.slot_of(bits, purpose));
                    block.is_some_and(|block| self.holds(bits, block))
                };
                let wide = has("XTS_AES_256_KEY_1") && has("XTS_AES_256_KEY_2");
                managed || has("XTS_AES_128_KEY") || wide
            }
        }
    }

    fn check_encryption(&mut self) {
        let end = self.end();
        let Some(field) = CRYPT_COUNT.iter().find_map(|name| self.map.field(name)) else {
            return;
        };
        if self.missing().touches(field) && !self.encrypts(&end) && end.touches(field) {
            self.warn(format!(
                "`{}` gets an even number of bits: flash encryption is off",
                field.name
            ));
        }
        if !self.turns(Self::encrypts) {
            return;
        }
        if !self.has_encryption_key(&end) {
            let what = "no key block holds a whole key for flash encryption";
            let hint = "wish the key with its purpose in the same plan, or burn it before";
            self.refuse("encryption-without-key", field.name, what, hint);
        }
        match self.wish.content.encrypted {
            ContentPlan::Written => {}
            ContentPlan::Unknown => {
                let what = "nobody says how flash gets its ciphertext";
                let hint = "write the ciphertext first, or leave it to the bootloader";
                self.dare(Danger::EncryptionWithoutContent, field.name, what, hint);
            }
            // ESP-IDF, `esp_flash_encrypt_check_and_update`: an odd count means that it is done.
            ContentPlan::ByBootloader => {
                let what = "a bootloader that is to encrypt does so while this is even, and burns \
                            it itself when it is done";
                let hint = "burn the key and leave this to the bootloader";
                self.dare(Danger::EncryptionWithoutContent, field.name, what, hint);
            }
        }
        if let Some(config) = self.map.field("FLASH_CRYPT_CONFIG")
            && end.number(config) != 0xF
        {
            self.warn("`FLASH_CRYPT_CONFIG` is not 0xf: the key is not varied over all of flash");
        }
    }

    /// The digests secure boot would accept.
    fn digests(&self, bits: &Bits) -> Vec<Vec<u8>> {
        let bytes = |block: &FuseBlock, words: std::ops::Range<usize>| {
            let words = bits.block(block.number).get(words).unwrap_or(&[]);
            words
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .collect::<Vec<u8>>()
        };
        let found = match KeyPlaces::of(self.map.chip) {
            KeyPlaces::Fixed => vec![self.map.block(2).map(|block| bytes(block, 0..8))],
            KeyPlaces::Halves => {
                let block = self.map.block_named("BLOCK_KEY0");
                vec![block.map(|block| bytes(block, 4..8))]
            }
            KeyPlaces::Slots => {
                let valid = DIGESTS
                    .iter()
                    .filter(|(_, revoke)| !self.set_in(bits, revoke));
                let block = |name: &str| {
                    let purpose = self.map.purpose(name)?;
                    let block = self.slot_of(bits, purpose)?;
                    Some(bytes(block, 0..8))
                };
                valid.map(|(name, _)| block(name)).collect()
            }
        };
        let found = found.into_iter().flatten();
        found
            .filter(|digest| digest.iter().any(|byte| *byte != 0))
            .collect()
    }

    fn check_secure_boot(&mut self) {
        self.check_first_secure_boot();
        let end = self.end();
        let on = |draft: &Self, bits: &Bits| draft.set_in(bits, "SECURE_BOOT_EN");
        let v2 = |draft: &Self, bits: &Bits| draft.set_in(bits, "ABS_DONE_1");
        if self.turns(v2) && self.snapshot.revision < Revision::new(3, 0) {
            let what = format!("revision {} has no such ROM", self.snapshot.revision);
            let hint = "secure boot v2 needs revision 3.0 or later";
            self.refuse("revision-too-old", "ABS_DONE_1", what, hint);
        }
        let enabled = on(self, &end) || v2(self, &end);
        let name = if self.map.chip == Chip::Esp32 {
            "ABS_DONE_1"
        } else {
            "SECURE_BOOT_EN"
        };
        let revokes = DIGESTS.iter().any(|(_, revoke)| self.sets(revoke));
        if enabled && (self.turns(on) || self.turns(v2) || revokes) {
            self.check_digests(name, &end);
        }
        let open = !guards::guard_set(self.map, &end, WR_DIS, 0);
        if enabled && open && (self.turns(on) || self.turns(v2)) {
            self.warn("`RD_DIS` stays writable: whoever can burn fuses can hide the digest");
        }
    }

    fn check_digests(&mut self, name: &str, end: &Bits) {
        let digests = self.digests(end);
        if digests.is_empty() {
            let what = "no digest of a public key is there that is not revoked";
            let hint = "wish a digest in the same plan, or burn it before";
            return self.refuse("secure-boot-without-digest", name, what, hint);
        }
        let signed = &self.wish.content.signed_by;
        let known = signed.iter().any(|by| {
            let mut fitting = digests.iter();
            fitting.any(|digest| by.starts_with(digest))
        });
        if known {
            return;
        }
        if signed.is_empty() {
            let what = "no bootloader signed by one of its keys is known to be in flash";
            let hint = "write the signed bootloader first";
            self.dare(Danger::SecureBootWithoutSignedContent, name, what, hint);
        } else {
            let what = "the bootloader in flash is signed by none of the keys";
            let hint = "sign it with a key whose digest is burned, or burn the right digest";
            self.refuse("secure-boot-signed-by-other", name, what, hint);
        }
    }

    fn check_usb(&mut self) {
        let (missing, end) = (self.missing(), self.end());
        let both = ["DIS_USB_JTAG", "DIS_USB_SERIAL_JTAG"];
        let all = both.iter().all(|name| self.set_in(&end, name));
        let touched = both.iter().any(|name| self.set_in(&missing, name));
        if self.map.chip == Chip::Esp32S3 && all && touched {
            let what = "with DIS_USB_JTAG and DIS_USB_SERIAL_JTAG both set its ROM does not start";
            let hint = "set one of them; DIS_USB_OTG and DIS_USB_SERIAL_JTAG_DOWNLOAD_MODE help";
            self.refuse("usb-rom-fault", "DIS_USB_SERIAL_JTAG", what, hint);
        }
        if self.turns(Self::usb_closed) {
            let what = "neither programming nor debugging over USB is left";
            let hint = "leave one of the USB ways open";
            self.dare(Danger::UsbClosed, "USB", what, hint);
        }
    }

    /// Whether every way of USB into the chip is closed, on chips that have one.
    fn usb_closed(&self, bits: &Bits) -> bool {
        let has = |name: &str| self.map.field(name).is_some();
        let set = |name: &str| self.set_in(bits, name);
        let serial = set("DIS_USB_SERIAL_JTAG") || set("DIS_USB_SERIAL_JTAG_DOWNLOAD_MODE");
        let jtag = set("DIS_USB_JTAG") || set("DIS_USB_SERIAL_JTAG");
        if has("DIS_USB_SERIAL_JTAG_DOWNLOAD_MODE") {
            let otg = ["DIS_USB_OTG", "DIS_USB_OTG_DOWNLOAD_MODE"];
            let otg = !otg.iter().any(|name| has(name)) || otg.iter().any(|name| set(name));
            serial && jtag && otg
        } else {
            set("DIS_USB") || set("DIS_USB_DOWNLOAD_MODE")
        }
    }

    fn check_download(&mut self) {
        for name in ["DIS_DOWNLOAD_MODE", "UART_DOWNLOAD_DIS"] {
            if !self.sets(name) {
                continue;
            }
            let what = "the chip can never be programmed or asked by a station again";
            let hint = "make sure everything else is done, or use secure download mode";
            self.dare(Danger::DownloadClosed, name, what, hint);
            if self.map.chip == Chip::Esp32 && self.snapshot.revision < Revision::new(3, 0) {
                let text = format!("revision {} ignores `{name}`", self.snapshot.revision);
                self.warn(text);
            }
        }
        let revision = self.snapshot.revision;
        if self.map.chip == Chip::Esp32P4
            && self.sets("ENABLE_SECURITY_DOWNLOAD")
            && revision >= Revision::new(3, 1)
        {
            let powered =
                revision >= Revision::new(3, 2) && self.set_in(&self.end(), "DOWNLOAD_MODE_XPD_ON");
            if !powered {
                let what = "its flash has no power in secure download mode";
                let hint =
                    "write everything before; from revision 3.2 on DOWNLOAD_MODE_XPD_ON helps";
                let danger = Danger::FlashUnreachableInSecureDownload;
                self.dare(danger, "ENABLE_SECURITY_DOWNLOAD", what, hint);
            }
        }
        let keyed = self.wish.keys.iter().any(|key| is_encryption(&key.purpose));
        let closing = DOWNLOAD.iter().any(|name| self.sets(name));
        if closing && keyed && !self.encrypts(&self.end()) {
            self.warn("download mode is closed, a key for encryption is there, encryption is off");
        }
    }
}

fn is_encryption(purpose: &str) -> bool {
    purpose.starts_with("XTS_") || purpose == "flash_encryption"
}
