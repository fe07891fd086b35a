//! Commands to a loader.
//!
//! Invariant: what is formatted for a reader shows neither the values of registers nor the bytes of
//! blocks: both may be keys.

use std::fmt;

use super::Opcode;

/// What SYNC carries: a mark and 32 bytes that toggle on the wire.
pub const SYNC_PAYLOAD: [u8; 36] = {
    let mut payload = [0x55; 36];
    payload[0] = 0x07;
    payload[1] = 0x07;
    payload[2] = 0x12;
    payload[3] = 0x20;
    payload
};

/// Start of a flash write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlashBegin {
    /// Bytes to erase; with FLASH_DEFL_BEGIN to the stub the size after inflation.
    pub erase_size: u32,
    /// Number of data blocks that follow.
    pub blocks: u32,
    /// Size of a data block.
    pub block_size: u32,
    /// Where in flash the write begins.
    pub offset: u32,
    /// Whether the chip encrypts; `None` leaves the word out (ESP32 ROM).
    pub encrypt: Option<bool>,
}

/// Start of an upload to RAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemBegin {
    /// Bytes in all.
    pub size: u32,
    /// Number of data blocks that follow.
    pub blocks: u32,
    /// Size of a data block.
    pub block_size: u32,
    /// Address of the first byte.
    pub offset: u32,
}

/// One block of data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DataBlock<'a> {
    /// Number of the block, from 0.
    pub sequence: u32,
    /// The bytes.
    pub data: &'a [u8],
}

impl fmt::Debug for DataBlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataBlock")
            .field("sequence", &self.sequence)
            .field("bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}

/// One register write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RegisterWrite {
    /// Address.
    pub address: u32,
    /// Value.
    pub value: u32,
    /// Bits of the register that change.
    pub mask: u32,
    /// Pause before the write in microseconds.
    pub delay_us: u32,
}

impl RegisterWrite {
    /// A write of the whole register without a pause.
    #[must_use]
    pub const fn plain(address: u32, value: u32) -> Self {
        Self {
            address,
            value,
            mask: u32::MAX,
            delay_us: 0,
        }
    }
}

impl fmt::Debug for RegisterWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisterWrite")
            .field("address", &format_args!("{:#010x}", self.address))
            .field("mask", &format_args!("{:#010x}", self.mask))
            .field("delay_us", &self.delay_us)
            .finish_non_exhaustive()
    }
}

/// One command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request<'a> {
    /// FLASH_BEGIN.
    FlashBegin(FlashBegin),
    /// FLASH_DATA.
    FlashData(DataBlock<'a>),
    /// FLASH_END: leave the loader, or stay.
    FlashEnd {
        /// Whether to restart into the application.
        reboot: bool,
    },
    /// MEM_BEGIN.
    MemBegin(MemBegin),
    /// MEM_END.
    MemEnd {
        /// Stay in the loader instead of jumping.
        stay: bool,
        /// Where to jump.
        entry: u32,
    },
    /// MEM_DATA.
    MemData(DataBlock<'a>),
    /// SYNC.
    Sync,
    /// WRITE_REG.
    WriteReg(Vec<RegisterWrite>),
    /// READ_REG.
    ReadReg {
        /// Address.
        address: u32,
    },
    /// SPI_SET_PARAMS.
    SpiSetParams {
        /// JEDEC id, 0 when unknown.
        id: u32,
        /// Bytes in all.
        total_size: u32,
        /// Bytes of a block erase.
        block_size: u32,
        /// Bytes of a sector erase.
        sector_size: u32,
        /// Bytes of a page program.
        page_size: u32,
        /// Bits of the status register that count.
        status_mask: u32,
    },
    /// SPI_ATTACH.
    SpiAttach {
        /// Pin numbers in the coding of the eFuses; 0 for the usual ones.
        pins: u32,
        /// The ROM's second word; `None` leaves it out (stub).
        legacy: Option<u32>,
    },
    /// READ_FLASH_SLOW.
    ReadFlashSlow {
        /// Where in flash.
        offset: u32,
        /// Bytes, at most 64.
        length: u32,
    },
    /// CHANGE_BAUDRATE.
    ChangeBaudrate {
        /// The new baud.
        new: u32,
        /// The present one; 0 to a ROM.
        old: u32,
    },
    /// FLASH_DEFL_BEGIN.
    FlashDeflBegin(FlashBegin),
    /// FLASH_DEFL_DATA.
    FlashDeflData(DataBlock<'a>),
    /// FLASH_DEFL_END.
    FlashDeflEnd {
        /// Whether to restart into the application.
        reboot: bool,
    },
    /// SPI_FLASH_MD5.
    SpiFlashMd5 {
        /// Where in flash.
        offset: u32,
        /// Bytes.
        length: u32,
    },
    /// GET_SECURITY_INFO.
    GetSecurityInfo,
    /// ERASE_FLASH.
    EraseFlash,
    /// ERASE_REGION.
    EraseRegion {
        /// First byte, on a sector boundary.
        offset: u32,
        /// Bytes, whole sectors.
        length: u32,
    },
    /// READ_FLASH.
    ReadFlash {
        /// First byte.
        offset: u32,
        /// Bytes.
        length: u32,
        /// Bytes of a packet.
        packet: u32,
        /// Packets the host allows to be under way.
        max_in_flight: u32,
    },
    /// RUN_USER_CODE.
    RunUserCode,
}

impl Request<'_> {
    /// The command's number.
    #[must_use]
    pub fn opcode(&self) -> Opcode {
        match self {
            Self::FlashBegin(_) => Opcode::FlashBegin,
            Self::FlashData(_) => Opcode::FlashData,
            Self::FlashEnd { .. } => Opcode::FlashEnd,
            Self::MemBegin(_) => Opcode::MemBegin,
            Self::MemEnd { .. } => Opcode::MemEnd,
            Self::MemData(_) => Opcode::MemData,
            Self::Sync => Opcode::Sync,
            Self::WriteReg(_) => Opcode::WriteReg,
            Self::ReadReg { .. } => Opcode::ReadReg,
            Self::SpiSetParams { .. } => Opcode::SpiSetParams,
            Self::SpiAttach { .. } => Opcode::SpiAttach,
            Self::ReadFlashSlow { .. } => Opcode::ReadFlashSlow,
            Self::ChangeBaudrate { .. } => Opcode::ChangeBaudrate,
            Self::FlashDeflBegin(_) => Opcode::FlashDeflBegin,
            Self::FlashDeflData(_) => Opcode::FlashDeflData,
            Self::FlashDeflEnd { .. } => Opcode::FlashDeflEnd,
            Self::SpiFlashMd5 { .. } => Opcode::SpiFlashMd5,
            Self::GetSecurityInfo => Opcode::GetSecurityInfo,
            Self::EraseFlash => Opcode::EraseFlash,
            Self::EraseRegion { .. } => Opcode::EraseRegion,
            Self::ReadFlash { .. } => Opcode::ReadFlash,
            Self::RunUserCode => Opcode::RunUserCode,
        }
    }
}
