//! How much of a list that only grows is returned.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The latest of something.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Latest {
    /// Most rows to return, the latest
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    #[serde(default = "fifty")]
    #[schemars(range(min = 1, max = 10_000))]
    pub limit: u32,
}

fn fifty() -> u32 {
    50
}

impl Latest {
    /// How many.
    pub(super) fn count(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }
}
