//! The scripted application: what a virtual chip says and answers once it runs from flash.
//!
//! Invariants: everything a unit says depends on the script, the seed and the unit number alone;
//! every buffer, line, delay and list has a bound; a script that says something unclear is refused
//! whole.

mod command;
mod error;
mod running;
mod syntax;
mod template;
mod value;

#[cfg(test)]
mod tests;

pub use error::ScriptError;
pub use running::ScriptedApplication;
pub use syntax::AppScript;
