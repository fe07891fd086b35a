//! What goes into flash besides programs, as the operations make, read, write and refuse it: partition tables,
//! key-value storage, identities.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde_json::{Value, json};
use station::operation::{Call, Face, OperationError};
use station::operations::registry;
use station::rack::RackOptions;
use station::station::{Station, StationOptions};
use station_esp::matter::{Color, FactoryRecord};
use station_esp::nvs;
use station_esp::secure::signature::{Algorithm, PrivateKey};

use crate::support::TestStation;

const TABLE: &str = "# a table\nnvs, data, nvs, , 24K\notadata, data, ota, , 8K\nota_0, app, ota_0, , 1M\n\
    ota_1, app, ota_1, , 1M\nesp_secure_cert, 0x3f, 6, , 0x2000\n";
const VALUES: &str = "key,type,encoding,value\nid,namespace,,\nserial,data,string,SN-17\nlot,data,u32,4711\n\
    blob,file,binary,blob.bin\n";
/// A certificate that nobody here has the key of.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
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

/// A station in this process with one virtual board that takes no time.
struct Bench {
    folder: TestStation,
    station: Station,
}

impl Bench {
    fn new() -> Self {
        let folder = TestStation::new();
        let station = Station::open(StationOptions {
            journal: Some(folder.journal()),
            rack: RackOptions {
                timed: false,
                ..RackOptions::default()
            },
            virtual_boards: 1,
            ..StationOptions::default()
        });
        Self {
            folder,
            station: station.unwrap(),
        }
    }

    async fn asked(&self, name: &str, parameters: Value) -> Result<Value, OperationError> {
        let call = Call::silent(Face::Mcp, "a test");
        let operation = registry().find(name).cloned().unwrap();
        let invoked = operation.invoke(&self.station, parameters, &call).await?;
        Ok(invoked.answer)
    }

    async fn done(&self, name: &str, parameters: Value) -> Value {
        let asked = self.asked(name, parameters.clone()).await;
        asked.unwrap_or_else(|error| panic!("{name} {parameters}: {error}"))
    }

    async fn refused(&self, name: &str, parameters: Value) -> OperationError {
        let asked = self.asked(name, parameters.clone()).await;
        asked.expect_err(&format!("{name} {parameters}"))
    }

    /// A file in the station's folder that is not there yet.
    fn path(&self, name: &str) -> String {
        self.folder.folder().join(name).display().to_string()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        self.folder.write(name, content).display().to_string()
    }
}

