//! Reading the files a recipe names, each with a bound: its own, and those that units have.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Context;
use super::steps::Scope;
use crate::template::Template;
use crate::unit_files::UnitFiles;

/// Why a file was not read.
#[derive(Debug)]
pub(super) enum FileError {
    /// The system says no.
    Io(io::Error),
    /// It has more bytes than it may.
    TooLarge { most: u64 },
}

/// Reads a regular file of at most `most` bytes. Never reads more, whatever the file claims to be.
pub(super) fn read_bounded(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    // A pipe or a device could make the compiler wait for ever; only files and links to files are
    // read.
    let metadata = std::fs::metadata(path).map_err(FileError::Io)?;
    if !metadata.is_file() {
        return Err(FileError::Io(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no file",
        )));
    }
    if metadata.len() > most {
        return Err(FileError::TooLarge { most });
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(FileError::Io)?;
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(FileError::Io)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
        return Err(FileError::TooLarge { most });
    }
    Ok(bytes)
}

/// Files of the recipe's folder with at most `most` bytes each, none of them read yet.
pub(super) fn unit_files(most: u64, context: &Context) -> UnitFiles {
    UnitFiles {
        folder: context.folder.clone(),
        closed: context.closed.clone(),
        most,
        known: Arc::default(),
    }
}

/// What is wrong with files of units: the place of each unit, and the reason.
pub(super) type Wrong = Vec<(String, String)>;

/// Reads every file that a template names and that is known beforehand, so that it must not change
/// any more. Returns them with the content of the longest.
///
/// # Errors
/// What is wrong with them.
pub(super) fn known_files(
    files: UnitFiles,
    template: &Template,
    scope: &Scope<'_>,
) -> Result<(UnitFiles, Vec<u8>), Wrong> {
    let mut known = BTreeMap::new();
    let mut longest = Vec::new();
    let mut wrong = Vec::new();
    scope.units.each_text(template, scope.chips, |unit, name| {
        let read = name.map_err(|error| error.to_string()).and_then(|name| {
            if let Entry::Vacant(unread) = known.entry(name) {
                let bytes = files.read(unread.key());
                let bytes = bytes.map_err(|error| error.to_string())?;
                unread.insert(<[u8; 32]>::from(Sha256::digest(&bytes)));
                if bytes.len() > longest.len() {
                    longest = bytes;
                }
            }
            Ok(())
        });
        if let Err(reason) = read {
            wrong.push((scope.units.place(unit), reason));
        }
    });
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let known = Arc::new(known);
    Ok((UnitFiles { known, ..files }, longest))
}
