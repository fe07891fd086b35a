//! The security of one chip, judged from its fuses.
//!
//! Invariants: pure; findings come worst first; every finding says what is so, why it matters and
//! what can be done.

use serde::Serialize;

use crate::chip::{Chip, MacAddress, Revision};
use crate::efuse::map::{FuseBlock, FuseMap};
use crate::efuse::plan::{
    Bits, CRYPT_COUNT, DIGESTS, RD_DIS, Snapshot, WR_DIS, guard_set, hidden_words,
};
use crate::words::counted;

/// The security of one chip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// The chip.
    pub chip: Chip,
    /// Its silicon.
    pub revision: Revision,
    /// The unit.
    pub mac: MacAddress,
    /// Whether only signed firmware starts.
    pub secure_boot: bool,
    /// Whether flash is encrypted.
    pub flash_encryption: bool,
    /// What download mode still does.
    pub download: &'static str,
    /// Every key block.
    pub slots: Vec<SlotState>,
    /// What is worth knowing, worst first.
    pub findings: Vec<Finding>,
}

/// One key block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlotState {
    /// Its name.
    pub block: &'static str,
    /// What it is for.
    pub purpose: String,
    /// Whether it holds something, as far as one can tell.
    pub used: bool,
    /// Whether software cannot read it.
    pub hidden: bool,
    /// Whether nobody can write it.
    pub closed: bool,
    /// Whether nobody can change what it is for.
    pub purpose_closed: bool,
}

/// One thing worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub grade: Grade,
    /// Stable, in kebab case.
    pub code: &'static str,
    /// What is so.
    pub what: String,
    /// Why it matters.
    pub why: &'static str,
    /// What can be done.
    pub fix: &'static str,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// The protection that seems to be there is not.
    Critical,
    /// A way in is open.
    Warning,
    /// Worth knowing.
    Note,
}

impl Grade {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// Judges the security of a chip.
#[must_use]
pub fn audit(snapshot: &Snapshot) -> Audit {
    let map = snapshot.map();
    let now = Bits::of(map, &snapshot.fuses);
    let mut inspection = Inspection {
        map,
        now,
        findings: Vec::new(),
    };
    inspection.damage(snapshot);
    inspection.encryption();
    inspection.secure_boot();
    inspection.debugging();
    inspection.download();
    let slots: Vec<_> = map
        .key_slots()
        .map(|block| inspection.slot(block))
        .collect();
    inspection.keys(&slots);
    let mut findings = inspection.findings.clone();
    findings.sort_by_key(|finding| finding.grade);
    Audit {
        chip: snapshot.chip,
        revision: snapshot.revision,
        mac: snapshot.mac,
        secure_boot: inspection.signed(),
        flash_encryption: inspection.encrypted(),
        download: inspection.download_state(),
        slots,
        findings,
    }
}

struct Inspection {
    map: &'static FuseMap,
    now: Bits,
    findings: Vec<Finding>,
}

impl Inspection {
    fn set(&self, name: &str) -> bool {
        let field = self.map.field(name);
        field.is_some_and(|field| self.now.touches(field))
    }

    fn lacks(&self, name: &str) -> bool {
        self.map.field(name).is_some() && !self.set(name)
    }

    fn find(
        &mut self,
        grade: Grade,
        code: &'static str,
        what: impl Into<String>,
        why: &'static str,
        fix: &'static str,
    ) {
        self.findings.push(Finding {
            grade,
            code,
            what: what.into(),
            why,
            fix,
        });
    }

    fn count(&self) -> (u32, u32) {
        let field = CRYPT_COUNT.iter().find_map(|name| self.map.field(name));
        field.map_or((0, 0), |field| {
            (self.now.number(field).count_ones(), field.width())
        })
    }

    fn encrypted(&self) -> bool {
        self.count().0 % 2 == 1
    }

    fn signed(&self) -> bool {
        ["SECURE_BOOT_EN", "ABS_DONE_0", "ABS_DONE_1"]
            .iter()
            .any(|name| self.set(name))
    }

    fn protected(&self) -> bool {
        self.encrypted() || self.signed()
    }

    fn closed(&self, name: &str) -> bool {
        let guard = self.map.field(name).and_then(|field| field.write_disable);
        guard.is_some_and(|index| guard_set(self.map, &self.now, WR_DIS, index))
    }

