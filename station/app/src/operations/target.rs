//! A file that an operation makes: refused before the work begins, written whole, described.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::operation::OperationError;
use crate::station::Station;

/// A file to be written.
pub(super) struct Target {
    path: PathBuf,
    /// As the caller named it.
    pub name: String,
    /// Whether what is there stays what it is.
    is_new: bool,
}

/// A file that was written.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FileView {
    /// The file
    pub file: String,
    /// Its bytes
    pub size: u64,
    /// SHA-256 of them
    pub sha256: String,
}

impl Target {
    /// A file that may be written.
    ///
    /// # Errors
    /// `file-unwritable`, `path-outside-roots`.
    pub(super) fn new(station: &Station, out: &Path) -> Result<Self, OperationError> {
        Ok(Self {
            path: station.writable(out)?,
            name: out.display().to_string(),
            is_new: false,
        })
    }

    /// A file for keys that are drawn now. One that is there is never written over: it may hold the only copy
    /// of what units were encrypted with.
    ///
    /// # Errors
    /// `file-exists`; those of [`Self::new`].
    pub(super) fn for_new_keys(station: &Station, out: &Path) -> Result<Self, OperationError> {
        let target = Self::new(station, out)?;
        if target.path.symlink_metadata().is_ok() {
            return Err(crate::station::exists(out));
        }
        Ok(Self {
            is_new: true,
            ..target
        })
    }

    /// Refuses to write over one of the files that a key or certificate comes from.
    ///
    /// # Errors
    /// `file-twice`; those of the files.
    pub(super) fn spare<'a>(
        &self,
        station: &Station,
        sources: impl IntoIterator<Item = &'a PathBuf>,
    ) -> Result<(), OperationError> {
        for source in sources {
            if station.readable(source)? == self.path {
                let message = format!("`{}` would be written over what it is made of", self.name);
                return Err(
                    OperationError::usage("file-twice", message).hint("write to another file")
                );
            }
        }
        Ok(())
    }

    /// Writes it whole; readable for its owner only, as every file that is written so.
    ///
    /// # Errors
    /// `file-unwritable`; `file-exists` for new keys.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<FileView, OperationError> {
        match self.is_new {
            true => crate::station::write_new(&self.path, bytes)?,
            false => crate::station::write_whole(&self.path, bytes)?,
        }
        Ok(FileView {
            file: self.name.clone(),
            size: bytes.len() as u64,
            sha256: sha256(bytes),
        })
    }

    /// Whether two targets are one file.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.path == other.path
    }

    /// Whether the file's name ends so.
    pub(super) fn ends_in(&self, extension: &str) -> bool {
        let own = self.path.extension();
        own.is_some_and(|own| own.eq_ignore_ascii_case(extension))
    }
}

impl FileView {
    /// The file in words.
    pub(super) fn words(&self) -> String {
        format!("wrote {} ({} bytes)", self.file, self.size)
    }
}

/// The SHA-256 of these bytes in hex.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Does what takes a while where it holds nobody up.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OperationError> + Send + 'static,
) -> Result<T, OperationError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| OperationError::new("internal", error.to_string()))?
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::station::StationOptions;

    #[test]
    fn new_keys_are_written_over_nothing_and_no_key_by_what_is_made_of_it() {
        let folder = TempDir::new().unwrap();
        let station = Station::open(StationOptions::default()).unwrap();
        let file = folder.path().join("keys.bin");
        let first = Target::for_new_keys(&station, &file).unwrap();
        // Somebody was quicker.
        let second = Target::for_new_keys(&station, &file).unwrap();
        first.write(b"first").unwrap();
        assert_eq!(second.write(b"second").unwrap_err().code, "file-exists");
        let third = Target::for_new_keys(&station, &file).map(|target| target.name);
        assert_eq!(third.unwrap_err().code, "file-exists");
        let same = folder
            .path()
            .join("../")
            .join(folder.path())
            .join("keys.bin");
        let target = Target::new(&station, &file).unwrap();
        assert_eq!(
            target.spare(&station, [&same]).unwrap_err().code,
            "file-twice"
        );
        assert_eq!(std::fs::read(&file).unwrap(), b"first");
        target.write(b"what was asked for").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"what was asked for");
    }
}
