//! What a loader says about the command it answers.

use std::fmt;

use super::Dialect;

macro_rules! errors {
    ($(#[$meta:meta])* $enum:ident: $($name:ident = $value:literal, $meaning:literal;)+) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $enum {
            $(#[doc = $meaning] $name = $value,)+
        }

        impl $enum {
            /// Every error, by number.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The error with this number.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($value => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// What the error means, as a sentence fragment.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => $meaning,)+
                }
            }
        }

        impl fmt::Display for $enum {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.meaning())
            }
        }
    };
}

errors! {
    /// Error numbers of the ROM loader: the second status byte (esptool serial protocol).
    RomError:
    Undefined = 0x00, "undefined error";
    InvalidParameter = 0x01, "invalid parameter";
    OutOfMemory = 0x02, "memory allocation failed";
    SendFailed = 0x03, "answer could not be sent";
    ReceiveFailed = 0x04, "request could not be received";
    InvalidMessage = 0x05, "message is invalid";
    FailedToAct = 0x06, "failed to act on the message";
    BadChecksum = 0x07, "checksum of the message is wrong";
    FlashWrite = 0x08, "flash write failed";
    FlashRead = 0x09, "flash read failed";
    FlashReadLength = 0x0A, "length of the flash read is wrong";
    Deflate = 0x0B, "zlib stream is broken";
    DeflateChecksum = 0x0C, "checksum of the zlib stream is wrong";
    DeflateParameter = 0x0D, "parameter of the zlib stream is wrong";
    InvalidRamSize = 0x0E, "size of the RAM binary is wrong";
    InvalidRamAddress = 0x0F, "address of the RAM binary is wrong";
    BadPowerSelect = 0x64, "flash power selection is wrong";
    SecureDownload = 0x6B, "command is not allowed in secure download mode";
    KeyPurpose = 0x71, "key purpose does not fit";
}

errors! {
    /// Error numbers of the flasher stub: the first status byte (esp-flasher-stub commands).
    StubError:
    BadLength = 0xC0, "length of the message or its content is wrong";
    BadChecksum = 0xC1, "checksum of the data is wrong";
    BadBlockSize = 0xC2, "block is longer than announced";
    InvalidCommand = 0xC3, "command is unknown";
    SpiFailed = 0xC4, "flash operation failed";
    SpiUnlockFailed = 0xC5, "flash could not be unlocked";
    NotInFlashMode = 0xC6, "no flash write was begun";
    Inflate = 0xC7, "zlib stream is broken";
    NotEnoughData = 0xC8, "zlib stream ended early";
    TooMuchData = 0xC9, "more data than announced";
    NandWriteFailed = 0xCA, "NAND write failed";
    NandReadFailed = 0xCB, "NAND read failed";
    NotImplemented = 0xFF, "command is not implemented";
}

/// The status bytes of an answer: the first two, as sent.
///
/// The ROM sends `failed, error, 0, 0`; the stub sends `error, 0`. Zero in front means success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub [u8; 2]);

impl Status {
    /// Success, in both dialects.
    pub const OK: Self = Self([0, 0]);

    /// A failure of the ROM.
    #[must_use]
    pub const fn rom(error: RomError) -> Self {
        Self([1, error as u8])
    }

    /// A failure of the stub.
    #[must_use]
    pub const fn stub(error: StubError) -> Self {
        Self([error as u8, 0])
    }

    /// Whether the command succeeded.
    #[must_use]
    pub const fn is_ok(self) -> bool {
        self.0[0] == 0
    }

    /// The error of the ROM, when this is one that is known.
    #[must_use]
    pub const fn rom_error(self) -> Option<RomError> {
        if self.is_ok() {
            None
        } else {
            RomError::from_code(self.0[1])
        }
    }

    /// The error of the stub, when this is one that is known.
    #[must_use]
    pub const fn stub_error(self) -> Option<StubError> {
        StubError::from_code(self.0[0])
    }

    /// What the status means to someone who speaks `dialect`.
    #[must_use]
    pub fn meaning(self, dialect: Dialect) -> &'static str {
        if self.is_ok() {
            return "success";
        }
        let known = match dialect {
            Dialect::Rom => self.rom_error().map(RomError::meaning),
            Dialect::Stub => self.stub_error().map(StubError::meaning),
        };
        known.unwrap_or("unknown error")
    }

    /// Appends the status bytes of `dialect` to `out`.
    pub fn encode(self, dialect: Dialect, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
        out.resize(out.len() + dialect.status_length() - 2, 0);
    }
}

impl fmt::Display for Status {
    /// The bytes, for a reader who does not know the dialect.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x} {:#04x}", self.0[0], self.0[1])
    }
}
