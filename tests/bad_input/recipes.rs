//! Recipes, images, lists of serial numbers and configurations that cannot be meant.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;

use super::{DEMO_STEPS, PATTERN, assert_no_run_was_begun, error_of};
use crate::support::{TestStation, recipe, root};

/// Asserts that neither checking nor running a recipe is accepted, for a reason with that code.
fn assert_refused(station: &TestStation, recipe: &str, code: &str) {
    let checked = station.run(&["check", recipe, "--json"]).expect(70).json();
    assert_eq!(
        (&checked["accepted"], &checked["plan"]),
        (&false.into(), &Value::Null),
        "{recipe}"
    );
    let errors = checked["errors"].as_array().unwrap();
    let codes: Vec<&str> = errors
        .iter()
        .map(|error| error["code"].as_str().unwrap())
        .collect();
    assert!(
        codes.contains(&code),
        "{recipe}: {code} is not in {codes:?}"
    );
    let ran = station
        .run(&["run", recipe, "--virtual", "1", "--json"])
        .expect(70);
    assert_eq!(error_of(&ran)["code"], "recipe-refused", "{recipe}");
    let causes = error_of(&ran)["causes"].as_array().unwrap().len();
    assert_eq!(causes, errors.len(), "every error at once: {recipe}");
}

#[test]
fn recipes_that_cannot_be_meant_are_refused_with_their_code() {
    let station = TestStation::new();
    let invalid = [
        ("damaged-images", "recipe-bad-image"),
        ("damaged-images", "recipe-bad-elf"),
        ("wrong-chip", "recipe-wrong-chip"),
        ("one-image-for-two-chips", "recipe-wrong-chip"),
        ("files", "recipe-file-unreadable"),
        ("files", "recipe-file-empty"),
        ("overlapping", "recipe-overlap"),
        ("does-not-fit", "recipe-does-not-fit"),
        ("beyond-flash", "recipe-beyond-flash"),
        ("unaligned", "recipe-unaligned"),
        ("bad-table", "recipe-bad-table"),
        ("unknown-keys", "recipe-unknown-key"),
        ("missing-units", "recipe-missing-unit"),
        ("limits", "recipe-bad-limits"),
        ("templates", "recipe-bad-template"),
        ("serial-list-duplicates", "recipe-bad-serial-list"),
        ("serial-list-absent", "recipe-file-unreadable"),
        ("never-retried", "recipe-never-retried"),
        ("not-toml", "recipe-syntax"),
    ];
    for (name, code) in invalid {
        let path = root()
            .join("tests/recipes/invalid")
            .join(name)
            .with_extension("toml");
        assert_refused(&station, &path.display().to_string(), code);
    }
    assert_no_run_was_begun(&station);
}

#[test]
fn image_files_that_are_cut_oversized_or_no_files_are_refused() {
    let station = TestStation::new();
    let app = fs::read(root().join("recipes/demo/selftest.elf")).unwrap();
    station.write("cut.elf", &app[..app.len() / 3]);
    fs::File::create(station.folder().join("huge.bin"))
        .unwrap()
        .set_len(700 << 20)
        .unwrap();
    fs::create_dir(station.folder().join("folder.bin")).unwrap();
    let made = Command::new("mkfifo")
        .arg(station.folder().join("pipe.bin"))
        .status()
        .unwrap();
    assert!(made.success());
    let app = format!(
        "\"{}/recipes/demo/selftest.elf\"",
        root().canonicalize().unwrap().display()
    );
    let images = [
        ("cut.elf", "recipe-bad-elf"),
        ("huge.bin", "recipe-file-too-large"),
        ("folder.bin", "recipe-file-unreadable"),
        ("pipe.bin", "recipe-file-unreadable"),
        ("/dev/zero", "recipe-file-unreadable"),
        ("absent.bin", "recipe-file-unreadable"),
    ];
    for (file, code) in images {
        let bad = station.derived("demo.toml", &[(&app, &format!("\"{file}\""))]);
        assert_refused(&station, &bad, code);
    }
    for no_recipe in ["pipe.bin", "/dev/zero", "folder.bin"] {
        let checked = station
            .run(&["check", no_recipe, "--json"])
            .expect(70)
            .json();
        assert_eq!(
            checked["errors"][0]["code"], "recipe-unreadable",
            "{no_recipe}"
        );
    }
    assert_no_run_was_begun(&station);
}

