//! Unmodified esp-matter-mfg-tool makes the same factory partitions and onboarding codes as we do, from what
//! it is told and from what it draws.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use station_esp::cert::{Certificate, KeyFile};
use station_esp::matter::{
    Attestation, Calendar, Color, Declaration, Discovery, Discriminator, FactoryData,
    FactoryRecord, Finish, FixedLabel, Flow, Mode, NAMESPACE, Onboarding, Passcode, Product,
    SemanticTag, Verifier,
};
use station_esp::nvs::{self, Version};
use station_esp::secret::Secret;
use tempfile::TempDir;

use crate::support::{matter_python, root};

const SIZE: u32 = 0x6000;

/// A folder in which the tool works, one folder for each time.
struct Bench(TempDir);

/// What the tool made of one command line.
struct Made {
    folder: PathBuf,
    image: Vec<u8>,
    qr: String,
    /// Without the hyphens and line ends that the tool puts between digits.
    manual: String,
    discriminator: u32,
    passcode: Passcode,
}

impl Bench {
    /// Runs the tool once for each job.
    fn runs(&self, jobs: &[Value]) -> Vec<Result<Made, String>> {
        let lines: Vec<String> = jobs.iter().map(Value::to_string).collect();
        let list = self.0.path().join("jobs");
        std::fs::write(&list, lines.join("\n")).unwrap();
        let ran = matter_python()
            .arg(root().join("tests/strangers/matter.py"))
            .arg(self.0.path())
            .arg(list)
            .output()
            .unwrap();
        assert!(
            ran.status.success(),
            "{}",
            String::from_utf8_lossy(&ran.stderr)
        );
        (0..jobs.len()).map(|number| self.made(number)).collect()
    }

    fn made(&self, number: usize) -> Result<Made, String> {
        let folder = self.0.path().join(number.to_string());
        if let Ok(said) = std::fs::read_to_string(folder.join("refused")) {
            return Err(said);
        }
        let codes = std::fs::read_to_string(folder.join("codes.csv")).unwrap();
        let codes = codes.split_once('\n').unwrap().1;
        let parts: Vec<&str> = codes.trim().split(',').collect();
        let [qr, manual, discriminator, passcode] = parts.try_into().unwrap();
        Ok(Made {
            image: std::fs::read(folder.join("partition.bin")).unwrap(),
            folder,
            qr: qr.to_owned(),
            manual: manual.chars().filter(char::is_ascii_digit).collect(),
            discriminator: discriminator.parse().unwrap(),
            passcode: passcode.parse().unwrap(),
        })
    }
}

impl Made {
    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(name)).unwrap()
    }

    fn attestation(&self) -> Attestation {
        let device = Certificate::read(&self.read("dac.der")).unwrap();
        let intermediate = Certificate::read(&self.read("pai.der")).unwrap();
        Attestation::new(
            device,
            intermediate,
            &KeyFile::read(&self.read("dac.key")).unwrap(),
        )
        .unwrap()
    }
}

fn image(data: &FactoryData) -> Vec<u8> {
    nvs::build(&data.to_content().unwrap(), SIZE, Version::V2).unwrap()
}

/// Images are the same, or the test says which entries are not.
fn assert_same(ours: &[u8], theirs: &[u8]) {
    if ours != theirs {
        let content = |image: &[u8]| nvs::parse(image, None).unwrap().content().unwrap();
        assert_eq!(content(ours), content(theirs));
        panic!("the entries are the same, the images are not");
    }
}

/// One unit that both are told everything about.
#[derive(Debug)]
struct Unit {
    product: Product,
    serial: String,
    made: Option<String>,
    discriminator: u32,
    passcode: u32,
    iterations: u32,
    salt: Vec<u8>,
    rotating_id: Option<[u8; 16]>,
    certified: bool,
    declared: bool,
    flow: u8,
    discovery: u8,
}

impl Unit {
    fn verifier(&self) -> Verifier {
        Verifier::derive(
            &Passcode::new(self.passcode).unwrap(),
            &self.salt,
            self.iterations,
        )
        .unwrap()
    }

    fn data(&self, made: &Made) -> FactoryData {
        let declaration = || Declaration::new(made.read("declaration.der")).unwrap();
        FactoryData {
            product: self.product.clone(),
            serial: self.serial.clone(),
            made: self.made.as_deref().map(|made| made.parse().unwrap()),
            discriminator: Discriminator::new(self.discriminator).unwrap(),
            verifier: self.verifier(),
            rotating_id: self.rotating_id.map(|id| Secret::new(id.to_vec())),
            attestation: self.certified.then(|| made.attestation()),
            declaration: self.declared.then(declaration),
        }
    }

