//! Images on the host and into flash, at the keyboard: what is made is what the library and esptool make.

use serde_json::Value;
use station_esp::image::{Format, Image, Part, merge};
use station_esp::partition::Table;
use station_esp::{Chip, hex, loader};

use crate::support::{Fleet, TestStation, recipe, stranger};

fn json(station: &TestStation, code: i32, arguments: &[&str]) -> Value {
    let mut all = vec!["--json"];
    all.extend(arguments);
    station.run(&all).expect(code).json()
}

fn refused(station: &TestStation, arguments: &[&str]) -> String {
    let answer = json(station, 2, arguments);
    answer["error"]["code"].as_str().unwrap().to_owned()
}

fn read(station: &TestStation, name: &str) -> Vec<u8> {
    std::fs::read(station.folder().join(name)).unwrap()
}

/// A program for an ESP32-C3.
fn elf() -> String {
    recipe("demo/selftest.elf")
}

fn table() -> String {
    recipe("demo/partitions.csv")
}

/// Makes `boot.bin` and `app.bin` for an ESP32-C3.
fn images(station: &TestStation) {
    let boot = [
        "firmware",
        "bootloader",
        "--chip",
        "esp32c3",
        "--out",
        "boot.bin",
    ];
    let made = json(station, 0, &[&boot[..], &["--flash-size", "8MB"]].concat());
    assert_eq!(made["header"]["flash_size"], 8 << 20, "{made}");
    assert_eq!(
        (&made["bundled"], &made["offset"]),
        (&true.into(), &0.into())
    );
    let app = [
        "firmware",
        "elf-to-binary",
        &elf(),
        "--chip",
        "esp32c3",
        "--out",
        "app.bin",
    ];
    let made = json(station, 0, &app);
    assert_eq!(made["size"], read(station, "app.bin").len());
    assert_eq!(made.get("refused"), None, "{made}");
}

#[test]
fn an_elf_becomes_the_image_that_esptool_makes_with_the_same_options() {
    let station = TestStation::new();
    let at = |name: &str| station.folder().join(name).display().to_string();
    for (ours, theirs) in [
        ("", ""),
        (
            "--flash-mode dio --flash-freq 80m --flash-size 4MB --min-revision 0.3 --secure-pad v2",
            "--flash-mode dio --flash-freq 80m --flash-size 4MB --min-rev-full 3 --secure-pad-v2",
        ),
        ("--pad-to-size 1MB", "--pad-to-size 1MB"),
        (
            "--no-hash --use-segments",
            "--dont-append-digest --use-segments",
        ),
        ("--ram-only-header", "--ram-only-header"),
    ] {
        let elf = elf();
        let (one, other) = (at("ours.bin"), at("theirs.bin"));
        let words = |more: &'static str| more.split_whitespace();
        let mut arguments = vec![
            "firmware",
            "elf-to-binary",
            &elf,
            "--chip",
            "esp32c3",
            "--out",
            &one,
        ];
        arguments.extend(words(ours));
        let _made = json(&station, 0, &arguments);
        let mut arguments = vec!["--chip", "esp32c3", "elf2image", "-o", &other, &elf];
        arguments.extend(words(theirs));
        let _made = stranger("esptool", &arguments).expect(0);
        assert!(
            read(&station, "ours.bin") == read(&station, "theirs.bin"),
            "{ours}"
        );
    }
    let elf = elf();
    let to = ["--chip", "esp32c3", "--out", "x.bin"];
    let wrong = |more: &[&str]| {
        refused(
            &station,
            &[&["firmware", "elf-to-binary", &elf], &to[..], more].concat(),
        )
    };
    assert_eq!(wrong(&["--flash-freq", "60m"]), "elf-flash-frequency");
    assert_eq!(wrong(&["--flash-size", "3MB"]), "elf-flash-size");
    let other = [
        "firmware",
        "elf-to-binary",
        &elf,
        "--chip",
        "esp32s3",
        "--out",
        "x.bin",
    ];
    assert_eq!(refused(&station, &other), "elf-wrong-machine");
    let ram = [
        "firmware",
        "elf-to-ram",
        &elf,
        "--chip",
        "esp32c3",
        "--out",
        "x.bin",
    ];
    assert_eq!(refused(&station, &ram), "elf-not-in-ram");
    assert!(!station.folder().join("x.bin").exists());
}

