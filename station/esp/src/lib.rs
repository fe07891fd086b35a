//! What an ESP chip is: tables, codecs and formats, as pure knowledge.
//!
//! Invariants: nothing here does IO, reads a clock, waits or prints; every parser takes bytes that
//! may be hostile, is bounded by its input, and answers with an error instead of a panic.

pub mod cert;
pub mod chip;
pub mod command;
pub mod efuse;
pub mod elf;
pub mod flash;
pub mod flasher_args;
pub mod hex;
pub mod image;
pub mod loader;
pub mod matter;
pub mod nvs;
pub mod ota;
pub mod otadata;
pub mod partition;
pub mod picture;
pub mod records;
pub mod secret;
pub mod secure;
pub mod sizes;
pub mod slip;
pub mod uf2;
pub mod words;

pub use chip::{Chip, ChipSpec, MacAddress, Revision};
