//! eFuses: what they are called and what guards them, their codes, the words of one chip, and what
//! may be burned into it.
//!
//! Invariants: a field is a list of bit ranges, lowest part first, each within one block; there is
//! one table of fields, the map of chip and revision. Nothing here talks to a chip.

pub mod coding;
mod features;
mod field;
mod image;
pub mod map;
pub mod plan;
pub mod policy;
pub mod reconcile;

pub use features::features;
pub use field::{EfuseSpec, FieldName, Part, RevisionRule, field};
pub use image::{EfuseError, EfuseImage, identity_addresses};
