//! Entries to bytes and back, damage of every kind, keys and certificates in every form.

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::entry::{FOOTER, HEADER, checksum};
use super::*;
use crate::chip::Chip;
use crate::secret::Secret;
use crate::secure::signature::{Algorithm, PrivateKey, Signer};

const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBfjCCASWgAwIBAgIUFtRctMwaY8aZkOWGaGswwc9A34swCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJdGVzdCB1bml0MCAXDTI2MTEyMjAyNTAyOVoYDzIwNTEwNzE0
MDI1MDI5WjAUMRIwEAYDVQQDDAl0ZXN0IHVuaXQwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATVBAa9WdJh5EQl8NUDso+Y7isRNL7BAaiXUtx4UGoI6mPgUN85LAPc
OHQ3SDDrYPttEWx7SEEiURV0bdn6EYpio1MwUTAdBgNVHQ4EFgQUPoX5Wojeyk9t
FYaW+kQEj1bj51UwHwYDVR0jBBgwFoAUPoX5Wojeyk9tFYaW+kQEj1bj51UwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiAAgX5KH4J7kDNeOC5FHNGc
pE25u7VNSIfbwdpr3DplWQIgflNtGcdiU9kfJeZmhf4wDZkFqisp83dFcS0dX+Wm
Hzw=
-----END CERTIFICATE-----
";

/// An RSA key of 1024 bits whose private exponent works and has 1034: a multiple of (p - 1)(q - 1)
/// was added.
const LONG_EXPONENT: &str = "\
-----BEGIN RSA PRIVATE KEY-----
MIICXwIBAAKBgQC5n2oK/9VNAbjpzH6Y3RuOvKYXneZKtjUQ6jybeE0F4rg0WEk8
51H9SFL6ETRqYNGArNP21dB8FJqWkSwm1O432YGiAvuy/BX2V3TWDZdORV474LJ9
sYhqFIDjh16lixL5+jmEeI184rOAcrDgFOIDiZClBje6QaXtmcrbui0+7QIDAQAB
AoGCAucNXpyu8J9cW0sYuiQon5b7Ozycu/HmnU/twsOFbRNUF5SwSI8Np80oAURt
uZqkQV9sBvGsIx4fjbDhNNxyeE1Ru1rcn4+1UiWGTUpZBJZIi73vZOoPvNKbyUHM
ntw0PL/+K2pBUlW3MpubdlCT2Uk2uuWEVgV+rdUow7r23upsAQJBAOeRi9agcPsr
fCIeMqytbxiWv4CuxKwrflB0EEwBE7+UPUEnDxuqL1EBzHZCqz+FFxID+4Zl53pO
3UrBW4bd8q0CQQDNNOnQHhmrQfWW8eog/qd+7JpC8znjHelZExWIf9JqO+dJ1uMo
Ef/HyOb2Ld7VDeLO9uGLj8bA5B1aJuxmUkVBAkEAs3qogspJpzL1/E+hgRrPT6SP
ewJ6JuNy/JJoizAOiV8w9s16NTv7fnLBcSuNJSdXUTxK98kF11NGywkAkpB15QJA
HYx6AqLi9VspHxQ0r42b1tYBHJTjiAW9nTr3RdGKHgwEMQjFava0izMtttNCHBHE
0CKStcL9TrdKVrn2HoHIQQJBAKvoM6gjCYWMgimPK/o8/1W1OCZ7DmS8AunN9WMT
2YYcVtfPKJvpIKsOG3p0HQu9KfqUxOuifZycdjo+98PLJGs=
-----END RSA PRIVATE KEY-----
";

fn made(algorithm: Algorithm, seed: u64) -> PrivateKey {
    PrivateKey::generate(algorithm, &mut ChaCha20Rng::seed_from_u64(seed)).unwrap()
}

fn key_file(algorithm: Algorithm, seed: u64) -> KeyFile {
    KeyFile::read(made(algorithm, seed).to_pem().expose()).unwrap()
}

fn sample() -> Partition {
    let certificate = Certificate::read(CERTIFICATE.as_bytes()).unwrap();
    let identity = Identity {
        ca: Some(&certificate),
        device: Some(&certificate),
        key: None,
    };
    identity.to_partition().unwrap()
}

