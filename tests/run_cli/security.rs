//! What cannot be undone, at the keyboard: plans, approvals, releases, keys, and every way to be refused.

use serde_json::Value;

use crate::support::{Fleet, FleetOptions, TestStation};

/// A station, one served board, and where that is.
fn bench(chip: &'static str) -> (TestStation, Fleet, String) {
    let fleet = Fleet::of(chip, 1);
    let port = format!("tcp://{}", fleet.tcp(1));
    (TestStation::new(), fleet, port)
}

/// A station, one served ESP32-C3 with these faults, and where that is.
fn faulty(faults: &str) -> (TestStation, Fleet, String) {
    let station = TestStation::new();
    let faults = station.write("faults.toml", faults).display().to_string();
    let fleet = Fleet::with(&FleetOptions {
        chip: "esp32c3",
        count: 1,
        more: vec!["--faults".to_owned(), faults],
    });
    let port = format!("tcp://{}", fleet.tcp(1));
    (station, fleet, port)
}

/// The arguments that burn one harmless field.
fn harmless(port: &str) -> [&str; 6] {
    let value = "UART_PRINT_CONTROL=1";
    ["efuse", "burn", "--port", port, "--set", value]
}

/// The same arguments under an approval.
fn under<'a>(burn: &[&'a str], approval: &'a str) -> Vec<&'a str> {
    [burn, &["--approval", approval]].concat()
}

fn json(station: &TestStation, code: i32, arguments: &[&str]) -> Value {
    let mut all = vec!["--json"];
    all.extend(arguments);
    station.run(&all).expect(code).json()
}

/// The value of a field as the station reads it.
fn field(station: &TestStation, port: &str, name: &str) -> Value {
    let read = json(
        station,
        0,
        &["efuse", "read", "--port", port, "--field", name],
    );
    read["fields"][0]["value"].clone()
}

fn refused(station: &TestStation, arguments: &[&str]) -> Value {
    json(station, 70, arguments)["error"].clone()
}

/// The subject that a refusal without approval names.
fn subject(refusal: &Value) -> String {
    assert_eq!(refusal["code"], "approval-needed", "{refusal}");
    refusal["detail"]["subject"].as_str().unwrap().to_owned()
}

fn grant(station: &TestStation, subject: &str, more: &[&str]) -> String {
    let mut arguments = vec!["approval", "grant", subject, "--yes"];
    arguments.extend(more);
    let granted = json(station, 0, &arguments);
    granted["approval"].as_str().unwrap().to_owned()
}

/// How many refusals of a code the record holds, and how many intents to burn.
fn record(station: &TestStation, code: &str) -> (i64, i64) {
    let record = station.record();
    (
        record.number(&format!(
            "SELECT count(*) FROM event WHERE kind = 'refused' AND json_extract(body, '$.code') = '{code}'"
        )),
        record.number("SELECT count(*) FROM event WHERE kind = 'burn_intended'"),
    )
}

#[test]
fn a_burn_goes_on_only_under_an_approval_of_exactly_its_plan() {
    let (station, _fleet, port) = bench("esp32c3");
    let burn = harmless(&port);
    let planned = json(
        &station,
        0,
        &[
            "efuse",
            "plan",
            "--port",
            &port,
            "--set",
            "UART_PRINT_CONTROL=1",
        ],
    );
    assert_eq!(planned["accepted"], true, "{planned}");

    let refusal = refused(&station, &burn);
    let subject = subject(&refusal);
    assert_eq!(
        planned["subject"], subject,
        "plan and burn agree on what it is"
    );
    assert!(
        refusal["hint"].as_str().unwrap().contains("approval grant"),
        "{refusal}"
    );
    assert_eq!(record(&station, "approval-needed"), (1, 0));
    assert_eq!(field(&station, &port, "UART_PRINT_CONTROL"), "0x0");

    let approval = grant(&station, &subject, &[]);
    let with = under(&burn, &approval);
    let burned = json(&station, 0, &with);
    assert_eq!(burned["pulses"].as_array().unwrap().len(), 1, "{burned}");
    assert_eq!(burned["pulses"][0]["verdict"], "done", "{burned}");
    assert_eq!(field(&station, &port, "UART_PRINT_CONTROL"), "0x1");
    let events = station.record().events();
    let kinds: Vec<&str> = events
        .iter()
        .map(|(_, kind, _)| kind.as_str())
        .filter(|kind| !kind.starts_with("operation") && *kind != "refused")
        .collect();
    assert_eq!(
        kinds,
        [
            "approved",
            "approval_used",
            "burn_intended",
            "burn_finished"
        ]
    );

    let again = json(&station, 0, &burn);
    assert_eq!(
        again["pulses"].as_array().unwrap().len(),
        0,
        "nothing is left to burn: {again}"
    );
    let _sound = station.run(&["journal", "verify"]).expect(0);
}

