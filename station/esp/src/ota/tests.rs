//! Packages built, opened, signed, served by range and tampered with.

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::chip::{Chip, Revision};
use crate::secret::Secret;

/// A small application image for the ESP32-C3 with code and data in mapped flash.
fn image() -> Vec<u8> {
    let mut bytes = vec![0xE9, 2, 2, 0x20, 0, 0, 0x38, 0x40, 0xEE, 0, 0, 0];
    bytes.extend(Chip::Esp32C3.spec().image_id.to_le_bytes());
    bytes.extend([0, 3, 0, 199, 0, 0, 0, 0, 0, 1]);
    let segments = [
        (0x3C00_0020_u32, vec![7; 64]),
        (0x4200_0068, vec![0x13; 700]),
    ];
    let mut sum = 0xEF;
    for (address, content) in segments {
        bytes.extend(address.to_le_bytes());
        bytes.extend((content.len() as u32).to_le_bytes());
        sum = content.iter().fold(sum, |sum, byte| sum ^ byte);
        bytes.extend(content);
    }
    bytes.resize(bytes.len() / 16 * 16 + 15, 0);
    bytes.push(sum);
    let hash = Sha256::digest(&bytes);
    bytes.extend(hash);
    bytes
}

fn manifest(image: &[u8]) -> Manifest {
    Manifest::for_image("sensor", Some("1.2.3"), None, image).unwrap()
}

fn key(number: u8) -> Secret {
    Secret::new(vec![number; 32])
}

fn signed(image: &[u8]) -> Vec<u8> {
    let mut package = Package::new(manifest(image), image).unwrap();
    package.sign(&key(1)).unwrap();
    package.to_bytes().unwrap()
}

#[test]
fn a_package_comes_back_as_it_was_packed() {
    let image = image();
    let bytes = signed(&image);
    let package = Package::open(&bytes).unwrap();
    assert_eq!(package.image(), image);
    assert_eq!(package.manifest(), &manifest(&image));
    assert_eq!(package.to_bytes().unwrap(), bytes);
    let range = Package::image_range(&bytes).unwrap();
    assert_eq!((range.start, &bytes[range]), (5 * 512, &image[..]));
    assert_eq!(bytes.len() % 512, 0);
}

#[test]
fn a_manifest_is_one_line_of_text() {
    let image = image();
    let text = String::from_utf8(manifest(&image).to_bytes().unwrap()).unwrap();
    let expected = format!(
        "{{\"format\":1,\"product\":\"sensor\",\"version\":\"1.2.3\",\"chip\":\"esp32c3\",\
         \"min_revision\":\"0.3\",\"max_revision\":\"1.99\",\"partition\":null,\
         \"secure_version\":0,\"size\":{},\"sha256\":\"{}\"}}\n",
        image.len(),
        hex::encode(Sha256::digest(&image)),
    );
    assert_eq!(text, expected);
    for (from, to, code) in [
        ("\"format\":1", "\"format\":2", "ota-format"),
        (":1,", ": 1,", "ota-manifest"),
        ("\"sensor\"", "\"\"", "ota-text"),
        ("\"sensor\"", "\"a\\u0007\"", "ota-text"),
        ("null", "null,\"more\":1", "ota-manifest"),
        ("\"size\"", "\"sizes\"", "ota-manifest"),
        ("esp32c3", "esp32x9", "ota-manifest"),
    ] {
        let text = text.replace(from, to);
        assert_eq!(
            Manifest::parse(text.as_bytes()).unwrap_err().code(),
            code,
            "{text}"
        );
    }
}

