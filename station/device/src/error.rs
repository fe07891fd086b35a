//! What can go wrong between the station and one chip.
//!
//! Invariants:
//! - Every error has a class ([`DeviceError::class`]), and the class alone decides retry and blame.
//! - Codes ([`DeviceError::code`]) are stable, kebab-case, and named after the variant.
//! - An error never carries key material; what it quotes from a chip is bounded by who makes it.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use station_esp::command::Opcode;
use station_esp::words::counted;

use crate::address::AddressError;

/// The kind of trouble; decides retry and blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// No conversation with a chip came about.
    Contact,
    /// The conversation broke off or got garbled.
    Link,
    /// The chip reported that its flash failed.
    Flash,
    /// What was read back is not what was written.
    Verify,
    /// The application did not start or did not say what it must.
    Boot,
    /// A value is outside what the recipe allows.
    Limit,
    /// Something took longer than it may.
    Timeout,
    /// An eFuse could not be burned as planned.
    Efuse,
    /// Somebody stopped it.
    Cancelled,
    /// The station itself cannot do it.
    Station,
}

impl FailureClass {
    /// Every class, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Contact,
        Self::Link,
        Self::Flash,
        Self::Verify,
        Self::Boot,
        Self::Limit,
        Self::Timeout,
        Self::Efuse,
        Self::Cancelled,
        Self::Station,
    ];

    /// The word used in recipes, journals and output: `contact`, `link`, …
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Link => "link",
            Self::Flash => "flash",
            Self::Verify => "verify",
            Self::Boot => "boot",
            Self::Limit => "limit",
            Self::Timeout => "timeout",
            Self::Efuse => "efuse",
            Self::Cancelled => "cancelled",
            Self::Station => "station",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A text that names no failure class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no failure class")]
pub struct UnknownClass {
    /// What was given.
    pub text: String,
}

impl FromStr for FailureClass {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        Self::ALL
            .into_iter()
            .find(|class| class.word() == text)
            .ok_or_else(|| UnknownClass {
                text: text.to_owned(),
            })
    }
}