#[test]
fn every_wrong_approval_has_a_code_of_its_own_is_recorded_and_burns_nothing() {
    let (station, _fleet, port) = bench("esp32c3");
    let burn = |wish: &str, approval: &str| {
        refused(
            &station,
            &[
                "efuse",
                "burn",
                "--port",
                &port,
                "--set",
                wish,
                "--approval",
                approval,
            ],
        )
    };
    let (one, other) = ("UART_PRINT_CONTROL=1", "UART_PRINT_CONTROL=2");
    let ask = refused(&station, &["efuse", "burn", "--port", &port, "--set", one]);
    let subject = subject(&ask);

    assert_eq!(burn(one, &"0".repeat(32))["code"], "approval-unknown");
    assert_eq!(burn(one, "yes")["code"], "approval-unknown");
    let brief = grant(&station, &subject, &["--for", "1s"]);
    let state = || json(&station, 0, &["approval", "list"])["approvals"][0]["state"].clone();
    while state() == "usable" {}
    assert_eq!(burn(one, &brief)["code"], "approval-expired");
    let good = grant(&station, &subject, &[]);
    assert_eq!(burn(other, &good)["code"], "approval-mismatch");
    let plan = grant(&station, &format!("plan:{}", &subject[5..]), &[]);
    assert_eq!(burn(one, &plan)["code"], "approval-mismatch");
    for code in ["approval-expired", "approval-needed"] {
        assert_eq!(record(&station, code).0, 1, "{code}");
    }
    for code in ["approval-unknown", "approval-mismatch"] {
        assert_eq!(record(&station, code).0, 2, "{code}");
    }
    assert_eq!(record(&station, "").1, 0, "something was burned");
    assert_eq!(field(&station, &port, "UART_PRINT_CONTROL"), "0x0");
}

#[test]
fn an_approval_does_not_outlive_a_change_of_the_chip() {
    let (station, _fleet, port) = bench("esp32c3");
    let burn = harmless(&port);
    let approval = grant(&station, &subject(&refused(&station, &burn)), &[]);
    // Somebody else burns another fuse meanwhile.
    let other = [
        "efuse",
        "burn",
        "--port",
        &port,
        "--set",
        "DIS_DIRECT_BOOT=1",
    ];
    let second = grant(&station, &subject(&refused(&station, &other)), &[]);
    let with = under(&other, &second);
    let _burned = json(&station, 0, &with);
    let with = under(&burn, &approval);
    assert_eq!(refused(&station, &with)["code"], "approval-mismatch");
    assert_eq!(field(&station, &port, "UART_PRINT_CONTROL"), "0x0");
}

#[test]
fn granting_needs_a_person_or_the_whole_digest() {
    let (station, _fleet, port) = bench("esp32c3");
    let burn = harmless(&port);
    let subject = subject(&refused(&station, &burn));
    let nobody = refused(&station, &["approval", "grant", &subject]);
    assert_eq!(nobody["code"], "confirmation-impossible", "{nobody}");
    let unknown = refused(
        &station,
        &["approval", "grant", &format!("burn:{}", "0".repeat(64))],
    );
    assert_eq!(unknown["code"], "subject-unknown", "{unknown}");
    for wrong in ["burn:1234", "everything", "burn:"] {
        let wrong = json(&station, 2, &["approval", "grant", wrong, "--yes"]);
        assert_eq!(wrong["error"]["code"], "subject-invalid", "{wrong}");
    }
    let listed = json(&station, 0, &["approval", "list"]);
    assert_eq!(listed["approvals"].as_array().unwrap().len(), 0, "{listed}");
    let id = grant(&station, &subject, &["--for", "2h"]);
    let listed = json(&station, 0, &["approval", "list"]);
    assert_eq!(listed["approvals"][0]["approval"], id);
    assert_eq!(listed["approvals"][0]["state"], "usable");
}