#[test]
fn an_entry_lies_in_flash_as_the_headers_say() {
    let mut partition = Partition::new();
    let entry = Entry {
        kind: Kind::PrivateKey,
        subtype: 3,
        flags: KeyPlace::Efuse.flags(),
        content: Secret::new(b"0123456789abcdefg".to_vec()),
    };
    partition.push(entry).unwrap();
    let bytes = partition.to_bytes();
    assert_eq!(
        hex::encode(&bytes[..HEADER]),
        "11ba5eba080000000203".to_owned() + "1100"
    );
    assert_eq!(bytes.len(), HEADER + 32 + FOOTER);
    assert!(
        bytes[HEADER + 17..HEADER + 32]
            .iter()
            .all(|byte| *byte == 0)
    );
    let (covered, footer) = bytes.split_at(bytes.len() - FOOTER);
    assert_eq!(footer, checksum(covered).to_le_bytes());
    // The check value of CRC-32, started as the tool does.
    assert_eq!(checksum(b"123456789"), 0xD202_D277);
    assert_eq!(Partition::parse(&bytes).unwrap(), partition);
}

#[test]
fn what_follows_the_last_entry_ends_the_list_only_when_it_may() {
    let partition = sample();
    let bytes = partition.to_bytes();
    let with = |tail: &[u8]| Partition::parse(&[&bytes[..], tail].concat());
    for tail in [&[][..], &[0xFF; 9], &[0xFF, 0xFF, 0, 0], &[0xFF; 2]] {
        assert_eq!(with(tail).unwrap(), partition, "{tail:02x?}");
    }
    let offset = bytes.len();
    assert_eq!(
        with(&[1, 2, 3, 4]),
        Err(CertError::Magic {
            offset,
            found: 0x0403_0201
        })
    );
    assert_eq!(with(&[0x11, 0xBA]).unwrap_err().code(), "cert-truncated");
    assert_eq!(Partition::parse(&[0xFF; 64]), Err(CertError::Empty));
    assert_eq!(Partition::parse(&[]), Err(CertError::Empty));
    let image = partition.to_image();
    assert_eq!(image.len(), PARTITION_SIZE);
    assert_eq!(Partition::parse(image.expose()).unwrap(), partition);
}

/// The bytes with one byte changed and the checksum of their first entry made right.
fn altered(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    let length = usize::from(u16::from_le_bytes([bytes[10], bytes[11]]));
    let footer = HEADER + length.next_multiple_of(16);
    let sum = checksum(&bytes[..footer]).to_le_bytes();
    bytes[footer..footer + FOOTER].copy_from_slice(&sum);
    bytes
}

#[test]
fn bytes_that_would_be_lost_are_refused_although_their_checksum_is_right() {
    let mut partition = Partition::new();
    partition
        .push(Entry::new(Kind::User(1), 0, vec![7; 20]))
        .unwrap();
    sign(
        &mut partition,
        &[&made(Algorithm::EcdsaP256, 8)],
        &mut ChaCha20Rng::seed_from_u64(9),
    )
    .unwrap();
    let bytes = partition.to_bytes();
    for at in [5, 7, HEADER + 20, HEADER + 31] {
        let error = Partition::parse(&altered(&bytes, at)).unwrap_err();
        let kind = Kind::User(1);
        assert_eq!(error, CertError::Reserved { offset: 0, kind }, "{at}");
    }
}

#[test]
fn a_partition_takes_each_entry_once_and_no_more_than_it_has_room_for() {
    let mut partition = Partition::new();
    partition
        .push(Entry::new(Kind::User(1), 0, vec![1; 4000]))
        .unwrap();
    let before = partition.clone();
    let again = partition.push(Entry::new(Kind::User(1), 0, vec![2]));
    assert_eq!(again.unwrap_err().code(), "cert-duplicate");
    let full = partition.push(Entry::new(Kind::User(1), 1, vec![1; 4170]));
    assert_eq!(
        full,
        Err(CertError::Full {
            needs: 4016 + 16 + 4176
        })
    );
    for (kind, subtype, code) in [
        (Kind::User(2), 254, "cert-subtype"),
        (Kind::Other(50), 0, "cert-type"),
        (Kind::Other(255), 0, "cert-type"),
        (Kind::Other(51), 0, "cert-type"),
        (Kind::User(6), 0, "cert-type"),
    ] {
        let error = partition
            .push(Entry::new(kind, subtype, vec![1]))
            .unwrap_err();
        assert_eq!(error.code(), code);
    }
    let long = partition.push(Entry::new(Kind::User(2), 0, vec![0; 0x1_0000]));
    assert_eq!(long.unwrap_err().code(), "cert-entry-length");
    assert_eq!(partition, before);
    partition
        .push(Entry::new(Kind::User(1), 1, vec![1; 4160]))
        .unwrap();
    assert_eq!(partition.flash_length(), PARTITION_SIZE);
}

