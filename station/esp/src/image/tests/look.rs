//! Images looked at.

use super::*;
use crate::chip::MemoryKind;
use crate::secure::signature::{self, Algorithm, PrivateKey, v1};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

#[test]
fn a_sound_image_is_reported_whole() {
    let report = Report::of(&sample()).unwrap();
    assert_eq!(report.refused, None);
    assert!(report.checksum.is_valid() && report.hash.unwrap().is_valid());
    let memory: Vec<_> = report
        .segments
        .iter()
        .map(|one| one.memory.clone())
        .collect();
    assert_eq!(
        memory,
        [[MemoryKind::Drom], [MemoryKind::Iram], [MemoryKind::Irom]]
    );
    assert_eq!(report.chip, Some(Chip::Esp32C3));
    assert_eq!(report.length as usize, sample().len());
    assert!(report.signatures.is_empty() && report.app.is_none());
}

#[test]
fn every_bundled_bootloader_says_what_it_is() {
    for chip in Chip::ALL {
        let crystal = chip.spec().typical_crystal_mhz();
        let report = Report::of(loader::bootloader(chip, crystal).unwrap()).unwrap();
        let boot = report.bootloader.unwrap_or_else(|| panic!("{chip}"));
        assert!(boot.idf.starts_with('v'), "{chip}: {boot:?}");
        assert_eq!(report.app, None, "{chip}");
    }
}

#[test]
fn what_is_broken_is_said_and_not_refused() {
    let mut bytes = sample();
    bytes[40] ^= 1;
    let report = Report::of(&bytes).unwrap();
    assert!(!report.checksum.is_valid());
    assert!(!report.hash.unwrap().is_valid());
    assert_eq!(report.refused.unwrap().code(), "image-checksum");
    let misplaced = build(Chip::Esp32C3, &[(0x1000_0000, vec![0; 16])]);
    let report = Report::of(&misplaced).unwrap();
    assert!(report.segments[0].misplaced && !report.entry_is_loaded);
    let mut unknown = sample();
    unknown[12] = 77;
    let report = Report::of(&unknown).unwrap();
    assert_eq!(report.chip, None);
    assert_eq!(report.refused.unwrap().code(), "image-unknown-chip");
    let cut = &sample()[..sample().len() - 40];
    assert_eq!(Report::of(cut).unwrap_err().code(), "image-truncated");
}

#[test]
fn signatures_behind_the_image_are_reported() {
    let rng = &mut ChaCha20Rng::seed_from_u64(2);
    let keys = [(); 2].map(|()| PrivateKey::generate(Algorithm::EcdsaP256, rng).unwrap());
    let mut signed = signature::sign(&sample(), &[&keys[0], &keys[1]], rng).unwrap();
    let expected = |valid| {
        [0, 1].map(|number| Signature::Block {
            number,
            algorithm: Algorithm::EcdsaP256.name(),
            key_digest: keys[number].public().digest(),
            valid,
            misplaced: false,
        })
    };
    assert_eq!(Report::of(&signed).unwrap().signatures, expected(true));
    signed[15] ^= 1;
    assert_eq!(Report::of(&signed).unwrap().signatures, expected(false));
    let signed = v1::sign(&sample(), &keys[0], rng).unwrap();
    let found = Report::of(&signed).unwrap().signatures;
    assert_eq!(found, [Signature::VersionOne]);
}

#[test]
fn a_signature_behind_filling_is_where_no_chip_looks_and_one_behind_data_is_not_the_image_s() {
    let rng = &mut ChaCha20Rng::seed_from_u64(3);
    let key = PrivateKey::generate(Algorithm::EcdsaP256, rng).unwrap();
    let filled = [sample(), vec![0xFF; 3 * 4096]].concat();
    let signed = signature::sign(&filled, &[&key], rng).unwrap();
    let found = Report::of(&signed).unwrap().signatures;
    let [
        Signature::Block {
            valid, misplaced, ..
        },
    ] = found.as_slice()
    else {
        panic!("{found:?}");
    };
    assert!(*valid && *misplaced);
    // A flash with an unsigned bootloader and a signed application behind it.
    let mut whole = sample();
    whole.resize(0x1_0000, 0xFF);
    whole.extend(signature::sign(&sample(), &[&key], rng).unwrap());
    assert_eq!(Report::of(&whole).unwrap().signatures, []);
}

#[test]
fn what_could_be_better_is_found() {
    let mut content = vec![5; 2048];
    content[1000..].fill(0);
    let image = build(
        Chip::Esp32C3,
        &[
            (0, vec![0; 400]),
            (0x3FC8_0000, content),
            (0x4038_0000, vec![1; 32]),
        ],
    );
    let with_rest = [image.clone(), vec![0xFF; 10]].concat();
    let findings = optimize(&with_rest, Some(8 << 20)).unwrap();
    let expected = [
        Finding::Padding {
            bytes: 408,
            of: image.len() as u32,
            page: None,
        },
        Finding::Zeros {
            segment: 1,
            bytes: 1048,
        },
        Finding::Erased { bytes: 10 },
        Finding::SlowClock {
            mhz: 40,
            fastest: 80,
        },
        Finding::TwoLines {
            mode: FlashMode::Dio,
        },
        Finding::FlashSize {
            header: 4 << 20,
            flash: 8 << 20,
        },
    ];
    assert_eq!(findings[..6], expected);
    let Finding::Compressed { bytes, compressed } = findings[6] else {
        panic!("{findings:?}");
    };
    assert_eq!(bytes as usize, image.len());
    assert!(compressed < image.len() / 4);
}
