//! The recipe language: from the TOML an engineer writes to a plan in which nothing can be wrong.
//!
//! The way is `walk` (the text against the schema) → `syntax` (values with places) → `compile`
//! (every check) → [`crate::plan::Plan`]. Invariants: a recipe is refused whole, with every error
//! at once; only this module makes plans; the same recipe and files give the same
//! [`crate::event::PlanId`] on every machine.

mod compile;
mod describe;
mod diagnostic;
mod identity;
mod quantity;
mod reference;
mod schema;
mod syntax;
#[cfg(test)]
mod tests;
mod walk;

pub(crate) use compile::closes;
pub use compile::{Compiled, compile, compile_confined, compile_text};
pub use describe::describe;
pub use diagnostic::{Code, Finding, FindingRecord, RecipeErrors};
pub use identity::canonical;
pub use reference::reference;
