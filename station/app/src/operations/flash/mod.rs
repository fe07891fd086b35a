//! Flash of one chip: write, read, erase, identify, verify; its ciphertext.
//!
//! Invariants: what can be found wrong without the chip is found before the chip is reset, and what can be
//! found wrong without writing before the first byte is written; whatever happens, the chip is let go.

mod encrypt;
mod range;
mod verify;
mod write;

pub use encrypt::{EncryptParameters, EncryptView, FlashEncrypt};
pub use range::{EraseParameters, EraseView, FlashErase, FlashRead, ReadParameters, ReadView};
pub use verify::{FlashId, FlashVerify, VerifyParameters, VerifyView};
pub use write::{
    FlashFirmware, FlashMulti, MultiParameters, WriteParameters, WritesView, WrittenView,
};