#[test]
fn what_is_merged_is_what_the_library_merges_and_is_split_into_the_same() {
    let station = TestStation::new();
    images(&station);
    let csv = table();
    let boot = read(&station, "boot.bin");
    let app = read(&station, "app.bin");
    let parsed = Table::parse_csv(&std::fs::read_to_string(&csv).unwrap()).unwrap();
    let parts = [
        Part::new(0, boot.clone()),
        Part::new(0x8000, parsed.to_binary()),
        Part::new(0x1_0000, app.clone()),
    ];
    let table = format!("partition-table={csv}");
    let named = ["bootloader=boot.bin", &table, "factory=app.bin"];
    let merge_to = |out: &str, more: &[&str]| {
        let arguments = [&["firmware", "merge", "--out", out], &named[..], more].concat();
        json(&station, 0, &arguments)
    };
    let made = merge_to("whole.bin", &["--pad-to-size", "4MB"]);
    assert_eq!(made["size"], 4 << 20, "{made}");
    assert_eq!(made["parts"][2]["address"], 0x1_0000, "{made}");
    let padded = Format::Raw {
        target_offset: 0,
        pad_to_size: Some(4 << 20),
        fill: 0xFF,
    };
    assert!(read(&station, "whole.bin") == merge(&parts, padded).unwrap());
    assert_eq!(merge_to("whole.hex", &[])["format"], "hex");
    assert_eq!(
        read(&station, "whole.hex"),
        hex::encode(&parts).unwrap().into_bytes()
    );
    assert_eq!(merge_to("whole.uf2", &[])["chip"], "esp32c3");
    for file in ["whole.bin", "whole.hex", "whole.uf2"] {
        let folder = format!("{file}.parts");
        let split = json(
            &station,
            0,
            &["firmware", "split", file, "--out-dir", &folder],
        );
        assert_eq!(split["pieces"].as_array().unwrap().len(), 3, "{split}");
        let piece = |name: &str| read(&station, &format!("{folder}/{name}.bin"));
        assert_eq!(piece("0x00000000-bootloader"), boot);
        assert_eq!(piece("0x00010000-factory"), app);
        assert_eq!(split["table_offset"], 0x8000);
    }
    let merge_of = |files: &[&str]| {
        refused(
            &station,
            &[&["firmware", "merge", "--out", "x.bin"], files].concat(),
        )
    };
    assert_eq!(merge_of(&["0x0=boot.bin", "0x10=app.bin"]), "merge-overlap");
    assert_eq!(merge_of(&["boot.bin"]), "image-place-missing");
    assert_eq!(merge_of(&["0x0=whole.hex"]), "image-place-twice");
    assert_eq!(merge_of(&["factory=app.bin"]), "partitions-missing");
    assert_eq!(merge_of(&["0x0=boot.bin", "--no-md5"]), "merge-option");
    let no_chip = ["0x8000=whole.uf2.parts/0x00008000-partition-table.bin"];
    let no_chip = [&no_chip[..], &["--flash-size", "8MB"]].concat();
    assert_eq!(merge_of(&no_chip), "chip-missing");
}

#[test]
fn a_table_in_csv_goes_into_flash_in_its_binary_form_or_not_at_all() {
    let station = TestStation::new();
    images(&station);
    let csv = std::fs::read_to_string(table()).unwrap();
    let binary = Table::parse_csv(&csv).unwrap().to_binary();
    station.write("table.csv", &csv);
    station.write("other.csv", csv.replacen("factory", "another", 1));
    station.write("broken.csv", "no,table\n");
    let merge = |code: i32, files: &[&str]| {
        let words = ["firmware", "merge", "--out", "whole.bin", "0x10000=app.bin"];
        json(&station, code, &[&words[..], files].concat())
    };
    for files in [
        &["0x8000=table.csv"][..],
        &["partition-table=table.csv"],
        // The table that names places is another one than the one that is merged.
        &["partition-table=table.csv", "--partitions", "other.csv"],
    ] {
        let _made = merge(0, files);
        let whole = read(&station, "whole.bin");
        assert!(whole[0x8000..].starts_with(&binary), "{files:?}");
    }
    for place in ["0x8000", "partition-table"] {
        let refused = merge(2, &[&format!("{place}=broken.csv")]);
        let error = &refused["error"];
        assert!(
            error["code"].as_str().unwrap().starts_with("partition"),
            "{refused}"
        );
        assert!(error["message"].as_str().unwrap().contains("broken.csv"));
    }
}

