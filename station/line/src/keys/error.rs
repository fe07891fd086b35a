//! What can go wrong with keys. No variant holds a key, and none holds what a key file contains.

use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use super::kind::{KeyKind, KeyName, KeyOwner};

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A text that names no key.
    #[error(
        "`{text}` is no name of a key, expected 1 to 64 of `a-z 0-9 - _`, a letter or digit first"
    )]
    Name {
        /// The text, shortened.
        text: String,
    },
    /// A text that names no owner.
    #[error(
        "`{text}` is no owner of a key, expected `shared` or a MAC such as `7c:df:a1:00:00:01`"
    )]
    Owner {
        /// The text, shortened.
        text: String,
    },
    /// A text that is no kind of key.
    #[error("`{text}` is no kind of key")]
    Kind {
        /// The text, shortened.
        text: String,
    },
    /// A text that is no custody.
    #[error("`{text}` is no custody, expected `escrow` or `forget`")]
    Custody {
        /// The text, shortened.
        text: String,
    },
    /// The owner has another key of this name.
    #[error("key `{name}` of `{owner}` exists and is another one (`{fingerprint}`)")]
    Differs {
        /// Its name.
        name: KeyName,
        /// Whose.
        owner: KeyOwner,
        /// Fingerprint of the one that exists.
        fingerprint: String,
    },
    /// The owner has a key of this name and another kind.
    #[error("key `{name}` of `{owner}` is of kind `{has}`, not `{wanted}`")]
    KindDiffers {
        /// Its name.
        name: KeyName,
        /// Whose.
        owner: KeyOwner,
        /// Its kind.
        has: KeyKind,
        /// The kind that was asked for.
        wanted: KeyKind,
    },
    /// It was forgotten, and is never made anew.
    #[error("key `{name}` of `{owner}` was forgotten: {reason}")]
    Forgotten {
        /// Its name.
        name: KeyName,
        /// Whose.
        owner: KeyOwner,
        /// Why.
        reason: String,
    },
    /// The name is the station's own.
    #[error("`{name}` is the key that the station signs releases with")]
    Reserved {
        /// The name.
        name: KeyName,
    },
    /// There is no such key.
    #[error("there is no key `{name}` of `{owner}`")]
    Unknown {
        /// Its name.
        name: KeyName,
        /// Whose.
        owner: KeyOwner,
    },
    /// A sealed file cannot be opened, or holds another key than its record says.
    #[error("key file `{}` is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: &'static str,
    },
    /// The given bytes are no key of that kind.
    #[error("a key of kind `{kind}` cannot be {got}")]
    Size {
        /// The kind.
        kind: KeyKind,
        /// What was given, without it.
        got: String,
    },
    /// The given bytes are no key of that kind, though they have its size or form.
    #[error("a key of kind `{kind}` is expected, this is {reason}")]
    Unreadable {
        /// The kind.
        kind: KeyKind,
        /// What it is instead, without it.
        reason: String,
    },
    /// Keys of this kind must be given.
    #[error("keys of kind `{kind}` cannot be generated here")]
    CannotGenerate {
        /// The kind.
        kind: KeyKind,
    },
    /// The list of escrow recipients has something else in it.
    #[error("line {line} of `{}` is no age recipient", path.display())]
    Recipients {
        /// The list.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// Another process holds the store for longer than anything takes.
    #[error("key store `{}` is busy", folder.display())]
    Busy {
        /// The store.
        folder: PathBuf,
    },
    /// A file can be read or written by others.
    #[error("`{}` is open to other users (mode {mode:03o})", path.display())]
    Permissions {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file of the store is not what it should be.
    #[error("`{}` is no file of a key store: {what}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, without its content.
        what: &'static str,
    },
    /// A file cannot be read or written.
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The system gives no randomness.
    #[error("the system gives no randomness: {what}")]
    Chance {
        /// What it says.
        what: String,
    },
    /// A token does not do what it was asked.
    #[error("token: {what}")]
    Token {
        /// What it says.
        what: String,
    },
}

impl KeyError {
    /// Returns a stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "key-name",
            Self::Owner { .. } => "key-owner",
            Self::Kind { .. } => "key-kind",
            Self::Custody { .. } => "key-custody",
            Self::Differs { .. } => "key-differs",
            Self::KindDiffers { .. } => "key-kind-differs",
            Self::Forgotten { .. } => "key-forgotten",
            Self::Reserved { .. } => "key-reserved",
            Self::Unknown { .. } => "key-unknown",
            Self::Damaged { .. } => "key-damaged",
            Self::Size { .. } => "key-size",
            Self::Unreadable { .. } => "key-unreadable",
            Self::CannotGenerate { .. } => "key-cannot-generate",
            Self::Recipients { .. } => "key-recipients",
            Self::Busy { .. } => "key-store-busy",
            Self::Permissions { .. } => "key-store-permissions",
            Self::Format { .. } => "key-store-format",
            Self::Io { .. } => "key-store-io",
            Self::Chance { .. } => "key-chance",
            Self::Token { .. } => "key-token",
        }
    }

    /// Returns what to do about it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Differs { .. } | Self::KindDiffers { .. } => Some(
                "a unit keeps its key for life; give the new key another name, or the unit its own key back",
            ),
            Self::Forgotten { .. } => {
                Some("what was burned with it stays as it is; give a new key another name")
            }
            Self::Reserved { .. } => Some("take another name"),
            Self::Unknown { .. } => Some("`station keys list` shows what there is"),
            Self::Damaged { .. } => Some("restore the file from a backup, or open the escrow copy"),
            Self::CannotGenerate { .. } => Some("generate it elsewhere and import it"),
            Self::Recipients { .. } => Some("one recipient a line, `age1…`; `#` begins a comment"),
            Self::Busy { .. } => Some("look for a station that hangs"),
            Self::Permissions { .. } => Some("chmod go-rwx"),
            Self::Token { .. } => Some("check module path, token label, key label and PIN"),
            Self::Io { .. } => Some("check free space and permissions of the key store's disk"),
            Self::Name { .. }
            | Self::Owner { .. }
            | Self::Kind { .. }
            | Self::Custody { .. }
            | Self::Size { .. }
            | Self::Unreadable { .. }
            | Self::Format { .. }
            | Self::Chance { .. } => None,
        }
    }
}