#[test]
fn every_kind_has_one_number() {
    for number in 0..=u8::MAX {
        assert_eq!(Kind::from_number(number).number(), number);
    }
    for flags in 0..=u8::MAX {
        if let Some(place) = KeyPlace::from_flags(flags) {
            assert_eq!(place.flags(), flags & 0b1111_1000);
        }
    }
}

#[test]
fn keys_are_written_in_their_traditional_form() {
    for (algorithm, kind, length) in [
        (Algorithm::EcdsaP192, KeyKind::EcdsaP192, 24),
        (Algorithm::EcdsaP256, KeyKind::EcdsaP256, 32),
        (Algorithm::EcdsaP384, KeyKind::EcdsaP384, 48),
    ] {
        let key = key_file(algorithm, 1);
        assert_eq!((key.kind(), key.encoding()), (kind, Encoding::Pem));
        let content = key.entry_content().unwrap();
        let text = content.expose();
        assert!(text.starts_with(b"-----BEGIN EC PRIVATE KEY-----\n"));
        assert!(text.ends_with(b"-----END EC PRIVATE KEY-----\n\0"));
        assert_eq!(key.scalar().unwrap().len(), length);
        let again = KeyFile::read(&text[..text.len() - 1]).unwrap();
        assert_eq!(again.public_der(), key.public_der());
        assert_eq!(again.entry_content().unwrap(), content);
        assert_eq!(format!("{key:?}"), format!("KeyFile({kind})"));
    }
}

#[test]
fn files_that_are_no_single_certificate_or_key_are_refused() {
    let pem = CERTIFICATE.as_bytes();
    let chain = [pem, pem].concat();
    let broken = CERTIFICATE.replace("MIIB", "MII*");
    for (file, code) in [
        (&chain[..], "cert-chain"),
        (b"", "cert-unreadable"),
        (broken.as_bytes(), "cert-unreadable"),
        (&pem[..300], "cert-unreadable"),
        (
            b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
            "cert-unreadable",
        ),
    ] {
        assert_eq!(Certificate::read(file).unwrap_err().code(), code);
    }
    assert_eq!(
        Certificate::read(&chain),
        Err(CertError::CertificateChain { found: 2 })
    );
    for (file, code) in [
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
            "cert-key-encrypted",
        ),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n-----END RSA PRIVATE KEY-----",
            "cert-key-encrypted",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
            "cert-key-unreadable",
        ),
        ("-----BEGIN ", "cert-key-unreadable"),
        (CERTIFICATE, "cert-key-unreadable"),
        ("", "cert-key-unreadable"),
    ] {
        assert_eq!(
            KeyFile::read(file.as_bytes()).unwrap_err().code(),
            code,
            "{file}"
        );
    }
    let certificate = Certificate::read(pem).unwrap();
    let der = Certificate::read(certificate.der()).unwrap();
    assert_eq!(der.encoding(), Encoding::Der);
    assert_eq!(der.entry_content().unwrap(), certificate.der());
    assert_eq!(der.public_der(), certificate.public_der());
}

#[test]
fn a_file_with_two_private_keys_is_refused() {
    let keys = [1, 2].map(|seed| made(Algorithm::EcdsaP256, seed).to_pem());
    let both = [keys[0].expose(), keys[1].expose()].concat();
    let error = KeyFile::read(&both).unwrap_err();
    assert_eq!(error.code(), "cert-key-unreadable");
    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let one = [parameters.as_bytes(), keys[0].expose()].concat();
    assert_eq!(KeyFile::read(&one).unwrap().kind(), KeyKind::EcdsaP256);
}

