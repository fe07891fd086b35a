//! The conversation with the loader in a chip: ROM or flasher stub.
//!
//! Invariants:
//! - One request is under way at a time, and its deadline is fixed when it is sent.
//! - After an exchange that broke off, for whatever reason, the next one first finds the loader's
//!   attention again; a reply to an old question is never taken for the answer to a new one.
//! - Nothing is asked that chip, loader or secure download mode does not allow.

mod baud;
mod bootlog;
mod contact;
mod detect;
mod exchange;
mod power;
mod rate;
mod register;
mod restart;
mod timing;
mod upload;
pub(crate) mod wire;

pub use baud::BaudMemory;
pub(crate) use baud::ROM_BAUD;
pub(crate) use contact::contact;
pub(crate) use detect::Detected;
pub(crate) use exchange::{Asked, Loader, is_transient};
pub(crate) use timing::{CHIP_ERASE, PACKET, PROMPT, digest, erase, program};
