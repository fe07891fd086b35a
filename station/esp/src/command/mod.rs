//! The loader protocol's commands and answers, one codec for host and virtual chip.
//!
//! Invariants: decoding accepts exactly the frames that encoding makes, and names what is wrong
//! with every other; nothing is trusted from a frame but its length; checksums are made when
//! encoding and checked when decoding. Frames here carry no SLIP marks.
//!
//! Source: esptool's serial protocol description and esp-flasher-stub's command handler.

mod block;
mod decode;
mod encode;
mod opcode;
mod request;
mod response;
mod security;
mod status;

#[cfg(test)]
mod tests;

pub use block::checksum;
pub use decode::DecodeError;
pub use opcode::{Dialect, Opcode};
pub use request::{DataBlock, FlashBegin, MemBegin, RegisterWrite, Request, SYNC_PAYLOAD};
pub use response::{Response, ResponseError, STUB_GREETING, SYNC_ANSWERS, md5_from_body};
pub use security::{SecurityFlag, SecurityInfo, SecurityInfoError};
pub use status::{RomError, Status, StubError};
