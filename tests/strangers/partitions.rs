//! ESP-IDF's own partition table rules, as a package and as recorded answers of its tools, agree with ours.
//!
//! The package esp-idf-defs carries the rules of gen_esp32part.py 1.5. The tool itself is in no
//! package, so `partitions/gen_esp32part.json` holds inputs of ours with what it answered (the file
//! of ESP-IDF v6.0.2, the same in v5.5.2 and v6.1-beta1), and `partitions/otatool.json` the same for
//! otatool.py of v6.0.2.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};
use station_esp::otadata::{OtaData, Record, State};
use station_esp::partition::{Checksum, Rules, Secure, Table};

use crate::support::{python, root};

/// What we refuse on purpose although the tool takes it: it would do something else than was meant.
const STRICTER: &[&str] = &[
    "partition-name",
    "partition-columns",
    "partition-variable",
    "partition-no-size",
    "partition-duplicate-subtype",
    "partition-beyond-addresses",
    "partition-type",
    "partition-empty",
    "partition-no-checksum",
    "partition-after-checksum",
    "partition-checksum-row",
    "partition-flag",
];

fn driven(cases: &[Value]) -> Vec<Value> {
    let mut child = python()
        .arg(root().join("tests/strangers/partitions/driver.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = serde_json::to_vec(cases).unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // The driver reads all before it writes.
    pipe.write_all(&input).unwrap();
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answers.len(), cases.len());
    answers
}

fn recorded(name: &str) -> Vec<Value> {
    let path = root().join("tests/strangers/partitions").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn word(value: &Value) -> Option<u32> {
    value.as_u64().map(|value| u32::try_from(value).unwrap())
}

fn rules(case: &Value) -> Rules {
    let mut rules = Rules::at(word(&case["offset"]).unwrap());
    rules.primary_bootloader = word(&case["primary"]);
    rules.recovery_bootloader = word(&case["recovery"]);
    rules.flash_size = word(&case["flash"]);
    rules.secure = match case["secure"].as_str() {
        Some("v1") => Secure::V1,
        Some("v2") => Secure::V2,
        _ => Secure::Off,
    };
    if case["md5"] == json!(false) {
        rules.checksum = Checksum::Off;
    }
    for extra in case["extra"].as_array().into_iter().flatten() {
        rules.add_subtype(extra.as_str().unwrap()).unwrap();
    }
    rules
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap().as_bytes();
    hex.chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// How a case ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Same,
    BothRefuse,
    Stricter,
    Looser,
}

fn compared(case: &Value, answer: &Value) -> End {
    let rules = rules(case);
    let input = match case.get("text") {
        Some(text) => text.as_str().unwrap().as_bytes().to_vec(),
        None => bytes(&case["binary"]),
    };
    match (Table::parse(&input, &rules), answer.get("refused")) {
        (Ok(table), None) => {
            let mut theirs = bytes(&answer["binary"]);
            theirs.resize(0xC00, 0xFF);
            assert!(
                table.to_binary_with(rules.checksum) == theirs,
                "{case}: {answer}"
            );
            assert_eq!(table.to_csv_with(&rules), answer["csv"], "{case}");
            assert_eq!(Table::parse_binary_with(&theirs, &rules), Ok(table));
            End::Same
        }
        (Err(_), Some(_)) => End::BothRefuse,
        (Err(error), None) => {
            assert!(
                STRICTER.contains(&error.code()),
                "{error} ({}) for {case}, which they take: {answer}",
                error.code()
            );
            End::Stricter
        }
        // A row that says itself where its bootloader lies needs no option for us, so that what
        // `to_csv` writes can be read again.
        (Ok(_), Some(reason))
            if ["primary", "recovery"]
                .iter()
                .any(|key| case[key].is_null())
                && reason
                    .to_string()
                    .contains("bootloader offset is not provided") =>
        {
            End::Looser
        }
        (Ok(_), Some(reason)) => panic!("they refuse {case}: {reason}"),
    }
}

/// A generator that makes the same numbers everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[usize::try_from(self.below(words.len() as u64)).unwrap()]
    }
}

const APPS: &[&str] = &[
    "factory", "ota_0", "ota_1", "OTA_15", "test", "tee_0", "tee_1", "0x44",
];
const DATA: &[&str] = &[
    "ota",
    "phy",
    "nvs",
    "NVS",
    "coredump",
    "nvs_keys",
    "efuse",
    "undefined",
    "esphttpd",
    "fat",
    "spiffs",
    "littlefs",
    "tee_ota",
    "0x55",
    "",
    "7",
];
const SIZES: &[&str] = &[
    "0x1000",
    "0x2000",
    "8K",
    "12k",
    "0x3000",
    "24K",
    "64K",
    "0x10000",
    "1M",
    "0x1_0000",
    "4096",
    "0x20K",
    "-0x200000",
    "-4M",
    "0b1000000000000",
    "+0x4000",
    "0x2100",
];
const WRONG: &[&str] = &[
    "",
    "0",
    "010",
    "1.5M",
    "0x",
    "-1",
    "N/A",
    "0x1000000000",
    "size",
    "0x11",
    "99999M",
];

