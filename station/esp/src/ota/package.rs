//! The package as bytes: built, opened and checked.

use std::ops::Range;

use super::error::OtaError;
use super::manifest::{MAX_LENGTH, Manifest};
use super::signature::{PublicKey, Signature, TrustedKeys};
use crate::secret::Secret;

const NAMES: [&str; 3] = ["manifest.json", "signatures", "image.bin"];
/// Tar's unit: a header is one, content is filled up to a multiple.
const BLOCK: usize = 512;
/// Signatures beyond this are none.
const MAX_SIGNATURES: usize = 16 * 1024;

/// A package whose image is the one its manifest describes. Signatures are another question: see
/// [`Package::check_signed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package<'a> {
    manifest: Manifest,
    signatures: Vec<Signature>,
    image: &'a [u8],
}

impl<'a> Package<'a> {
    /// A package without signatures.
    ///
    /// # Errors
    /// When the manifest does not describe this image.
    pub fn new(manifest: Manifest, image: &'a [u8]) -> Result<Self, OtaError> {
        manifest.to_bytes()?;
        manifest.check_image(image)?;
        Ok(Self {
            manifest,
            signatures: Vec::new(),
            image,
        })
    }

    /// Adds a signature with the 32 bytes of an Ed25519 key.
    ///
    /// # Errors
    /// When the key has another length or signed already.
    pub fn sign(&mut self, key: &Secret) -> Result<(), OtaError> {
        let signature = Signature::sign(&self.manifest, key)?;
        self.push(signature)
    }

    fn push(&mut self, signature: Signature) -> Result<(), OtaError> {
        if self
            .signatures
            .iter()
            .any(|other| other.key == signature.key)
        {
            return Err(OtaError::SameKeyTwice {
                key: signature.key.to_string(),
            });
        }
        self.signatures.push(signature);
        Ok(())
    }

    /// What the package says.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The signatures, not checked.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The image.
    #[must_use]
    pub fn image(&self) -> &'a [u8] {
        self.image
    }

    /// Checks that every signature holds and at least one is by a trusted key, which is returned.
    ///
    /// # Errors
    /// [`OtaError::Unsigned`], [`OtaError::Signature`], [`OtaError::Untrusted`].
    pub fn check_signed(&self, trusted: &TrustedKeys) -> Result<PublicKey, OtaError> {
        if self.signatures.is_empty() {
            return Err(OtaError::Unsigned);
        }
        for signature in &self.signatures {
            signature.verify(&self.manifest)?;
        }
        let mut keys = self.signatures.iter().map(|signature| signature.key);
        keys.find(|key| trusted.0.contains(key))
            .ok_or(OtaError::Untrusted)
    }

    /// The package as one file.
    ///
    /// # Errors
    /// When the manifest cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, OtaError> {
        let lines = self.signatures.iter().map(|line| format!("{line}\n"));
        let signatures: String = lines.collect();
        let manifest = self.manifest.to_bytes()?;
        let members = [&manifest[..], signatures.as_bytes(), self.image];
        let length: usize = members.iter().map(|member| member_length(member)).sum();
        let mut tar = tar::Builder::new(Vec::with_capacity(length + 2 * BLOCK));
        let unwritable = |_| OtaError::TooLong {
            length: self.image.len(),
        };
        for (name, member) in NAMES.into_iter().zip(members) {
            let mut header = tar::Header::new_ustar();
            header.set_size(u64::try_from(member.len()).unwrap_or(u64::MAX));
            header.set_mode(0o644);
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            tar.append_data(&mut header, name, member)
                .map_err(unwritable)?;
        }
        tar.into_inner().map_err(unwritable)
    }

    /// Opens a package.
    ///
    /// # Errors
    /// When it is not exactly in the form that [`Package::to_bytes`] writes, or the image is not
    /// what the manifest says.
    pub fn open(bytes: &'a [u8]) -> Result<Self, OtaError> {
        let [manifest, signatures, image] = members(bytes)?;
        let start = |range: &Range<usize>| u64::try_from(range.start).unwrap_or(u64::MAX);
        if signatures.len() > MAX_SIGNATURES || manifest.len() > MAX_LENGTH {
            return Err(OtaError::Container {
                offset: start(&manifest),
                reason: "manifest or signatures are too long",
            });
        }
        let lines = std::str::from_utf8(&bytes[signatures.clone()]);
        let lines = lines.map_err(|_| OtaError::SignatureForm { number: 0 })?;
        let manifest = Manifest::parse(&bytes[manifest])?;
        let mut package = Self::new(manifest, &bytes[image])?;
        for (number, line) in lines.lines().enumerate() {
            let signature = Signature::parse(line).ok_or(OtaError::SignatureForm { number })?;
            package.push(signature)?;
        }
        let ours = package.to_bytes()?;
        if ours == bytes {
            return Ok(package);
        }
        let same = ours.iter().zip(bytes).take_while(|(a, b)| a == b).count();
        Err(OtaError::Container {
            offset: u64::try_from(same).unwrap_or(u64::MAX),
            reason: "it is not in its canonical form",
        })
    }

    /// Where the image lies in the file, for serving it by byte range.
    ///
    /// # Errors
    /// When the bytes do not begin with the three members.
    pub fn image_range(bytes: &[u8]) -> Result<Range<usize>, OtaError> {
        members(bytes).map(|[_, _, image]| image)
    }
}

fn member_length(content: &[u8]) -> usize {
    BLOCK + content.len().next_multiple_of(BLOCK)
}

/// Where the content of the three members lies.
fn members(bytes: &[u8]) -> Result<[Range<usize>; 3], OtaError> {
    let refused = |offset: u64, reason| OtaError::Container { offset, reason };
    let mut archive = tar::Archive::new(bytes);
    // Raw: names longer than a header holds, which cost memory to follow, are none of ours.
    let entries = archive
        .entries()
        .map_err(|_| refused(0, "it is no tar file"))?
        .raw(true);
    let mut found = [0..0, 0..0, 0..0];
    let mut offset = 0;
    let mut names = NAMES.iter().zip(&mut found);
    for entry in entries {
        let entry = entry.map_err(|_| refused(offset, "a damaged tar header"))?;
        let (name, place) = names
            .next()
            .ok_or_else(|| refused(offset, "more than three members"))?;
        if *entry.path_bytes() != *name.as_bytes() {
            return Err(refused(offset, "a member of another name"));
        }
        let start = entry.raw_file_position();
        let end = start.checked_add(entry.size());
        let range = end
            .and_then(|end| Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?))
            .filter(|range| bytes.get(range.clone()).is_some());
        *place = range.ok_or_else(|| refused(offset, "a member that is cut short"))?;
        let padded = entry.size().checked_next_multiple_of(BLOCK as u64);
        offset = start.saturating_add(padded.unwrap_or(u64::MAX));
    }
    if names.next().is_some() {
        return Err(refused(offset, "a member is missing"));
    }
    Ok(found)
}