#[test]
fn a_wish_that_must_not_be_is_refused_with_every_reason_and_on_record() {
    let (station, _fleet, port) = bench("esp32c3");
    let plan = json(
        &station,
        70,
        &[
            "efuse",
            "plan",
            "--port",
            &port,
            "--set",
            "NO_SUCH_FUSE=1",
            "--set",
            "UART_PRINT_CONTROL=9",
        ],
    );
    assert_eq!(plan["accepted"], false, "{plan}");
    assert!(plan["refusals"].as_array().unwrap().len() >= 2, "{plan}");
    for refusal in plan["refusals"].as_array().unwrap() {
        assert!(!refusal["hint"].as_str().unwrap().is_empty(), "{refusal}");
    }
    let burn = refused(
        &station,
        &["efuse", "burn", "--port", &port, "--set", "NO_SUCH_FUSE=1"],
    );
    assert_eq!(record(&station, burn["code"].as_str().unwrap()), (1, 0));
    let open = json(
        &station,
        2,
        &[
            "efuse",
            "burn",
            "--port",
            &port,
            "--block",
            "BLOCK_KEY0=hex:00112233445566778899aabbccddeeff",
        ],
    );
    assert_eq!(open["error"]["code"], "key-in-the-open", "{open}");
    assert!(!open.to_string().contains("99aabbcc"), "{open}");
    for (_, kind, body) in station.record().events() {
        assert!(!body.to_string().contains("99aabbcc"), "{kind}: {body}");
    }
}

#[test]
fn keys_are_made_once_sealed_listed_and_never_shown() {
    let station = TestStation::new();
    let made = json(&station, 0, &["keys", "generate", "hmac", "--kind", "hmac"]);
    let again = json(&station, 0, &["keys", "generate", "hmac", "--kind", "hmac"]);
    assert_eq!(made["fingerprint"], again["fingerprint"]);
    let unit = [
        "keys",
        "generate",
        "hmac",
        "--kind",
        "hmac",
        "--unit",
        "7c:df:a1:00:00:01",
    ];
    assert_ne!(json(&station, 0, &unit)["fingerprint"], made["fingerprint"]);
    let file = station.write("key.bin", [0x5A; 32]);
    let file = file.display().to_string();
    let other = json(
        &station,
        50,
        &["keys", "import", "hmac", "--kind", "hmac", "--file", &file],
    );
    assert_eq!(other["error"]["code"], "key-differs", "{other}");
    let _imported = json(
        &station,
        0,
        &["keys", "import", "given", "--kind", "hmac", "--file", &file],
    );
    let listed = json(&station, 0, &["keys", "list"]);
    assert_eq!(listed["keys"].as_array().unwrap().len(), 3, "{listed}");
    let store = station.folder().join("station.keys");
    assert!(store.is_dir(), "the store lies beside the journal");
    let shown = listed.to_string() + &station.run(&["keys", "list"]).expect(0).out;
    assert!(!shown.contains(&"5a".repeat(32)), "{shown}");
}

#[test]
fn nobody_puts_a_key_in_the_place_of_the_stations_own_or_signs_with_it() {
    let station = TestStation::new();
    let image = station.write("app.bin", vec![0xE9; 5000]);
    let image = image.display().to_string();
    let key = station.write("key.bin", [0x5A; 32]).display().to_string();
    let name = "station-release";
    for reach in [
        vec!["keys", "generate", name, "--kind", "hmac"],
        vec!["keys", "import", name, "--kind", "ed25519", "--file", &key],
        vec![
            "security", "sign", &image, "--key", name, "--out", "out.bin",
        ],
    ] {
        let refused = json(&station, 2, &reach);
        assert_eq!(refused["error"]["code"], "key-reserved", "{refused}");
    }
    assert!(!station.folder().join("out.bin").exists());
}

