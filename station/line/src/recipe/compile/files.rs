//! Reading the files a recipe names, each with a bound.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

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