#[test]
fn an_image_says_what_it_is_and_what_is_wrong_with_it() {
    let station = TestStation::new();
    images(&station);
    let whole = json(
        &station,
        0,
        &["firmware", "analyze", "app.bin", "--chip", "esp32c3"],
    );
    assert_eq!(whole["chip"], "esp32c3", "{whole}");
    assert_eq!(whole["hash"]["valid"], true, "{whole}");
    let segments = whole["segments"].as_array().unwrap();
    let image = Image::parse(&read(&station, "app.bin")).unwrap();
    assert_eq!(segments.len(), image.segments.len());
    let words = station
        .run(&["firmware", "analyze", "app.bin"])
        .expect(0)
        .out;
    assert!(words.contains("for esp32c3"), "{words}");
    let foreign = json(
        &station,
        30,
        &["firmware", "analyze", "app.bin", "--chip", "esp32c6"],
    );
    assert_eq!(foreign["refused"]["code"], "image-wrong-chip", "{foreign}");
    let mut broken = read(&station, "app.bin");
    let last = broken.len() - 1;
    broken[last] ^= 1;
    station.write("broken.bin", broken);
    let broken = json(&station, 30, &["firmware", "analyze", "broken.bin"]);
    assert_eq!(broken["hash"]["valid"], false, "{broken}");
    assert_eq!(broken["refused"]["code"], "image-hash", "{broken}");
    let found = json(
        &station,
        0,
        &["firmware", "optimize", "boot.bin", "--board-flash", "4MB"],
    );
    let codes: Vec<&str> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["code"].as_str().unwrap())
        .collect();
    assert!(codes.contains(&"flash-size"), "{found}");
    let levels = found["compressed"].as_array().unwrap();
    assert_eq!(levels.len(), 9);
    assert!(
        levels[8]["bytes"].as_u64() <= levels[0]["bytes"].as_u64(),
        "{found}"
    );
    let better = [
        "firmware",
        "optimize",
        "boot.bin",
        "--flash-size",
        "4MB",
        "--out",
        "new.bin",
    ];
    let _written = json(&station, 0, &better);
    let header = Image::parse(&read(&station, "new.bin")).unwrap().header;
    assert_eq!(header.flash_size(), Some(4 << 20));
}