/// Why the station could not do something with one chip.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Nothing answered the bootloader's greeting.
    #[error("no answer from a chip on `{link}` after {}", counted(*.attempts, "attempt"))]
    NoAnswer {
        /// The link's name.
        link: String,
        /// Resets and greetings tried.
        attempts: u32,
    },
    /// Bytes came, none of them from a bootloader.
    #[error("only noise on `{link}`: {bytes} bytes, none of them an answer; last: `{sample}`")]
    NoiseOnly {
        /// The link's name.
        link: String,
        /// Bytes received.
        bytes: u64,
        /// The end of it, made printable and short.
        sample: String,
    },
    /// The chip runs, but its bootloader did not wait for a download.
    #[error("the chip on `{link}` started in mode `{mode}` instead of download mode")]
    WrongBootMode {
        /// The link's name.
        link: String,
        /// What its boot log said.
        mode: String,
    },
    /// The bay is empty.
    #[error("no board in `{place}`")]
    NoBoard {
        /// Bay or address.
        place: String,
    },
    /// The port could not be reached within its deadline or refused the connection.
    #[error("cannot reach `{link}`: {detail}")]
    Unreachable {
        /// The link's name.
        link: String,
        /// What the system said.
        detail: String,
    },
    /// An exchange was not finished in time.
    #[error("{what} took longer than {after:?}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// The deadline that passed.
        after: Duration,
    },
    /// A chip that had answered before did not answer this.
    #[error("no answer to {what} within {after:?}")]
    NoReply {
        /// The command, in words.
        what: String,
        /// The deadline that passed.
        after: Duration,
    },
    /// The port vanished or was closed from the other side.
    #[error("lost `{link}`: {detail}")]
    LinkLost {
        /// The link's name, or what was being done on it.
        link: String,
        /// What the system said.
        detail: String,
    },
    /// The chip answered something that fits no rule of the protocol.
    #[error("{what}: {detail}")]
    Protocol {
        /// The exchange.
        what: String,
        /// How the answer was wrong.
        detail: String,
    },
    /// The chip or the port does not do this baud rate.
    #[error("{baud} baud does not work: {detail}")]
    BaudRejected {
        /// The rate asked for.
        baud: u32,
        /// Who refused it and how.
        detail: String,
    },
    /// The ROM loader refused a command.
    #[error("the chip's loader refused {what}: {meaning} (0x{code:02x})")]
    Rom {
        /// The command, in words.
        what: String,
        /// Its opcode.
        opcode: u8,
        /// The error byte.
        code: u8,
        /// What Espressif calls it.
        meaning: String,
    },
    /// The flasher stub refused a command.
    #[error("the flasher stub refused {what}: {meaning} (0x{code:02x})")]
    Stub {
        /// The command, in words.
        what: String,
        /// Its opcode.
        opcode: u8,
        /// The error byte.
        code: u8,
        /// What Espressif calls it.
        meaning: String,
    },
    /// The stub did not come up after its upload.
    #[error("the flasher stub did not start: {detail}")]
    StubStart {
        /// What came instead of its greeting.
        detail: String,
    },
    /// The flash chip does not identify itself.
    #[error("flash id 0x{jedec:06x} is no flash chip: {detail}")]
    FlashId {
        /// The id read.
        jedec: u32,
        /// Why it is none.
        detail: String,
    },
    /// A range lies outside the flash.
    #[error("0x{offset:x} + 0x{length:x} bytes do not fit a flash of 0x{size:x} bytes")]
    FlashRange {
        /// Start.
        offset: u32,
        /// Length.
        length: u32,
        /// What there is.
        size: u32,
    },
    /// A block could not be written, however often it was tried.
    #[error(
        "`{name}`: block at 0x{offset:x} was not written after {}: {detail}",
        counted(*.tries, "try")
    )]
    FlashWrite {
        /// The image.
        name: String,
        /// Flash offset of the block.
        offset: u32,
        /// How often it was tried.
        tries: u32,
        /// The last answer.
        detail: String,
    },
    /// Flash holds something else than was written.
    #[error(
        "`{name}` at 0x{offset:x}, 0x{length:x} bytes: flash holds {found}, expected {expected}"
    )]
    VerifyMismatch {
        /// The image or region.
        name: String,
        /// Flash offset.
        offset: u32,
        /// Bytes compared.
        length: u32,
        /// MD5 (hex) that should be there.
        expected: String,
        /// MD5 (hex) that is.
        found: String,
    },
    /// The board carries another chip.
    #[error("found {found}, expected {expected}")]
    WrongChip {
        /// What is allowed.
        expected: String,
        /// What answered.
        found: String,
    },
    /// A chip this station does not know.
    #[error("unknown chip: {detail}")]
    UnsupportedChip {
        /// Ids it gave.
        detail: String,
    },
    /// Secure download mode leaves this command out.
    #[error("{what} is not possible in secure download mode")]
    SecureDownload {
        /// What was asked.
        what: String,
    },
    /// The chip, its loader or this link cannot do it.
    #[error("{what} is not supported: {detail}")]
    Unsupported {
        /// What was asked.
        what: String,
        /// By whom, and what can.
        detail: String,
    },
    /// The application did not say what it must.
    #[error("{what} did not come within {after:?}; last output: `{tail}`")]
    NotHeard {
        /// What was waited for.
        what: String,
        /// The deadline that passed.
        after: Duration,
        /// The end of what did come, made printable and short.
        tail: String,
    },
    /// The chip restarts again and again, or reports a panic.
    #[error("the application does not run: {detail}")]
    BootFailed {
        /// What its log said.
        detail: String,
    },
    /// The reset means did not work.
    #[error("reset through {means}: {detail}")]
    ResetFailed {
        /// The means, `modem lines`, `external command`.
        means: String,
        /// What went wrong.
        detail: String,
    },
    /// An image, a length or an option makes no sense.
    #[error("{what}: {detail}")]
    InvalidInput {
        /// Which.
        what: String,
        /// Why.
        detail: String,
    },
    /// Somebody else has the port.
    #[error("`{port}` is in use")]
    PortInUse {
        /// The port.
        port: String,
        /// Process id of the holder, where it is known.
        pid: Option<u32>,
    },
    /// The port exists and may not be opened.
    #[error("no permission to open `{port}`")]
    PortDenied {
        /// The port.
        port: String,
    },
    /// The port exists and does not work as a port.
    #[error("cannot open `{port}`: {detail}")]
    PortBroken {
        /// The port.
        port: String,
        /// What the system said.
        detail: String,
    },
    /// Two ports answer to one bay.
    #[error("bay `{bay}` is ambiguous: {ports}")]
    BayAmbiguous {
        /// The bay.
        bay: String,
        /// Names of the ports.
        ports: String,
    },
    /// An address that is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A task of the station ended before its work.
    #[error("{what} broke off inside the station: {detail}")]
    Internal {
        /// Which work.
        what: String,
        /// How.
        detail: String,
    },
    /// Somebody stopped it.
    #[error("cancelled")]
    Cancelled,
}