#[test]
fn a_key_is_forgotten_only_under_an_approval_and_never_made_anew() {
    let station = TestStation::new();
    let made = json(&station, 0, &["keys", "generate", "old", "--kind", "hmac"]);
    let forget = ["keys", "forget", "old", "--reason", "line 3 is gone"];
    let approval = grant(&station, &subject(&refused(&station, &forget)), &[]);
    let with = under(&forget, &approval);
    let gone = json(&station, 0, &with);
    assert_eq!(gone["fingerprint"], made["fingerprint"]);
    assert_eq!(gone["forgotten"], "line 3 is gone");
    let anew = json(&station, 50, &["keys", "generate", "old", "--kind", "hmac"]);
    assert_eq!(anew["error"]["code"], "key-forgotten", "{anew}");
}

#[test]
fn images_are_signed_verified_and_encrypted_on_the_host() {
    let station = TestStation::new();
    let image = station
        .write("app.bin", vec![0xE9; 5000])
        .display()
        .to_string();
    let made = json(
        &station,
        0,
        &["keys", "generate", "boot", "--kind", "ecdsa-p256"],
    );
    let public = made["public"].as_str().unwrap();
    let public = station.write("boot.pub.pem", public).display().to_string();
    let sign = [
        "security",
        "sign",
        &image,
        "--key",
        "boot",
        "--out",
        "signed.bin",
    ];
    let signed = json(&station, 0, &sign);
    let digest = json(
        &station,
        0,
        &[
            "security",
            "public-key-digest",
            &public,
            "--out",
            "digest.bin",
        ],
    );
    assert_eq!(signed["signatures"][0]["key"]["digest"], digest["digest"]);
    assert_eq!(
        std::fs::read(station.folder().join("digest.bin"))
            .unwrap()
            .len(),
        32
    );
    let verify = [
        "security",
        "verify-signature",
        "signed.bin",
        "--public-key",
        &public,
    ];
    assert_eq!(json(&station, 0, &verify)["verified"], true);
    let plain = json(&station, 30, &["security", "verify-signature", &image]);
    assert_eq!(plain["verified"], false, "{plain}");

    let _key = json(
        &station,
        0,
        &["keys", "generate", "flash", "--kind", "xts-aes128"],
    );
    let encrypt = |file: &str, out: &str, more: &[&str]| {
        let mut arguments = vec![
            "flash", "encrypt", file, "--at", "0x10000", "--chip", "esp32s3",
        ];
        arguments.extend(["--key", "flash", "--out", out]);
        arguments.extend(more);
        json(&station, 0, &arguments)
    };
    let _there = encrypt("signed.bin", "app.enc", &[]);
    let _back = encrypt("app.enc", "app.dec", &["--decrypt"]);
    let read = |name: &str| std::fs::read(station.folder().join(name)).unwrap();
    assert_eq!(read("app.dec"), read("signed.bin"));
    assert_ne!(read("app.enc"), read("signed.bin"));
}

#[test]
fn a_chip_is_audited_compared_with_a_policy_and_brought_to_it() {
    let (station, _fleet, port) = bench("esp32c3");
    let audit = json(&station, 0, &["security", "audit", "--port", &port]);
    assert!(!audit["findings"].as_array().unwrap().is_empty(), "{audit}");
    let words = station
        .run(&["security", "audit", "--port", &port])
        .expect(0)
        .out;
    assert_eq!(
        words.trim_end(),
        audit["markdown"].as_str().unwrap().trim_end()
    );
    let fresh = json(
        &station,
        30,
        &[
            "security",
            "validate",
            "--port",
            &port,
            "--policy",
            "production",
        ],
    );
    assert_eq!(fresh["fulfilled"], false, "{fresh}");
    let unknown = json(
        &station,
        2,
        &[
            "security", "validate", "--port", &port, "--policy", "strict",
        ],
    );
    assert_eq!(unknown["error"]["code"], "policy-unknown");
    let policy = station.write(
        "quiet.toml",
        "name = \"quiet\"\nwhy = \"no chatter\"\n[[rules]]\nfield = \"UART_PRINT_CONTROL\"\nwant = { value = 3 }\n\
         level = \"must\"\nwhy = \"the console is the customer's\"\n",
    );
    let policy = policy.display().to_string();
    let configure = [
        "security",
        "configure",
        "--port",
        &port,
        "--policy",
        &policy,
    ];
    let approval = grant(&station, &subject(&refused(&station, &configure)), &[]);
    let with = under(&configure, &approval);
    let _burned = json(&station, 0, &with);
    let validated = json(
        &station,
        0,
        &["security", "validate", "--port", &port, "--policy", &policy],
    );
    assert_eq!(validated["fulfilled"], true, "{validated}");
}

