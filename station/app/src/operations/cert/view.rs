//! The entries of a partition as they may be shown.

use schemars::JsonSchema;
use serde::Serialize;
use station_esp::cert::{
    Certificate, EfuseReference, Encoding, Entry, KeyFile, KeyPlace, Kind, Partition, RsaContext,
};

use super::super::target::sha256;

/// What is known of a private key without showing it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PrivateKeyView {
    /// flash, encrypted, derived or efuse
    pub place: String,
    /// What it is: RSA-2048, ECDSA P-256 …
    pub kind: Option<String>,
    /// SHA-256 of its public key, DER of a SubjectPublicKeyInfo
    pub public_key_sha256: Option<String>,
    /// Key block of the chip that it needs, from 0
    pub key_block: Option<u8>,
    /// Whether it is the device certificate's, where that can be told
    pub matches_certificate: Option<bool>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EntryView {
    /// Where it begins in the partition
    pub offset: usize,
    /// What it holds: CA certificate, device certificate, private key, integrity …
    pub kind: String,
    /// Number of its kind
    pub number: u8,
    /// Which of its kind
    pub subtype: u8,
    /// Bytes of its content
    pub length: usize,
    /// Whether its content is kept back
    pub secret: bool,
    /// The certificate as PEM
    pub certificate: Option<String>,
    /// SHA-256 of the certificate, DER
    pub certificate_sha256: Option<String>,
    /// SHA-256 of its public key, DER of a SubjectPublicKeyInfo
    pub public_key_sha256: Option<String>,
    /// What is wrong with its content, if anything is
    pub problem: Option<String>,
}

/// A signature over the partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SignedView {
    /// Which of the signatures
    pub subtype: u8,
    /// Bytes of the partition that it covers
    pub length: usize,
    /// rsa-3072, ecdsa-p256 or ecdsa-p384
    pub algorithm: String,
    /// SHA-256 of the key as secure boot keeps it
    pub key_digest: String,
}

/// Every entry.
pub(super) fn entries(partition: &Partition) -> Vec<EntryView> {
    let mut offset = 0;
    let entries = partition.entries().iter();
    entries
        .map(|entry| {
            let view = of(entry, offset);
            offset += entry.flash_length();
            view
        })
        .collect()
}

fn of(entry: &Entry, offset: usize) -> EntryView {
    let mut view = EntryView {
        offset,
        kind: entry.kind.to_string(),
        number: entry.kind.number(),
        subtype: entry.subtype,
        length: entry.content.len(),
        secret: entry.kind.is_secret(),
        certificate: None,
        certificate_sha256: None,
        public_key_sha256: None,
        problem: None,
    };
    if matches!(entry.kind, Kind::CaCertificate | Kind::DeviceCertificate) {
        match Certificate::read(entry.content.expose()) {
            Err(error) => view.problem = Some(error.to_string()),
            Ok(certificate) => {
                view.certificate_sha256 = Some(sha256(certificate.der()));
                view.public_key_sha256 = Some(sha256(certificate.public_der()));
                view.certificate = pem(entry, &certificate);
            }
        }
    }
    view
}

/// The text of a certificate that lies in flash as text; one that lies there as DER is known by its hash.
fn pem(entry: &Entry, certificate: &Certificate) -> Option<String> {
    let text = match certificate.encoding() {
        Encoding::Pem => std::str::from_utf8(entry.content.expose()).ok()?,
        Encoding::Der => return None,
    };
    Some(text.trim_end_matches('\0').to_owned())
}

/// The device's private key, subtype 0: where it lies and what may be known of it.
pub(super) fn private_key(partition: &Partition) -> Option<PrivateKeyView> {
    let entry = partition.find(Kind::PrivateKey, 0);
    let context = partition.find(Kind::DsContext, 0);
    let parameters = partition.find(Kind::DsCiphertext, 0);
    let device = partition
        .find(Kind::DeviceCertificate, 0)
        .and_then(|entry| Certificate::read(entry.content.expose()).ok());
    if let (Some(parameters), Some(context)) = (parameters, context) {
        let sealed = RsaContext::from_entries(parameters, context).ok();
        return Some(PrivateKeyView {
            place: "encrypted".to_owned(),
            kind: sealed.as_ref().map(|sealed| format!("RSA-{}", sealed.bits)),
            key_block: sealed.map(|sealed| sealed.key_block),
            ..PrivateKeyView::default()
        });
    }
    let entry = entry?;
    let place = match entry.key_place() {
        Some(KeyPlace::Plain) => "flash",
        Some(KeyPlace::HmacEncrypted) => "encrypted",
        Some(KeyPlace::HmacDerived) => "derived",
        Some(KeyPlace::Efuse) => "efuse",
        None => "unknown",
    };
    let security = partition.find(Kind::SecurityConfig, 0);
    let reference = security.and_then(|entry| EfuseReference::from_entry(entry).ok());
    let key = (entry.key_place() == Some(KeyPlace::Plain))
        .then(|| KeyFile::read(entry.content.expose()).ok())
        .flatten();
    let matches = key.as_ref().zip(device.as_ref());
    Some(PrivateKeyView {
        place: place.to_owned(),
        kind: key.as_ref().map(|key| key.kind().to_string()),
        public_key_sha256: key.as_ref().map(|key| sha256(key.public_der())),
        key_block: reference.map(|reference| reference.key_block),
        matches_certificate: matches.map(|(key, device)| device.check_key(key).is_ok()),
    })
}

/// Every signature, all of which hold.
pub(super) fn signatures(
    partition: &Partition,
) -> Result<Vec<SignedView>, station_esp::cert::CertError> {
    let ranges = partition.signatures()?;
    let views = ranges.into_iter().map(|range| SignedView {
        subtype: range.subtype,
        length: range.length,
        algorithm: range.public_key.algorithm().name().to_owned(),
        key_digest: hex::encode(range.public_key.digest()),
    });
    Ok(views.collect())
}
