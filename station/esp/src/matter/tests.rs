//! Published vectors, entries to images and back, and everything that is refused.
//!
//! The vectors are those of connectedhomeip's documentation and tests (SPAKE2+ tool, manual codes,
//! the development device's QR code); all were seen to come out of its own tools, too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::cert::{Certificate, KeyFile};
use crate::nvs::{Content, Image, Value, Version, build, parse};
use crate::secret::Secret;

const SALTED: &[u8] = b"SPAKE2P Key Salt";

fn passcode(number: u32) -> Passcode {
    Passcode::new(number).unwrap()
}

/// connectedhomeip's development device.
fn development(flow: Flow, discovery: Discovery) -> Onboarding {
    Onboarding {
        vendor_id: 0xFFF1,
        product_id: 0x8000,
        discriminator: Discriminator::new(3840).unwrap(),
        passcode: passcode(20_202_021),
        flow,
        discovery,
    }
}

fn product() -> Product {
    Product {
        vendor_id: 0xFFF1,
        product_id: 0x8000,
        ..Product::default()
    }
}

fn data() -> FactoryData {
    FactoryData {
        product: product(),
        serial: "SN-1".to_owned(),
        made: None,
        discriminator: Discriminator::new(3840).unwrap(),
        verifier: Verifier::derive(&passcode(20_202_021), SALTED, 1000).unwrap(),
        rotating_id: None,
        attestation: None,
        declaration: None,
    }
}

/// Everything that can be said of a unit.
fn full() -> FactoryData {
    let some = |text: &str| Some(text.to_owned());
    let label = |endpoint, name: &str, value: &str| FixedLabel {
        endpoint,
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let (dac, pai) = chain();
    FactoryData {
        product: Product {
            vendor_name: some("Maker"),
            product_name: some("Lamp"),
            hardware_version: Some(7),
            hardware_version_text: some("7b"),
            finish: Some(Finish::Satin),
            color: Some(Color::Nickel),
            part_number: some("L-7"),
            calendars: vec![Calendar::Gregorian, Calendar::Buddhist],
            locales: vec!["en-GB".to_owned(), "de".to_owned()],
            labels: vec![
                label(10, "room", "hall"),
                label(0, "orientation", "up"),
                label(10, "floor", "ground"),
            ],
            modes: vec![Mode {
                endpoint: 1,
                label: "night".to_owned(),
                mode: 3,
                tags: vec![SemanticTag {
                    value: 2,
                    vendor: 0x8000,
                }],
            }],
            label: some("A lamp"),
            url: some("https://maker.example/lamp"),
            ..product()
        },
        made: Some("2026-04-01".parse().unwrap()),
        rotating_id: Some(Secret::new((0..16).collect())),
        attestation: Some(Attestation::new(dac, pai, &key_file(1)).unwrap()),
        declaration: Some(Declaration::new(der(0x30, &[&[2, 1, 1]])).unwrap()),
        ..data()
    }
}

fn image(content: &Content) -> Image {
    let bytes = build(content, 0x6000, Version::V2).unwrap();
    parse(&bytes, None).unwrap()
}

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut all = vec![tag];
    match length {
        0..0x80 => all.push(length as u8),
        0x80..0x100 => all.extend([0x81, length as u8]),
        _ => all.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    all.extend(parts.concat());
    all
}

const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const VENDOR: &[u8] = &[0x2B, 6, 1, 4, 1, 0x82, 0xA2, 0x7C, 2, 1];
const PRODUCT: &[u8] = &[0x2B, 6, 1, 4, 1, 0x82, 0xA2, 0x7C, 2, 2];
const ECDSA_SHA256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 2];

fn name(attributes: &[(&[u8], &str)]) -> Vec<u8> {
    let sets: Vec<Vec<u8>> = attributes
        .iter()
        .map(|(oid, value)| {
            let parts = [der(6, &[oid]), der(0x0C, &[value.as_bytes()])];
            der(0x31, &[&der(0x30, &[&parts[0], &parts[1]])])
        })
        .collect();
    der(0x30, &[&sets.concat()])
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_slice(&[number; 32]).unwrap()
}

fn key_file(number: u8) -> KeyFile {
    KeyFile::read(key(number).to_pkcs8_der().unwrap().as_bytes()).unwrap()
}