#[test]
fn encryption_seals_the_units_key_first_and_burns_it_under_an_approval() {
    let (station, fleet, port) = bench("esp32s3");
    let enable = [
        "security",
        "enable-encryption",
        "--port",
        &port,
        "--mode",
        "development",
        "--content",
        "written",
    ];
    let approval = grant(&station, &subject(&refused(&station, &enable)), &[]);
    let keys = json(&station, 0, &["keys", "list"]);
    assert_eq!(
        keys["keys"][0]["owner"],
        fleet.mac(1),
        "sealed before it is approved: {keys}"
    );
    let with = under(&enable, &approval);
    let burned = json(&station, 0, &with);
    assert!(burned["pulses"].as_array().unwrap().len() >= 2, "{burned}");
    assert_eq!(field(&station, &port, "SPI_BOOT_CRYPT_CNT"), "0x1");
    let read = json(
        &station,
        0,
        &["efuse", "read", "--port", &port, "--block", "BLOCK_KEY0"],
    );
    let block = &read["blocks"][0];
    assert_eq!(
        (&block["readable"], &block["writable"]),
        (&false.into(), &false.into()),
        "{block}"
    );
    let again = json(&station, 0, &enable);
    assert_eq!(
        again["pulses"].as_array().unwrap().len(),
        0,
        "the same key, nothing left: {again}"
    );
}

/// A recipe that burns one harmless field.
fn irreversible(station: &TestStation) -> String {
    let recipe = "format = 1\nproduct = \"quiet\"\nchip = \"esp32c3\"\n\n[[step]]\nname = \"identify\"\nidentify = {}\n\n\
                  [[step]]\nname = \"fuses\"\nefuse = { fields = { UART_PRINT_CONTROL = 1 } }\n";
    station.write("quiet.toml", recipe).display().to_string()
}

#[test]
fn an_irreversible_recipe_runs_only_released_and_armed() {
    let (station, _fleet, port) = bench("esp32c3");
    let recipe = irreversible(&station);
    let bay = format!("left={port}");
    let run = ["run", &recipe, "--bay", &bay, "--operator", "kim"];
    let armed = ["run", &recipe, "--bay", &bay, "--operator", "kim", "--arm"];
    assert_eq!(refused(&station, &run)["code"], "release-missing");
    assert_eq!(refused(&station, &armed)["code"], "release-missing");
    let released = json(&station, 0, &["release", &recipe]);
    assert_eq!(released["irreversible"], true, "{released}");
    let unarmed = refused(&station, &run);
    assert_eq!(unarmed["code"], "approval-needed", "{unarmed}");
    assert!(
        unarmed["hint"].as_str().unwrap().contains("--arm"),
        "{unarmed}"
    );
    assert_eq!(station.record().number("SELECT count(*) FROM run"), 0);
    assert_eq!(field(&station, &port, "UART_PRINT_CONTROL"), "0x0");

    let _passed = station.run(&armed).expect(0);
    assert_eq!(field(&station, &port, "UART_PRINT_CONTROL"), "0x1");
    let events = station.record().events();
    let of = |kind: &str| -> Vec<&Value> {
        events
            .iter()
            .filter(|(_, found, _)| found == kind)
            .map(|(_, _, body)| body)
            .collect()
    };
    assert_eq!(of("approved").last().unwrap()["by"], "kim");
    assert_eq!(of("approval_used").len(), 1);
    assert_eq!(of("burn_intended").len(), of("burn_finished").len());

    let plan = released["plan"].as_str().unwrap();
    let _withdrawn = json(
        &station,
        0,
        &["withdraw", plan, "--reason", "a wrong field"],
    );
    assert_eq!(refused(&station, &armed)["code"], "release-withdrawn");
    let _sound = station.run(&["journal", "verify"]).expect(0);
}