    fn damage(&mut self, snapshot: &Snapshot) {
        if !snapshot.fuses.mac_crc_matches() {
            let why = "the fuses are damaged or were misread";
            let what = "the factory MAC does not match its CRC";
            self.find(Grade::Critical, "mac-crc", what, why, "take the unit out");
        }
        for error in snapshot
            .errors
            .iter()
            .filter(|error| error.count > 0 || error.failed)
        {
            let name = self
                .map
                .block(error.block)
                .map_or("a block", |block| block.name);
            let grade = if error.failed {
                Grade::Critical
            } else {
                Grade::Warning
            };
            let what = format!(
                "the coding of `{name}` reports {}",
                counted(error.count, "error")
            );
            let why = "what it holds may not be what was burned";
            self.find(grade, "coding-errors", what, why, "take the unit out");
        }
    }

    fn encryption(&mut self) {
        let (set, width) = self.count();
        let name = CRYPT_COUNT
            .iter()
            .find(|name| self.map.field(name).is_some());
        let name = name.copied().unwrap_or("SPI_BOOT_CRYPT_CNT");
        if !self.encrypted() {
            let what = "flash is not encrypted";
            let why = "whoever has the board can read and copy its firmware";
            let fix = "burn a key and switch flash encryption on";
            self.find(Grade::Warning, "encryption-off", what, why, fix);
            return;
        }
        if set < width && !self.closed(name) {
            let what = format!("flash encryption is in development mode ({set} of {width} bits)");
            let why = "it can be switched off again";
            let fix = "set every bit of the count, or close it";
            self.find(Grade::Warning, "encryption-development", what, why, fix);
        }
        for own in [
            "DIS_DOWNLOAD_MANUAL_ENCRYPT",
            "DISABLE_DL_ENCRYPT",
            "DISABLE_DL_DECRYPT",
        ] {
            if self.lacks(own) {
                let what = format!("`{own}` is not set");
                let why = "download mode uses the key for whoever asks";
                self.find(Grade::Warning, "download-uses-key", what, why, "burn it");
            }
        }
        if let Some(config) = self.map.field("FLASH_CRYPT_CONFIG")
            && self.now.number(config) != 0xF
        {
            let what = "`FLASH_CRYPT_CONFIG` is not 0xf";
            let why = "the key is not varied over all of flash";
            self.find(
                Grade::Warning,
                "encryption-weak",
                what,
                why,
                "burn it to 0xf",
            );
        }
    }

    fn secure_boot(&mut self) {
        if !self.signed() {
            let what = "secure boot is off";
            let why = "whoever has the board can run own firmware on it";
            let fix = "burn a digest and switch secure boot on";
            return self.find(Grade::Warning, "secure-boot-off", what, why, fix);
        }
        if !guard_set(self.map, &self.now, WR_DIS, 0) {
            let what = "secure boot is on, and `RD_DIS` is still writable";
            let why = "whoever can burn fuses can hide the digest, and the product with it";
            self.find(
                Grade::Critical,
                "digest-can-be-hidden",
                what,
                why,
                "close RD_DIS",
            );
        }
        let mut valid = 0;
        for (purpose, revoke) in DIGESTS {
            let (there, revoked) = (self.has_key(purpose), self.set(revoke));
            valid += usize::from(there && !revoked);
            if revoked && there {
                let what = format!("`{purpose}` is revoked");
                let why = "firmware signed with its key no longer starts";
                self.find(Grade::Note, "digest-revoked", what, why, "nothing to do");
            }
            if !there && self.lacks(revoke) {
                let what = format!("`{purpose}` is unused and not revoked");
                let why = "whoever can burn fuses can add an own key";
                self.find(
                    Grade::Warning,
                    "digest-not-revoked",
                    what,
                    why,
                    "burn its revoke bit",
                );
            }
        }
        if valid == 0 && self.map.field(DIGESTS[0].1).is_some() {
            let what = "secure boot is on, and no digest is valid";
            let why = "no firmware starts";
            self.find(
                Grade::Critical,
                "no-valid-digest",
                what,
                why,
                "burn a digest if a slot is free",
            );
        }
    }

