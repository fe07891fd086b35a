//! Bytes to commands.

use super::Opcode;
use super::block::{BLOCK_HEAD, HEAD, checksum};
use super::request::{DataBlock, FlashBegin, MemBegin, RegisterWrite, Request, SYNC_PAYLOAD};

/// A frame that is no well-formed command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than a head.
    #[error("command of {0} bytes is too short")]
    TooShort(usize),
    /// The first byte is not 0.
    #[error("frame begins with `{direction:#04x}`, which is no command")]
    Direction {
        /// The first byte.
        direction: u8,
        /// The number of the command.
        opcode: u8,
    },
    /// No command has this number.
    #[error("unknown command `{0:#04x}`")]
    UnknownOpcode(u8),
    /// The length field does not match the frame.
    #[error("{opcode:?} announces {declared} bytes and carries {actual}")]
    FrameLength {
        /// The command.
        opcode: Opcode,
        /// What the length field says.
        declared: usize,
        /// What is there.
        actual: usize,
    },
    /// The arguments have a length that the command does not know.
    #[error("{opcode:?} with {actual} bytes of arguments")]
    Arguments {
        /// The command.
        opcode: Opcode,
        /// Bytes of arguments.
        actual: usize,
    },
    /// The length in a block's head does not match the block.
    #[error("{opcode:?} block announces {declared} bytes and carries {actual}")]
    BlockLength {
        /// The command.
        opcode: Opcode,
        /// What the block's head says.
        declared: u32,
        /// What is there.
        actual: usize,
    },
    /// The checksum of a data block is wrong.
    #[error("{opcode:?} with checksum {declared:#04x} instead of {actual:#04x}")]
    Checksum {
        /// The command.
        opcode: Opcode,
        /// The low byte of what the head says.
        declared: u8,
        /// What the data have.
        actual: u8,
    },
    /// SYNC without its usual payload.
    #[error("SYNC with a payload of its own")]
    SyncPayload,
}

impl DecodeError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooShort(_) => "command-too-short",
            Self::Direction { .. } => "command-direction",
            Self::UnknownOpcode(_) => "command-unknown",
            Self::FrameLength { .. } => "command-frame-length",
            Self::Arguments { .. } => "command-arguments",
            Self::BlockLength { .. } => "command-block-length",
            Self::Checksum { .. } => "command-checksum",
            Self::SyncPayload => "command-sync-payload",
        }
    }

    /// The number of the command, for the answer; `None` when the frame had none.
    #[must_use]
    pub fn opcode(&self) -> Option<u8> {
        match *self {
            Self::TooShort(_) => None,
            Self::Direction { opcode, .. } | Self::UnknownOpcode(opcode) => Some(opcode),
            Self::FrameLength { opcode, .. }
            | Self::Arguments { opcode, .. }
            | Self::BlockLength { opcode, .. }
            | Self::Checksum { opcode, .. } => Some(opcode as u8),
            Self::SyncPayload => Some(Opcode::Sync as u8),
        }
    }
}

impl<'a> Request<'a> {
    /// Takes a frame apart.
    ///
    /// # Errors
    /// When the frame is not exactly one well-formed command; see [`DecodeError`].
    pub fn decode(frame: &'a [u8]) -> Result<Self, DecodeError> {
        let Some((&[direction, code, low, high, check, _, _, _], arguments)) =
            frame.split_first_chunk::<HEAD>()
        else {
            return Err(DecodeError::TooShort(frame.len()));
        };
        if direction != 0 {
            return Err(DecodeError::Direction {
                direction,
                opcode: code,
            });
        }
        let opcode = Opcode::from_code(code).ok_or(DecodeError::UnknownOpcode(code))?;
        let declared = usize::from(u16::from_le_bytes([low, high]));
        if declared != arguments.len() {
            return Err(DecodeError::FrameLength {
                opcode,
                declared,
                actual: arguments.len(),
            });
        }
        if opcode == Opcode::Sync {
            let usual = arguments == SYNC_PAYLOAD;
            return if usual {
                Ok(Self::Sync)
            } else {
                Err(DecodeError::SyncPayload)
            };
        }
        if let Some(wrap) = Self::block_variant(opcode) {
            return block(opcode, arguments, check).map(wrap);
        }
        Self::from_words(opcode, arguments).ok_or(DecodeError::Arguments {
            opcode,
            actual: arguments.len(),
        })
    }

