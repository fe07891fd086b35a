//! Images of several parts, files of units, and numbers that are read: what lands where.

use std::fs;
use std::path::Path;

use station_esp::image::Part;
use station_esp::{Chip, hex, partition, uf2};

use super::room::{Room, board, compile};
use crate::event::EventKind;
use crate::outcome::{Failure, FailureClass, Limits, Outcome, Value, Verdict};
use crate::plan::Plan;
use crate::runner::AttemptReport;

/// The head of every recipe here, and the step that comes first.
const HEAD: &str = r#"
format = 1
product = "node"
chip = "esp32c3"
[[step]]
name = "identify"
identify = { flash_size = "4MB" }
"#;

/// What the parts of the test image are.
fn parts(folder: &Path) -> [Part; 4] {
    let read = |file: &str| fs::read(folder.join(file)).unwrap();
    let table = String::from_utf8(read("partitions.csv")).unwrap();
    let table = partition::Table::parse_csv(&table).unwrap().to_binary();
    [
        Part::new(0, read("bootloader.bin")),
        Part::new(0x8000, table),
        Part::new(0x1_0000, read("app.bin")),
        Part::new(0x2_0000, *b"calibration"),
    ]
}

/// Writes the parts as a build of ESP-IDF.
fn build(folder: &Path, parts: &[Part]) {
    let build = folder.join("build");
    fs::create_dir_all(build.join("parts")).unwrap();
    let mut files = Vec::new();
    for part in parts {
        let file = format!("parts/{:x}.bin", part.address);
        fs::write(build.join(&file), &part.bytes).unwrap();
        files.push(format!("\"{:#x}\": \"{file}\"", part.address));
    }
    let list = format!(
        r#"{{ "flash_settings": {{"flash_mode": "dio", "flash_freq": "40m", "flash_size": "4MB"}},
             "flash_files": {{ {} }},
             "partition-table": {{"offset": "0x8000", "file": "parts/8000.bin", "encrypted": "false"}},
             "app": {{"offset": "0x10000", "file": "parts/10000.bin"}},
             "extra_esptool_args": {{"chip": "esp32c3"}} }}"#,
        files.join(", ")
    );
    fs::write(build.join("flasher_args.json"), list).unwrap();
}

async fn run(room: &Room, plan: &std::sync::Arc<Plan>) -> AttemptReport {
    room.insert(0, board(1)).await;
    let report = room.run_once(plan).await;
    report.attempts.into_iter().next().unwrap()
}

fn failure(attempt: &AttemptReport) -> (FailureClass, &str) {
    let Failure { class, code, .. } = attempt.failure.as_ref().unwrap();
    (*class, code.as_str())
}

#[tokio::test(start_paused = true)]
async fn every_part_of_an_image_lands_where_its_file_says() {
    for file in ["build/flasher_args.json", "all.hex", "all.uf2"] {
        let room = Room::new(1);
        let folder = room.folder.path();
        let parts = parts(folder);
        build(folder, &parts);
        fs::write(folder.join("all.hex"), hex::encode(&parts).unwrap()).unwrap();
        let options = uf2::Options {
            chip: Chip::Esp32C3,
            chunk: None,
            md5: true,
        };
        fs::write(
            folder.join("all.uf2"),
            uf2::encode(&parts, options).unwrap(),
        )
        .unwrap();
        let text = format!(
            r#"{HEAD}
[images]
all = {{ file = "{file}" }}
[[step]]
name = "flash"
flash = {{ images = ["all"] }}
[[step]]
name = "compare"
check = {{ images = ["all"], blank = [{{ at = "nvs" }}] }}
"#
        );
        let plan = compile(&text, folder);
        let attempt = run(&room, &plan).await;
        assert_eq!(attempt.outcome, Outcome::Pass, "{file}: {attempt:#?}");
        for part in &parts {
            let length = u32::try_from(part.bytes.len()).unwrap();
            let found = room.flash(0, part.address, length).await;
            assert!(found == part.bytes, "{file} at {:#x}", part.address);
        }
    }
}