/// A certificate of a key, with nothing that is not looked at.
fn certificate(subject: &[u8], own: u8, issuer: &[u8], signer: u8, padding: usize) -> Certificate {
    let algorithm = der(0x30, &[&der(6, &[ECDSA_SHA256])]);
    let day = der(0x17, &[b"260401000000Z"]);
    let public = key(own).public_key().to_public_key_der().unwrap();
    let signed = der(
        0x30,
        &[
            &der(0xA0, &[&der(2, &[&[2]])]),
            &der(2, &[&[9]]),
            &algorithm,
            issuer,
            &der(0x30, &[&day, &day]),
            subject,
            public.as_bytes(),
            &der(0xA3, &[&vec![5; padding]]),
        ],
    );
    let signature: Signature = SigningKey::from(key(signer)).sign(&signed);
    let bits = der(3, &[&[0], signature.to_der().as_bytes()]);
    Certificate::read(&der(0x30, &[&signed, &algorithm, &bits])).unwrap()
}

const PAI_NAME: &[(&[u8], &str)] = &[(COMMON_NAME, "intermediate"), (VENDOR, "FFF1")];

/// A device's certificate of this name and key 1, and its intermediate's of key 2.
fn chain_of(unit: &[(&[u8], &str)], intermediate: &[(&[u8], &str)]) -> (Certificate, Certificate) {
    let (unit, pai) = (name(unit), name(intermediate));
    let root = name(&[(COMMON_NAME, "root")]);
    (
        certificate(&unit, 1, &pai, 2, 2),
        certificate(&pai, 2, &root, 3, 2),
    )
}

fn chain() -> (Certificate, Certificate) {
    let unit: &[(&[u8], &str)] = &[(VENDOR, "FFF1"), (PRODUCT, "8000")];
    chain_of(unit, PAI_NAME)
}

#[test]
fn the_verifier_of_the_specification_s_tool_comes_out() {
    let verifier = Verifier::derive(&passcode(20_202_021), SALTED, 1000).unwrap();
    assert_eq!(
        STANDARD.encode(verifier.expose()),
        "uWFwqugDNGiEck/po7KHwwMwwqZgN10XuyBajPGuyzUEV/iree4lOrao5GuwnlQ65CJzbeUB49s31EH+NEkg0JVI\
         5MGCQGMMT/SRPFNRODm3wH/MBiehuFc6FJ/NH6Rmzw=="
    );
    assert!(verifier.fits(&passcode(20_202_021)));
    assert!(!verifier.fits(&passcode(20_202_022)));
    let read = Verifier::new(SALTED, 1000, Secret::new(verifier.expose().to_vec())).unwrap();
    assert_eq!(read, verifier);
    let other = Verifier::new(SALTED, 1001, Secret::new(verifier.expose().to_vec())).unwrap();
    assert!(!other.fits(&passcode(20_202_021)));
}

#[test]
fn a_verifier_is_a_number_below_the_order_and_a_point_on_the_curve() {
    let good = data().verifier.expose().to_vec();
    let change = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let mut large = good.clone();
    large[..32].fill(0xFF);
    let mut cases = vec![vec![], good[..96].to_vec(), large, change(32, 2)];
    cases.push(change(96, !good[96]));
    cases.push([good.clone(), vec![0]].concat());
    for bytes in cases {
        let error = Verifier::new(SALTED, 1000, Secret::new(bytes)).unwrap_err();
        assert_eq!(error.code(), "matter-verifier");
    }
    for (salt, iterations, code) in [
        (&[0; 15][..], 1000, "matter-salt"),
        (&[0; 33], 1000, "matter-salt"),
        (&[0; 16], 999, "matter-iterations"),
        (&[0; 32], 100_001, "matter-iterations"),
    ] {
        let error = Verifier::derive(&passcode(1), salt, iterations).unwrap_err();
        assert_eq!(error.code(), code);
    }
}