#[test]
fn a_pattern_that_runs_dry_stops_the_line_and_no_unit_passes_without_a_number() {
    let station = TestStation::new();
    let dry = station.derived(
        "demo.toml",
        &[(PATTERN, "pool = \"dry\"\npattern = \"D{counter:01}\"")],
    );
    let ran = station
        .run(&["run", &dry, "--virtual", "12", "--plain"])
        .expect(50);
    assert!(ran.out.contains("9 pass, 0 fail, 3 error"), "{}", ran.out);
    let record = station.record();
    record.assert_sound(&DEMO_STEPS);
    let codes = record.column("SELECT class || ' ' || code FROM attempt WHERE outcome = 'error'");
    assert_eq!(codes, ["station serial-pool-dry"; 3]);
    let again = station
        .run(&["run", &dry, "--virtual", "1", "--plain"])
        .expect(50);
    assert!(
        again.out.contains("serial-pool-dry") && again.out.contains("hint:"),
        "{}",
        again.out
    );
}

#[test]
fn a_list_that_runs_dry_stops_the_line_and_its_numbers_are_used_once() {
    let station = TestStation::new();
    station.write("serials.csv", "serial,batch\nA-1,x\nA-2,x\n");
    let list = "from = \"serials.csv\"\ncolumn = \"serial\"";
    let dry = station.derived("demo.toml", &[(PATTERN, list)]);
    let ran = station
        .run(&["run", &dry, "--virtual", "4", "--plain"])
        .expect(50);
    assert!(ran.out.contains("2 pass, 0 fail, 2 error"), "{}", ran.out);
    let record = station.record();
    record.assert_sound(&DEMO_STEPS);
    let used: BTreeSet<String> = record
        .column("SELECT serial FROM serial WHERE state = 'committed'")
        .into_iter()
        .collect();
    assert_eq!(used, BTreeSet::from(["A-1".to_owned(), "A-2".to_owned()]));
    // The list is longer now: the line goes on where it stopped.
    station.write("serials.csv", "serial,batch\nA-1,x\nA-2,x\nA-3,y\n");
    let longer = station
        .run(&["run", &dry, "--virtual", "1", "--plain"])
        .expect(0);
    assert!(longer.out.contains("A-3"), "{}", longer.out);
}

#[test]
fn a_list_with_a_number_twice_is_refused_and_says_where() {
    let station = TestStation::new();
    station.write("serials.csv", "serial\nA-1\nA-2\nA-1\n");
    let twice = station.derived(
        "demo.toml",
        &[(PATTERN, "from = \"serials.csv\"\ncolumn = \"serial\"")],
    );
    assert_refused(&station, &twice, "recipe-bad-serial-list");
    let checked = station.run(&["check", &twice]).expect(70);
    assert!(checked.out.contains("A-1"), "{}", checked.out);
    assert_no_run_was_begun(&station);
}

#[test]
fn a_station_configuration_that_cannot_be_meant_is_refused() {
    let station = TestStation::new();
    let configurations = [
        ("[[bay]]\nname = \"left\"\n", "neither key nor address"),
        (
            "[[bay]]\nname = \"left\"\naddress = \"virtual:1\"\ncolour = \"red\"\n",
            "unknown key",
        ),
        ("[[bay", "no TOML"),
    ];
    for (text, why) in configurations {
        let config = station.write("station.toml", text).display().to_string();
        let command = ["run", &recipe("demo.toml"), "--config", &config, "--json"];
        let refused = station.run(&command).expect(2);
        assert!(error_of(&refused)["code"].is_string(), "{why}");
    }
    let absent = station
        .run(&[
            "run",
            &recipe("demo.toml"),
            "--config",
            "absent.toml",
            "--json",
        ])
        .expect(2);
    assert_eq!(error_of(&absent)["code"], "config-unreadable");
    assert_no_run_was_begun(&station);
}
