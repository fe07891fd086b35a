//! Writes the corpus anew: for each parser a few small inputs, made by the encoder beside it.
//!
//! Inputs that once broke a parser are put there by hand, with a name that says what broke, and stay.

mod elf;

use std::fs;
use std::path::Path;

use libfuzzer_sys as _; // what counts coverage

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use sha2::{Digest as _, Sha256};
use station_esp::cert::{
    Certificate, EfuseReference, Identity, IdentityKey, KeyFile, KeyKind, RsaContext,
};
use station_esp::command::{DataBlock, Dialect, FlashBegin, RegisterWrite, Request};
use station_esp::command::{Response, SecurityInfo, Status};
use station_esp::image::Part;
use station_esp::matter::{Calendar, Color, Discriminator, FactoryData, Finish, Product, Verifier};
use station_esp::nvs::{self, Content, NvsKeys, Value, Version};
use station_esp::ota::{Manifest, Package};
use station_esp::otadata::{OtaData, State};
use station_esp::partition::Table;
use station_esp::records::{Calibration, Manufacturing, Quantity};
use station_esp::secret::Secret;
use station_esp::secure::signature::{self, Algorithm, PrivateKey, Signer};
use station_esp::{Chip, MacAddress, hex, slip, uf2};

const CERTIFICATE: &str = include_str!("certificate.pem");
const TABLE: &str = "# Name, Type, SubType, Offset, Size, Flags\n\
    nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\nphy,data,phy,,4K,\n\
    ota_0,app,ota_0,0x10000,1M\nota_1,app,ota_1,,1M,\nkeys,data,nvs_keys,,0x1000,encrypted\n\
    own,0x40,0x01,,64K,readonly\n";
const NVS: &str = "key,type,encoding,value\nid,namespace,,\nserial,data,string,SN-1\n\
    channel,data,u8,11\noffset,data,i32,-70000\nbig,data,u64,18446744073709551615\n\
    key,data,hex2bin,00ff10\nb,data,base64,AQID\nfrom,file,hex2bin,a\nnet,namespace,,\n\
    blob,file,binary,b\n";
const BUILD: &str = r#"{
  "write_flash_args": ["--flash_mode", "dio", "--flash_size", "4MB", "--flash_freq", "80m"],
  "flash_settings": { "flash_mode": "dio", "flash_size": "4MB", "flash_freq": "80m" },
  "flash_files": { "0x0": "bootloader/bootloader.bin", "0x10000": "app.bin", "0x8000": "table.bin" },
  "bootloader": { "offset": "0x0", "file": "bootloader/bootloader.bin", "encrypted": "false" },
  "app": { "offset": "0x10000", "file": "app.bin", "encrypted": "true" },
  "extra_esptool_args": { "after": "hard_reset", "chip": "esp32c3" }
}
"#;
const RECIPE: &str = r#"format = 1
product = "widget"
chip = "esp32c3"

[serial]
pool = "shared"
pattern = "W{year:02}{week:02}{counter:04}"

[[step]]
name = "identify"
identify = { flash_size = "4MB" }

[[step]]
name = "values"
nvs = { at = 0x9000, size = "16KB", values = [
  { namespace = "id", key = "serial", type = "string", value = "{serial} of {mac}" },
  { namespace = "id", key = "lot", type = "u32", value = 7 } ] }

[[step]]
name = "clear"
erase = { ranges = [{ at = 0x3f0000, size = "64KB" }] }

[[step]]
name = "test"
test = { boot = true, expect = "READY", script = [
  { send = "adc {serial|lower}", measure = "vdd", pattern = 'vdd=(\d+)mV', unit = "mV", min = 3200, max = 3400 } ] }
"#;

fn put(target: &str, name: &str, bytes: impl AsRef<[u8]>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    fs::create_dir_all(&folder).expect("a folder for seeds");
    fs::write(folder.join(name), bytes).expect("a seed");
}

fn main() {
    wire();
    firmware();
    tables();
    nvs_images();
    keys();
    records();
    texts();
}