#[test]
fn the_codes_of_the_development_device_come_out() {
    for (flow, discovery, qr, manual) in [
        (Flow::Standard, 2, "MT:Y.K9042C00KA0648G00", "34970112332"),
        (Flow::Standard, 4, "MT:Y.K90AFN00KA0648G00", "34970112332"),
        (
            Flow::UserIntent,
            2,
            "MT:Y.K900ID00KA0648G00",
            "749701123365521327687",
        ),
        (
            Flow::Custom,
            2,
            "MT:Y.K90YXE00KA0648G00",
            "749701123365521327687",
        ),
    ] {
        let codes = development(flow, Discovery::new(discovery).unwrap());
        assert_eq!((codes.qr().as_str(), codes.manual().as_str()), (qr, manual));
    }
}

#[test]
fn manual_codes_are_those_of_published_tests() {
    for (discriminator, code, vendor, product, digits) in [
        (1280, 38_728_284, 4562, 32, "52927623630456200032"),
        (0, 1, 1, 1, "40000100000000100001"),
    ] {
        let mut codes = Onboarding {
            vendor_id: vendor,
            product_id: product,
            discriminator: Discriminator::new(discriminator).unwrap(),
            passcode: passcode(code),
            flow: Flow::Custom,
            discovery: Discovery::default(),
        };
        let manual = codes.manual();
        assert_eq!((&manual[..20], manual.len()), (digits, 21));
        codes.flow = Flow::Standard;
        assert_eq!(codes.manual().len(), 11);
    }
}

#[test]
fn the_check_digit_finds_every_wrong_digit_and_every_two_that_changed_places() {
    let digits: Vec<u8> = "3497011233".bytes().map(|digit| digit - b'0').collect();
    let check = |digits: &[u8]| verhoeff::check_digit(digits.iter().copied());
    assert_eq!(check(&digits), 2);
    for at in 0..digits.len() {
        for wrong in (0..10).filter(|wrong| *wrong != digits[at]) {
            let mut other = digits.clone();
            other[at] = wrong;
            assert_ne!(check(&other), 2, "{other:?}");
        }
        let mut other = digits.clone();
        other.swap(at, (at + 1).min(digits.len() - 1));
        assert_eq!(check(&other) == 2, other == digits, "{other:?}");
    }
}

#[test]
fn easy_and_impossible_passcodes_are_refused_and_none_is_shown() {
    for easy in (0..=9).map(|digit| digit * 11_111_111) {
        assert_eq!(Passcode::new(easy), Err(MatterError::PasscodeForbidden));
    }
    for text in ["12345678", "87654321", "0", "00000000", "99999999"] {
        assert_eq!(
            text.parse::<Passcode>(),
            Err(MatterError::PasscodeForbidden)
        );
    }
    for text in ["", "100000000", "+2020202", "2020-202", "２"] {
        assert_eq!(text.parse::<Passcode>(), Err(MatterError::Passcode));
    }
    assert_eq!("00000001".parse(), Ok(passcode(1)));
    assert_eq!("99999998".parse(), Ok(passcode(99_999_998)));
    assert_eq!(Passcode::new(u32::MAX), Err(MatterError::Passcode));
    let shown = format!(
        "{:?}{:?}",
        development(Flow::Custom, Discovery::BLE),
        full()
    );
    assert!(!shown.contains("20202021"), "{shown}");
    assert!(!shown.contains("1, 1, 1, 1, 1"), "{shown}");
}

#[test]
fn drawn_passcodes_are_allowed_and_differ() {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let mut drawn: Vec<u32> = (0..200)
        .map(|_| Passcode::generate(&mut rng).expose())
        .collect();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 200);
    assert!(
        drawn[0] < 10_000_000 && drawn[199] > 90_000_000,
        "{drawn:?}"
    );
}

