//! One unit's identity: certificates and a key, as a partition.

use super::certificate::Certificate;
use super::context::{EfuseReference, RsaContext};
use super::entry::{Entry, KeyPlace, Kind};
use super::error::CertError;
use super::key::KeyFile;
use super::partition::Partition;
use crate::secret::Secret;

/// Where the private key is to be.
#[derive(Debug)]
pub enum IdentityKey<'a> {
    /// In the partition, readable to all who read the flash; flash encryption is what protects it.
    Plain(&'a KeyFile),
    /// In the partition, for the chip's RSA peripheral only.
    Rsa(&'a RsaContext),
    /// In eFuse, for the chip's ECDSA peripheral only. The key block is written by an eFuse plan.
    Ecdsa(EfuseReference),
}

/// What goes into one unit's partition, every entry with subtype 0.
#[derive(Debug, Default)]
pub struct Identity<'a> {
    /// The certificate authority's certificate.
    pub ca: Option<&'a Certificate>,
    /// The device's certificate.
    pub device: Option<&'a Certificate>,
    /// The device's private key.
    pub key: Option<IdentityKey<'a>>,
}

impl Identity<'_> {
    /// The entries in the order in which the tool writes them, with an integrity entry at the end.
    ///
    /// # Errors
    /// When a plain key is not the device certificate's, there is nothing to write, or no room.
    pub fn to_partition(&self) -> Result<Partition, CertError> {
        let mut partition = self.entries()?;
        partition.push_integrity()?;
        Ok(partition)
    }

    /// The same without an integrity entry, as the tool makes it before signing.
    ///
    /// # Errors
    /// As [`Identity::to_partition`].
    pub fn entries(&self) -> Result<Partition, CertError> {
        if let (Some(device), Some(IdentityKey::Plain(key))) = (self.device, &self.key) {
            device.check_key(key)?;
        }
        let mut partition = Partition::new();
        match &self.key {
            Some(IdentityKey::Rsa(context)) => {
                for entry in context.entries(0) {
                    partition.push(entry)?;
                }
            }
            Some(IdentityKey::Ecdsa(reference)) => partition.push(reference.entry(0))?,
            Some(IdentityKey::Plain(_)) | None => {}
        }
        for (kind, certificate) in [
            (Kind::CaCertificate, self.ca),
            (Kind::DeviceCertificate, self.device),
        ] {
            if let Some(certificate) = certificate {
                partition.push(Entry::new(kind, 0, certificate.entry_content()?))?;
            }
        }
        let key = match &self.key {
            Some(IdentityKey::Plain(key)) => Some((KeyPlace::Plain, key.entry_content()?)),
            Some(IdentityKey::Ecdsa(_)) => Some((KeyPlace::Efuse, Secret::new(Vec::new()))),
            Some(IdentityKey::Rsa(_)) | None => None,
        };
        if let Some((place, content)) = key {
            partition.push(Entry {
                kind: Kind::PrivateKey,
                subtype: 0,
                flags: place.flags(),
                content,
            })?;
        }
        Ok(partition)
    }
}
