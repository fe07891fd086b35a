//! Commands to bytes.

use super::Dialect;
use super::block::{HEAD, checksum};
use super::request::{DataBlock, FlashBegin, RegisterWrite, Request, SYNC_PAYLOAD};

impl Request<'_> {
    /// Appends the frame to `out`.
    ///
    /// A ROM always gets the second word of SPI_ATTACH, zero unless given. Whether FLASH_BEGIN has
    /// its fifth word depends on the chip too ([`crate::ChipSpec::begin_has_encrypt_word`]), so the
    /// request says it itself.
    pub fn encode(&self, dialect: Dialect, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0, self.opcode() as u8, 0, 0, 0, 0, 0, 0]);
        self.encode_arguments(dialect, out);
        let size = out.len() - start - HEAD;
        debug_assert!(u16::try_from(size).is_ok(), "blocks are far below 64 KiB");
        out[start + 2..start + 4].copy_from_slice(&(size as u16).to_le_bytes());
        if let Self::FlashData(block) | Self::MemData(block) | Self::FlashDeflData(block) = self {
            out[start + 4] = checksum(block.data);
        }
    }

    fn encode_arguments(&self, dialect: Dialect, out: &mut Vec<u8>) {
        match self {
            Self::FlashBegin(begin) | Self::FlashDeflBegin(begin) => flash_begin(begin, out),
            Self::FlashData(block) | Self::MemData(block) | Self::FlashDeflData(block) => {
                data_block(block, out);
            }
            Self::FlashEnd { reboot } | Self::FlashDeflEnd { reboot } => {
                words(out, &[(!reboot).into()]);
            }
            Self::MemBegin(begin) => {
                words(
                    out,
                    &[begin.size, begin.blocks, begin.block_size, begin.offset],
                );
            }
            Self::MemEnd { stay, entry } => words(out, &[(*stay).into(), *entry]),
            Self::Sync => out.extend_from_slice(&SYNC_PAYLOAD),
            Self::WriteReg(writes) => register_writes(writes, out),
            Self::ReadReg { address } => words(out, &[*address]),
            Self::SpiSetParams {
                id,
                total_size,
                block_size,
                sector_size,
                page_size,
                status_mask,
            } => words(
                out,
                &[
                    *id,
                    *total_size,
                    *block_size,
                    *sector_size,
                    *page_size,
                    *status_mask,
                ],
            ),
            Self::SpiAttach { pins, legacy } => {
                words(out, &[*pins]);
                match dialect {
                    Dialect::Rom => words(out, &[legacy.unwrap_or(0)]),
                    Dialect::Stub => words(out, legacy.as_slice()),
                }
            }
            Self::ReadFlashSlow { offset, length } | Self::EraseRegion { offset, length } => {
                words(out, &[*offset, *length]);
            }
            Self::ChangeBaudrate { new, old } => words(out, &[*new, *old]),
            Self::SpiFlashMd5 { offset, length } => words(out, &[*offset, *length, 0, 0]),
            Self::GetSecurityInfo | Self::EraseFlash | Self::RunUserCode => {}
            Self::ReadFlash {
                offset,
                length,
                packet,
                max_in_flight,
            } => {
                words(out, &[*offset, *length, *packet, *max_in_flight]);
            }
        }
    }
}

fn words(out: &mut Vec<u8>, words: &[u32]) {
    for word in words {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

fn flash_begin(begin: &FlashBegin, out: &mut Vec<u8>) {
    words(
        out,
        &[
            begin.erase_size,
            begin.blocks,
            begin.block_size,
            begin.offset,
        ],
    );
    if let Some(encrypt) = begin.encrypt {
        words(out, &[encrypt.into()]);
    }
}

fn data_block(block: &DataBlock<'_>, out: &mut Vec<u8>) {
    words(out, &[block.data.len() as u32, block.sequence, 0, 0]);
    out.extend_from_slice(block.data);
}

fn register_writes(writes: &[RegisterWrite], out: &mut Vec<u8>) {
    for write in writes {
        words(
            out,
            &[write.address, write.value, write.mask, write.delay_us],
        );
    }
}