    /// How a data block of this command is wrapped, when it carries one.
    fn block_variant(opcode: Opcode) -> Option<fn(DataBlock<'a>) -> Self> {
        [
            (
                Opcode::FlashData,
                Self::FlashData as fn(DataBlock<'a>) -> Self,
            ),
            (Opcode::MemData, Self::MemData),
            (Opcode::FlashDeflData, Self::FlashDeflData),
        ]
        .into_iter()
        .find(|(known, _)| *known == opcode)
        .map(|(_, wrap)| wrap)
    }

    /// A command whose arguments are whole words, when their number is one it knows.
    fn from_words(opcode: Opcode, arguments: &[u8]) -> Option<Self> {
        let (chunks, rest) = arguments.as_chunks::<4>();
        if !rest.is_empty() {
            return None;
        }
        let words: Vec<u32> = chunks
            .iter()
            .map(|word| u32::from_le_bytes(*word))
            .collect();
        Some(match (opcode, words.as_slice()) {
            (Opcode::FlashBegin, words) => Self::FlashBegin(flash_begin(words)?),
            (Opcode::FlashDeflBegin, words) => Self::FlashDeflBegin(flash_begin(words)?),
            (Opcode::FlashEnd, [stay]) => Self::FlashEnd { reboot: *stay == 0 },
            (Opcode::FlashDeflEnd, [stay]) => Self::FlashDeflEnd { reboot: *stay == 0 },
            (Opcode::MemBegin, &[size, blocks, block_size, offset]) => Self::MemBegin(MemBegin {
                size,
                blocks,
                block_size,
                offset,
            }),
            (Opcode::MemEnd, &[stay, entry]) => Self::MemEnd {
                stay: stay != 0,
                entry,
            },
            (Opcode::WriteReg, [_, ..]) => Self::WriteReg(register_writes(&words)?),
            (Opcode::ReadReg, &[address]) => Self::ReadReg { address },
            (
                Opcode::SpiSetParams,
                &[
                    id,
                    total_size,
                    block_size,
                    sector_size,
                    page_size,
                    status_mask,
                ],
            ) => Self::SpiSetParams {
                id,
                total_size,
                block_size,
                sector_size,
                page_size,
                status_mask,
            },
            (Opcode::SpiAttach, &[pins]) => Self::SpiAttach { pins, legacy: None },
            (Opcode::SpiAttach, &[pins, legacy]) => Self::SpiAttach {
                pins,
                legacy: Some(legacy),
            },
            (Opcode::ReadFlashSlow, &[offset, length]) => Self::ReadFlashSlow { offset, length },
            (Opcode::ChangeBaudrate, &[new, old]) => Self::ChangeBaudrate { new, old },
            (Opcode::SpiFlashMd5, &[offset, length, _, _]) => Self::SpiFlashMd5 { offset, length },
            (Opcode::GetSecurityInfo, []) => Self::GetSecurityInfo,
            (Opcode::EraseFlash, []) => Self::EraseFlash,
            (Opcode::EraseRegion, &[offset, length]) => Self::EraseRegion { offset, length },
            (Opcode::ReadFlash, &[offset, length, packet, max_in_flight]) => Self::ReadFlash {
                offset,
                length,
                packet,
                max_in_flight,
            },
            (Opcode::RunUserCode, []) => Self::RunUserCode,
            _ => return None,
        })
    }
}

fn flash_begin(words: &[u32]) -> Option<FlashBegin> {
    let (&[erase_size, blocks, block_size, offset], rest) = words.split_first_chunk::<4>()?;
    let encrypt = match rest {
        [] => None,
        [word] => Some(*word != 0),
        _ => return None,
    };
    Some(FlashBegin {
        erase_size,
        blocks,
        block_size,
        offset,
        encrypt,
    })
}

fn register_writes(words: &[u32]) -> Option<Vec<RegisterWrite>> {
    let (chunks, rest) = words.as_chunks::<4>();
    rest.is_empty().then(|| {
        chunks
            .iter()
            .map(|&[address, value, mask, delay_us]| RegisterWrite {
                address,
                value,
                mask,
                delay_us,
            })
            .collect()
    })
}

fn block(opcode: Opcode, arguments: &[u8], check: u8) -> Result<DataBlock<'_>, DecodeError> {
    let (&[l0, l1, l2, l3, s0, s1, s2, s3, ..], data) = arguments
        .split_first_chunk::<BLOCK_HEAD>()
        .ok_or(DecodeError::Arguments {
            opcode,
            actual: arguments.len(),
        })?;
    let declared = u32::from_le_bytes([l0, l1, l2, l3]);
    if u32::try_from(data.len()) != Ok(declared) {
        return Err(DecodeError::BlockLength {
            opcode,
            declared,
            actual: data.len(),
        });
    }
    let actual = checksum(data);
    if actual != check {
        return Err(DecodeError::Checksum {
            opcode,
            declared: check,
            actual,
        });
    }
    Ok(DataBlock {
        sequence: u32::from_le_bytes([s0, s1, s2, s3]),
        data,
    })
}