fn mode(file: &str) -> u32 {
    Path::new(file).metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_table_goes_through_both_forms_and_errors_name_line_and_column() {
    let bench = Bench::new();
    let (csv, binary, again) = (
        bench.write("t.csv", TABLE),
        bench.path("t.bin"),
        bench.path("2.csv"),
    );
    let made = bench
        .done("esp_partition_convert", json!({"file": csv, "out": binary}))
        .await;
    assert_eq!(
        (&made["form"], &made["size"]),
        (&json!("binary"), &json!(0xC00))
    );
    let back = bench
        .done(
            "esp_partition_convert",
            json!({"file": binary, "out": again}),
        )
        .await;
    assert_eq!(back["form"], "csv");
    assert_eq!(back["table"], made["table"]);
    assert_eq!(
        std::fs::read_to_string(&again).unwrap(),
        made["table"]["csv"]
    );
    let shown = bench
        .done("esp_partition_show", json!({"file": again}))
        .await;
    assert_eq!(shown["partitions"][2]["offset"], 0x2_0000);

    let overlapping = bench.write(
        "o.csv",
        "a,data,nvs,0x9000,0x8000\nb,app,factory,0x10000,1M\n",
    );
    let unwritten = bench.path("unwritten.bin");
    let error = bench
        .refused(
            "esp_partition_convert",
            json!({"file": overlapping, "out": unwritten}),
        )
        .await;
    assert_eq!(error.code, "partition-order");
    assert!(
        error.message.contains("line 2, column 4 (offset)"),
        "{error}"
    );
    assert!(!Path::new(&unwritten).exists());
    let small = json!({"file": csv, "flash_size": "2MB"});
    let error = bench.refused("esp_partition_show", small).await;
    assert_eq!(error.code, "partition-beyond-flash");
}

#[tokio::test]
async fn a_layout_is_made_for_flash_and_application_and_drawn() {
    let bench = Bench::new();
    let out = bench.path("ota.csv");
    let storage = "files:littlefs";
    let order = json!({"flash_size": "4MB", "app_size": "1MB", "storage": storage, "coredump": "64KB", "out": out});
    let made = bench.done("esp_partition_create_ota", order).await;
    assert_eq!(made["free"], 0);
    assert_eq!(made["table"]["end"], 4 << 20);
    let svg = bench.path("map.svg");
    let seen = bench
        .done(
            "esp_partition_analyze",
            json!({"file": out, "chip": "esp32c3", "flash_size": "4MB", "svg": svg}),
        )
        .await;
    assert_eq!((&seen["free"], &seen["findings"]), (&json!(0), &json!([])));
    assert!(std::fs::read_to_string(&svg).unwrap().contains("files"));
    let small = json!({"file": out, "chip": "esp32c3", "flash_size": "2MB"});
    let seen = bench.done("esp_partition_analyze", small).await;
    assert_eq!(seen["findings"][0]["code"], "partition-beyond-flash");
    let rows = json!({"rows": ["nvs,data,nvs,,24K", "app,app,factory,,1M,quick"]});
    let error = bench.refused("esp_partition_custom", rows).await;
    assert_eq!(error.code, "partition-flag");
    assert!(error.message.contains("line 2, column 6"), "{error}");
}

#[tokio::test]
async fn storage_made_of_a_table_and_values_is_read_back_and_its_keys_are_shown_nowhere() {
    let bench = Bench::new();
    bench.write("blob.bin", [7_u8; 5000]);
    let csv = bench.write("values.csv", VALUES);
    let (image, keys) = (bench.path("nvs.bin"), bench.path("keys.bin"));
    let order = json!({"csv": csv, "out": image, "values": ["id/lot:u32=4712", "wifi/on:u8=1"],
        "size": "24KB", "new_keys": keys});
    let made = bench.done("esp_nvs_partition_create", order).await;
    assert_eq!(
        (&made["namespaces"], &made["entries"], &made["encrypted"]),
        (&json!(2), &json!(4), &json!(true))
    );
    assert_eq!((mode(&keys), mode(&image)), (0o600, 0o600));
    let secret = hex::encode(std::fs::read(&keys).unwrap());
    let error = bench
        .refused("esp_nvs_partition_read", json!({"file": image}))
        .await;
    assert_eq!(error.code, "nvs-encrypted");
    let other = bench.path("other.bin");
    let drawn = bench.done("esp_nvs_keys", json!({"out": other})).await;
    assert_ne!(drawn["fingerprint"], made["keys"]);
    let wrong = json!({"file": image, "keys": other});
    assert_eq!(
        bench.refused("esp_nvs_partition_read", wrong).await.code,
        "nvs-keys-wrong"
    );
    let listed = bench.path("listed.csv");
    let read = bench
        .done(
            "esp_nvs_partition_read",
            json!({"file": image, "keys": keys, "csv": listed}),
        )
        .await;
    let value = |key: &str| {
        let entries = read["entries"].as_array().unwrap().iter();
        entries
            .filter(|one| one["key"] == key)
            .map(|one| one["value"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(value("serial"), [json!("SN-17")]);
    assert_eq!(value("lot"), [json!("4712")]);
    assert_eq!(value("blob"), [json!("07".repeat(1024))]);
    assert_eq!(read["damage"], json!([]));
    for part in secret.as_bytes()[..128].chunks(16) {
        let part = std::str::from_utf8(part).unwrap();
        assert!(!format!("{made}{drawn}{read}").contains(part));
    }
    // What was listed makes the same image again, but for its keys.
    let plain = |csv: &str, out: &str| json!({"csv": csv, "out": out, "size": "24KB"});
    let again = bench
        .done(
            "esp_nvs_partition_create",
            plain(&listed, &bench.path("3.bin")),
        )
        .await;
    assert_eq!(
        (&again["entries"], &again["encrypted"]),
        (&json!(4), &json!(false))
    );
}

#[tokio::test]
async fn a_table_of_values_names_only_files_its_caller_may_read_and_says_where_it_is_wrong() {
    let bench = Bench::new();
    let missing = bench.write("missing.csv", VALUES);
    let order = |csv: &str| json!({"csv": csv, "out": bench.path("never.bin"), "size": "0x6000"});
    let error = bench
        .refused("esp_nvs_partition_create", order(&missing))
        .await;
    assert_eq!(error.code, "nvs-file");
    assert!(error.message.contains("line 5"), "{error}");
    let number = bench.write(
        "n.csv",
        "key,type,encoding,value\nid,namespace,,\nlot,data,u8,256\n",
    );
    let error = bench
        .refused("esp_nvs_partition_create", order(&number))
        .await;
    assert_eq!(error.code, "nvs-number");
    assert!(error.message.contains("line 3, column `value`"), "{error}");
    let nothing = json!({"out": bench.path("never.bin")});
    assert_eq!(
        bench
            .refused("esp_nvs_partition_create", nothing)
            .await
            .code,
        "nvs-nothing"
    );
    assert!(!Path::new(&bench.path("never.bin")).exists());

    let root = bench.folder.folder().join("root");
    std::fs::create_dir(&root).unwrap();
    bench.write("blob.bin", [7_u8; 16]);
    let outside = bench.write("root/values.csv", VALUES.replace("blob.bin", "../blob.bin"));
    let confined = Station::open(StationOptions {
        journal: Some(bench.folder.journal()),
        roots: Some(vec![root.clone()]),
        ..StationOptions::default()
    });
    let order = json!({"csv": outside, "out": root.join("nvs.bin")});
    let call = Call::silent(Face::Mcp, "a test");
    let create = registry()
        .find("esp_nvs_partition_create")
        .cloned()
        .unwrap();
    let error = create
        .invoke(&confined.unwrap(), order, &call)
        .await
        .unwrap_err();
    assert_eq!(error.code, "nvs-file");
    assert!(error.message.contains("outside the folders"), "{error}");
}

/// A unit of a product for tests, with what else is asked for.
fn matter_unit(out: &str, more: &Value) -> Value {
    let mut order =
        json!({"out": out, "vendor_id": "0xFFF1", "product_id": "0x8000", "serial": "SN-17"});
    for (name, value) in more.as_object().into_iter().flatten() {
        order[name] = value.clone();
    }
    order
}

#[tokio::test]
async fn the_private_key_of_a_matter_unit_is_read_but_not_shown() {
    let bench = Bench::new();
    let image = bench.path("fctry.bin");
    let key = "c0ffee".repeat(10);
    let values = [
        format!("chip-factory/dac-key:hex2bin={key}"),
        format!("chip-factory/dac-pub-key:hex2bin={}", "0a".repeat(30)),
    ];
    let order = json!({"out": image, "values": values, "size": "0x3000"});
    bench.done("esp_nvs_partition_create", order).await;
    let read = bench
        .done("esp_nvs_partition_read", json!({"file": image}))
        .await;
    assert_eq!(read["entries"][0]["value"], "(secret)");
    assert_eq!(read["entries"][0]["length"], 30);
    assert_eq!(read["entries"][1]["value"], "0a".repeat(30));
    assert!(!read.to_string().contains("c0ffee"));
}

#[tokio::test]
async fn a_matter_partition_fits_its_codes_and_holds_no_passcode() {
    let bench = Bench::new();
    let (out, passcode) = (
        bench.path("fctry.bin"),
        bench.write("passcode", "20202021\n"),
    );
    let unit = |more: Value| matter_unit(&out, &more);
    let told = json!({"discriminator": 3840, "passcode_file": passcode, "iterations": 1000,
        "salt": hex::encode("SPAKE2P Key Salt"), "color": "Gold", "labels": ["0/orientation/up"]});
    let made = bench
        .done("esp_matter_partition_create", unit(told.clone()))
        .await;
    assert_eq!(made["qr"], "MT:Y.K9042C00KA0648G00");
    assert_eq!(made["manual_code"], "34970112332");
    assert_eq!((&made["size"], mode(&out)), (&json!(0x6000), 0o600));
    assert_eq!(
        (&made["test_vendor"], &made["passcode_drawn"]),
        (&json!(true), &json!(false))
    );
    let image = std::fs::read(&out).unwrap();
    let record = FactoryRecord::read(&nvs::parse(&image, None).unwrap()).unwrap();
    assert!(record.verifier.fits(&"20202021".parse().unwrap()));
    assert_eq!(record.product.color, Some(Color::Gold));
    assert_eq!(record.product.labels[0].value, "up");
    // What one unit was made with is not written over, whoever asks.
    let error = bench
        .refused("esp_matter_partition_create", unit(told))
        .await;
    assert_eq!(error.code, "file-exists");
    assert_eq!(std::fs::read(&out).unwrap(), image);

    let drawn = |name: &str| unit(json!({"out": bench.path(name), "rotating_id": true}));
    let first = bench
        .done("esp_matter_partition_create", drawn("1.bin"))
        .await;
    let second = bench
        .done("esp_matter_partition_create", drawn("2.bin"))
        .await;
    assert_eq!(first["passcode_drawn"], true);
    assert_ne!(first["manual_code"], second["manual_code"]);
    let journal = std::fs::read(bench.folder.journal()).unwrap_or_default();
    let codes = [
        &made["manual_code"],
        &first["manual_code"],
        &made["qr"],
        &first["qr"],
    ];
    for code in codes
        .map(|code| code.as_str().unwrap())
        .into_iter()
        .chain(["20202021"])
    {
        let found = journal
            .windows(code.len())
            .any(|part| part == code.as_bytes());
        assert!(!found, "{code} is in the journal");
    }
}

#[tokio::test]
async fn a_matter_unit_that_could_not_be_commissioned_is_refused() {
    let bench = Bench::new();
    let passcode = bench.write("passcode", "20202021\n");
    let certificate = bench.write("dac.pem", CERTIFICATE);
    let key = PrivateKey::generate(Algorithm::EcdsaP256, &mut UnwrapErr(SysRng)).unwrap();
    let key = bench.write("key.pem", key.to_pem().expose());
    for (more, code) in [
        (json!({"passcode": "12345678"}), "matter-passcode-forbidden"),
        (json!({"passcode": "2020-2021"}), "matter-passcode"),
        (
            json!({"passcode": "20202021", "passcode_file": passcode}),
            "matter-passcode-twice",
        ),
        (json!({"vendor_id": "0xFFFF"}), "matter-vendor"),
        (json!({"vendor_id": "fff1"}), "number-invalid"),
        (json!({"color": "pink"}), "matter-word"),
        (json!({"salt": "00"}), "matter-salt"),
        (json!({"made": "2026-02-29"}), "matter-date"),
        (json!({"discovery": []}), "matter-discovery"),
        (json!({"size": "0x800"}), "nvs-size"),
        (json!({"key_file": key}), "cert-missing"),
        (
            json!({"dac": certificate, "pai": certificate, "key_file": key}),
            "cert-key-mismatch",
        ),
        (json!({"declaration": certificate}), "matter-declaration"),
        (json!({"nvs_keys": certificate}), "nvs-key-checksum"),
    ] {
        let order = matter_unit(&bench.path("no.bin"), &more);
        let error = bench.refused("esp_matter_partition_create", order).await;
        assert_eq!(error.code, code, "{more}");
        assert!(!error.to_string().contains("2020"), "{error}");
    }
    assert!(!Path::new(&bench.path("no.bin")).exists());
}

#[tokio::test]
async fn an_identity_is_made_signed_and_read_without_its_key() {
    let bench = Bench::new();
    let certificate = bench.write("device.pem", CERTIFICATE);
    let key = PrivateKey::generate(Algorithm::EcdsaP256, &mut UnwrapErr(SysRng)).unwrap();
    let file = bench.write("key.pem", key.to_pem().expose());
    let stranger = json!({"out": bench.path("no.bin"), "device": certificate, "key_file": file});
    let error = bench.refused("esp_cert_partition_create", stranger).await;
    assert_eq!(error.code, "cert-key-mismatch");
    let chipless =
        json!({"out": bench.path("no.bin"), "key_file": file, "home": "ecdsa", "key_block": 0});
    assert_eq!(
        bench
            .refused("esp_cert_partition_create", chipless)
            .await
            .code,
        "cert-missing"
    );

    let out = bench.path("identity.bin");
    let order =
        json!({"out": out, "ca": certificate, "key_file": file, "sign": [file], "whole": true});
    let made = bench.done("esp_cert_partition_create", order).await;
    assert_eq!((&made["size"], mode(&out)), (&json!(0x2000), 0o600));
    let read = bench
        .done("esp_cert_partition_read", json!({"file": out}))
        .await;
    assert_eq!(read["entries"], made["entries"]);
    assert_eq!(
        (&read["sealed"], &read["private_key"]["kind"]),
        (&json!(true), &json!("ECDSA P-256"))
    );
    assert_eq!(
        read["signatures"][0]["key_digest"],
        hex::encode(key.public().digest())
    );
    let text = read["entries"][0]["certificate"].as_str().unwrap();
    assert_eq!(text.trim_end(), CERTIFICATE.trim_end());
    let scalar = hex::encode(key.scalar().unwrap().expose());
    assert!(!format!("{made}{read}").contains(&scalar));
    assert!(!format!("{made}{read}").contains("PRIVATE KEY-----"));

    let mut damaged = std::fs::read(&out).unwrap();
    damaged[40] ^= 1;
    let damaged = bench.write("damaged.bin", damaged);
    let error = bench
        .refused("esp_cert_partition_read", json!({"file": damaged}))
        .await;
    assert_eq!(error.code, "cert-checksum");
}

#[tokio::test]
async fn a_chip_gets_a_table_and_its_partitions_are_found_by_name() {
    let bench = Bench::new();
    let port = "virtual:1";
    let table = bench.write("t.csv", TABLE);
    let written = bench
        .done("esp_partition_flash", json!({"port": port, "file": table}))
        .await;
    assert_eq!(
        (&written["verified"], &written["unchanged"]),
        (&json!(true), &json!(false))
    );
    let image = bench.path("nvs.bin");
    let order = json!({"out": image, "values": ["id/serial:string=SN-17"], "size": "0x6000"});
    bench.done("esp_nvs_partition_create", order).await;
    let identity = bench.path("identity.bin");
    let ca = bench.write("ca.pem", CERTIFICATE);
    bench
        .done(
            "esp_cert_partition_create",
            json!({"out": identity, "ca": ca}),
        )
        .await;
    for (at, file) in [("nvs", &image), ("esp_secure_cert", &identity)] {
        let write = json!({"port": port, "file": file, "at": at});
        bench.done("esp_flash_firmware", write).await;
    }
    let read = bench
        .done("esp_nvs_partition_read", json!({"port": port}))
        .await;
    assert_eq!(
        (&read["offset"], &read["entries"][0]["value"]),
        (&json!(0x9000), &json!("SN-17"))
    );
    let read = bench
        .done("esp_cert_partition_read", json!({"port": port}))
        .await;
    assert_eq!(read["entries"][0]["kind"], "CA certificate");
    let seen = bench
        .done("esp_partition_analyze", json!({"port": port}))
        .await;
    let holds = |name: &str| {
        let mut contents = seen["contents"].as_array().unwrap().iter();
        contents.find(|one| one["name"] == name).unwrap()["content"].clone()
    };
    assert_eq!(
        (holds("nvs"), holds("otadata")),
        (json!("data"), json!("erased"))
    );

    // Into the middle of a partition, and out of it.
    let beyond = json!({"port": port, "at": "nvs+0x6000", "size": "4KB"});
    let error = bench.refused("esp_flash_erase", beyond).await;
    assert_eq!(error.code, "partition-distance-outside");
    let inside = json!({"port": port, "at": "nvs+0x5000"});
    let erased = bench.done("esp_flash_erase", inside).await;
    assert_eq!(erased, json!({"offset": 0xE000, "size": 0x1000}));

    bench.station.close().await;
}

#[tokio::test]
async fn a_table_that_would_lose_what_a_partition_holds_is_not_written_unasked() {
    let bench = Bench::new();
    let port = "virtual:1";
    let table = bench.write("t.csv", TABLE);
    let order = json!({"port": port, "file": table});
    bench.done("esp_partition_flash", order.clone()).await;
    let image = bench.path("nvs.bin");
    let made = json!({"out": image, "values": ["id/serial:string=SN-17"], "size": "0x6000"});
    bench.done("esp_nvs_partition_create", made).await;
    let write = json!({"port": port, "file": image, "at": "nvs"});
    bench.done("esp_flash_firmware", write).await;
    let moved = bench.write(
        "m.csv",
        TABLE
            .replace("nvs, data, nvs, , 24K\n", "")
            .replace("esp_secure_cert", "nvs, data, nvs, , 24K\nesp_secure_cert"),
    );
    let refused = json!({"port": port, "file": moved});
    let error = bench.refused("esp_partition_flash", refused).await;
    assert_eq!(error.code, "partition-loss");
    assert!(
        error.message.contains("`nvs` moves from 0x9000+0x6000"),
        "{error}"
    );
    assert!(!error.message.contains("ota_0"), "{error}");
    let again = bench.done("esp_partition_flash", order).await;
    assert_eq!(
        (&again["unchanged"], &again["changes"]),
        (&json!(true), &json!([]))
    );
    let order = json!({"port": port, "file": moved, "allow_loss": true});
    let written = bench.done("esp_partition_flash", order).await;
    assert_eq!(written["verified"], true);
    bench.station.close().await;
}

#[test]
fn tables_and_storage_are_made_at_the_keyboard() {
    let station = TestStation::new();
    station.write("t.csv", TABLE);
    station.write("blob.bin", [7_u8; 10]);
    station.write("values.csv", VALUES);
    let shown = station
        .run(&["partition", "convert", "t.csv", "t.bin"])
        .expect(0)
        .out;
    assert!(
        shown.contains("ota_1") && shown.contains("wrote t.bin (3072 bytes)"),
        "{shown}"
    );
    let create = ["nvs", "create", "values.csv", "nvs.bin", "--size", "0x6000"];
    let _made = station.run(&create).expect(0);
    let alone = [
        "nvs",
        "create",
        "alone.bin",
        "--value",
        "id/serial:string=SN-18",
    ];
    let _made = station.run(&alone).expect(0);
    let shown = station.run(&["nvs", "read", "nvs.bin"]).expect(0).out;
    assert!(
        shown.contains("SN-17") && shown.contains("3 values"),
        "{shown}"
    );
    let shown = station
        .run(&["--json", "nvs", "read", "alone.bin"])
        .expect(0)
        .json();
    assert_eq!(shown["entries"][0]["value"], "SN-18");
    let _refused = station.run(&["nvs", "read"]).expect(2);
}