#[test]
fn entries_have_the_keys_types_and_order_that_the_tool_writes() {
    let content = full().to_content().unwrap();
    let shown: Vec<String> = content
        .entries()
        .map(|entry| {
            assert_eq!(entry.namespace.as_str(), NAMESPACE);
            let kind = entry.value.encoding();
            format!("{} {kind}", entry.key)
        })
        .collect();
    assert_eq!(
        shown.join(", "),
        "discriminator u32, iteration-count u32, salt string, vendor-id u32, vendor-name string, \
         product-id u32, product-name string, hardware-ver u32, hw-ver-str string, mfg-date string, \
         rd-id-uid hex2bin, product-finish u32, product-color u32, part-number string, \
         serial-num string, dac-cert hex2bin, dac-key hex2bin, dac-pub-key hex2bin, \
         pai-cert hex2bin, verifier string, cert-dclrn hex2bin, cal-types u32, locale-sz u32, \
         locale/0 string, locale/1 string, fl-sz/a u32, fl-k/a/0 string, fl-v/a/0 string, \
         fl-k/a/1 string, fl-v/a/1 string, fl-sz/0 u32, fl-k/0/0 string, fl-v/0/0 string, \
         sm-sz/1 u32, sm-label/1/0 string, sm-mode/1/0 u32, sm-st-sz/1/0 u32, st-v/1/0/0 u32, \
         st-mfg/1/0/0 u32, product-label string, product-url string"
    );
    let find = |key| content.find(NAMESPACE, key).unwrap().clone();
    assert_eq!(find("dac-key"), Value::Blob(vec![1; 32]));
    let Value::Blob(public) = find("dac-pub-key") else {
        panic!("the public key is no blob")
    };
    assert_eq!((public.len(), public[0]), (65, 4));
    assert_eq!(find("cal-types"), Value::U32(0b1_0001));
    assert_eq!(
        find("salt"),
        Value::String("U1BBS0UyUCBLZXkgU2FsdA==".to_owned())
    );
    let least = data().to_content().unwrap();
    assert_eq!(least.entries().count(), 7);
}

#[test]
fn what_was_written_is_read_back_but_for_the_secrets() {
    let written = full();
    let mut content = written.to_content().unwrap();
    content.push(NAMESPACE, "own", Value::U8(1)).unwrap();
    content.push("other", "own", Value::U8(1)).unwrap();
    let read = FactoryRecord::read(&image(&content)).unwrap();
    let mut product = written.product.clone();
    product.calendars.sort_unstable();
    // Endpoints come together.
    product.labels = [0, 2, 1].map(|at| product.labels[at].clone()).to_vec();
    assert_eq!(read.product, product);
    assert_eq!(read.serial, "SN-1");
    assert_eq!(read.made, written.made);
    assert_eq!(read.discriminator, written.discriminator);
    assert!(read.verifier.fits(&passcode(20_202_021)));
    assert!(read.rotating_id);
    assert_eq!(read.declaration, written.declaration);
    assert_eq!(read.others, ["own"]);
    let attestation = read.attestation.unwrap();
    assert!(attestation.key_matches);
    assert_eq!(attestation.chain, Ok(()));
    let least = FactoryRecord::read(&image(&data().to_content().unwrap())).unwrap();
    assert!(least.attestation.is_none() && !least.rotating_id && least.others.is_empty());
}

#[test]
fn a_partition_with_something_missing_or_wrong_is_refused() {
    let good = full().to_content().unwrap();
    for (key, value, code) in [
        ("salt", None, "matter-missing"),
        ("serial-num", None, "matter-missing"),
        ("verifier", None, "matter-missing"),
        ("pai-cert", None, "matter-missing"),
        ("locale/1", None, "matter-missing"),
        ("sm-st-sz/1/0", None, "matter-missing"),
        ("discriminator", Some(Value::U16(1)), "matter-type"),
        (
            "discriminator",
            Some(Value::U32(0x1000)),
            "matter-discriminator",
        ),
        ("salt", Some(Value::String("?".to_owned())), "matter-type"),
        ("vendor-id", Some(Value::U32(0x1_0001)), "matter-number"),
        ("vendor-id", Some(Value::U32(0)), "matter-vendor"),
        ("product-color", Some(Value::U32(21)), "matter-number"),
        ("cal-types", Some(Value::U32(1 << 12)), "matter-number"),
        ("locale-sz", Some(Value::U32(u32::MAX)), "matter-too-many"),
        ("fl-sz/a", Some(Value::U32(65)), "matter-too-many"),
        (
            "mfg-date",
            Some(Value::String("2026-02-29".to_owned())),
            "matter-date",
        ),
        (
            "rd-id-uid",
            Some(Value::Blob(vec![0; 15])),
            "matter-rotating-id",
        ),
        ("dac-cert", Some(Value::Blob(vec![0; 9])), "cert-unreadable"),
        (
            "cert-dclrn",
            Some(Value::Blob(vec![0x30, 1])),
            "matter-declaration",
        ),
    ] {
        let mut content = Content::new();
        for entry in good.entries() {
            let (name, at) = (entry.namespace.as_str(), entry.key.as_str());
            match (at == key, &value) {
                (true, None) => {}
                (true, Some(value)) => content.push(name, at, value.clone()).unwrap(),
                (false, _) => content.push(name, at, entry.value.clone()).unwrap(),
            }
        }
        let error = FactoryRecord::read(&image(&content)).unwrap_err();
        assert_eq!(error.code(), code, "{key}: {error}");
    }
    let mut stranger = Content::new();
    for entry in good.entries() {
        let value = match entry.key.as_str() {
            "dac-key" => Value::Blob(vec![2; 32]),
            "product-id" => Value::U32(1),
            _ => entry.value.clone(),
        };
        stranger.push(NAMESPACE, entry.key.as_str(), value).unwrap();
    }
    let read = FactoryRecord::read(&image(&stranger)).unwrap();
    let attestation = read.attestation.unwrap();
    assert!(!attestation.key_matches);
    assert_eq!(attestation.chain.unwrap_err().code(), "matter-certified");
}

