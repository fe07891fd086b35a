//! What an operation says of itself, once for all faces.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::call::Call;
use super::error::{Exit, OperationError};
use super::outline::outline;
use crate::station::Station;

/// What an operation does to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// No board and no record stays changed. A chip may be reset into its loader and back, and what
    /// was asked for may be written to a file that the caller named.
    Read,
    /// Something changes that can be changed again.
    Write,
    /// Something changes for ever; needs an approval bound to what exactly will be done.
    Irreversible,
}

/// An operation's name, place and effect.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// Name of the MCP tool and of the operation in the journal.
    pub name: &'static str,
    /// Other names it answers to.
    pub aliases: &'static [&'static str],
    /// Where it stands on the command line: `["chip", "detect"]`.
    pub command: &'static [&'static str],
    /// A few words for a list.
    pub title: &'static str,
    /// One or two sentences: what it does and what it returns.
    pub summary: &'static str,
    /// What it does to the world.
    pub effect: Effect,
    /// Whether doing it twice leaves what doing it once does.
    pub idempotent: bool,
}

/// One thing the station can be asked to do.
#[async_trait]
pub trait Operation: Send + Sync + 'static {
    /// Its declaration.
    const DECLARATION: Declaration;

    /// What it is asked: the doc comments are both the help text and the schema's descriptions.
    type Parameters: clap::Args + Serialize + DeserializeOwned + JsonSchema + Send + Sync;

    /// What it answers.
    type Output: Serialize + JsonSchema + Send + Sync;

    /// Does it. Cancelled by dropping, or asked to stop through [`Call::cancelled`].
    async fn invoke(
        station: &Station,
        parameters: Self::Parameters,
        call: &Call,
    ) -> Result<Self::Output, OperationError>;

    /// Whether the events it causes record who asked, so that no `OperationInvoked` is needed. True for
    /// operations that must work while another process has the journal.
    fn records_itself() -> bool {
        false
    }

    /// What the record keeps of its parameters: all of them, unless some could be a secret.
    fn recorded(parameters: serde_json::Value) -> serde_json::Value {
        parameters
    }

    /// Says the answer in words, for people.
    fn words(output: &Self::Output) -> String {
        outline(output)
    }

    /// The exit code of a CLI command with this answer.
    fn exit(_output: &Self::Output) -> Exit {
        Exit::Passed
    }
}
