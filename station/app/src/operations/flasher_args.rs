//! The list that an ESP-IDF build leaves, read as a client may.

use std::path::Path;

use station_esp::flasher_args::{FlasherArgs, MAX_LIST};

use crate::operation::OperationError;
use crate::station::Station;

/// Reads a `flasher_args.json`; its files are named from where the caller is, not from the list.
///
/// # Errors
/// Those of files and of lists: `flasher-args-json`, `flasher-args-outside` and so on.
pub(super) fn read(station: &Station, file: &Path) -> Result<FlasherArgs, OperationError> {
    let read = crate::station::read_bounded(&station.readable(file)?, MAX_LIST)?;
    let mut build = FlasherArgs::parse(&read).map_err(|error| {
        let message = format!("`{}`: {error}", file.display());
        OperationError::usage(error.code(), message)
            .hint("name the `flasher_args.json` that ESP-IDF leaves in `build`")
    })?;
    let folder = file.parent().unwrap_or(Path::new(""));
    for part in &mut build.files {
        part.file = folder.join(&part.file);
    }
    Ok(build)
}
