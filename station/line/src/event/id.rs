//! Names and numbers of what events are about.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id!(
    /// Position of an event in its journal: dense, from 1. The cursor of every reader.
    Seq
);
number_id!(
    /// A run's number in its journal, from 1.
    RunId
);
number_id!(
    /// An attempt's number in its journal, from 1.
    AttemptId
);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps a name that its maker has already checked.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

text_id!(
    /// A bay's name as the jig's configuration gives it.
    BayName
);
text_id!(
    /// A step's name, unique in its plan.
    StepName
);
text_id!(
    /// A plan's identity: 64 lower-case hex digits of SHA-256 over the plan and every byte it writes.
    PlanId
);
text_id!(
    /// A unit's chip MAC in lower-case colon form, `7c:df:a1:00:00:01`.
    Mac
);
text_id!(
    /// A serial number as it stands on the label.
    Serial
);

impl Mac {
    /// Returns whether it has the lower-case colon form and can be a chip's address: neither all
    /// zeros nor all ones, which is what an unprogrammed or unreadable eFuse block gives.
    pub fn is_valid(&self) -> bool {
        let bytes = self.0.as_bytes();
        let shape = bytes.len() == 17
            && bytes
                .iter()
                .enumerate()
                .all(|(index, byte)| match index % 3 {
                    2 => *byte == b':',
                    _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
                });
        shape && self.0 != "00:00:00:00:00:00" && self.0 != "ff:ff:ff:ff:ff:ff"
    }
}