#[test]
fn an_rsa_key_whose_exponent_fits_no_peripheral_is_refused() {
    let error = KeyFile::read(LONG_EXPONENT.as_bytes()).unwrap_err();
    let reason = "an RSA key whose exponent is longer than it";
    assert_eq!(error, CertError::KeyUnreadable { reason });
}

#[test]
fn a_certificate_for_another_key_is_refused() {
    let certificate = Certificate::read(CERTIFICATE.as_bytes()).unwrap();
    let key = key_file(Algorithm::EcdsaP256, 2);
    let identity = Identity {
        ca: None,
        device: Some(&certificate),
        key: Some(IdentityKey::Plain(&key)),
    };
    assert_eq!(identity.to_partition(), Err(CertError::KeyMismatch));
}

#[test]
fn peripherals_take_the_keys_of_their_chip_only() {
    let p256 = key_file(Algorithm::EcdsaP256, 3);
    let hmac = Secret::new(vec![1; 32]);
    let refused = RsaContext::seal(&p256, &hmac, 0, Chip::Esp32S3, [0; 16]);
    assert_eq!(refused.unwrap_err().code(), "cert-key-for-chip");
    for chip in Chip::ALL {
        let block = EfuseReference::new(KeyKind::EcdsaP256, 6, chip);
        assert_eq!(block, Err(CertError::KeyBlock { number: 6 }));
        assert!(EfuseReference::new(KeyKind::Rsa(2048), 0, chip).is_err());
        let sizes = rsa_sizes(chip);
        assert!(sizes.is_sorted());
    }
    // What the chip's ROM reads, whatever Espressif's tool writes.
    assert_eq!(rsa_sizes(Chip::Esp32C5).last(), Some(&3072));
    assert!(EfuseReference::new(KeyKind::EcdsaP384, 0, Chip::Esp32H2).is_err());
    let reference = EfuseReference::new(KeyKind::EcdsaP256, 5, Chip::Esp32H2).unwrap();
    let mut entry = reference.entry(0);
    assert_eq!(entry.content.expose()[0], 9);
    assert_eq!(EfuseReference::from_entry(&entry), Ok(reference));
    for content in [
        vec![],
        vec![9; 39],
        [vec![3], vec![0; 39]].concat(),
        vec![10; 40],
    ] {
        entry.content = Secret::new(content);
        let error = EfuseReference::from_entry(&entry).unwrap_err();
        assert_eq!(error.code(), "cert-content");
    }
}

#[test]
fn malformed_peripheral_parameters_are_refused() {
    let context = RsaContext {
        key_block: 2,
        bits: 2048,
        iv: [7; 16],
        ciphertext: vec![3; 1200],
    };
    let [parameters, words] = context.entries(0);
    assert_eq!(
        RsaContext::from_entries(&parameters, &words),
        Ok(context.clone())
    );
    let with = |bits: u16, block: u8, length: usize| {
        let other = RsaContext {
            key_block: block,
            bits,
            ciphertext: vec![3; length],
            ..context.clone()
        };
        other.entries(0)
    };
    for [parameters, words] in [
        with(2048, 6, 1200),
        with(2048, 0, 1184),
        with(2048, 0, 0),
        [with(1024, 0, 1200)[0].clone(), words.clone()],
        [
            Entry::new(Kind::DsCiphertext, 0, vec![0; 19]),
            words.clone(),
        ],
        [
            parameters.clone(),
            Entry::new(Kind::DsContext, 0, vec![0; 7]),
        ],
        with(0, 0, 1200),
    ] {
        let error = RsaContext::from_entries(&parameters, &words).unwrap_err();
        assert_eq!(error.code(), "cert-content");
    }
}