#[test]
fn a_rehearsal_on_virtual_boards_needs_neither_release_nor_approval_and_says_so() {
    let station = TestStation::new();
    let recipe = irreversible(&station);
    let ran = station
        .run(&["run", &recipe, "--virtual", "2", "--plain"])
        .expect(0);
    assert!(ran.err.contains("rehearsal"), "{}", ran.err);
    let intents = station
        .record()
        .number("SELECT count(*) FROM event WHERE kind = 'burn_intended'");
    assert_eq!(intents, 2);
    let _sound = station.run(&["journal", "verify"]).expect(0);
}

#[test]
fn a_burn_that_the_power_cuts_off_is_settled_and_finished_by_the_next_one() {
    let (station, _fleet, port) =
        faulty("[power_loss]\nat_pulse = 2\npulse = \"partly\"\nback_after_ms = 50\n");
    let _key = json(&station, 0, &["keys", "generate", "hmac", "--kind", "hmac"]);
    let burn = [
        "efuse",
        "burn",
        "--port",
        &port,
        "--key",
        "BLOCK_KEY0:HMAC_UP=store:hmac",
    ];
    let approval = grant(&station, &subject(&refused(&station, &burn)), &[]);
    let with = under(&burn, &approval);
    let cut = json(&station, 50, &with);
    assert_eq!(cut["error"]["code"], "burn-interrupted", "{cut}");
    let open = "SELECT count(*) FROM burn WHERE state = 'open'";
    assert_eq!(station.record().number(open), 1);

    // What is left is another plan: it needs its own approval.
    assert_eq!(refused(&station, &with)["code"], "approval-mismatch");
    assert_eq!(
        station.record().number(open),
        0,
        "the chip said what became of it"
    );
    let approval = grant(&station, &subject(&refused(&station, &burn)), &[]);
    let with = under(&burn, &approval);
    let _burned = json(&station, 0, &with);
    let read = json(
        &station,
        0,
        &["efuse", "read", "--port", &port, "--block", "BLOCK_KEY0"],
    );
    assert_eq!(read["blocks"][0]["purpose"], "HMAC_UP", "{read}");
    assert_eq!(read["blocks"][0]["readable"], false, "{read}");
    let again = json(&station, 0, &burn);
    assert_eq!(again["pulses"].as_array().unwrap().len(), 0, "{again}");
    let _sound = station.run(&["journal", "verify"]).expect(0);
}

#[test]
fn a_unit_whose_fuse_does_not_burn_is_put_aside_until_a_person_has_looked() {
    // The first bit of UART_PRINT_CONTROL on this chip.
    let (station, fleet, port) = faulty("[fuses]\nstuck = [{ block = 0, bit = 134 }]\n");
    let burn = harmless(&port);
    let approval = grant(&station, &subject(&refused(&station, &burn)), &[]);
    let with = under(&burn, &approval);
    let failed = json(&station, 30, &with);
    assert_eq!(failed["error"]["code"], "burn-failed", "{failed}");
    let aside = json(&station, 0, &["units", "quarantine"]);
    assert_eq!(aside["units"][0]["mac"], fleet.mac(1), "{aside}");
    assert_eq!(refused(&station, &burn)["code"], "unit-quarantined");
    let release = [
        "units",
        "release",
        fleet.mac(1),
        "--reason",
        "a cold joint, mended",
    ];
    let _released = json(&station, 0, &release);
    assert_eq!(refused(&station, &burn)["code"], "approval-needed");
    let _sound = station.run(&["journal", "verify"]).expect(0);
}

/// Burns under an approval that is granted for it, and returns the answer and the approval.
fn burned(station: &TestStation, burn: &[&str]) -> (Value, String) {
    let approval = grant(station, &subject(&refused(station, burn)), &[]);
    let with = under(burn, &approval);
    (json(station, 0, &with), approval)
}

