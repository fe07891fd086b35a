//! The circumstances of one invocation: who asks through which face, how to report progress, when to stop.

use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::confirm::{Confirmation, Nobody};

/// A way to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// The command line.
    Cli,
    /// An MCP client.
    Mcp,
}

impl fmt::Display for Face {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cli => "cli",
            Self::Mcp => "mcp",
        })
    }
}

/// Receives how far along an operation is. Lossy; never decided upon.
pub trait CallProgress: Send + Sync {
    /// Reports `done` of `total` of the phase named.
    fn progress(&self, phase: &str, done: u64, total: Option<u64>);
}

/// Progress that nobody looks at.
#[derive(Clone, Copy, Debug)]
pub struct SilentProgress;

impl CallProgress for SilentProgress {
    fn progress(&self, _phase: &str, _done: u64, _total: Option<u64>) {}
}

/// One invocation's circumstances.
#[derive(Clone)]
pub struct Call {
    /// The face it came through.
    pub face: Face,
    /// Who asks, as far as the face knows.
    pub by: String,
    /// Where progress goes.
    pub progress: Arc<dyn CallProgress>,
    /// Who can be asked to confirm what cannot be undone.
    pub confirmation: Arc<dyn Confirmation>,
    /// Set when the asker no longer wants it.
    pub cancelled: CancellationToken,
}

impl Call {
    /// A call without progress that nothing cancels and nobody can confirm.
    pub fn silent(face: Face, by: impl Into<String>) -> Self {
        Self {
            face,
            by: by.into(),
            progress: Arc::new(SilentProgress),
            confirmation: Arc::new(Nobody),
            cancelled: CancellationToken::new(),
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("face", &self.face)
            .field("by", &self.by)
            .finish_non_exhaustive()
    }
}