/// Runs one board with files in the room's folder and these steps.
async fn one(files: &[(&str, &[u8])], steps: &str) -> (Room, AttemptReport) {
    let room = Room::new(1);
    for (file, content) in files {
        let path = room.folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let text = format!("{HEAD}[serial]\npattern = \"SN-{{counter:06}}\"\n{steps}");
    let plan = compile(&text, room.folder.path());
    let attempt = run(&room, &plan).await;
    (room, attempt)
}

#[tokio::test(start_paused = true)]
async fn a_unit_gets_its_own_file_and_the_rest_of_the_place_is_filled() {
    let steps = r#"
[[step]]
name = "paper"
data = { at = 0x30000, size = "8KB", file = "papers/{serial}.der", pad = 0x5a }
[[step]]
name = "key"
data = { at = 0x40000, size = "4KB", value = "AQID", encoding = "base64" }
"#;
    let paper = vec![7; 5000];
    let (room, attempt) = one(&[("papers/SN-000001.der", &paper)], steps).await;
    assert_eq!(attempt.outcome, Outcome::Pass, "{attempt:#?}");
    let found = room.flash(0, 0x3_0000, 0x2000).await;
    assert!(found[..5000] == paper && found[5000..].iter().all(|byte| *byte == 0x5A));
    assert_eq!(room.flash(0, 0x4_0000, 4).await, [1, 2, 3, 0xFF]);

    let (_room, attempt) = one(&[("papers/SN-000002.der", &paper)], steps).await;
    assert_eq!(
        failure(&attempt),
        (FailureClass::Station, "unit-file-unreadable")
    );
}

#[tokio::test(start_paused = true)]
async fn a_number_that_is_read_is_recorded_with_its_limits() {
    let steps = |judge: &str| {
        format!(
            r#"
[[step]]
name = "write"
data = {{ at = 0x30000, size = "4KB", value = "e40c0d80", encoding = "hex" }}
[[step]]
name = "read"
read = {{ at = 0x30000, {judge} }}
"#
        )
    };
    let limits = |min, max, equals: Option<&str>| Limits {
        min,
        max,
        equals: equals.map(str::to_owned),
    };
    for (judge, number, wanted, fails) in [
        (
            "encoding = \"u16le\", measure = \"x\", min = 3200, max = 3400, unit = \"mV\"",
            3300.0,
            limits(Some(3200.0), Some(3400.0), None),
            None,
        ),
        (
            "encoding = \"u16be\", measure = \"x\", max = 3400",
            f64::from(0xE40C),
            limits(None, Some(3400.0), None),
            Some((FailureClass::Limit, "out-of-limits")),
        ),
        (
            "encoding = \"u32le\", measure = \"x\", equals = \"0x800d0ce4\"",
            f64::from(0x800D_0CE4_u32),
            limits(None, None, Some("2148338916")),
            None,
        ),
        (
            "encoding = \"u8\", measure = \"x\", equals = \"1\"",
            228.0,
            limits(None, None, Some("1")),
            Some((FailureClass::Verify, "content-differs")),
        ),
    ] {
        let (_room, attempt) = one(&[], &steps(judge)).await;
        let (_, measured) = &attempt.measures[0];
        assert_eq!(measured.value, Value::Number(number), "{judge}");
        assert_eq!(measured.limits, wanted, "{judge}");
        let verdict = if fails.is_some() {
            Verdict::Fail
        } else {
            Verdict::Pass
        };
        assert_eq!(measured.verdict, verdict, "{judge}");
        assert_eq!(attempt.failure.is_some(), fails.is_some(), "{attempt:#?}");
        if let Some(fails) = fails {
            assert_eq!(failure(&attempt), fails);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_of_nvs_is_found_by_its_name_and_is_in_no_message() {
    let steps = |equals: &str| {
        format!(
            r#"
[images]
table = {{ file = "partitions.csv", at = 0x8000 }}
[[step]]
name = "table"
flash = {{ images = ["table"] }}
[[step]]
name = "nvs"
nvs = {{ partition = "nvs", values = [
  {{ namespace = "id", key = "serial", type = "string", value = "{{serial}}" }},
  {{ namespace = "id", key = "secret", type = "hex", value = "00ab" }} ] }}
[[step]]
name = "serial"
read = {{ nvs = {{ partition = "nvs", namespace = "id", key = "serial" }}, equals = "{{serial}}", measure = "serial" }}
[[step]]
name = "secret"
read = {{ nvs = {{ partition = "nvs", namespace = "id", key = "secret" }}, equals = "{equals}" }}
[[step]]
name = "absent"
read = {{ nvs = {{ partition = "nvs", namespace = "id", key = "other" }}, equals = "1" }}
"#
        )
    };
    let (_room, attempt) = one(&[], &steps("00AB")).await;
    let (_, measured) = &attempt.measures[0];
    assert_eq!(measured.value, Value::Text("SN-000001".to_owned()));
    assert_eq!(measured.limits.equals.as_deref(), Some("SN-000001"));
    assert_eq!(
        failure(&attempt),
        (FailureClass::Verify, "nvs-value-missing")
    );

    let (room, attempt) = one(&[], &steps("cafe")).await;
    assert_eq!(failure(&attempt), (FailureClass::Verify, "content-differs"));
    let told = room.events().into_iter().any(|event| {
        matches!(&event.kind, EventKind::StepFinished { failure: Some(failure), .. }
            if failure.message.contains("00ab") || failure.message.contains("cafe"))
    });
    assert!(!told, "{attempt:#?}");
}

#[test]
fn the_choices_of_an_elf_are_in_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let elf = include_bytes!("../../../../../recipes/demo/selftest.elf");
    fs::write(folder.path().join("app.elf"), elf).unwrap();
    let image = |options: &str| {
        let images = format!("[images]\napp = {{ file = \"app.elf\", at = 0x10000{options} }}\n");
        let step = "[[step]]\nname = \"flash\"\nflash = { images = [\"app\"] }\n";
        let plan = compile(&format!("{HEAD}{images}{step}"), folder.path());
        plan.image("app").unwrap().bytes.to_vec()
    };
    let usual = image("");
    assert_eq!((usual[2], usual[3]), (2, 0x20));
    let chosen = image(", flash_mode = \"qio\", flash_freq = \"80MHz\", secure_pad = \"v2\"");
    assert_eq!((chosen[2], chosen[3]), (0, 0x2F));
    assert!(chosen.len() > usual.len() && chosen.len().is_multiple_of(0x1_0000));
    let all = ", min_revision = \"0.3\", max_revision = \"1.99\", hash = \"none\", use_segments = true, \
               pad_to_size = \"64KB\", elf_sha256_offset = 0xb0";
    let chosen = image(all);
    assert_eq!(chosen[15..19], [3, 0, 199, 0]);
    assert_eq!(chosen[23], 0);
    assert!(chosen.len().is_multiple_of(0x1_0000) && chosen.ends_with(&[0xFF]));
}

/// A recipe with one image, `app.elf` of the demo or a file of that name, and what is written of it.
fn with_image(image: &str) -> String {
    let step = "[[step]]\nname = \"flash\"\nflash = { images = [\"it\"] }\n";
    format!("{HEAD}[images]\nit = {{ file = \"app.elf\", {image} }}\n{step}")
}

#[test]
fn an_elf_where_the_chip_looks_for_a_bootloader_is_one() {
    use crate::plan::ImageKind;
    let folder = tempfile::tempdir().unwrap();
    let elf = include_bytes!("../../../../../recipes/demo/selftest.elf");
    fs::write(folder.path().join("app.elf"), elf).unwrap();
    let kind = |image: &str| {
        let plan = compile(&with_image(image), folder.path());
        plan.image("it").unwrap().kind
    };
    assert_eq!(kind("at = 0x0"), ImageKind::Bootloader);
    assert_eq!(
        kind("at = 0x0, kind = \"bootloader\""),
        ImageKind::Bootloader
    );
    assert_eq!(kind("at = 0x10000"), ImageKind::Application);
}

#[test]
fn choices_of_an_elf_that_no_chip_would_start_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let elf = include_bytes!("../../../../../recipes/demo/selftest.elf");
    fs::write(folder.path().join("app.elf"), elf).unwrap();
    let refused = |choice: &str| {
        let text = with_image(&format!("at = 0x10000, {choice}"));
        let errors = crate::recipe::compile_text("test.toml", &text, folder.path());
        errors.unwrap_err().render()
    };
    for (choice, why) in [
        // It has nothing in RAM.
        ("ram_only_header = true", "0 segments"),
        ("min_revision = \"1.0\", max_revision = \"0.3\"", "revision"),
        ("min_revision = \"new\"", "min_revision"),
        ("secure_pad = \"v2\", hash = \"none\"", "SHA-256"),
        ("pad_to_size = \"512MB\"", "256 MiB"),
        ("elf_sha256_offset = 0xfffff0", "0xfffff0"),
    ] {
        let said = refused(choice);
        assert!(said.contains(why), "{choice}: {said}");
    }
}