#[test]
fn an_approval_that_was_used_is_not_good_again_also_if_nothing_came_of_it() {
    let (station, _fleet, port) =
        faulty("[power_loss]\nat_pulse = 1\npulse = \"before\"\nback_after_ms = 50\n");
    let burn = harmless(&port);
    let approval = grant(&station, &subject(&refused(&station, &burn)), &[]);
    let with = under(&burn, &approval);
    let cut = json(&station, 50, &with);
    assert_eq!(cut["error"]["code"], "burn-interrupted", "{cut}");
    // The chip is as it was, and so is the plan.
    assert_eq!(refused(&station, &with)["code"], "approval-used");
    assert_eq!(record(&station, "approval-used"), (1, 1));
    let _done = burned(&station, &burn);
    assert_eq!(field(&station, &port, "UART_PRINT_CONTROL"), "0x1");
}

#[test]
fn encryption_for_ever_whose_key_is_forgotten_can_be_asked_for_again() {
    let (station, _fleet, port) = bench("esp32c3");
    let mut enable = vec![
        "security",
        "enable-encryption",
        "--port",
        &port,
        "--mode",
        "release",
        "--content",
        "written",
        "--custody",
        "forget",
    ];
    let (done, _) = burned(&station, &enable);
    assert_eq!(done["answers"], true, "{done}");
    assert_eq!(field(&station, &port, "SPI_BOOT_CRYPT_CNT"), "0x7");
    assert_eq!(field(&station, &port, "DIS_DOWNLOAD_MANUAL_ENCRYPT"), "0x1");
    let keys = json(&station, 0, &["keys", "list"]);
    assert!(keys["keys"][0]["forgotten"].is_string(), "{keys}");
    let forgotten = "SELECT count(*) FROM event WHERE kind = 'key_forgotten'";
    assert_eq!(station.record().number(forgotten), 1);

    let again = json(&station, 0, &enable);
    assert_eq!(again["pulses"].as_array().unwrap().len(), 0, "{again}");
    assert_eq!(station.record().number(forgotten), 1);
    // Nobody has the key any more: what is not there cannot be added to it.
    let (_other, fleet) = (station, Fleet::of("esp32c3", 1));
    let fresh = format!("tcp://{}", fleet.tcp(1));
    enable[3] = &fresh;
    let lost = json(&_other, 50, &enable);
    assert_eq!(lost["error"]["code"], "key-forgotten", "{lost}");
    let _sound = _other.run(&["journal", "verify"]).expect(0);
}

#[test]
fn secure_boot_is_burned_and_told_also_where_the_chip_cannot_be_started_again() {
    // The ESP32 has no watchdog that would restart it, and a raw connection has no reset line.
    for chip in ["esp32s3", "esp32"] {
        let (station, _fleet, port) = bench(chip);
        let digest = station.write("digest.bin", [0xA7; 32]);
        let digest = digest.display().to_string();
        let mut enable = vec![
            "security",
            "enable-secure-boot",
            "--port",
            &port,
            "--public-key",
            &digest,
        ];
        let unsigned = refused(&station, &enable);
        let code = "secure-boot-without-signed-content";
        assert_eq!(unsigned["code"], code, "{unsigned}");
        assert_eq!(record(&station, code), (1, 0));
        enable.push("--content-signed");
        let approval = grant(&station, &subject(&refused(&station, &enable)), &[]);
        let mut with = enable.clone();
        with.extend(["--approval", &approval]);
        let done = json(&station, 0, &with);
        assert!(done["pulses"].as_array().unwrap().len() >= 2, "{done}");
        let unstarted = done["warnings"].to_string().contains("not started again");
        assert_eq!(unstarted, chip == "esp32", "{done}");
        let again = json(&station, 0, &enable);
        assert_eq!(again["pulses"].as_array().unwrap().len(), 0, "{again}");
        let _sound = station.run(&["journal", "verify"]).expect(0);
    }
}