    fn onboarding(&self) -> Onboarding {
        Onboarding {
            vendor_id: self.product.vendor_id,
            product_id: self.product.product_id,
            discriminator: Discriminator::new(self.discriminator).unwrap(),
            passcode: Passcode::new(self.passcode).unwrap(),
            flow: [Flow::Standard, Flow::UserIntent, Flow::Custom][usize::from(self.flow)],
            discovery: Discovery::new(self.discovery).unwrap(),
        }
    }

    /// The same for the tool. It checks for itself that passcode, salt and verifier fit.
    fn job(&self) -> Value {
        let product = &self.product;
        let mut words: Vec<String> = vec!["--enable-rotating-device-id".to_owned()];
        words.truncate(usize::from(self.rotating_id.is_some()));
        let mut say = |option: &str, value: Option<String>| {
            if let Some(value) = value {
                words.extend([format!("--{option}"), value]);
            }
        };
        say("vendor-id", Some(format!("{:#x}", product.vendor_id)));
        say("product-id", Some(product.product_id.to_string()));
        say("size", Some(format!("{SIZE:#x}")));
        say("passcode", Some(self.passcode.to_string()));
        say("discriminator", Some(self.discriminator.to_string()));
        say("iteration-count", Some(self.iterations.to_string()));
        say("salt", Some(STANDARD.encode(&self.salt)));
        say("verifier", Some(STANDARD.encode(self.verifier().expose())));
        say("commissioning-flow", Some(self.flow.to_string()));
        say("discovery-mode", Some(self.discovery.to_string()));
        say("serial-num", Some(self.serial.clone()));
        say("mfg-date", self.made.clone());
        say("rd-id-uid", self.rotating_id.map(hex::encode));
        say("vendor-name", product.vendor_name.clone());
        say("product-name", product.product_name.clone());
        say(
            "hw-ver",
            product.hardware_version.map(|version| version.to_string()),
        );
        say("hw-ver-str", product.hardware_version_text.clone());
        say(
            "product-finish",
            product.finish.map(|finish| finish.word().to_owned()),
        );
        say(
            "product-color",
            product.color.map(|color| color.word().to_owned()),
        );
        say("part-number", product.part_number.clone());
        say("product-label", product.label.clone());
        say("product-url", product.url.clone());
        say(
            "cert-dclrn",
            self.declared.then(|| "declaration.der".to_owned()),
        );
        words.extend(self.lists());
        let mut job = json!({ "arguments": words, "declaration": self.declared });
        if self.certified {
            let numbers = [product.vendor_id, product.product_id];
            let named = if self.declared {
                &numbers[..]
            } else {
                &numbers[..1]
            };
            job["certify"] = json!([named, numbers]);
        }
        job
    }

    fn lists(&self) -> Vec<String> {
        let product = &self.product;
        let mut words = Vec::new();
        let mut say = |option: &str, values: Vec<String>| {
            if !values.is_empty() {
                words.push(format!("--{option}"));
                words.extend(values);
            }
        };
        let calendars = product.calendars.iter().map(|calendar| {
            let word = calendar.word();
            word[..1].to_uppercase() + &word[1..]
        });
        say("calendar-types", calendars.collect());
        say("locales", product.locales.clone());
        let labels = product.labels.iter();
        let labels =
            labels.map(|label| format!("{}/{}/{}", label.endpoint, label.name, label.value));
        say("fixed-labels", labels.collect());
        let modes = product.modes.iter().map(|mode| {
            let tags = mode.tags.iter();
            let tags: Vec<String> = tags
                .map(|tag| format!("{}\\{:#x}", tag.value, tag.vendor))
                .collect();
            let behind = if tags.is_empty() { "" } else { "/" };
            format!(
                "{}/{}/{}{behind}{}",
                mode.mode,
                mode.label,
                mode.endpoint,
                tags.join(", ")
            )
        });
        say("supported-modes", modes.collect());
        words
    }
}

/// A text that is there or is not. What may stand last in the partition ends without a space, and no
/// discriminator is 0, as `what_we_do_otherwise_is_what_the_module_says` shows.
fn maybe(pattern: &'static str) -> impl Strategy<Value = Option<String>> {
    prop::option::of(pattern)
}

