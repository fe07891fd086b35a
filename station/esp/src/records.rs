//! What a factory leaves in a unit about its making: a manufacturing record and a calibration
//! record, as typed values, as NVS entries and as bytes of a raw partition.
//!
//! Invariants: both forms lead back to the same record; numbers are exact (a whole number, a power
//! of ten and a unit, never a float); what is read is checked to the last byte, and an error says
//! where.
//!
//! Raw form, numbers little-endian: `ESPR`, kind (1 manufacturing, 2 calibration), version 1, number
//! of fields as two bytes, length of the fields as four, CRC-32 of those 12 bytes and the fields;
//! then the fields, each a tag, a zero, two bytes of length and the content. Erased flash may
//! follow. In NVS a record has a namespace of its own (`mfg`, `cal`) with its version as `format`.

mod calibration;
mod error;
mod manufacturing;
mod nvs;
mod raw;
#[cfg(test)]
mod tests;

pub use calibration::{Calibration, Quantity};
pub use error::RecordError;
pub use manufacturing::Manufacturing;

/// Version of both records, in both forms.
pub const VERSION: u8 = 1;