fn wire() {
    let block = DataBlock {
        sequence: 1,
        data: &[0xC0, 0xDB, 1, 2],
    };
    let begin = FlashBegin {
        erase_size: 0x1000,
        blocks: 4,
        block_size: 0x400,
        offset: 0x1_0000,
        encrypt: Some(false),
    };
    let write = RegisterWrite {
        address: 0x6000_8000,
        value: 1,
        mask: u32::MAX,
        delay_us: 0,
    };
    let requests = [
        ("sync", Request::Sync),
        ("flash-begin", Request::FlashBegin(begin)),
        ("flash-data", Request::FlashData(block)),
        ("write-reg", Request::WriteReg(vec![write; 2])),
        (
            "attach",
            Request::SpiAttach {
                pins: 0,
                legacy: Some(0),
            },
        ),
        (
            "attach-stub",
            Request::SpiAttach {
                pins: 0,
                legacy: None,
            },
        ),
        (
            "md5",
            Request::SpiFlashMd5 {
                offset: 0,
                length: 0x1000,
            },
        ),
        ("security", Request::GetSecurityInfo),
    ];
    let mut stream = b"ets Jul 29 2019\r\n".to_vec();
    for (name, request) in requests {
        let mut frame = Vec::new();
        request.encode(Dialect::Rom, &mut frame);
        put("request", name, &frame);
        slip::encode(&frame, &mut stream);
    }
    put("slip", "requests", stream);
    put(
        "slip",
        "damaged",
        b"\xC0ab\xDBc\xC0\xC0\xDB\xDC\xDB\xDD\xC0noise",
    );
    let info = SecurityInfo {
        flags: 0x21,
        flash_crypt_cnt: 1,
        key_purposes: [0, 9, 4, 0, 0, 0, 0],
        chip_id: Some(5),
        api_version: Some(0),
    };
    let mut body = Vec::new();
    info.encode(&mut body);
    put("security-info", "c3", &body);
    put("security-info", "s2", &body[..12]);
    let response = Response {
        opcode: 0x14,
        value: 0,
        body: &body,
        status: Status([0, 0]),
    };
    for (name, dialect) in [("rom", Dialect::Rom), ("stub", Dialect::Stub)] {
        let mut frame = Vec::new();
        response.encode(dialect, &mut frame);
        put("response", name, frame);
    }
}

