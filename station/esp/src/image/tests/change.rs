//! Headers changed.

use super::*;
use crate::secret::Secret;
use crate::secure::signature::{self, Algorithm, PrivateKey, v1};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

fn all() -> HeaderChange {
    HeaderChange {
        mode: Some(FlashMode::Qout),
        frequency_mhz: Some(80),
        size: Some(16 << 20),
        min_revision: Some(Revision::new(0, 4)),
        max_revision: Some(Revision::new(2, 3)),
    }
}

#[test]
fn every_field_is_changed_and_nothing_else() {
    let mut bytes = sample();
    bytes.extend([0xFF; 100]);
    let changed = patch(&bytes, &all()).unwrap();
    let image = Image::parse(&changed).unwrap();
    let header = image.header;
    assert_eq!(header.flash_mode, FlashMode::Qout);
    assert_eq!(header.flash_frequency(), Some(80));
    assert_eq!(header.flash_size(), Some(16 << 20));
    assert_eq!(header.minimum_revision(), Revision::new(0, 4));
    assert_eq!(header.maximum_revision(), Some(Revision::new(2, 3)));
    let hash = image.length as usize - 32;
    assert_eq!(changed[19..hash], bytes[19..hash]);
    assert_eq!(changed[hash + 32..], bytes[hash + 32..]);
    assert!(!all().is_empty());
    assert!(HeaderChange::default().is_empty());
    assert_eq!(patch(&bytes, &HeaderChange::default()).unwrap(), bytes);
}

#[test]
fn no_oldest_revision_means_any_whatever_the_old_byte_said() {
    let any = HeaderChange {
        min_revision: Some(Revision::new(0, 0)),
        max_revision: Some(Revision::new(0, 0)),
        ..HeaderChange::default()
    };
    let changed = patch(&sample(), &any).unwrap();
    let header = Header::parse(&changed).unwrap();
    assert_eq!(header.minimum_revision(), Revision::new(0, 0));
    assert_eq!(header.maximum_revision(), None);
}

#[test]
fn impossible_values_are_refused() {
    let refused = |change| patch(&sample(), &change).unwrap_err().code();
    let none = HeaderChange::default();
    let frequency = HeaderChange {
        frequency_mhz: Some(60),
        ..none
    };
    assert_eq!(refused(frequency), "image-flash-frequency");
    let revisions = HeaderChange {
        min_revision: Some(Revision::new(1, 0)),
        max_revision: Some(Revision::new(0, 99)),
        ..none
    };
    assert_eq!(refused(revisions), "image-revisions");
    for size in [0, 1 << 19, 3 << 20, 256 << 20] {
        let size = HeaderChange {
            size: Some(size),
            ..none
        };
        assert_eq!(refused(size), "image-flash-size");
    }
}

#[test]
fn signed_images_are_refused() {
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    let key = PrivateKey::generate(Algorithm::EcdsaP256, rng).unwrap();
    let change = all();
    let mut signed = signature::sign(&sample(), &[&key], rng).unwrap();
    assert_eq!(
        patch(&signed, &change),
        Err(ImageError::Signed { version: 2 })
    );
    // Erased flash behind the signature hides nothing.
    signed.resize(signed.len() + 0x4000 + 5, 0xFF);
    assert_eq!(
        patch(&signed, &change),
        Err(ImageError::Signed { version: 2 })
    );
    let signed = v1::sign(&sample(), &key, rng).unwrap();
    assert_eq!(
        patch(&signed, &change),
        Err(ImageError::Signed { version: 1 })
    );
    let padded = [sample(), vec![0xFF; 64]].concat();
    let signed = v1::sign(&padded, &key, rng).unwrap();
    assert_eq!(
        patch(&signed, &change),
        Err(ImageError::Signed { version: 1 })
    );
}

#[test]
fn encrypted_and_broken_images_are_refused() {
    use crate::secure::encryption::{FlashKey, Scheme, encrypt};
    let key = FlashKey::new(Scheme::Xts, Secret::new(vec![3; 32])).unwrap();
    let cipher = encrypt(&key, 0, &sample()).unwrap();
    assert!(patch(&cipher, &all()).is_err());
    let mut broken = sample();
    broken[40] ^= 1;
    assert_eq!(patch(&broken, &all()).unwrap_err().code(), "image-checksum");
}

proptest! {
    #[test]
    fn any_change_of_any_bytes_gets_an_answer(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        tail in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut bytes = sample();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.extend(tail);
        let _ = optimize(&bytes, Some(4 << 20));
        if let Ok(report) = Report::of(&bytes) {
            prop_assert!(report.length as usize <= bytes.len());
            prop_assert_eq!(report.refused.is_none(), Image::parse(&bytes).is_ok());
        }
        if let Ok(changed) = patch(&bytes, &all()) {
            prop_assert!(Image::parse(&changed).is_ok());
        }
    }
}