#[test]
fn the_first_secure_boot_is_burned_once_the_digest_of_the_bootloader_is_in_flash() {
    let (station, _fleet, port) = bench("esp32");
    let bootloader = station_esp::loader::bootloader(station_esp::Chip::Esp32, 40).unwrap();
    let bootloader = station.write("bootloader.bin", bootloader);
    let bootloader = bootloader.display().to_string();
    let digest = station.folder().join("digest.bin").display().to_string();
    let enable = [
        "security",
        "enable-secure-boot",
        "--port",
        &port,
        "--version1",
        "--bootloader",
        &bootloader,
        "--digest-out",
        &digest,
        "--accept",
        "secure-boot-version-one",
    ];
    let early = refused(&station, &enable);
    assert_eq!(early["code"], "secure-boot-without-signed-content");
    let bytes = std::fs::read(&digest).unwrap();
    assert_eq!(bytes.len(), 192);
    let write = ["flash", "write", &digest, "--at", "0x0", "--port", &port];
    // Whether the chip can be started again over this connection is another matter.
    let _written = station.run(&write);
    let approval = grant(&station, &subject(&refused(&station, &enable)), &[]);
    let mut with = enable.to_vec();
    with.extend(["--approval", &approval]);
    let done = json(&station, 0, &with);
    assert!(done["pulses"].as_array().unwrap().len() >= 3, "{done}");
    let again = json(&station, 0, &enable);
    assert_eq!(again["pulses"].as_array().unwrap().len(), 0, "{again}");
    assert_eq!(std::fs::read(&digest).unwrap(), bytes, "the same digest");
    let _sound = station.run(&["journal", "verify"]).expect(0);
}

#[test]
fn arming_leaves_no_approval_behind_that_nobody_used() {
    let (station, _fleet, port) = bench("esp32c3");
    let recipe = irreversible(&station);
    let bay = format!("left={port}");
    let armed = ["run", &recipe, "--bay", &bay, "--operator", "kim", "--arm"];
    assert_eq!(refused(&station, &armed)["code"], "release-missing");
    let rehearsal = ["run", &recipe, "--virtual", "1", "--arm", "--plain"];
    let _ran = station.run(&rehearsal).expect(0);
    let approved = "SELECT count(*) FROM event WHERE kind = 'approved'";
    assert_eq!(station.record().number(approved), 0);
}

#[test]
fn a_rehearsal_with_the_boards_of_an_earlier_one_is_refused_not_burned_again() {
    let station = TestStation::new();
    let recipe = irreversible(&station);
    let run = ["run", &recipe, "--virtual", "1", "--seed", "5", "--plain"];
    let _first = station.run(&run).expect(0);
    let again = station.run(&run).expect(30);
    assert!(again.out.contains("already-passed"), "{}", again.out);
    assert_eq!(record(&station, "already-passed").1, 1);
}

#[test]
fn a_token_that_cannot_sign_says_why_and_leaves_no_file() {
    const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
    let station = TestStation::new();
    let tokens = station.folder().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let config = station.write(
        "softhsm.conf",
        format!("directories.tokendir = {}\n", tokens.display()),
    );
    let made = std::process::Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "line"])
        .args(["--pin", "1234", "--so-pin", "5678"])
        .env("SOFTHSM2_CONF", &config)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let image = station.write("app.bin", vec![0xE9; 5000]);
    let image = image.display().to_string();
    let sign = [
        "--json",
        "security",
        "sign",
        &image,
        "--pkcs11-module",
        MODULE,
        "--token",
        "line",
        "--token-key",
        "boot",
        "--pin-env",
        "LINE_PIN",
        "--out",
        "signed.bin",
    ];
    for (pin, why) in [("1234", "boot"), ("4321", "PinIncorrect")] {
        let failed = station
            .command(&sign)
            .env("SOFTHSM2_CONF", &config)
            .env("LINE_PIN", pin)
            .output()
            .unwrap();
        assert_eq!(failed.status.code(), Some(50), "{failed:?}");
        let said = String::from_utf8(failed.stdout).unwrap();
        assert!(said.contains("key-token") && said.contains(why), "{said}");
        assert!(!said.contains(pin), "{said}");
    }
    assert!(!station.folder().join("signed.bin").exists());
}
