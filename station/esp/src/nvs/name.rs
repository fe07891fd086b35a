//! The name of a namespace or a key.

use std::fmt;
use std::str::FromStr;

use super::error::Fault;
use super::layout::NAME_FIELD;

/// 1 to 15 printable ASCII bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// As in an entry: the name, then zeros.
    field: [u8; NAME_FIELD],
}

impl Name {
    /// Longest name in bytes.
    pub const MAX: usize = NAME_FIELD - 1;

    /// Checks a name.
    ///
    /// # Errors
    /// [`Fault::Name`] when it is empty, too long, or not printable ASCII.
    pub fn new(name: &str) -> Result<Self, Fault> {
        let printable = name.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if name.is_empty() || name.len() > Self::MAX || !printable {
            return Err(Fault::Name(name.chars().take(64).collect()));
        }
        let mut field = [0; NAME_FIELD];
        field[..name.len()].copy_from_slice(name.as_bytes());
        Ok(Self { field })
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let length = self.field.iter().position(|byte| *byte == 0);
        let bytes = &self.field[..length.unwrap_or(NAME_FIELD)];
        std::str::from_utf8(bytes).expect("a name is checked to be ASCII when it is made")
    }

    /// The name as an entry holds it.
    pub(super) fn field(&self) -> &[u8; NAME_FIELD] {
        &self.field
    }
}

impl FromStr for Name {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        Self::new(text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
