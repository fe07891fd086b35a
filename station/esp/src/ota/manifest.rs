//! What a package says about its image, in one form of bytes.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::OtaError;
use crate::chip::{Chip, Revision};
use crate::image::Image;

/// The format this program writes and reads.
pub const FORMAT: u64 = 1;
/// Manifests beyond this are none.
pub(super) const MAX_LENGTH: usize = 4096;
const MAX_TEXT: usize = 64;

/// What the image is and where it may run. Written as JSON without spaces, fields in this order,
/// and read only in that form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u64,
    /// Product it is for.
    pub product: String,
    /// Version of the firmware.
    pub version: String,
    /// Chip it runs on.
    pub chip: Chip,
    /// Lowest chip revision.
    pub min_revision: Revision,
    /// Highest chip revision, where there is one.
    pub max_revision: Option<Revision>,
    /// Partition it is meant for; `None` is the next OTA slot.
    pub partition: Option<String>,
    /// The image's secure version, which rollback protection compares.
    pub secure_version: u32,
    /// Bytes of the image.
    pub size: u32,
    /// SHA-256 of the image, 64 lower-case hex digits.
    pub sha256: String,
}

impl Manifest {
    /// What there is to say about this application image. Without a version of its own, the one in
    /// the image's descriptor is taken.
    ///
    /// # Errors
    /// When the bytes are no application image, or a text cannot be in a manifest.
    pub fn for_image(
        product: &str,
        version: Option<&str>,
        partition: Option<&str>,
        image: &[u8],
    ) -> Result<Self, OtaError> {
        let parsed = Image::parse(image)?;
        parsed.check_application()?;
        let app = parsed.app.as_ref();
        let version = version.or(app.map(|app| app.version.as_str()));
        let length = image.len();
        let manifest = Self {
            format: FORMAT,
            product: product.to_owned(),
            version: version.unwrap_or_default().to_owned(),
            chip: parsed.chip,
            min_revision: parsed.header.minimum_revision(),
            max_revision: parsed.header.maximum_revision(),
            partition: partition.map(str::to_owned),
            secure_version: app.map_or(0, |app| app.secure_version),
            size: u32::try_from(length).map_err(|_| OtaError::TooLong { length })?,
            sha256: hex::encode(Sha256::digest(image)),
        };
        manifest.check()?;
        Ok(manifest)
    }

    /// The bytes that stand in the package and are signed.
    ///
    /// # Errors
    /// When a text cannot be in a manifest.
    pub fn to_bytes(&self) -> Result<Vec<u8>, OtaError> {
        self.check()?;
        let unwritable = |error: serde_json::Error| OtaError::Manifest {
            reason: error.to_string(),
        };
        let mut bytes = serde_json::to_vec(self).map_err(unwritable)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads those bytes.
    ///
    /// # Errors
    /// When they are not exactly what [`Manifest::to_bytes`] writes; names line and column where
    /// they are no manifest at all.
    pub fn parse(bytes: &[u8]) -> Result<Self, OtaError> {
        let refused = |reason: String| OtaError::Manifest { reason };
        if bytes.len() > MAX_LENGTH {
            return Err(refused(format!("more than {MAX_LENGTH} bytes")));
        }
        #[derive(Deserialize)]
        struct Head {
            format: u64,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|e| refused(e.to_string()))?;
        if head.format != FORMAT {
            return Err(OtaError::Format { found: head.format });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|e| refused(e.to_string()))?;
        if manifest.to_bytes()? == bytes {
            Ok(manifest)
        } else {
            Err(refused("it is not in its canonical form".into()))
        }
    }

    /// Checks that these bytes are the image it describes.
    ///
    /// # Errors
    /// [`OtaError::OtherImage`] with what differs, or when they are no application image.
    pub fn check_image(&self, image: &[u8]) -> Result<(), OtaError> {
        // Size and hash first: what was damaged on the way is better told than what it looks like.
        let field = if u32::try_from(image.len()) != Ok(self.size) {
            "size"
        } else if hex::encode(Sha256::digest(image)) != self.sha256 {
            "SHA-256"
        } else {
            let partition = self.partition.as_deref();
            let actual = Self::for_image(&self.product, Some(&self.version), partition, image)?;
            match () {
                () if actual.chip != self.chip => "chip",
                () if actual.min_revision != self.min_revision => "lowest revision",
                () if actual.max_revision != self.max_revision => "highest revision",
                () if actual.secure_version != self.secure_version => "secure version",
                () => return Ok(()),
            }
        };
        Err(OtaError::OtherImage { field })
    }

    /// Checks that the package is for this product, chip and revision, as far as they are known.
    ///
    /// # Errors
    /// With what it is not for.
    pub fn check_target(
        &self,
        product: &str,
        chip: Chip,
        revision: Option<Revision>,
    ) -> Result<(), OtaError> {
        if product != self.product {
            return Err(OtaError::WrongProduct {
                package: self.product.clone(),
            });
        }
        if chip != self.chip {
            return Err(OtaError::WrongChip {
                package: self.chip,
                chip,
            });
        }
        match revision {
            Some(revision)
                if revision < self.min_revision
                    || self.max_revision.is_some_and(|max| revision > max) =>
            {
                Err(OtaError::WrongRevision { revision })
            }
            _ => Ok(()),
        }
    }

    fn check(&self) -> Result<(), OtaError> {
        let texts = [
            ("product", Some(&self.product)),
            ("version", Some(&self.version)),
            ("partition", self.partition.as_ref()),
        ];
        for (field, text) in texts {
            if text.is_some_and(|text| !is_plain(text)) {
                return Err(OtaError::Text { field });
            }
        }
        let digest = hex::decode(&self.sha256).unwrap_or_default();
        if digest.len() == 32 && hex::encode(digest) == self.sha256 {
            Ok(())
        } else {
            Err(OtaError::Manifest {
                reason: "`sha256` must be 64 lower-case hex digits".into(),
            })
        }
    }
}

fn is_plain(text: &str) -> bool {
    let length = text.chars().count();
    (1..=MAX_TEXT).contains(&length) && !text.chars().any(char::is_control)
}
