//! NVS partitions made for each unit, from lists that name units.

use std::collections::BTreeMap;

use station_esp::efuse::FieldName;
use station_esp::nvs::{self, Content, NvsKeys, Value};
use station_esp::secret::Secret;
use station_virtual::VirtualChip;
use station_virtual::chip::ChipConfig;
use station_virtual::fault::PowerLoss;

use super::plant::{C3, Plant};
use super::room::{Room, board};
use crate::event::{EventKind, Mac};
use crate::keys::{KeyName, KeyOwner};
use crate::outcome::{FailureClass, Outcome};
use crate::runner::{AttemptReport, RunReport};

/// The steps before.
const BEGINNING: &str = r#"
[[step]]
name = "identify"
identify = { flash_size = "4MB" }
[[step]]
name = "flash"
flash = { images = ["bootloader", "table", "app"] }
"#;

/// What every unit gets.
const BASE: &str = "\
key,type,encoding,value
net,namespace,,
ssid,data,string,factory
channel,data,u8,6
cal,namespace,,
table,data,hex2bin,000102030405
";

/// Values from the list.
const NVS: &str = r#"
[[step]]
name = "nvs"
nvs = { partition = "nvs", csv = "base.csv", values = [
  { namespace = "id", key = "name", type = "string", value = "{csv.name}" },
  { namespace = "id", key = "mac", type = "string", value = "{mac|nocolon|upper}" },
  { namespace = "id", key = "secret", type = "hex", value = "{csv.secret}" },
  { namespace = "id", key = "lot", type = "base64", value = "{csv.lot}" },
  { namespace = "cal", key = "offset", type = "i16", value = "{csv.offset}" },
  { namespace = "cal", key = "serial", type = "u64", value = "{csv.number}" },
  { namespace = "cal", key = "version", type = "u8", value = 3 },
  { namespace = "net", key = "channel", type = "u8", value = "{csv.channel}" } ] }
"#;

/// Where the partition is.
const AT: u32 = 0x9000;
const SIZE: u32 = 0x6000;

fn mac(unit: u64) -> String {
    board(unit).mac.to_string()
}

/// The row of a unit.
fn row(unit: u64) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("mac", mac(unit).to_uppercase()),
        ("name", format!("Gerät, Nº {unit}")),
        ("secret", format!("{:064x}", unit * 0x0123_4567)),
        ("lot", "QUJDRA==".to_owned()),
        ("offset", format!("{}", i64::try_from(unit).unwrap() * -17)),
        ("number", (u64::MAX - unit).to_string()),
        ("channel", (unit % 13 + 1).to_string()),
    ])
}

const COLUMNS: [&str; 7] = [
    "number", "name", "mac", "secret", "lot", "offset", "channel",
];

fn csv(units: impl IntoIterator<Item = u64>) -> String {
    let mut text = format!("{}\n", COLUMNS.join(","));
    for unit in units {
        let row = row(unit);
        let fields: Vec<_> = COLUMNS
            .iter()
            .map(|column| format!("\"{}\"", row[column]))
            .collect();
        text.push_str(&format!("{}\n", fields.join(",")));
    }
    text
}

/// A room with the list of some units, in an order of its own.
fn room(bays: usize, units: impl IntoIterator<Item = u64>) -> Room {
    let room = Room::new(bays);
    let folder = room.folder.path();
    std::fs::write(folder.join("base.csv"), BASE).unwrap();
    std::fs::write(folder.join("units.csv"), csv(units)).unwrap();
    room
}

const VALUES: &str = "[values]\nfrom = \"units.csv\"\nmac = \"mac\"\n";

/// What a unit is to have.
fn wanted(unit: u64) -> Content {
    let row = row(unit);
    let mut content = Content::new();
    let mut push = |namespace: &str, key: &str, value: Value| {
        content.push(namespace, key, value).unwrap();
    };
    push("net", "ssid", Value::String("factory".into()));
    push("net", "channel", Value::U8(row["channel"].parse().unwrap()));
    push("cal", "table", Value::Blob(vec![0, 1, 2, 3, 4, 5]));
    push("id", "name", Value::String(row["name"].clone()));
    push(
        "id",
        "mac",
        Value::String(mac(unit).replace(':', "").to_uppercase()),
    );
    push(
        "id",
        "secret",
        Value::Blob(hex::decode(&row["secret"]).unwrap()),
    );
    push("id", "lot", Value::Blob(b"ABCD".to_vec()));
    push("cal", "offset", Value::I16(row["offset"].parse().unwrap()));
    push("cal", "serial", Value::U64(row["number"].parse().unwrap()));
    push("cal", "version", Value::U8(3));
    content
}