#[test]
fn a_signature_counts_when_it_holds_and_its_key_is_trusted() {
    let image = image();
    let mut package = Package::new(manifest(&image), &image).unwrap();
    let trusted = |text: &[PublicKey]| TrustedKeys(text.to_vec());
    assert_eq!(package.check_signed(&trusted(&[])), Err(OtaError::Unsigned));
    package.sign(&key(1)).unwrap();
    package.sign(&key(2)).unwrap();
    assert_eq!(
        package.sign(&key(2)).unwrap_err().code(),
        "ota-same-key-twice"
    );
    let short = Secret::new(vec![1; 31]);
    assert_eq!(package.sign(&short), Err(OtaError::KeyLength { found: 31 }));
    let keys: Vec<PublicKey> = package.signatures().iter().map(|one| one.key).collect();
    let text = keys[1].to_string();
    assert_eq!(text.parse(), Ok(keys[1]));
    assert!(text.to_uppercase().parse::<PublicKey>().is_err());
    assert_eq!(package.check_signed(&trusted(&keys[1..])), Ok(keys[1]));
    let stranger = Signature::sign(package.manifest(), &key(3)).unwrap().key;
    assert_eq!(
        package.check_signed(&trusted(&[stranger])),
        Err(OtaError::Untrusted)
    );

    // A signature of another manifest, carried over.
    let mut other = manifest(&image);
    other.version = "1.2.4".into();
    for signature in package.signatures() {
        assert_eq!(
            signature.verify(&other).unwrap_err().code(),
            "ota-signature"
        );
    }
}

#[test]
fn an_image_that_is_not_the_manifests_is_refused() {
    let image = image();
    let sound = manifest(&image);
    let with = |change: fn(&mut Manifest)| {
        let mut other = sound.clone();
        change(&mut other);
        Package::new(other, &image).unwrap_err()
    };
    for (error, field) in [
        (with(|manifest| manifest.size += 1), "size"),
        (with(|manifest| manifest.sha256.replace_range(..1, "x")), ""),
        (
            with(|manifest| manifest.sha256 = "00".repeat(32)),
            "SHA-256",
        ),
        (with(|manifest| manifest.chip = Chip::Esp32), "chip"),
        (
            with(|manifest| manifest.min_revision = Revision::new(0, 0)),
            "lowest revision",
        ),
        (
            with(|manifest| manifest.max_revision = None),
            "highest revision",
        ),
        (
            with(|manifest| manifest.secure_version = 1),
            "secure version",
        ),
    ] {
        if field.is_empty() {
            assert_eq!(error.code(), "ota-manifest");
        } else {
            assert_eq!(error, OtaError::OtherImage { field });
        }
    }
    assert!(Manifest::for_image("sensor", None, None, &image).is_err());
    assert!(Manifest::for_image("sensor", Some("1"), None, &image[1..]).is_err());
}

#[test]
fn a_package_says_what_it_is_for() {
    let manifest = manifest(&image());
    let check = |product, chip, minor| {
        let revision = Some(Revision::new(0, minor));
        manifest
            .check_target(product, chip, revision)
            .map_err(|error| error.code())
    };
    assert_eq!(check("sensor", Chip::Esp32C3, 3), Ok(()));
    assert_eq!(check("sensor", Chip::Esp32C3, 2), Err("ota-wrong-revision"));
    assert_eq!(check("sensor", Chip::Esp32C6, 3), Err("ota-wrong-chip"));
    assert_eq!(check("lamp", Chip::Esp32C3, 3), Err("ota-wrong-product"));
}

proptest! {
    #[test]
    fn a_changed_byte_never_passes(at in any::<prop::sample::Index>(), change in 1_u8..) {
        let image = image();
        let mut bytes = signed(&image);
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        let key = Signature::sign(&manifest(&image), &key(1)).unwrap().key;
        let passed = Package::open(&bytes)
            .and_then(|package| package.check_signed(&TrustedKeys(vec![key])));
        prop_assert!(passed.is_err(), "byte {at}");
    }

    #[test]
    fn a_cut_or_longer_package_is_refused(at in any::<prop::sample::Index>(), more in 1_usize..2000) {
        let bytes = signed(&image());
        prop_assert!(Package::open(&bytes[..at.index(bytes.len())]).is_err());
        let longer = [&bytes[..], &vec![0; more]].concat();
        prop_assert_eq!(Package::open(&longer).unwrap_err().code(), "ota-container");
    }

    #[test]
    fn hostile_bytes_are_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        size in any::<[u8; 12]>(),
    ) {
        prop_assert!(Package::open(&bytes).is_err());
        // A sound header with any size in it.
        let mut package = signed(&image());
        package[124..136].copy_from_slice(&size);
        let sum: u32 = (0..512)
            .map(|at| if (148..156).contains(&at) { 32 } else { u32::from(package[at]) })
            .sum();
        package[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let _ = Package::open(&package);
    }
}