    fn debugging(&mut self) {
        let names = [
            "JTAG_DISABLE",
            "HARD_DIS_JTAG",
            "DIS_PAD_JTAG",
            "DIS_USB_JTAG",
        ];
        let open: Vec<_> = names.into_iter().filter(|name| self.lacks(name)).collect();
        for name in open {
            let grade = if self.protected() {
                Grade::Warning
            } else {
                Grade::Note
            };
            let what = format!("JTAG is open (`{name}` is not set)");
            let why = "a debugger reads memory and keys in use";
            self.find(grade, "jtag-open", what, why, "burn it");
        }
    }

    fn download_state(&self) -> &'static str {
        if self.set("DIS_DOWNLOAD_MODE") || self.set("UART_DOWNLOAD_DIS") {
            "closed"
        } else if self.set("ENABLE_SECURITY_DOWNLOAD") {
            "secure"
        } else {
            "open"
        }
    }

    fn download(&mut self) {
        if self.download_state() == "open" && self.protected() {
            let what = "download mode is open";
            let why = "it reads memory, fuses and flash";
            let fix = "switch secure download mode on, or download mode off";
            self.find(Grade::Warning, "download-open", what, why, fix);
        }
        for name in ["DIS_DIRECT_BOOT", "DIS_LEGACY_SPI_BOOT"] {
            if self.protected() && self.lacks(name) {
                let what = format!("`{name}` is not set");
                let why = "code in flash may start past the bootloader's checks";
                self.find(Grade::Warning, "direct-boot", what, why, "burn it");
            }
        }
    }

    fn has_key(&self, purpose: &str) -> bool {
        !super::slots_for(purpose, self.map, &self.now).is_empty()
    }

    fn slot(&self, block: &'static FuseBlock) -> SlotState {
        let field = block.purpose.and_then(|name| self.map.field(name));
        let code = field.map(|field| self.now.number(field));
        let purpose = code.and_then(|code| u8::try_from(code).ok());
        let purpose = purpose.and_then(|code| self.map.purpose_code(code));
        let hidden = hidden_words(self.map, &self.now, block).contains(&true);
        let guard = block.write_disable;
        SlotState {
            block: block.name,
            purpose: match (purpose, code) {
                (Some(purpose), _) => purpose.name.to_owned(),
                (None, Some(code)) => format!("unknown code {code}"),
                (None, None) => "fixed".to_owned(),
            },
            used: hidden || !self.now.is_blank(block.number),
            hidden,
            closed: guard.is_some_and(|index| guard_set(self.map, &self.now, WR_DIS, index)),
            purpose_closed: block.purpose.is_none_or(|name| self.closed(name)),
        }
    }

    fn keys(&mut self, slots: &[SlotState]) {
        for slot in slots.iter().filter(|slot| slot.used) {
            let secret = self
                .map
                .purpose(&slot.purpose)
                .is_some_and(|purpose| purpose.hidden);
            let digest = slot.purpose.starts_with("SECURE_BOOT_DIGEST");
            let name = format!("`{}` ({})", slot.block, slot.purpose);
            if secret && !slot.hidden {
                let why = "software reads the key";
                let fix = if guard_set(self.map, &self.now, WR_DIS, 0) {
                    "too late on this chip: RD_DIS is closed"
                } else {
                    "read-protect the block"
                };
                let what = format!("{name} is readable");
                self.find(Grade::Critical, "key-readable", what, why, fix);
            }
            if digest && slot.hidden {
                let what = format!("{name} is hidden");
                let why = "the ROM cannot read the digest";
                self.find(
                    Grade::Critical,
                    "digest-hidden",
                    what,
                    why,
                    "none on this chip",
                );
            }
            if !slot.closed {
                let what = format!("{name} is writable");
                let why = "further bits destroy the key";
                self.find(
                    Grade::Warning,
                    "key-writable",
                    what,
                    why,
                    "write-protect the block",
                );
            }
            if !slot.purpose_closed && slot.purpose != "USER" {
                let what = format!("what {name} is for can be changed");
                let why = "a key may become readable through another purpose";
                let fix = "write-protect its purpose field";
                self.find(Grade::Warning, "purpose-writable", what, why, fix);
            }
        }
        let rd_dis = self
            .map
            .field(RD_DIS)
            .is_some_and(|field| self.now.touches(field));
        let blank = slots.iter().all(|slot| !slot.used);
        if blank && !rd_dis {
            let what = "no key is burned";
            let why = "nothing on this chip is secret yet";
            self.find(Grade::Note, "no-keys", what, why, "nothing to do");
        }
    }
}
