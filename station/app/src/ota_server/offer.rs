//! What is handed out: the parts of a package, each with its name, type and digest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use sha2::{Digest, Sha256};
use station_esp::ota::{OtaError, Package};

/// Something that can be asked for.
#[derive(Clone, Debug)]
pub struct Representation {
    /// Path in the URL.
    pub path: &'static str,
    /// Its media type.
    pub kind: &'static str,
    /// Its bytes.
    pub bytes: Bytes,
    /// `Repr-Digest` (RFC 9530).
    pub digest: String,
    /// `ETag`, strong: other bytes have another.
    pub etag: String,
    /// Whether a device that has it has the update.
    pub is_update: bool,
}

impl Representation {
    fn new(path: &'static str, kind: &'static str, bytes: Bytes) -> Self {
        let digest = Sha256::digest(&bytes);
        Self {
            path,
            kind,
            digest: format!("sha-256=:{}:", STANDARD.encode(digest)),
            etag: format!("\"{}\"", hex::encode(digest)),
            bytes,
            is_update: true,
        }
    }
}

/// Everything that can be asked for.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The image alone, as `esp_https_ota` wants it.
    pub image: Representation,
    /// The package.
    pub package: Representation,
    /// What the package says about its image.
    pub manifest: Representation,
}

impl Offer {
    /// The parts of a package.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn of(bytes: Vec<u8>) -> Result<Self, OtaError> {
        let bytes = Bytes::from(bytes);
        let manifest = Package::open(&bytes)?.manifest().to_bytes()?;
        let image = bytes.slice(Package::image_range(&bytes)?);
        let binary = "application/octet-stream";
        Ok(Self {
            image: Representation::new("/image.bin", binary, image),
            package: Representation::new("/package.tar", "application/x-tar", bytes),
            manifest: Representation {
                is_update: false,
                ..Representation::new("/manifest.json", "application/json", manifest.into())
            },
        })
    }

    /// What lies at a path.
    pub(super) fn find(&self, path: &str) -> Option<&Representation> {
        [&self.image, &self.package, &self.manifest]
            .into_iter()
            .find(|one| one.path == path)
    }
}