#[test]
fn what_the_specification_does_not_allow_is_refused() {
    let long = |length| Some("x".repeat(length));
    let refused = |change: &dyn Fn(&mut FactoryData), code: &str| {
        let mut changed = full();
        change(&mut changed);
        let error = changed.to_content().unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    };
    refused(&|data| data.product.vendor_id = 0, "matter-vendor");
    refused(&|data| data.product.vendor_id = 0xFFF5, "matter-vendor");
    refused(&|data| data.product.product_id = 0, "matter-product");
    refused(&|data| data.product.product_id = 0x8001, "matter-certified");
    refused(&|data| data.product.vendor_id = 0xFFF2, "matter-certified");
    refused(&|data| data.serial = String::new(), "matter-text");
    refused(&|data| data.serial = "x".repeat(33), "matter-text");
    refused(&|data| data.serial = "a\nb".to_owned(), "matter-letters");
    refused(&|data| data.product.vendor_name = long(33), "matter-text");
    // Letters of two bytes each.
    refused(
        &|data| data.product.vendor_name = Some("ä".repeat(17)),
        "matter-text",
    );
    refused(&|data| data.product.product_name = long(33), "matter-text");
    refused(
        &|data| data.product.hardware_version_text = long(65),
        "matter-text",
    );
    refused(&|data| data.product.part_number = long(33), "matter-text");
    refused(&|data| data.product.label = long(65), "matter-text");
    refused(&|data| data.product.url = long(257), "matter-text");
    refused(
        &|data| data.product.url = Some("a b".to_owned()),
        "matter-letters",
    );
    refused(
        &|data| data.product.locales[0] = "en_GB".to_owned(),
        "matter-letters",
    );
    refused(
        &|data| data.product.locales = vec!["en".to_owned(); 33],
        "matter-too-many",
    );
    refused(
        &|data| data.product.labels[0].value = "x".repeat(17),
        "matter-text",
    );
    refused(
        &|data| data.product.modes[0].endpoint = 0xFFFF,
        "matter-key",
    );
    refused(
        &|data| data.rotating_id = Some(Secret::new(vec![0; 17])),
        "matter-rotating-id",
    );
    assert!(Discriminator::new(4096).is_err() && Discriminator::new(4095).is_ok());
    for bits in [0, 1, 3, 0x40, 0x82] {
        let error = Discovery::new(bits).unwrap_err();
        assert_eq!(error.code(), "matter-discovery");
    }
    let both = Discovery::BLE.or(Discovery::ON_NETWORK);
    assert_eq!(Discovery::new(6), Ok(both));
}

#[test]
fn manufacturing_dates_are_days_that_exist() {
    for good in ["20260401", "2026-04-01", "20240229", "20260401LOT17.03"] {
        assert_eq!(good.parse::<ManufacturingDate>().unwrap().as_str(), good);
    }
    for bad in [
        "",
        "2026",
        "20260431",
        "20230229",
        "19000229",
        "2026-4-1",
        "2026-13-01",
        "00010101",
        "20260401LOT",
        "20260401LOT17-03",
        "2026-04-01LOT17.03",
        "20260401 LOT1703",
        "2026040１",
    ] {
        let error = bad.parse::<ManufacturingDate>().unwrap_err();
        assert_eq!(error.code(), "matter-date", "{bad}");
    }
}

