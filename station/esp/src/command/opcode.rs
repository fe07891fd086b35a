//! Names of the commands and of the two loaders that understand them.

/// Which loader is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// The loader in the chip's mask ROM: four status bytes.
    Rom,
    /// The flasher stub in RAM: two status bytes.
    Stub,
}

impl Dialect {
    /// Number of status bytes at the end of an answer.
    #[must_use]
    pub const fn status_length(self) -> usize {
        match self {
            Self::Rom => 4,
            Self::Stub => 2,
        }
    }

    /// The word in texts.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rom => "rom",
            Self::Stub => "stub",
        }
    }
}

macro_rules! opcodes {
    ($($(#[$meta:meta])* $name:ident = $value:literal, $word:literal;)+) => {
        /// A command of the loader protocol.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Opcode {
            $($(#[$meta])* $name = $value,)+
        }

        impl Opcode {
            /// Every command, by number.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The command with this number.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($value => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// The name in the protocol's documents.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

opcodes! {
    /// Start a plain flash write; the ROM erases now, the stub as data comes.
    FlashBegin = 0x02, "FLASH_BEGIN";
    /// One block of a plain flash write.
    FlashData = 0x03, "FLASH_DATA";
    /// End of a plain flash write.
    FlashEnd = 0x04, "FLASH_END";
    /// Start an upload to RAM.
    MemBegin = 0x05, "MEM_BEGIN";
    /// End of an upload to RAM, with a jump or without.
    MemEnd = 0x06, "MEM_END";
    /// One block of an upload to RAM.
    MemData = 0x07, "MEM_DATA";
    /// Find the baud and wake the loader.
    Sync = 0x08, "SYNC";
    /// Write one or more registers.
    WriteReg = 0x09, "WRITE_REG";
    /// Read one register.
    ReadReg = 0x0A, "READ_REG";
    /// Tell the flash's geometry.
    SpiSetParams = 0x0B, "SPI_SET_PARAMS";
    /// Connect the flash controller to its pins.
    SpiAttach = 0x0D, "SPI_ATTACH";
    /// Read up to 64 bytes of flash; ROM only.
    ReadFlashSlow = 0x0E, "READ_FLASH_SLOW";
    /// Answer at the old baud, then switch to the new.
    ChangeBaudrate = 0x0F, "CHANGE_BAUDRATE";
    /// Start a compressed flash write.
    FlashDeflBegin = 0x10, "FLASH_DEFL_BEGIN";
    /// One block of a zlib stream.
    FlashDeflData = 0x11, "FLASH_DEFL_DATA";
    /// End of a compressed flash write.
    FlashDeflEnd = 0x12, "FLASH_DEFL_END";
    /// MD5 over a range of flash.
    SpiFlashMd5 = 0x13, "SPI_FLASH_MD5";
    /// Security state and chip id.
    GetSecurityInfo = 0x14, "GET_SECURITY_INFO";
    /// Erase the whole flash; stub only.
    EraseFlash = 0xD0, "ERASE_FLASH";
    /// Erase sectors; stub only.
    EraseRegion = 0xD1, "ERASE_REGION";
    /// Stream flash in acknowledged packets; stub only.
    ReadFlash = 0xD2, "READ_FLASH";
    /// Leave the loader; stub only, answered by nothing.
    RunUserCode = 0xD3, "RUN_USER_CODE";
}

impl Opcode {
    /// Whether the ROM in secure download mode still accepts the command.
    #[must_use]
    pub const fn allowed_in_secure_download(self) -> bool {
        matches!(
            self,
            Self::Sync
                | Self::SpiAttach
                | Self::SpiSetParams
                | Self::ChangeBaudrate
                | Self::FlashBegin
                | Self::FlashData
                | Self::FlashEnd
                | Self::GetSecurityInfo
        )
    }
}