fn lists() -> impl Strategy<Value = Product> {
    let label = (0..=300_u16, "[a-z]{1,15}", "[a-zA-Z0-9 ]{0,14}[a-z]");
    let label = label.prop_map(|(endpoint, name, value)| FixedLabel {
        endpoint,
        name,
        value,
    });
    let tags = prop::collection::vec((any::<u16>(), any::<u16>()), 0..3);
    let mode = (0..=15_u16, "[a-z ]{1,64}", any::<u8>(), tags);
    let mode = mode.prop_map(|(endpoint, label, mode, tags)| Mode {
        endpoint,
        label,
        mode,
        tags: tags
            .into_iter()
            .map(|(value, vendor)| SemanticTag { value, vendor })
            .collect(),
    });
    (
        prop::sample::subsequence(Calendar::ALL, 0..=12),
        prop::collection::vec("[a-z]{2}-[A-Z]{2}", 0..20),
        prop::collection::vec(label, 0..5),
        prop::collection::vec(mode, 0..4),
        maybe("[ -~]{0,63}[!-~]"),
        maybe("https://[a-z]{1,20}\\.example/[a-z0-9,;?=&]{0,200}"),
    )
        .prop_map(|(calendars, locales, labels, modes, label, url)| Product {
            calendars,
            locales,
            labels,
            modes,
            label,
            url,
            ..Product::default()
        })
}

fn product() -> impl Strategy<Value = Product> {
    (
        lists(),
        (1..=0xFFF4_u16, 1..=u16::MAX),
        (maybe("[ -~]{1,32}"), maybe("[A-Za-zäöüß€ ,\"']{1,12}")),
        (prop::option::of(any::<u16>()), maybe("[ -~]{1,64}")),
        prop::option::of(prop::sample::select(Finish::ALL)),
        prop::option::of(prop::sample::select(Color::ALL)),
        maybe("[A-Z0-9.-]{1,32}"),
    )
        .prop_map(
            |(lists, ids, names, hardware, finish, color, part_number)| Product {
                vendor_id: ids.0,
                product_id: ids.1,
                vendor_name: names.0,
                product_name: names.1,
                hardware_version: hardware.0,
                hardware_version_text: hardware.1,
                finish,
                color,
                part_number,
                ..lists
            },
        )
}

fn unit() -> impl Strategy<Value = Unit> {
    (
        product(),
        (
            "[!-~]{1,16}",
            maybe("20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9])|20260401[A-Z0-9.]{8}"),
        ),
        1..=0xFFF_u32,
        (1..=99_999_998_u32).prop_filter("some are forbidden", |code| Passcode::new(*code).is_ok()),
        1000..3000_u32,
        prop::collection::vec(any::<u8>(), 16..=32),
        prop::option::of(any::<[u8; 16]>()),
        (any::<bool>(), any::<bool>()),
        (0..=2_u8, (1..=0x1F_u8).prop_map(|bits| bits << 1)),
    )
        .prop_map(
            |(
                product,
                (serial, made),
                discriminator,
                passcode,
                iterations,
                salt,
                rotating_id,
                has,
                codes,
            )| Unit {
                product,
                serial,
                made,
                discriminator,
                passcode,
                iterations,
                salt,
                rotating_id,
                certified: has.0,
                declared: has.1,
                flow: codes.0,
                discovery: codes.1,
            },
        )
}

#[test]
fn random_units_get_the_same_images_and_codes() {
    let bench = Bench(TempDir::new().unwrap());
    let mut runner = TestRunner::default();
    let units: Vec<Unit> = (0..16)
        .map(|_| unit().new_tree(&mut runner).unwrap().current())
        .collect();
    let jobs: Vec<Value> = units.iter().map(Unit::job).collect();
    for (unit, made) in units.iter().zip(bench.runs(&jobs)) {
        let made = made.unwrap_or_else(|said| panic!("{said}: {unit:?}"));
        assert_eq!(made.qr, *unit.onboarding().qr(), "{unit:?}");
        assert_eq!(made.manual, *unit.onboarding().manual(), "{unit:?}");
        assert_same(&image(&unit.data(&made)), &made.image);
    }
}