/// A small application with code and data in mapped flash.
fn application() -> Vec<u8> {
    let mut bytes = vec![0xE9, 2, 2, 0x20, 0, 0, 0x38, 0x40, 0xEE, 0, 0, 0];
    bytes.extend(Chip::Esp32C3.spec().image_id.to_le_bytes());
    bytes.extend([0, 3, 0, 199, 0, 0, 0, 0, 0, 1]);
    let mut rodata = elf::descriptor();
    rodata.extend([7; 24]);
    let text = 0x4200_0000 + 24 + 8 + rodata.len() as u32 + 8;
    let mut sum = 0xEF;
    for (address, content) in [(0x3C00_0020_u32, rodata), (text, vec![0x13; 200])] {
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

fn firmware() {
    let image = application();
    put("image", "application", &image);
    let ram = elf::made(243, 0, &[(".text", 6, 0x4038_0000, &[0x93; 64])]);
    let loaded = station_esp::elf::to_ram_binary(&ram, Chip::Esp32C3).expect("an image");
    put("image", "ram", loaded);
    for (name, bytes) in [
        ("ram", ram),
        ("riscv", elf::riscv(0)),
        ("padded", elf::riscv(16)),
        ("segments", elf::riscv(2)),
        ("ram-only", elf::riscv(4)),
        ("xtensa", elf::xtensa()),
    ] {
        put("elf", name, &bytes);
        put("sizes", name, &bytes);
    }
    let parts = [Part::new(0, vec![1; 40]), Part::new(0xFFF0, vec![2; 33])];
    put("hex", "two-parts", hex::encode(&parts).expect("hex"));
    for (name, md5) in [("plain", false), ("md5", true)] {
        let options = uf2::Options {
            chip: Chip::Esp32S3,
            chunk: Some(32),
            md5,
        };
        put("uf2", name, uf2::encode(&parts, options).expect("UF2"));
    }
    put("flasher-args", "build", BUILD);
    let manifest = Manifest::for_image("sensor", Some("1.2.3"), Some("ota_0"), &image);
    let manifest = manifest.expect("an application");
    put(
        "manifest",
        "sensor",
        manifest.to_bytes().expect("a manifest"),
    );
    let mut package = Package::new(manifest, &image).expect("a package");
    put("ota", "unsigned", package.to_bytes().expect("a package"));
    package
        .sign(&Secret::new(vec![1; 32]))
        .expect("a signature");
    put("ota", "signed", package.to_bytes().expect("a package"));
}

fn tables() {
    let table = Table::parse_csv(TABLE).expect("a table");
    let binary = table.to_binary();
    put("partition", "table", &binary[..32 * 10]);
    put("partition", "whole", &binary);
    put("partition-csv", "table", TABLE);
    put(
        "partition-csv",
        "subtypes",
        format!("+app,own,0x40\n+data,extra,0xf0\n{TABLE}"),
    );
    put("partition-csv", "written", table.to_csv());
    put("address", "name", "nvs");
    put("address", "number-name", "1");
    put("address", "number", "0x1000");
    put("address", "distance", "a+b + 4K");
    let mut data = OtaData::ERASED;
    put("otadata", "erased", &data.to_bytes()[..64]);
    for (slot, state) in [(0, State::Valid), (1, State::PendingVerify)] {
        data.set(slot, 2, state).expect("a slot");
    }
    put("otadata", "two-slots", data.to_bytes());
}

fn matter_unit() -> Content {
    let some = |text: &str| Some(text.to_owned());
    let product = Product {
        vendor_id: 0xFFF1,
        vendor_name: some("Maker"),
        product_id: 0x8000,
        product_name: some("Lamp"),
        hardware_version: Some(7),
        hardware_version_text: some("7b"),
        finish: Some(Finish::Satin),
        color: Some(Color::Nickel),
        part_number: some("L-7"),
        calendars: vec![Calendar::Gregorian, Calendar::Buddhist],
        locales: vec!["en-GB".to_owned(), "de".to_owned()],
        labels: vec!["0/orientation/up".parse().expect("a label")],
        modes: Vec::new(),
        label: some("A lamp"),
        url: some("https://lamp.example"),
    };
    let passcode = "20202021".parse().expect("a passcode");
    let verifier = Verifier::derive(&passcode, &[7; 16], 1000).expect("a verifier");
    let unit = FactoryData {
        product,
        serial: "SN-1".to_owned(),
        made: Some("2026-04-01".parse().expect("a day")),
        discriminator: Discriminator::new(3840).expect("a discriminator"),
        verifier,
        rotating_id: Some(Secret::new(vec![5; 16])),
        attestation: None,
        declaration: None,
    };
    unit.to_content().expect("a unit")
}

fn nvs_images() {
    let mut content = Content::new();
    let rows = [
        ("id", "serial", Value::String("SN-1".into())),
        ("id", "channel", Value::U8(11)),
        ("net", "offset", Value::I64(-7)),
        ("net", "blob", Value::Blob(vec![3; 100])),
    ];
    for (namespace, key, value) in rows {
        content.push(namespace, key, value).expect("an entry");
    }
    put("nvs-csv", "written", content.to_csv().expect("a table"));
    let keys = NvsKeys::new(Secret::new((0..64).collect())).expect("keys");
    for (name, version) in [("version-1", Version::V1), ("version-2", Version::V2)] {
        let plain = nvs::build(&content, 0x3000, version).expect("an image");
        let page = plain[..0x400].to_vec();
        put("nvs", name, page);
        let built = nvs::build_encrypted(&content, 0x3000, version, &keys);
        put("nvs-encrypted", name, &built.expect("an image")[..0x400]);
    }
    content
        .push("net", "long", Value::Blob(vec![5; 4100]))
        .expect("an entry");
    let plain = nvs::build(&content, 0x3000, Version::V2).expect("an image");
    put("nvs", "two-pages", &plain[..0x2000]);
    put("nvs-csv", "table", NVS);
    let plain = nvs::build(&matter_unit(), 0x3000, Version::V2).expect("an image");
    put("nvs", "matter", &plain[..0x1000]);
    put("nvs-keys", "page", &keys.to_partition().expose()[..72]);
}

fn keys() {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let certificate = Certificate::read(CERTIFICATE.as_bytes()).expect("a certificate");
    put("certificate", "pem", CERTIFICATE);
    put("certificate", "der", certificate.der());
    let mut made = |algorithm| PrivateKey::generate(algorithm, &mut rng).expect("a key");
    let rsa = made(Algorithm::Rsa3072);
    let curves = [
        ("p192", made(Algorithm::EcdsaP192)),
        ("p256", made(Algorithm::EcdsaP256)),
        ("p384", made(Algorithm::EcdsaP384)),
    ];
    let rsa_file = KeyFile::read(rsa.to_pem().expose()).expect("a key");
    let mut plain = None;
    for (name, key) in [("rsa", &rsa)]
        .into_iter()
        .chain(curves.iter().map(|(n, k)| (*n, k)))
    {
        let pem = key.to_pem();
        put("key", &format!("{name}.pem"), pem.expose());
        put("key", &format!("{name}.pub.pem"), key.public().to_pem());
        let file = KeyFile::read(pem.expose()).expect("a key");
        put("key", &format!("{name}.pub.der"), file.public_der());
        let signers: [&dyn Signer; 1] = [key];
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        let signed = signature::sign(&[0; 4096], &signers, &mut rng).expect("a signature");
        put("signature", name, &signed[4096..4096 + 1216]);
        plain = Some(file);
    }
    let context = RsaContext::seal(
        &rsa_file,
        &Secret::new(vec![9; 32]),
        2,
        Chip::Esp32C3,
        [7; 16],
    );
    let context = context.expect("parameters");
    let efuse = EfuseReference::new(KeyKind::EcdsaP256, 1, Chip::Esp32H2).expect("a reference");
    let plain = plain.expect("a key");
    for (name, key, device) in [
        ("certificates", None, true),
        ("plain", Some(IdentityKey::Plain(&plain)), false),
        ("rsa", Some(IdentityKey::Rsa(&context)), false),
        ("ecdsa", Some(IdentityKey::Ecdsa(efuse)), false),
    ] {
        let identity = Identity {
            ca: Some(&certificate),
            device: device.then_some(&certificate),
            key,
        };
        put(
            "cert",
            name,
            identity.to_partition().expect("a partition").to_bytes(),
        );
    }
}

fn records() {
    let record = Manufacturing {
        serial: "SN2607-000042".into(),
        mac: MacAddress([0x7C, 0xDF, 0xA1, 1, 2, 3]),
        product: "sensor".into(),
        revision: Some("C".into()),
        firmware: None,
        lot: Some("L7".into()),
        station: None,
        made_at: 1_790_000_000,
    };
    put(
        "records",
        "manufacturing",
        record.to_bytes().expect("a record"),
    );
    let quantity = |name: &str, value, exponent, unit: &str| Quantity {
        name: name.into(),
        value,
        exponent,
        unit: unit.into(),
    };
    let record = Calibration {
        made_at: 1_790_000_001,
        quantities: vec![
            quantity("vref", 1_104_523, -6, "V"),
            quantity("gain", -3, 0, "1"),
        ],
    };
    put(
        "records",
        "calibration",
        record.to_bytes().expect("a record"),
    );
}

fn texts() {
    put("recipe", "no-files", RECIPE);
    put(
        "policy",
        "own",
        "name = \"own\"\n[[rules]]\nfield = \"DIS_PAD_JTAG\"\nwant = { value = 1 }\n\
         level = \"must\"\n[[rules]]\nfield = \"secure-boot\"\nwant = \"key\"\nlevel = \"should\"\n",
    );
    put(
        "units",
        "macs",
        "mac,name\n7c:df:a1:00:00:02,two\n7CDFA1000001,\"one, first\"\n",
    );
    put(
        "units",
        "serials",
        "\u{feff}serial,key\nW-0001,0011\nW-0002,4455\n",
    );
    put(
        "texts",
        "pattern",
        "W{year:02}{week:02}{counter:04}{check:luhn}",
    );
    put("texts", "mac", "7c:df:a1:00:00:02");
    put("texts", "token", "w:00000001,89abcdef");
    put("texts", "secret", format!("s:{}", "0a".repeat(32)));
    put("texts", "revision", "1.3");
    put("texts", "size", "4MB");
}