#[test]
fn a_program_s_size_is_told_and_one_that_does_not_fit_fails() {
    let station = TestStation::new();
    let (elf, table) = (elf(), table());
    let size = ["firmware", "size", &elf, "--chip", "esp32c3"];
    let fits = json(
        &station,
        0,
        &[&size[..], &["--partitions", &table, "--svg", "map.svg"]].concat(),
    );
    assert_eq!(fits["fit"]["partition"], "factory", "{fits}");
    assert_eq!(fits["fit"]["size"], 0x10_0000, "{fits}");
    assert!(fits["fit"]["free"].as_u64().unwrap() < 0x10_0000, "{fits}");
    assert!(fits["flash"].as_u64().unwrap() > 0, "{fits}");
    let picture = String::from_utf8(read(&station, "map.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("factory"));
    let small = [&size[..], &["--partition-size", "1KB"]].concat();
    let small = json(&station, 30, &small);
    assert_eq!(small["fit"]["free"], Value::Null, "{small}");
}

#[test]
fn an_image_is_prepared_for_a_target_that_takes_its_signature() {
    let station = TestStation::new();
    let boot = loader::bootloader(Chip::Esp32C6, 40).unwrap();
    station.write("boot.bin", boot);
    station.write("xts.key", [0x5A; 32]);
    let key = ["keys", "generate", "boot", "--kind", "ecdsa-p256"];
    let _key = json(&station, 0, &key);
    let prepare = |chip: &str, code: i32, out: &str, more: &[&str]| {
        let words = [
            "firmware", "prepare", "boot.bin", "--chip", chip, "--out", out,
        ];
        json(&station, code, &[&words[..], more].concat())
    };
    let signed = prepare("esp32c6", 0, "signed.bin", &["--sign-key", "boot"]);
    assert_eq!(signed["signed"]["version"], 2, "{signed}");
    let checked = ["security", "verify-signature", "signed.bin"];
    assert_eq!(json(&station, 0, &checked)["verified"], true);
    let cipher = ["--encryption-key-file", "xts.key", "--at", "bootloader"];
    let more = [&["--pad-to-size", "64KB"], &cipher[..]].concat();
    let sealed = prepare("esp32c6", 0, "sealed.bin", &more);
    assert_eq!(sealed["size"], 0x1_0000, "{sealed}");
    let open = [
        "flash",
        "encrypt",
        "sealed.bin",
        "--at",
        "0x0",
        "--chip",
        "esp32c6",
        "--decrypt",
    ];
    let open = [&open[..], &["--key-file", "xts.key", "--out", "open.bin"]].concat();
    let opened = json(&station, 0, &open);
    assert_eq!(opened["sha256"], sealed["encrypted"]["plain_sha256"]);
    assert!(read(&station, "open.bin").starts_with(boot));
    let wrong =
        |chip: &str, more: &[&str]| prepare(chip, 2, "x.bin", more)["error"]["code"].clone();
    assert_eq!(wrong("esp32c3", &[]), "image-wrong-chip");
    assert_eq!(
        wrong("esp32c6", &["--version1", "--sign-key", "boot"]),
        "secure-boot-unsupported"
    );
    assert_eq!(wrong("esp32c6", &cipher[..2]), "encryption-place-missing");
    assert_eq!(wrong("esp32c6", &["--version1"]), "key-missing");
    // The chip looks for the signature right behind the image.
    let far = ["--sign-key", "boot", "--pad-to-size", "256KB"];
    assert_eq!(wrong("esp32c6", &far), "signature-misplaced");
    let patched = [
        "firmware",
        "bootloader",
        "signed.bin",
        "--chip",
        "esp32c6",
        "--out",
        "x.bin",
    ];
    let patched = [&patched[..], &["--flash-size", "2MB"]].concat();
    assert_eq!(refused(&station, &patched), "image-signed");
}

#[test]
fn hex_uf2_and_a_build_are_written_where_they_say_and_an_elf_for_the_flash_there_is() {
    let station = TestStation::new();
    let fleet = Fleet::of("esp32c3", 1);
    let port = format!("tcp://{}", fleet.tcp(1));
    images(&station);
    station.write("nested/data.bin", [0xA5; 100]);
    station.write("nested/boot.bin", read(&station, "boot.bin"));
    station.write(
        "nested/outside.json",
        r#"{"flash_files": {"0x0": "../boot.bin"}}"#,
    );
    let merge = |out: &str, files: &[&str]| {
        let words = ["firmware", "merge", "--chip", "esp32c3", "--out", out];
        let _made = json(&station, 0, &[&words[..], files].concat());
    };
    merge(
        "one.hex",
        &["0x20000=nested/data.bin", "0x20100=nested/data.bin"],
    );
    merge("two.uf2", &["0x30000=nested/data.bin"]);
    station.write(
        "nested/flasher_args.json",
        r#"{"flash_files": {"0x40000": "data.bin", "0x0": "boot.bin"},
            "extra_esptool_args": {"chip": "esp32c3"}}"#,
    );
    let flash = |what: &str, code: i32, file: &str, more: &[&str]| {
        let words = ["flash", what, "--port", &port, file];
        json(&station, code, &[&words[..], more].concat())
    };
    let held = |at: &str, size: &str| {
        let words = ["flash", "read", "--port", &port, "--at", at, "--size", size];
        let out = format!("{at}.bin");
        let _read = json(&station, 0, &[&words[..], &["--out", &out]].concat());
        read(&station, &out)
    };
    let written = flash("write", 0, "one.hex", &[]);
    assert_eq!(written["images"].as_array().unwrap().len(), 1, "{written}");
    let stretch = held("0x20000", "0x1000");
    assert_eq!(stretch[..100], [0xA5; 100]);
    assert_eq!(stretch[100..256], [0xFF; 156]);
    assert_eq!(stretch[256..356], [0xA5; 100]);
    let written = flash("write-many", 0, "two.uf2", &[]);
    assert_eq!(written["images"][0]["offset"], 0x3_0000, "{written}");
    assert_eq!(flash("verify", 0, "two.uf2", &[])["matches"], true);
    let written = flash("write", 0, "nested/flasher_args.json", &[]);
    assert_eq!(written["images"][1]["offset"], 0x4_0000, "{written}");
    let _app = flash("write", 0, &elf(), &["--at", "0x10000"]);
    let app = Image::parse(&held("0x10000", "0x11000")).unwrap();
    let id = json(&station, 0, &["flash", "id", "--port", &port]);
    assert_eq!(
        app.header.flash_size().map(u64::from),
        id["size"].as_u64(),
        "{id}"
    );
    let code = |file: &str, more: &[&str]| flash("write", 2, file, more)["error"]["code"].clone();
    assert_eq!(code("one.hex", &["--at", "0x0"]), "image-place-twice");
    assert_eq!(code("nested/outside.json", &[]), "flasher-args-outside");
    assert_eq!(code("boot.bin", &[]), "image-place-missing");
    merge("other.uf2", &["0x0=nested/data.bin"]);
    let other = [
        "firmware",
        "merge",
        "--chip",
        "esp32s3",
        "--out",
        "s3.uf2",
        "0x0=nested/data.bin",
    ];
    let _made = json(&station, 0, &other);
    assert_eq!(code("s3.uf2", &[]), "image-wrong-chip");
}
