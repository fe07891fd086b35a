//! Files that units have of their own: certificates, keys and the like, in the recipe's folder.
//!
//! Invariants: nothing outside the folder is read, links resolved; nothing that is no regular file;
//! never more than a file may have. A file that was there when the plan was made must still be the
//! same.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;

/// Files that units have of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitFiles {
    /// The recipe's folder. Not part of the plan's identity.
    pub folder: PathBuf,
    /// Folders whose files are none of a recipe's business. Not part of the plan's identity either.
    pub closed: Vec<PathBuf>,
    /// Most bytes a file may have.
    pub most: u64,
    /// SHA-256 of each file that was there when the plan was made, by its name; empty where names
    /// are only known at the line.
    pub known: Arc<BTreeMap<String, [u8; 32]>>,
}

/// Why a unit's file cannot be used.
#[derive(Debug, Error)]
pub enum UnitFileError {
    /// Its name leads out of the recipe's folder.
    #[error("`{name}` lies outside the recipe's folder")]
    Outside {
        /// As rendered.
        name: String,
    },
    /// It is not there, is no file, or cannot be read.
    #[error("`{name}` cannot be read: {source}")]
    Unreadable {
        /// As rendered.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// It has more bytes than it may.
    #[error("`{name}` has more than {most} bytes")]
    TooLarge {
        /// As rendered.
        name: String,
        /// Most it may have.
        most: u64,
    },
    /// It has no bytes.
    #[error("`{name}` is empty")]
    Empty {
        /// As rendered.
        name: String,
    },
    /// It is not what it was when the plan was made.
    #[error("`{name}` has changed since the recipe was compiled")]
    Changed {
        /// As rendered.
        name: String,
    },
}

impl UnitFileError {
    /// Returns a stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Outside { .. } => "unit-file-outside",
            Self::Unreadable { .. } => "unit-file-unreadable",
            Self::TooLarge { .. } => "unit-file-too-large",
            Self::Empty { .. } => "unit-file-empty",
            Self::Changed { .. } => "unit-file-changed",
        }
    }
}

impl UnitFiles {
    /// Reads one of them.
    ///
    /// # Errors
    /// When it is not there, not in the folder, too large, empty, or not what it was.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, UnitFileError> {
        let path = self.inside(name)?;
        let bytes = bounded(&path, self.most).map_err(|source| UnitFileError::Unreadable {
            name: shown(name),
            source,
        })?;
        let Some(bytes) = bytes else {
            let most = self.most;
            let name = shown(name);
            return Err(UnitFileError::TooLarge { name, most });
        };
        if bytes.is_empty() {
            return Err(UnitFileError::Empty { name: shown(name) });
        }
        let same = match self.known.get(name) {
            Some(known) => *known == <[u8; 32]>::from(Sha256::digest(&bytes)),
            None => self.known.is_empty(),
        };
        if same {
            Ok(bytes)
        } else {
            Err(UnitFileError::Changed { name: shown(name) })
        }
    }

    /// Where a file is, links resolved.
    fn inside(&self, name: &str) -> Result<PathBuf, UnitFileError> {
        let unreadable = |source| UnitFileError::Unreadable {
            name: shown(name),
            source,
        };
        let outside = || UnitFileError::Outside { name: shown(name) };
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        if !Path::new(name).components().all(plain) {
            return Err(outside());
        }
        let here = Path::new(".");
        let folder = if self.folder.as_os_str().is_empty() {
            here
        } else {
            &self.folder
        };
        let folder = folder.canonicalize().map_err(unreadable)?;
        let path = folder.join(name).canonicalize().map_err(unreadable)?;
        let closed = |closed: &PathBuf| {
            let resolved = closed.canonicalize();
            path.starts_with(resolved.as_ref().unwrap_or(closed))
        };
        if path.starts_with(&folder) && !self.closed.iter().any(closed) {
            Ok(path)
        } else {
            Err(outside())
        }
    }
}

/// Names come from lists.
fn shown(name: &str) -> String {
    name.escape_debug().take(100).collect()
}

/// Reads a regular file; `None` if it has more than `most` bytes.
fn bounded(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        let kind = io::ErrorKind::InvalidInput;
        return Err(io::Error::new(kind, "it is no file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    let within = u64::try_from(bytes.len()).is_ok_and(|length| length <= most);
    Ok(within.then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> UnitFiles {
        UnitFiles {
            folder: folder.to_path_buf(),
            closed: vec![folder.join("keys")],
            most: 4,
            known: Arc::default(),
        }
    }

    #[test]
    fn only_files_of_the_folder_are_read_and_no_more_of_them_than_wanted() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("recipe");
        std::fs::create_dir_all(folder.join("certs")).unwrap();
        std::fs::create_dir_all(folder.join("keys")).unwrap();
        for file in ["certs/a.der", "keys/a", "../secret", "long", "empty"] {
            std::fs::write(folder.join(file), "abcd").unwrap();
        }
        std::fs::write(folder.join("long"), "abcde").unwrap();
        std::fs::write(folder.join("empty"), "").unwrap();
        std::os::unix::fs::symlink("../secret", folder.join("link")).unwrap();
        let files = files(&folder);
        assert_eq!(files.read("certs/a.der").unwrap(), b"abcd");
        assert_eq!(files.read("./certs/a.der").unwrap(), b"abcd");
        for (name, code) in [
            ("../secret", "unit-file-outside"),
            ("certs/../../secret", "unit-file-outside"),
            ("/etc/passwd", "unit-file-outside"),
            ("link", "unit-file-outside"),
            ("keys/a", "unit-file-outside"),
            ("certs", "unit-file-unreadable"),
            ("", "unit-file-unreadable"),
            ("certs/b.der", "unit-file-unreadable"),
            ("long", "unit-file-too-large"),
            ("empty", "unit-file-empty"),
        ] {
            assert_eq!(files.read(name).unwrap_err().code(), code, "{name}");
        }
    }

    #[test]
    fn a_file_that_was_changed_after_the_plan_was_made_is_refused() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("a"), "1").unwrap();
        let mut files = files(place.path());
        files.known = Arc::new(BTreeMap::from([(
            "a".to_owned(),
            Sha256::digest("1").into(),
        )]));
        assert_eq!(files.read("a").unwrap(), b"1");
        std::fs::write(place.path().join("a"), "2").unwrap();
        assert_eq!(files.read("a").unwrap_err().code(), "unit-file-changed");
    }
}
