//! A package as operations read and show it.

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;
use station_esp::ota::{Manifest, OtaError, Package, TrustedKeys};

use super::super::images::RawFile;
use crate::operation::{Exit, OperationError};
use crate::station::Station;

/// What a package says about its image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ManifestView {
    /// Product it is for
    pub product: String,
    /// Version of the firmware
    pub version: String,
    /// Chip it runs on
    pub chip: String,
    /// Lowest revision of the chip
    pub min_revision: String,
    /// Highest revision of the chip, where there is one
    pub max_revision: Option<String>,
    /// Partition it is meant for; none is the next update slot
    pub partition: Option<String>,
    /// The image's secure version
    pub secure_version: u32,
    /// Bytes of the image
    pub size: u32,
    /// SHA-256 of the image
    pub sha256: String,
}

impl ManifestView {
    pub(super) fn of(manifest: &Manifest) -> Self {
        Self {
            product: manifest.product.clone(),
            version: manifest.version.clone(),
            chip: manifest.chip.name().to_owned(),
            min_revision: manifest.min_revision.to_string(),
            max_revision: manifest.max_revision.map(|revision| revision.to_string()),
            partition: manifest.partition.clone(),
            secure_version: manifest.secure_version,
            size: manifest.size,
            sha256: manifest.sha256.clone(),
        }
    }

    pub(super) fn words(&self) -> String {
        let most = self.max_revision.as_deref().unwrap_or("any");
        let place = self.partition.as_deref().unwrap_or("the next update slot");
        format!(
            "{} {} for {} of revisions {} to {most}, for {place}\n{} bytes, SHA-256 {}",
            self.product, self.version, self.chip, self.min_revision, self.size, self.sha256
        )
    }
}

/// A package that is refused, as an answer.
pub(super) fn refused(name: &str, error: &OtaError) -> OperationError {
    OperationError::usage(error.code(), format!("`{name}`: {error}")).exit(Exit::SomeFailed)
}

/// The bytes of a file that is to hold a package.
///
/// # Errors
/// Those of files.
pub(super) async fn read(station: &Station, file: &Path) -> Result<Vec<u8>, OperationError> {
    Ok(RawFile::read(station, file).await?.into_bytes())
}

/// Opens a package, which must carry a signature that counts unless there are no keys to ask for.
///
/// # Errors
/// Those of packages.
pub(super) fn open<'a>(
    name: &str,
    bytes: &'a [u8],
    trusted: Option<&TrustedKeys>,
) -> Result<Package<'a>, OperationError> {
    let package = Package::open(bytes).map_err(|error| refused(name, &error))?;
    if let Some(trusted) = trusted {
        package.check_signed(trusted).map_err(|error| {
            refused(name, &error).hint("name the key with `trusted`, or say `unsigned`")
        })?;
    }
    Ok(package)
}