/// Error bytes by which the ROM reports the flash itself: 0x08 write, 0x09 read, 0x0a read length
/// (`esp-serial-flasher` and the ROM's own table).
const ROM_FLASH_CODES: [u8; 3] = [0x08, 0x09, 0x0a];
/// And the stub: 0xc4 SPI operation, 0xc5 unlock.
const STUB_FLASH_CODES: [u8; 2] = [0xc4, 0xc5];

/// What a refusal tells of: the flash, or a request that did not arrive as it was sent. A command
/// that does not touch flash cannot fail because of it, whatever its spoiled answer says.
fn refusal_class(opcode: u8, code: u8, flash_codes: &[u8]) -> FailureClass {
    let no_flash = [
        Opcode::Sync,
        Opcode::ReadReg,
        Opcode::WriteReg,
        Opcode::MemBegin,
        Opcode::MemData,
        Opcode::MemEnd,
        Opcode::ChangeBaudrate,
        Opcode::GetSecurityInfo,
    ];
    let touches = !no_flash.into_iter().any(|known| known as u8 == opcode);
    if touches && flash_codes.contains(&code) {
        FailureClass::Flash
    } else {
        FailureClass::Link
    }
}

impl DeviceError {
    /// The class, which decides retry and blame.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self {
            Self::NoAnswer { .. }
            | Self::NoiseOnly { .. }
            | Self::WrongBootMode { .. }
            | Self::NoBoard { .. }
            | Self::Unreachable { .. } => FailureClass::Contact,
            Self::Timeout { .. } => FailureClass::Timeout,
            Self::LinkLost { .. }
            | Self::NoReply { .. }
            | Self::Protocol { .. }
            | Self::BaudRejected { .. }
            | Self::StubStart { .. } => FailureClass::Link,
            Self::Rom { opcode, code, .. } => refusal_class(*opcode, *code, &ROM_FLASH_CODES),
            Self::Stub { opcode, code, .. } => refusal_class(*opcode, *code, &STUB_FLASH_CODES),
            Self::FlashId { .. } | Self::FlashWrite { .. } => FailureClass::Flash,
            Self::VerifyMismatch { .. } => FailureClass::Verify,
            Self::NotHeard { .. } | Self::BootFailed { .. } => FailureClass::Boot,
            Self::WrongChip { .. } | Self::FlashRange { .. } | Self::SecureDownload { .. } => {
                FailureClass::Limit
            }
            Self::UnsupportedChip { .. }
            | Self::Unsupported { .. }
            | Self::ResetFailed { .. }
            | Self::InvalidInput { .. }
            | Self::PortInUse { .. }
            | Self::PortDenied { .. }
            | Self::PortBroken { .. }
            | Self::BayAmbiguous { .. }
            | Self::Address(_)
            | Self::Internal { .. } => FailureClass::Station,
            Self::Cancelled => FailureClass::Cancelled,
        }
    }

    /// The stable code, `port-in-use`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoAnswer { .. } => "no-answer",
            Self::NoiseOnly { .. } => "noise-only",
            Self::WrongBootMode { .. } => "wrong-boot-mode",
            Self::NoBoard { .. } => "no-board",
            Self::Unreachable { .. } => "unreachable",
            Self::Timeout { .. } => "timeout",
            Self::NoReply { .. } => "no-reply",
            Self::LinkLost { .. } => "link-lost",
            Self::Protocol { .. } => "protocol",
            Self::BaudRejected { .. } => "baud-rejected",
            Self::Rom { .. } => "rom-refused",
            Self::Stub { .. } => "stub-refused",
            Self::StubStart { .. } => "stub-start",
            Self::FlashId { .. } => "flash-id",
            Self::FlashRange { .. } => "flash-range",
            Self::FlashWrite { .. } => "flash-write",
            Self::VerifyMismatch { .. } => "verify-mismatch",
            Self::WrongChip { .. } => "wrong-chip",
            Self::UnsupportedChip { .. } => "unsupported-chip",
            Self::SecureDownload { .. } => "secure-download",
            Self::Unsupported { .. } => "unsupported",
            Self::NotHeard { .. } => "not-heard",
            Self::BootFailed { .. } => "boot-failed",
            Self::ResetFailed { .. } => "reset-failed",
            Self::InvalidInput { .. } => "invalid-input",
            Self::PortInUse { .. } => "port-in-use",
            Self::PortDenied { .. } => "port-denied",
            Self::PortBroken { .. } => "port-broken",
            Self::BayAmbiguous { .. } => "bay-ambiguous",
            Self::Address(_) => "address",
            Self::Internal { .. } => "internal",
            Self::Cancelled => "cancelled",
        }
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NoAnswer { .. } => {
                "check power, the cable and the boot strap, and that the bay's `reset` fits the board; \
                 a chip whose fuses switched download mode off (DIS_DOWNLOAD_MODE, or \
                 UART_DOWNLOAD_DIS of the ESP32) never answers again"
            }
            Self::NoiseOnly { .. } => {
                "the chip runs its application or another baud rate: check the boot strap and reset"
            }
            Self::WrongBootMode { .. } => {
                "the boot strap pin must be low while reset is released; a chip whose fuses switched \
                 download mode off (DIS_DOWNLOAD_MODE, or UART_DOWNLOAD_DIS of the ESP32) ignores it"
            }
            Self::NoBoard { .. } => "put a board into the bay",
            Self::Unreachable { .. } => "check the address and that the server runs",
            Self::BaudRejected { .. } => "allow a lower baud rate for this bay",
            Self::FlashId { .. } => "the flash chip is missing, badly soldered or unpowered",
            Self::FlashRange { .. } => "the image is meant for a larger flash",
            Self::VerifyMismatch { .. } => "write again; if it repeats, the flash chip is bad",
            Self::WrongChip { .. } => "check that board and recipe belong together",
            Self::SecureDownload { .. } => {
                "the chip's fuses leave only flash writes that are not read back: everything else \
                 must come before ENABLE_SECURITY_DOWNLOAD is burned"
            }
            Self::PortInUse { pid: Some(pid), .. } => {
                return Some(format!(
                    "process {pid} has it open: stop it or take another bay"
                ));
            }
            Self::PortInUse { pid: None, .. } => "another program has it open: stop it",
            Self::PortDenied { .. } => "add this user to the port's group (`dialout` on Debian)",
            Self::BayAmbiguous { .. } => "give the bay's key its interface and port number",
            Self::Address(error) => return error.hint(),
            Self::Timeout { .. }
            | Self::NoReply { .. }
            | Self::LinkLost { .. }
            | Self::Protocol { .. }
            | Self::Rom { .. }
            | Self::Stub { .. }
            | Self::StubStart { .. }
            | Self::FlashWrite { .. }
            | Self::UnsupportedChip { .. }
            | Self::Unsupported { .. }
            | Self::NotHeard { .. }
            | Self::BootFailed { .. }
            | Self::ResetFailed { .. }
            | Self::InvalidInput { .. }
            | Self::PortBroken { .. }
            | Self::Internal { .. }
            | Self::Cancelled => return None,
        };
        Some(text.to_owned())
    }

    /// An I/O error of a link in use. `what` is the link's name or the exchange that broke.
    #[must_use]
    pub fn from_io(what: &str, error: &io::Error) -> Self {
        let (what, detail) = (what.to_owned(), error.to_string());
        let kind = error.kind();
        if kind == io::ErrorKind::Unsupported {
            Self::Unsupported { what, detail }
        } else if kind == io::ErrorKind::InvalidInput {
            Self::InvalidInput { what, detail }
        } else {
            Self::LinkLost { link: what, detail }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_read_back_from_its_word() {
        for class in FailureClass::ALL {
            assert_eq!(class.word().parse(), Ok(class));
            let json = serde_json_word(class);
            assert_eq!(json, class.word());
        }
        assert!("Contact".parse::<FailureClass>().is_err());
    }

    /// What serde calls the class, without a JSON library.
    fn serde_json_word(class: FailureClass) -> String {
        use serde::de::IntoDeserializer;
        use serde::de::value::{Error, StrDeserializer};
        let word = class.word();
        let reader: StrDeserializer<'_, Error> = word.into_deserializer();
        FailureClass::deserialize(reader).unwrap().word().to_owned()
    }

    #[test]
    fn a_flash_code_of_a_loader_blames_the_flash_and_any_other_the_link() {
        let refused = |opcode: Opcode, code| DeviceError::Stub {
            what: opcode.word().into(),
            opcode: opcode as u8,
            code,
            meaning: String::new(),
        };
        let write = Opcode::FlashDeflData;
        assert_eq!(refused(write, 0xc4).class(), FailureClass::Flash);
        assert_eq!(refused(write, 0xc1).class(), FailureClass::Link);
        assert_eq!(
            refused(write, 0x08).class(),
            FailureClass::Link,
            "a code of the ROM"
        );
        let read = refused(Opcode::ReadReg, 0xc4);
        assert_eq!(read.class(), FailureClass::Link, "a register is no flash");
    }

    #[test]
    fn a_port_in_use_names_the_process_that_has_it() {
        let error = DeviceError::PortInUse {
            port: "tty:/dev/ttyUSB0".into(),
            pid: Some(42),
        };
        assert_eq!(error.class(), FailureClass::Station);
        assert_eq!(error.code(), "port-in-use");
        assert!(error.hint().unwrap().contains("42"));
    }
}