const FLAGS: [&str; 8] = [
    "",
    "",
    "",
    "",
    "encrypted",
    "readonly",
    "readonly:encrypted",
    ":",
];

fn name(dice: &mut Dice, number: usize, wild: bool) -> String {
    let names = if wild { 4 } else { 40 };
    match dice.below(names) {
        0 => dice.pick(&["nvs", "app", "factory", "ota_0"]).to_owned(),
        1 => dice
            .pick(&[
                "",
                "a_name_of_seventeen",
                "blank inside",
                "größe",
                "sixteen_letters_",
            ])
            .to_owned(),
        _ => format!("p{number}"),
    }
}

fn row(dice: &mut Dice, number: usize, wild: bool) -> String {
    let kind = dice.pick(&[
        "app",
        "app",
        "data",
        "data",
        "data",
        "data",
        "0x40",
        "66",
        "bootloader",
        "partition_table",
        "Data",
        "0x10",
    ]);
    let wild = |dice: &mut Dice| wild && dice.one_in(6);
    let kind = if wild(dice) {
        dice.pick(&["", "256", "-1", "0xff", "date", "4K"])
    } else {
        kind
    };
    let subtype = match kind {
        "app" => dice.pick(APPS),
        "bootloader" => dice.pick(&["primary", "ota", "recovery", "9"]),
        "partition_table" => dice.pick(&["primary", "ota", "primary"]),
        "0x40" | "66" | "0x10" => dice.pick(&["1", "0xFE", "", "0o17"]),
        _ => dice.pick(DATA),
    };
    let subtype = if wild(dice) {
        dice.pick(&["", "ota_16", "256", "tee_2", "nvs_", "factory", "primary"])
    } else {
        subtype
    };
    let size = if wild(dice) {
        dice.pick(WRONG)
    } else {
        dice.pick(SIZES)
    };
    let offset = match dice.below(8) {
        0 => format!("{:#x}", 0x9000 + 0x1_0000 * (number as u64 + dice.below(4))),
        1 => format!("{}K", 64 * (1 + number as u64 * 4 + dice.below(8))),
        2 if wild(dice) => dice.pick(WRONG).to_owned(),
        _ => String::new(),
    };
    let flags = if wild(dice) {
        dice.pick(&["locked", "encrypted readonly", "Encrypted", "readonly:no"])
    } else {
        dice.pick(&FLAGS)
    };
    let odd = wild(dice);
    let name = name(dice, number, odd);
    let blank = dice.pick(&["", " ", "\t", "   "]);
    let tail = dice.pick(&["", "", ",", ",,"]);
    format!("{blank}{name},{blank}{kind},{subtype}{blank},{offset},{blank}{size},{flags}{tail}")
}

fn options(dice: &mut Dice) -> Value {
    let offset =
        [0x8000, 0x8000, 0x8000, 0x9000, 0x1_0000][usize::try_from(dice.below(5)).unwrap()];
    let secure = dice.pick(&["", "", "v1", "v2"]);
    json!({
        "offset": offset,
        "primary": if dice.one_in(4) { Value::Null } else { json!(0x1000 * dice.below(3)) },
        "recovery": if dice.one_in(2) { Value::Null } else { json!(0x3F_0000) },
        "secure": if secure.is_empty() { Value::Null } else { json!(secure) },
        "md5": !dice.one_in(5),
        "flash": if dice.one_in(3) { json!(4 << 20) } else { Value::Null },
    })
}