#[test]
fn what_the_tool_draws_is_read_back_and_fits() {
    let bench = Bench(TempDir::new().unwrap());
    let words = [
        "--vendor-id",
        "0xFFF1",
        "--product-id",
        "0x8000",
        "--iteration-count",
        "1000",
    ];
    let job = json!({ "arguments": words, "certify": [[0xFFF1], [0xFFF1, 0x8000]] });
    for made in bench.runs(&[job.clone(), job]) {
        let made = made.unwrap();
        let record = FactoryRecord::read(&nvs::parse(&made.image, None).unwrap()).unwrap();
        assert_eq!(u32::from(record.discriminator.value()), made.discriminator);
        assert!(record.verifier.fits(&made.passcode));
        assert_eq!(record.verifier.salt().len(), 32);
        assert_eq!(record.others, [""; 0]);
        let attestation = record.attestation.unwrap();
        assert!(attestation.key_matches);
        assert_eq!(attestation.chain, Ok(()));
        let codes = Onboarding {
            vendor_id: record.product.vendor_id,
            product_id: record.product.product_id,
            discriminator: record.discriminator,
            passcode: made.passcode.clone(),
            flow: Flow::Standard,
            discovery: Discovery::BLE,
        };
        assert_eq!(made.qr, *codes.qr());
        assert_eq!(made.manual, *codes.manual());
        let again = FactoryData {
            product: record.product,
            serial: record.serial,
            made: record.made,
            discriminator: record.discriminator,
            verifier: record.verifier,
            rotating_id: None,
            attestation: Some(made.attestation()),
            declaration: record.declaration,
        };
        assert_same(&image(&again), &made.image);
    }
}

/// A job for a unit of a vendor for tests, with these words more.
fn job(more: &[&str]) -> Value {
    let words = [&["--vendor-id", "0xFFF1", "--product-id", "0x8000"], more].concat();
    json!({ "arguments": words })
}

#[test]
fn what_both_refuse() {
    let bench = Bench(TempDir::new().unwrap());
    let mut jobs = vec![
        job(&["--passcode", "12345678"]),
        job(&["--passcode", "11111111"]),
        job(&["--passcode", "0"]),
        job(&["--discriminator", "4096"]),
        job(&["--iteration-count", "999"]),
        job(&["--iteration-count", "100001"]),
        job(&["--discovery-mode", "64"]),
        job(&["--vendor-name", &"x".repeat(33)]),
        job(&["--part-number", &"x".repeat(33)]),
        job(&["--hw-ver-str", &"x".repeat(65)]),
        job(&["--product-label", &"x".repeat(65)]),
        job(&["--mfg-date", "2026-4-1"]),
        job(&["--product-url", &"x".repeat(257)]),
    ];
    for certify in [
        json!([[0xFFF2], [0xFFF2, 0x8000]]),
        json!([[0xFFF1, 0x8001], [0xFFF1, 0x8001]]),
    ] {
        jobs.push(job(&[]));
        jobs.last_mut().unwrap()["certify"] = certify;
    }
    for (job, made) in jobs.iter().zip(bench.runs(&jobs)) {
        assert!(made.is_err(), "{job}");
    }
}

#[test]
fn what_we_do_otherwise_is_what_the_module_says() {
    let bench = Bench(TempDir::new().unwrap());
    let jobs = [
        job(&["--product-label", "lamp "]),
        job(&["--discriminator", "0"]),
        job(&["--mfg-date", "20260431"]),
        job(&["--mfg-date", "2026-04-01LOT17.03"]),
        json!({"arguments": ["--vendor-id", "0", "--product-id", "0"]}),
        job(&["--serial-num", "seventeen letters"]),
        job(&["--fixed-labels", "0/sixteen_letters_/x"]),
    ];
    let mut made = bench.runs(&jobs).into_iter();
    let mut next = || made.next().unwrap();
    let find = |made: Made, key: &str| {
        let image = nvs::parse(&made.image, None).unwrap();
        image.find(NAMESPACE, key).unwrap().value.clone()
    };
    let label = find(next().unwrap(), "product-label");
    assert_eq!(label, nvs::Value::String("lamp".to_owned()));
    let discriminator = find(next().unwrap(), "discriminator");
    // One time in 4096 it draws what was asked for.
    assert!(matches!(discriminator, nvs::Value::U32(_)));
    let read =
        |made: Made| FactoryRecord::read(&nvs::parse(&made.image, None).unwrap()).unwrap_err();
    assert_eq!(read(next().unwrap()).code(), "matter-date");
    assert_eq!(read(next().unwrap()).code(), "matter-date");
    assert_eq!(read(next().unwrap()).code(), "matter-vendor");
    assert!(next().is_err());
    assert!(next().is_err());
    let longest: FixedLabel = "0/sixteen_letters_/x".parse().unwrap();
    assert_eq!(longest.name.len(), 16);
}
