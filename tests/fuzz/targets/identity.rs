//! Certificates, keys, records and packages.

use station_esp::cert::{
    Certificate, EfuseReference, Encoding, KeyFile, Kind, Partition, RsaContext,
};
use station_esp::ota::{Manifest, Package, TrustedKeys};
use station_esp::records::{Calibration, Manufacturing};
use station_esp::secure::signature::{PrivateKey, PublicKey};

use super::repair;

pub(super) fn cert(bytes: &[u8]) -> bool {
    one_cert(bytes) | one_cert(&repair::cert(bytes))
}

fn one_cert(bytes: &[u8]) -> bool {
    let Ok(partition) = Partition::parse(bytes) else {
        return false;
    };
    let again = partition.to_bytes();
    assert_eq!(again.len(), partition.flash_length());
    assert!(bytes.starts_with(&again), "something was read over");
    let image = partition.to_image();
    assert_eq!(Partition::parse(image.expose()).as_ref(), Ok(&partition));
    for entry in partition.entries() {
        if let Some(context) = partition.find(Kind::DsContext, entry.subtype) {
            let _ = RsaContext::from_entries(entry, context);
        }
        let _ = EfuseReference::from_entry(entry);
        if !entry.kind.is_secret() {
            let _ = Certificate::read(entry.content.expose());
        }
    }
    true
}

/// An entry's content without the zero that closes PEM in flash.
fn as_file(content: &[u8], encoding: Encoding) -> &[u8] {
    match encoding {
        Encoding::Pem => content.strip_suffix(&[0]).unwrap_or(content),
        Encoding::Der => content,
    }
}

pub(super) fn certificate(bytes: &[u8]) -> bool {
    let Ok(found) = Certificate::read(bytes) else {
        return false;
    };
    let content = found.entry_content().expect("what was read can be written");
    let again =
        Certificate::read(as_file(&content, found.encoding())).expect("what we write we read");
    assert_eq!(again.der(), found.der());
    true
}

pub(super) fn key(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let _ = (PublicKey::from_pem(&text), PublicKey::from_der(bytes));
    let _ = (PrivateKey::from_pem(&text), PrivateKey::from_der(bytes));
    let Ok(found) = KeyFile::read(bytes) else {
        return false;
    };
    if let Ok(content) = found.entry_content() {
        let content = as_file(content.expose(), found.encoding());
        let again = KeyFile::read(content).expect("what we write we read");
        assert_eq!(again.public_der(), found.public_der());
    }
    true
}

pub(super) fn ota(bytes: &[u8]) -> bool {
    let range = Package::image_range(bytes);
    let Ok(package) = Package::open(bytes) else {
        return false;
    };
    let range = range.expect("what opens has an image");
    assert_eq!(&bytes[range], package.image());
    let again = package.to_bytes().expect("what was read can be written");
    assert_eq!(again, bytes);
    assert!(package.check_signed(&TrustedKeys::default()).is_err());
    true
}

pub(super) fn manifest(bytes: &[u8]) -> bool {
    let Ok(manifest) = Manifest::parse(bytes) else {
        return false;
    };
    let again = manifest.to_bytes().expect("what was read can be written");
    assert_eq!(again, bytes);
    let _ = manifest.check_image(bytes);
    true
}

pub(super) fn records(bytes: &[u8]) -> bool {
    one_record(bytes) | repair::record(bytes).is_some_and(|bytes| one_record(&bytes))
}

fn one_record(bytes: &[u8]) -> bool {
    let made = Manufacturing::parse(bytes);
    if let Ok(record) = &made {
        let again = record.to_bytes().expect("what was read can be written");
        assert_eq!(Manufacturing::parse(&again).as_ref(), Ok(record));
        let entries = record.to_nvs().expect("what was read can be written");
        assert_eq!(Manufacturing::from_nvs(&entries).as_ref(), Ok(record));
    }
    let measured = Calibration::parse(bytes);
    if let Ok(record) = &measured {
        let again = record.to_bytes().expect("what was read can be written");
        assert_eq!(Calibration::parse(&again).as_ref(), Ok(record));
        let entries = record.to_nvs().expect("what was read can be written");
        assert_eq!(Calibration::from_nvs(&entries).as_ref(), Ok(record));
    }
    made.is_ok() || measured.is_ok()
}