fn made(dice: &mut Dice) -> Value {
    let wild = dice.one_in(3);
    let mut text = String::from("# a comment\n");
    for number in 0..usize::try_from(dice.below(5) + 1).unwrap() {
        text.push_str(&row(dice, number, wild));
        text.push_str(dice.pick(&["\n", "\r\n", "\n\n# more\n", "\u{b}", "\r"]));
    }
    let mut case = options(dice);
    case["text"] = json!(text);
    case
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn hundreds_of_made_tables_are_the_same_to_the_byte_or_refused_by_both() {
    let mut dice = Dice(0x5EED_0F7A_B1E5);
    let cases: Vec<Value> = (0..3000).map(|_| made(&mut dice)).collect();
    let answers = driven(&cases);
    let ends: Vec<End> = cases
        .iter()
        .zip(&answers)
        .map(|(case, answer)| compared(case, answer))
        .collect();
    let count = |wanted: End| ends.iter().filter(|end| **end == wanted).count();
    let counts = (
        count(End::Same),
        count(End::BothRefuse),
        count(End::Stricter),
    );
    assert!(counts.0 > 500 && counts.1 > 500, "{counts:?}");
}

#[test]
fn binary_tables_with_one_damaged_byte_are_judged_alike() {
    let mut dice = Dice(0xDA3A_6ED0);
    let mut cases = Vec::new();
    while cases.len() < 1500 {
        let mut case = made(&mut dice);
        let rules = rules(&case);
        let Ok(table) = Table::parse(case["text"].as_str().unwrap().as_bytes(), &rules) else {
            continue;
        };
        let rows = (table.entries().len() + 1) * 32;
        for _ in 0..10 {
            let mut binary = table.to_binary_with(rules.checksum);
            let at = usize::try_from(dice.below(rows as u64)).unwrap();
            binary[at] ^= 1 << dice.below(8);
            case["binary"] = json!(hex(&binary));
            case.as_object_mut().unwrap().remove("text");
            cases.push(case.clone());
        }
    }
    for (case, answer) in cases.iter().zip(&driven(&cases)) {
        let rules = rules(case);
        match (
            Table::parse_binary_with(&bytes(&case["binary"]), &rules),
            answer.get("refused"),
        ) {
            (Ok(_), Some(reason)) => panic!("they refuse {case}: {reason}"),
            (Ok(table), None) => assert_eq!(table.to_csv_with(&rules), answer["csv"], "{case}"),
            (Err(error), None) => assert!(
                STRICTER.contains(&error.code()),
                "{error} for {case}, which they take: {answer}"
            ),
            (Err(_), Some(_)) => {}
        }
    }
}

#[test]
fn what_only_the_binary_form_can_carry_is_lost_and_refused_alike() {
    let text = "nvs,data,nvs,0x9000,0x6000\nx,data,fat,0x10000,4K\n";
    let table = Table::parse_csv(text).unwrap();
    let rules = json!({"offset": 0x8000, "md5": false, "primary": null, "recovery": null,
        "secure": null, "flash": null});
    let case = |key: &str, value: &str| {
        let mut case = rules.clone();
        case[key] = json!(value);
        case
    };
    let mut noted = table.to_binary_with(Checksum::Off);
    noted[12 + 5] = b'!';
    let mut turned = table.to_binary_with(Checksum::Off);
    turned[..64].rotate_left(32);
    let cases = [case("binary", &hex(&noted)), case("binary", &hex(&turned))];
    let answers = driven(&cases);
    for (case, answer) in cases.iter().zip(&answers) {
        assert_eq!(compared(case, answer), End::Same);
    }
    let again = case("text", answers[1]["csv"].as_str().unwrap());
    let refused = &driven(std::slice::from_ref(&again))[0];
    assert_eq!(compared(&again, refused), End::BothRefuse);
}

#[test]
fn recorded_answers_of_the_tool_itself_are_ours() {
    let mut same = 0;
    for case in recorded("gen_esp32part.json") {
        let end = compared(&case, &case["answer"]);
        let expected = match case["ours"].as_str() {
            Some("stricter") => End::Stricter,
            _ if case["answer"].get("refused").is_some() => End::BothRefuse,
            _ => End::Same,
        };
        assert_eq!(end, expected, "{case}");
        same += usize::from(end == End::Same);
    }
    assert!(same >= 20, "{same}");
}

#[test]
fn records_of_the_choice_of_a_slot_are_the_same_bytes() {
    let states = [0, 1, 2, 3, 4, u32::MAX];
    let cases: Vec<Value> = [1_u32, 2, 3, 0x1000, 0xFFFF_FFFE]
        .iter()
        .flat_map(|sequence| states.map(|state| json!({"sequence": sequence, "state": state})))
        .collect();
    for (case, answer) in cases.iter().zip(driven(&cases)) {
        let mut data = OtaData::ERASED;
        data.records[0] = Record {
            state: State::from_code(word(&case["state"]).unwrap()),
            ..Record::of(word(&case["sequence"]).unwrap(), [0xFF; 20])
        };
        assert_eq!(data.to_bytes()[..32], bytes(&answer["binary"]), "{case}");
    }
}

#[test]
fn recorded_choices_of_otatool_are_ours() {
    let cases = recorded("otatool.json");
    assert!(cases.len() >= 20);
    for case in cases {
        let before = bytes(&case["before"]);
        let slot = |name: &str| u8::try_from(case[name].as_u64().unwrap()).unwrap();
        let (slot, slots) = (slot("slot"), slot("slots"));
        let mut full = vec![0xFF; 0x2000];
        full[..32].copy_from_slice(&before[..32]);
        full[0x1000..0x1020].copy_from_slice(&before[32..]);
        let mut data = OtaData::parse(&full).unwrap();
        let active = data.active_slot(slots);
        let theirs = bytes(&case["after"]);
        data.set(slot, slots, State::Undefined).unwrap();
        let ours = data.to_bytes();
        let ours = [&ours[..32], &ours[0x1000..0x1020]].concat();
        if active == Some(slot) {
            // They write the same sequence a second time; the application's own way, which is ours,
            // leaves the record that says so already, and only its state begins anew.
            let sequences = |bytes: &[u8]| [bytes[..4].to_vec(), bytes[32..36].to_vec()];
            assert_eq!(sequences(&ours), sequences(&before), "{case}");
        } else {
            assert_eq!(ours, theirs, "{case}");
        }
    }
}