#[test]
fn signatures_cover_what_was_there_and_break_with_it() {
    let keys = [Algorithm::EcdsaP256, Algorithm::EcdsaP384].map(|kind| made(kind, 4));
    let signers = keys.each_ref().map(|key| key as &dyn Signer);
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let certificate = Certificate::read(CERTIFICATE.as_bytes()).unwrap();
    let identity = Identity {
        device: Some(&certificate),
        ..Identity::default()
    };
    let mut partition = identity.entries().unwrap();
    let length = partition.flash_length();
    sign(&mut partition, &signers, &mut rng).unwrap();
    assert!(partition.is_sealed());
    let read = Partition::parse(&partition.to_bytes()).unwrap();
    let ranges = read.signatures().unwrap();
    assert_eq!(ranges.len(), 2);
    for (range, key) in ranges.iter().zip(&keys) {
        assert_eq!((range.length, &range.public_key), (length, key.public()));
    }

    let mut other = Partition::new();
    for entry in read.entries() {
        let mut entry = entry.clone();
        if entry.kind == Kind::DeviceCertificate {
            let mut content = entry.content.expose().to_vec();
            content[100] ^= 1;
            entry.content = Secret::new(content);
        }
        other.push(entry).unwrap();
    }
    assert!(other.signatures().is_err());

    // An entry slipped in between what was signed and the signatures.
    let mut slipped = Partition::new();
    for entry in read.entries() {
        if entry.kind == Kind::SignatureBlock && entry.subtype == 0 {
            let more = Entry::new(Kind::CaCertificate, 0, vec![1]);
            slipped.push(more).unwrap();
        }
        slipped.push(entry.clone()).unwrap();
    }
    assert_eq!(slipped.signatures().unwrap_err().code(), "cert-content");
    // Signed once more as a whole, both rounds hold.
    let mut again = read.clone();
    let third = made(Algorithm::EcdsaP256, 7);
    sign(&mut again, &[&third], &mut rng).unwrap();
    let lengths: Vec<usize> = again
        .signatures()
        .unwrap()
        .iter()
        .map(|range| range.length)
        .collect();
    assert_eq!(lengths, [length, length, read.flash_length()]);
    let p192 = made(Algorithm::EcdsaP192, 6);
    let refused = sign(&mut partition, &[&p192], &mut rng).unwrap_err();
    assert_eq!(refused.code(), "cert-signing-key");
    assert_eq!(partition, read);
}

proptest! {
    #[test]
    fn entries_survive_flash(
        entries in prop::collection::vec(
            (0_u8..10, 0_u8..254, any::<u8>(), prop::collection::vec(any::<u8>(), 0..200)),
            1..12,
        ),
    ) {
        let mut partition = Partition::new();
        for (number, subtype, flags, content) in entries {
            // Integrity is what `push_integrity` writes.
            let kind = Kind::from_number(if number == 9 { 53 } else { number });
            let content = Secret::new(content);
            let _ = partition.push(Entry { kind, subtype, flags, content });
        }
        partition.push_integrity().unwrap();
        prop_assert_eq!(Partition::parse(&partition.to_bytes()).unwrap(), partition);
    }

    #[test]
    fn a_changed_byte_never_passes(at in 0_usize..1200, change in 1_u8..) {
        let mut bytes = sample().to_bytes();
        let at = at % bytes.len();
        bytes[at] ^= change;
        // Only a first word that reads as the end can be taken for a shorter list.
        let parsed = Partition::parse(&bytes);
        prop_assert!(parsed.is_err(), "{at}: {parsed:?}");
    }

    #[test]
    fn a_cut_partition_is_refused_or_shorter(length in 0_usize..1200) {
        let whole = sample();
        let bytes = whole.to_bytes();
        let length = length % bytes.len();
        match Partition::parse(&bytes[..length]) {
            Ok(parsed) => prop_assert!(whole.entries().starts_with(parsed.entries())),
            Err(error) => prop_assert!(["cert-truncated", "cert-empty"].contains(&error.code())),
        }
    }

    #[test]
    fn hostile_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = Partition::parse(&bytes);
        let _ = KeyFile::read(&bytes);
        let _ = Certificate::read(&bytes);
        for kind in [Kind::SecurityConfig, Kind::DsCiphertext, Kind::DsContext] {
            let entry = Entry::new(kind, 0, bytes.clone());
            let _ = EfuseReference::from_entry(&entry);
            let _ = RsaContext::from_entries(&entry, &entry);
        }
        let mut partition = Partition::new();
        partition.push(Entry::new(Kind::SignatureBlock, 0, bytes)).unwrap();
        prop_assert!(partition.signatures().is_err());
    }

    #[test]
    fn a_damaged_certificate_is_read_or_refused(at in 0_usize..374, change in 1_u8..) {
        let certificate = Certificate::read(CERTIFICATE.as_bytes()).unwrap();
        let mut der = certificate.der().to_vec();
        let at = at % der.len();
        der[at] ^= change;
        let _ = Certificate::read(&der);
    }
}
