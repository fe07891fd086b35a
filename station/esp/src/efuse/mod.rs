//! eFuses as they are read: blocks, named fields, and a word image of one chip's fuses.
//!
//! Invariants: a field is a list of bit ranges, lowest part first, each within one block; an image
//! has exactly the blocks and words of its chip; writing a field that does not exist or a value
//! that does not fit is an error and changes nothing. Nothing here burns.

mod features;
mod field;
mod image;

pub use features::features;
pub use field::{Block, EfuseSpec, Field, FieldName, Part, RevisionRule, field};
pub(crate) use field::{fields, rs_blocks};
pub use image::{EfuseError, EfuseImage, identity_addresses};
