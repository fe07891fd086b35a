//! Plans, tried out on paper.

mod properties;
mod refusals;
mod scenes;
pub(crate) mod wishes;