#[test]
fn certificates_and_key_belong_together_or_are_refused() {
    let (dac, pai) = chain();
    let refused = |dac: &Certificate, pai: &Certificate, key: &KeyFile| {
        Attestation::new(dac.clone(), pai.clone(), key)
            .and_then(|attestation| attestation.check_product(0xFFF1, 0x8000))
            .unwrap_err()
            .code()
    };
    assert_eq!(refused(&dac, &pai, &key_file(2)), "cert-key-mismatch");
    assert_eq!(refused(&dac, &dac, &key_file(1)), "matter-chain");
    let own = certificate(&name(&[(VENDOR, "FFF1")]), 1, &name(PAI_NAME), 1, 2);
    assert_eq!(refused(&own, &pai, &key_file(1)), "matter-chain");
    let unit = name(&[(VENDOR, "FFF1"), (PRODUCT, "8000")]);
    let misnamed = certificate(&unit, 1, &name(&[(COMMON_NAME, "x")]), 2, 2);
    assert_eq!(refused(&misnamed, &pai, &key_file(1)), "matter-chain");
    let long = certificate(&unit, 1, &name(PAI_NAME), 2, 400);
    assert_eq!(
        refused(&long, &pai, &key_file(1)),
        "matter-certificate-length"
    );
    for (unit, intermediate, code) in [
        (&[(VENDOR, "FFF1")][..], PAI_NAME, "matter-certificate"),
        (&[(PRODUCT, "8000")], PAI_NAME, "matter-certificate"),
        (
            &[(VENDOR, "FFF2"), (PRODUCT, "8000")],
            PAI_NAME,
            "matter-certified",
        ),
        (
            &[(VENDOR, "FFF1"), (PRODUCT, "8001")],
            PAI_NAME,
            "matter-certified",
        ),
        (
            &[(COMMON_NAME, "Mvid:FFF1 Mpid:8000")],
            &[(VENDOR, "FFF1"), (PRODUCT, "8001")],
            "matter-certified",
        ),
        (
            &[(VENDOR, "FFF1"), (PRODUCT, "8000")],
            &[(COMMON_NAME, "intermediate")],
            "matter-certificate",
        ),
    ] {
        let (dac, pai) = chain_of(unit, intermediate);
        assert_eq!(refused(&dac, &pai, &key_file(1)), code, "{unit:?}");
    }
    let (dac, pai) = chain_of(&[(COMMON_NAME, "Mvid:FFF1 Mpid:8000")], PAI_NAME);
    let attestation = Attestation::new(dac, pai, &key_file(1)).unwrap();
    assert_eq!(attestation.check_product(0xFFF1, 0x8000), Ok(()));
}

proptest! {
    #[test]
    fn any_entries_are_read_without_harm(
        rows in prop::collection::vec(
            (
                prop_oneof![
                    prop::sample::select(&[
                        "discriminator", "iteration-count", "salt", "verifier", "vendor-id",
                        "product-id", "serial-num", "dac-cert", "pai-cert", "dac-key", "locale-sz",
                        "locale/0", "fl-sz/0", "sm-sz/0", "sm-st-sz/0/0", "cal-types",
                    ][..]).prop_map(str::to_owned),
                    "(fl|sm)-sz/[0-9a-fA-F]{1,5}",
                ],
                prop_oneof![
                    any::<u32>().prop_map(Value::U32),
                    (0..70_u32).prop_map(Value::U32),
                    "[A-Za-z0-9+/]{0,44}=?".prop_map(Value::String),
                    prop::collection::vec(any::<u8>(), 0..80).prop_map(Value::Blob),
                ],
            ),
            0..40,
        )
    ) {
        let mut content = data().to_content().unwrap();
        for (key, value) in rows {
            content.set(NAMESPACE, &key, value).unwrap();
        }
        let _ = FactoryRecord::read(&image(&content));
    }
}
