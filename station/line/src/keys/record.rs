//! What is written beside a sealed key: everything that is known of it but the key.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::{Custody, KeyKind, KeyName, KeyOwner};

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Its name, unique for its owner.
    pub name: KeyName,
    /// Whose it is.
    pub owner: KeyOwner,
    /// What kind of key.
    pub kind: KeyKind,
    /// Key purpose it is burned with, if it is burned.
    pub purpose: Option<String>,
    /// Whether it is kept.
    pub custody: Custody,
    /// A name for its bytes that gives nothing away.
    pub fingerprint: String,
    /// Its public half: hex for Ed25519, PEM for the others; absent where nothing here can tell it.
    pub public: Option<String>,
    /// When it was made or given.
    pub made_at: DateTime<Utc>,
    /// When and why it was destroyed, if it was.
    pub forgotten: Option<Forgotten>,
}

/// The end of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Forgotten {
    /// When.
    pub at: DateTime<Utc>,
    /// Who did it.
    #[serde(default = "unnamed")]
    pub by: String,
    /// Why.
    pub reason: String,
}

/// In place of a name in a tombstone that has none.
fn unnamed() -> String {
    "station".to_owned()
}
