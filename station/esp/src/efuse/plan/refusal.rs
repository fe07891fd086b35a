//! Why something is not burned.
//!
//! Invariants: a refusal names what is wrong, where, and what to do about it; codes are stable;
//! all refusals of a wish come at once, in a fixed order; none shows a key.

use std::fmt;

use serde::Serialize;

/// One reason not to burn.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Refusal {
    /// Stable, in kebab case. `docs/efuse-refusals.md` has all of them.
    pub code: &'static str,
    /// What is wrong.
    pub what: String,
    /// The field, block or slot it is about, or `chip`.
    pub place: String,
    /// What to do.
    pub hint: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.place, self.what, self.code)
    }
}

/// Every reason not to burn; at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Refusals(pub Vec<Refusal>);

impl Refusals {
    /// The stable code of the first reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.first().map_or("refused", |refusal| refusal.code)
    }

    /// Whether `code` is among the reasons.
    #[must_use]
    pub fn has(&self, code: &str) -> bool {
        self.0.iter().any(|refusal| refusal.code == code)
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, refusal) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{refusal}")?;
        }
        Ok(())
    }
}