type Entries = BTreeMap<(String, String), Value>;

fn entries(content: &Content) -> Entries {
    let each = content.entries().map(|entry| {
        let place = (entry.namespace.to_string(), entry.key.to_string());
        (place, entry.value.clone())
    });
    each.collect()
}

/// What firmware would find in a partition that is whole.
fn there(flash: &[u8], keys: Option<&NvsKeys>) -> Entries {
    let image = nvs::parse(flash, keys).unwrap();
    assert_eq!(image.findings, []);
    entries(&image.content().unwrap())
}

fn failure(attempt: &AttemptReport) -> (FailureClass, &str) {
    let failure = attempt.failure.as_ref().unwrap();
    (failure.class, failure.code.as_str())
}

fn outcomes(report: &RunReport) -> Vec<Outcome> {
    report.attempts.iter().map(|it| it.outcome).collect()
}

#[tokio::test(start_paused = true)]
async fn every_unit_of_thirty_two_bays_has_the_values_of_its_row() {
    // As a list comes from somewhere: more units than boards, and in no order.
    let units = (1..=40_u64).map(|unit| unit * 7 % 41);
    let room = room(32, units);
    for bay in 0..32 {
        room.insert(bay, board(bay as u64 + 1)).await;
    }
    let plan = room.plan("", &format!("{VALUES}{BEGINNING}{NVS}"));
    let report = room.run_once(&plan).await;
    assert_eq!(outcomes(&report), [Outcome::Pass; 32], "{report:#?}");
    for bay in 0..32 {
        let flash = room.flash(bay, AT, SIZE).await;
        assert_eq!(
            there(&flash, None),
            entries(&wanted(bay as u64 + 1)),
            "bay {bay}"
        );
        assert_eq!(
            &room.flash(bay, 0x10000, 1).await,
            b"\xe9",
            "the application"
        );
    }
    // No value of a unit is in the record.
    let record = format!("{:?}", room.events());
    assert!(!record.contains("Gerät") && !record.contains(&row(1)["secret"]));
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_the_list_does_not_name_is_not_written_to() {
    let room = room(2, [1]);
    room.insert(0, board(1)).await;
    room.insert(1, board(2)).await;
    let serial = "[serial]\npattern = \"SN-{counter:06}\"\n";
    let plan = room.plan("", &format!("{VALUES}{serial}{BEGINNING}{NVS}"));
    let report = room.run_once(&plan).await;
    let strange: Vec<_> = report
        .attempts
        .iter()
        .filter(|attempt| attempt.outcome != Outcome::Pass)
        .collect();
    let [strange] = strange.as_slice() else {
        panic!("{report:#?}");
    };
    assert_eq!(strange.outcome, Outcome::Error);
    assert_eq!(failure(strange), (FailureClass::Station, "unit-not-listed"));
    let message = &strange.failure.as_ref().unwrap().message;
    assert_eq!(
        *message,
        format!("`units.csv` has no row for mac `{}`", mac(2))
    );
    let flash = room.flash(1, 0, 0x20000).await;
    assert!(flash.iter().all(|byte| *byte == 0xFF));
    // Nor is a number used up for it.
    let reserved = room
        .events()
        .into_iter()
        .filter(|event| matches!(event.kind, EventKind::SerialReserved { .. }));
    assert_eq!(reserved.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_serial_list_with_macs_gives_each_unit_the_number_of_its_row() {
    let room = Room::new(3);
    let list = format!(
        "serial,mac,colour\nA-1,{},red\nA-2,{},green\n",
        mac(2),
        mac(1).replace(':', "-")
    );
    std::fs::write(room.folder.path().join("serials.csv"), list).unwrap();
    let units = "serial,name\nA-1,one\nA-2,two\n";
    std::fs::write(room.folder.path().join("units.csv"), units).unwrap();
    for bay in 0..3 {
        room.insert(bay, board(bay as u64 + 1)).await;
    }
    let steps = format!(
        r#"
[serial]
from = "serials.csv"
column = "serial"
mac = "mac"
[values]
from = "units.csv"
serial = "serial"
{BEGINNING}
[[step]]
name = "nvs"
nvs = {{ at = 0x9000, size = "12KB", version = 1, values = [
  {{ namespace = "id", key = "all", type = "string", value = "{{serial}} {{csv.colour}} {{csv.name}} {{mac}}" }} ] }}
"#
    );
    let report = room.run_once(&room.plan("", &steps)).await;
    for (bay, text) in [(0, "A-2 green two"), (1, "A-1 red one")] {
        let flash = room.flash(bay, AT, 0x3000).await;
        let text = format!("{text} {}", mac(bay as u64 + 1));
        let place = ("id".to_owned(), "all".to_owned());
        assert_eq!(there(&flash, None)[&place], Value::String(text));
    }
    let strange: Vec<_> = report
        .attempts
        .iter()
        .filter_map(|it| it.failure.as_ref())
        .collect();
    let [strange] = strange.as_slice() else {
        panic!("{report:#?}");
    };
    assert_eq!(strange.code, "unit-not-listed");
    assert_eq!(
        strange.message,
        format!("`serials.csv` has no row for unit `{}`", mac(3))
    );
    assert!(
        room.flash(2, 0, 0x20000)
            .await
            .iter()
            .all(|byte| *byte == 0xFF)
    );
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_passed_is_compared_and_not_written_to_again() {
    let room = room(1, [1]);
    room.insert(0, board(1)).await;
    let run = "seen_before = \"verify\"";
    let plan = room.plan(run, &format!("{VALUES}{BEGINNING}{NVS}"));
    assert_eq!(outcomes(&room.run_once(&plan).await), [Outcome::Pass]);
    let flash = room.flash(0, 0, 0x20000).await;
    let own = nvs::parse(&flash[AT as usize..][..SIZE as usize], None).unwrap();
    // With an entry that its application has added, and then without one of its own.
    let mut more = own.content().unwrap();
    more.push("app", "boots", Value::U32(1)).unwrap();
    let mut other = more.clone();
    other
        .set("id", "name", Value::String("Gerät, Nº 2".into()))
        .unwrap();
    for (content, outcome) in [(more, Outcome::Pass), (other, Outcome::Fail)] {
        let image = nvs::build(&content, SIZE, nvs::Version::V2).unwrap();
        let mut flash = flash.clone();
        flash[AT as usize..][..SIZE as usize].copy_from_slice(&image);
        reboard(&room, 0, board(1), &flash).await;
        let report = room.run_once(&plan).await;
        assert_eq!(outcomes(&report), [outcome], "{report:#?}");
        assert_eq!(room.flash(0, AT, SIZE).await, image);
        if outcome == Outcome::Fail {
            let attempt = &report.attempts[0];
            assert_eq!(failure(attempt), (FailureClass::Verify, "nvs-differs"));
            let message = &attempt.failure.as_ref().unwrap().message;
            assert_eq!(message, "`id`/`name` has another value");
        }
    }
}

/// Puts a board into a bay, with this in its flash.
async fn reboard(room: &Room, bay: usize, board: ChipConfig, flash: &[u8]) {
    room.remove(bay).await;
    let mut chip = VirtualChip::new(board);
    chip.flash_mut().program(0, flash).unwrap();
    room.bays[bay].control.insert(chip, false).await.unwrap();
    room.settle().await;
}

/// A table with room for keys.
const WITH_KEYS: &str = "\
nvs,data,nvs,0x9000,0x6000,
factory,app,factory,0x10000,0x10000,
nvs_keys,data,nvs_keys,0x20000,0x1000,
";

#[tokio::test(start_paused = true)]
async fn keys_of_an_encrypted_partition_are_made_for_each_unit() {
    let room = room(2, 1..3);
    std::fs::write(room.folder.path().join("partitions.csv"), WITH_KEYS).unwrap();
    for bay in 0..2 {
        room.insert(bay, board(bay as u64 + 1)).await;
    }
    let nvs = NVS.replace(
        "csv = \"base.csv\",",
        "csv = \"base.csv\", encryption = { keys = \"nvs_keys\" },",
    );
    let run = "seen_before = \"verify\"";
    let plan = room.plan(run, &format!("{VALUES}{BEGINNING}{nvs}"));
    assert_eq!(outcomes(&room.run_once(&plan).await), [Outcome::Pass; 2]);
    let mut all = Vec::new();
    for bay in 0..2 {
        let keys = Secret::new(room.flash(bay, 0x20000, 0x1000).await);
        let keys = NvsKeys::parse_partition(&keys).unwrap();
        let flash = room.flash(bay, AT, SIZE).await;
        assert_eq!(there(&flash, Some(&keys)), entries(&wanted(bay as u64 + 1)));
        assert!(nvs::parse(&flash, None).unwrap().looks_encrypted());
        all.push(keys);
    }
    assert_ne!(all[0], all[1]);
    // A unit that passed is compared with the keys that it has.
    let flash = room.flash(0, 0, 0x21000).await;
    let mut other = room.flash(1, 0, 0x21000).await;
    // Keys that are not whole are no keys.
    other[0x20010] ^= 1;
    reboard(&room, 0, board(1), &flash).await;
    reboard(&room, 1, board(2), &other).await;
    let again = room.run_once(&plan).await;
    assert_eq!(room.flash(0, 0, 0x21000).await, flash);
    let failed: Vec<_> = again
        .attempts
        .iter()
        .filter(|it| it.failure.is_some())
        .collect();
    assert_eq!(failed.len(), 1, "{again:#?}");
    assert_eq!(
        failure(failed[0]),
        (FailureClass::Verify, "nvs-key-checksum"),
        "{again:#?}"
    );
    // Once the chip encrypts, nobody else reads them.
    let encrypt = |chip: Option<&mut VirtualChip>| {
        let on = FieldName::FlashCryptCount;
        let fuses = chip.unwrap().efuse_mut();
        fuses.edit(|image| image.write(on, 1).unwrap());
    };
    room.bays[0].control.change(encrypt).await.unwrap();
    room.bays[0].control.reseat().await.unwrap();
    room.settle().await;
    let closed = room.run_once(&plan).await;
    let closed = closed.attempts.iter().map(failure);
    let closed: Vec<_> = closed.filter(|it| it.1 == "nvs-keys-closed").collect();
    assert_eq!(closed, [(FailureClass::Station, "nvs-keys-closed")]);
}

#[tokio::test(start_paused = true)]
async fn keys_that_follow_from_the_chip_s_own_are_those_its_firmware_derives() {
    let recipe = r#"
format = 1
product = "node"
chip = "esp32c3"
min_revision = "0.3"
[serial]
pattern = "SN-{counter:06}"
[images]
bootloader = { file = "bootloader.bin", at = 0x0 }
table = { file = "partitions.csv", at = 0x8000 }
app = { file = "app.bin", at = "factory" }
[[step]]
name = "identify"
identify = { flash_size = "4MB" }
[[step]]
name = "flash"
flash = { images = ["bootloader", "table", "app"] }
[[step]]
name = "hmac"
key = { purpose = "HMAC_UP", source = "generate" }
[[step]]
name = "nvs"
nvs = { partition = "nvs", encryption = { hmac = "hmac" }, values = [
  { namespace = "id", key = "serial", type = "string", value = "{serial}" } ] }
"#;
    let plant = Plant::unreleased(&C3, recipe);
    plant.release().await;
    plant.room.insert(0, plant.board(1)).await;
    let report = plant.run().await;
    assert_eq!(outcomes(&report), [Outcome::Pass], "{report:#?}");
    let name = KeyName::parse("hmac").unwrap();
    let owner = KeyOwner::Unit(Mac::new(mac(1)));
    let key = plant.keys.reveal(&name, &owner).unwrap();
    let keys = NvsKeys::from_hmac(&key).unwrap();
    let flash = plant.room.flash(0, AT, SIZE).await;
    let place = ("id".to_owned(), "serial".to_owned());
    let there = there(&flash, Some(&keys));
    assert_eq!(there[&place], Value::String("SN-000001".into()));
    assert!(nvs::parse(&flash, None).unwrap().looks_encrypted());
}

#[tokio::test(start_paused = true)]
async fn each_unit_gets_its_own_file_and_only_the_one_that_was_checked() {
    let room = room(2, 1..3);
    let folder = room.folder.path();
    std::fs::create_dir(folder.join("certs")).unwrap();
    let file = |unit: u64| folder.join(format!("certs/{}.der", mac(unit).replace(':', "")));
    for unit in 1..3 {
        let length = 2000 + usize::try_from(unit).unwrap();
        std::fs::write(file(unit), vec![0x30 + u8::try_from(unit).unwrap(); length]).unwrap();
        room.insert(usize::try_from(unit).unwrap() - 1, board(unit))
            .await;
    }
    let steps = format!(
        r#"{VALUES}{BEGINNING}
[[step]]
name = "nvs"
nvs = {{ partition = "nvs", values = [
  {{ namespace = "id", key = "cert", type = "file", value = "certs/{{mac|nocolon}}.der" }} ] }}
"#
    );
    let plan = room.plan("", &steps);
    std::fs::write(file(2), "another").unwrap();
    let report = room.run_once(&plan).await;
    let place = ("id".to_owned(), "cert".to_owned());
    let found = there(&room.flash(0, AT, SIZE).await, None);
    assert_eq!(found[&place], Value::Blob(vec![0x31; 2001]));
    let failed: Vec<_> = report
        .attempts
        .iter()
        .filter_map(|it| it.failure.as_ref())
        .collect();
    assert_eq!(failed.len(), 1, "{report:#?}");
    assert_eq!(failed[0].code, "unit-file-changed");
    assert!(
        room.flash(1, AT, SIZE)
            .await
            .iter()
            .all(|byte| *byte == 0xFF)
    );
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_there_already_is_left_as_it_is() {
    let room = room(1, [1]);
    room.insert(0, board(1)).await;
    let run = "seen_before = \"repeat\"";
    let plan = room.plan(run, &format!("{VALUES}{BEGINNING}{NVS}"));
    room.run_once(&plan).await;
    let flash = room.flash(0, 0, 0x20000).await;
    room.remove(0).await;
    // Whoever programs so much as a page of this board has it go dark.
    let mut again = board(1);
    again.faults.power_loss = Some(PowerLoss {
        at_program: Some(1),
        ..PowerLoss::default()
    });
    reboard(&room, 0, again, &flash).await;
    let report = room.run_once(&plan).await;
    assert_eq!(outcomes(&report), [Outcome::Pass], "{report:#?}");
}

/// One board whose power fails there, run until it passes.
async fn cut(loss: PowerLoss) {
    let room = room(1, [1]);
    let mut board = board(1);
    board.faults.power_loss = Some(loss);
    room.insert(0, board).await;
    let steps = format!(
        "{VALUES}[[step]]\nname = \"identify\"\nidentify = {{ flash_size = \"4MB\" }}\n{NVS}"
    );
    let plan = room.plan("quarantine_after = 100", &steps);
    let mut outcomes = Vec::new();
    while outcomes.last() != Some(&Outcome::Pass) {
        assert!(outcomes.len() < 4, "{loss:?}: {outcomes:?}");
        let report = room.run_once(&plan).await;
        outcomes.extend(report.attempts.iter().map(|it| it.outcome));
        if outcomes.last() != Some(&Outcome::Pass) {
            room.bays[0].control.reseat().await.unwrap();
            room.settle().await;
        }
    }
    assert!(outcomes.len() > 1, "{loss:?}: the cut hit nothing");
    let flash = room.flash(0, AT, SIZE).await;
    assert_eq!(there(&flash, None), entries(&wanted(1)), "{loss:?}");
}

#[tokio::test(start_paused = true)]
async fn a_unit_whose_power_failed_in_the_middle_gets_the_whole_of_its_values() {
    for at in 1..=3 {
        cut(PowerLoss {
            at_program: Some(at),
            ..PowerLoss::default()
        })
        .await;
    }
}
