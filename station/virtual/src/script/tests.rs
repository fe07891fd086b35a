//! What scripts say, refuse and repeat.

use super::running::Board;
use super::*;

const SECOND: u64 = 1_000_000_000;

fn board() -> Board {
    Board {
        mac: "7c:df:a1:00:00:01".to_owned(),
        chip: "esp32c3".to_owned(),
    }
}

fn started(script: &AppScript, seed: u64, unit: u64) -> ScriptedApplication {
    let mut application = ScriptedApplication::new(script.clone(), seed, unit);
    application.begin(0, board(), |place| format!("text at {}", place.offset));
    application
}

fn said(application: &mut ScriptedApplication, now: u64) -> String {
    let mut out = Vec::new();
    application.speak(now, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn asked(application: &mut ScriptedApplication, line: &str) -> String {
    line.bytes().for_each(|byte| application.hear(SECOND, byte));
    said(application, 700 * SECOND)
}

/// The number of an answer such as `v=3301mV`.
fn number(answer: &str) -> f64 {
    let digits: String = answer
        .chars()
        .filter(|letter| matches!(letter, '0'..='9' | '.' | '-'))
        .collect();
    digits.parse().unwrap()
}

#[test]
fn the_built_in_script_speaks_like_the_demo_firmware() {
    let mut application = started(&AppScript::demo(), 1, 1);
    assert_eq!(application.due(), Some(20_000_000));
    assert_eq!(said(&mut application, 19_999_999), "");
    assert_eq!(
        said(&mut application, 20_000_000),
        "SELFTEST START\r\nchip=esp32c3 mac=7c:df:a1:00:00:01\r\nSELFTEST READY\r\n"
    );
    assert!(asked(&mut application, "adc vdd\n").starts_with("vdd=3"));
    assert!(asked(&mut application, "temp\r\n").ends_with("C\r\n"));
    assert!(asked(&mut application, "rssi\r").starts_with("rssi=-5"));
    assert_eq!(asked(&mut application, "ram test\n"), "ram=ok\r\n");
    assert_eq!(asked(&mut application, "flash crc\n"), "flash=ok\r\n");
    assert_eq!(asked(&mut application, "button\n"), "button=released\r\n");
    assert_eq!(asked(&mut application, "make coffee\n"), "ERR unknown\r\n");
    assert_eq!(asked(&mut application, "finish\n"), "SELFTEST PASS\r\n");
}

#[test]
fn a_unit_says_the_same_every_time_and_not_what_others_say() {
    let session = |seed, unit| {
        let mut application = started(&AppScript::demo(), seed, unit);
        said(&mut application, SECOND);
        ["adc vdd\n", "adc vdd\n", "temp\n"]
            .map(|line| asked(&mut application, line))
            .concat()
    };
    assert_eq!(session(1, 1), session(1, 1));
    assert_ne!(session(1, 1), session(1, 2));
    assert_ne!(session(1, 1), session(2, 1));
}

#[test]
fn a_restart_begins_the_session_anew() {
    let mut application = started(&AppScript::demo(), 1, 1);
    said(&mut application, SECOND);
    let first = asked(&mut application, "adc vdd\n");
    application.begin(0, board(), |_| String::new());
    said(&mut application, SECOND);
    assert_eq!(asked(&mut application, "adc vdd\n"), first);
}

const HALF_OUTSIDE: &str = r#"
[[command]]
send = "v"
answer = "v={value}"
value = { mean = 10, sigma = 1, decimals = 2 }
min = 9
max = 11
outside = 0.5
[[command]]
send = "end"
answer = "PASS"
otherwise = "FAIL"
"#;

#[test]
fn a_bad_unit_stays_bad_and_says_so_at_the_end() {
    let script = AppScript::parse(HALF_OUTSIDE).unwrap();
    let mut bad = 0;
    for unit in 0..400 {
        let mut application = started(&script, 7, unit);
        let outside: Vec<bool> = (0..4)
            .map(|_| !(9.0..=11.0).contains(&number(&asked(&mut application, "v\n"))))
            .collect();
        assert!(
            outside.iter().all(|one| *one == outside[0]),
            "unit {unit}: {outside:?}"
        );
        let end = asked(&mut application, "end\n");
        assert_eq!(end, if outside[0] { "FAIL\r\n" } else { "PASS\r\n" });
        bad += u32::from(outside[0]);
    }
    assert!((160..240).contains(&bad), "{bad} of 400 units are bad");
}

#[test]
fn values_follow_their_distribution() {
    let script = AppScript::parse(
        r#"
        [[command]]
        send = "normal"
        answer = "{value}"
        value = { mean = -50, sigma = 4 }
        [[command]]
        send = "uniform"
        answer = "{value}"
        value = { uniform = [2, 3], decimals = 3 }
        [[command]]
        send = "list"
        answer = "{value}"
        value = { list = ["red", 7, true] }
        [[command]]
        send = "constant"
        answer = "{value}"
        value = 1.5
        "#,
    )
    .unwrap();
    let mut application = started(&script, 1, 1);
    let mut draw = |line: &str| -> Vec<f64> {
        (0..500)
            .map(|_| number(&asked(&mut application, line)))
            .collect()
    };
    let normal = draw("normal\n");
    let mean = normal.iter().sum::<f64>() / 500.0;
    let spread = normal
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / 500.0;
    assert!((mean + 50.0).abs() < 1.0 && (spread.sqrt() - 4.0).abs() < 0.8);
    assert!(
        draw("uniform\n")
            .iter()
            .all(|value| (2.0..=3.0).contains(value))
    );
    assert!(draw("constant\n").iter().all(|value| *value == 1.5));
    for _ in 0..50 {
        let word = asked(&mut application, "list\n");
        assert!(
            ["red\r\n", "7\r\n", "true\r\n"].contains(&word.as_str()),
            "{word}"
        );
    }
}

#[test]
fn patterns_hand_their_groups_to_the_answer() {
    let script = AppScript::parse(
        r#"
        boot = ["serial {flash@0x3f0000:32} {{unit {unit}}}"]
        [[command]]
        pattern = 'led (\w+) (on|off)'
        answer = "{1} is {2}"
        delay_ms = 250
        "#,
    )
    .unwrap();
    let mut application = started(&script, 1, 9);
    assert_eq!(
        said(&mut application, SECOND),
        "serial text at 4128768 {unit 9}\r\n"
    );
    b"led red on\n"
        .iter()
        .for_each(|byte| application.hear(SECOND, *byte));
    assert_eq!(application.due(), Some(SECOND + 250_000_000));
    assert_eq!(said(&mut application, 2 * SECOND), "red is on\r\n");
    assert_eq!(
        asked(&mut application, "please led red on\n"),
        "ERR unknown\r\n"
    );
}

fn failing(how: &str) -> AppScript {
    let head = format!("unattended = {}\n[failing]\n{how} = 1.0\n", how == "crash");
    let body = "[[command]]\nsend = \"ping\"\nanswer = \"pong pong\"\n";
    AppScript::parse(&format!("boot = [\"hello\"]\n{head}{body}{body}{body}")).unwrap()
}

#[test]
fn failing_units_fail_in_their_own_way() {
    let mut dead = started(&failing("never_boots"), 1, 1);
    assert_eq!(asked(&mut dead, "ping\n"), "");
    let mut silent = started(&failing("silent"), 1, 1);
    assert_eq!(asked(&mut silent, "ping\n"), "hello\r\n");
    let mut noisy = started(&failing("garbage"), 1, 1);
    let mut noise = Vec::new();
    noisy.speak(SECOND, &mut noise);
    assert_eq!(noise.len(), "hello\r\n".len());
    assert!(noise.iter().all(|byte| *byte >= 0x80));
}

#[test]
fn a_crashing_unit_breaks_off_and_boots_again() {
    for unit in 0..20 {
        let mut application = started(&failing("crash"), 1, unit);
        let text = said(&mut application, 100 * SECOND);
        assert!(text.contains("pong\r\nabort() was called"), "{text}");
        assert_eq!(text.matches("hello").count(), 2, "{text}");
        assert_eq!(application.due(), None);
    }
}

#[test]
fn an_unattended_script_runs_to_its_verdict_by_itself() {
    let script = AppScript::parse(&format!("unattended = true\n{HALF_OUTSIDE}")).unwrap();
    let text = said(&mut started(&script, 1, 1), SECOND);
    assert!(text.starts_with("v="), "{text}");
    assert!(
        text.ends_with("PASS\r\n") || text.ends_with("FAIL\r\n"),
        "{text}"
    );
}

#[test]
fn a_flood_of_commands_and_endless_lines_take_no_memory() {
    let mut application = started(&AppScript::demo(), 1, 1);
    for _ in 0..100_000 {
        b"ram test\n"
            .iter()
            .for_each(|byte| application.hear(SECOND, *byte));
    }
    assert!(said(&mut application, 2 * SECOND).len() < 4096);
    (0..100_000).for_each(|_| application.hear(SECOND, b'x'));
    assert_eq!(asked(&mut application, "\n"), "ERR line too long\r\n");
}

#[test]
fn what_is_unclear_is_refused_with_its_place() {
    let command = |text: &str| format!("[[command]]\nsend = \"v\"\nanswer = \"a\"\n{text}");
    let cases = [
        ("bauds = 1".to_owned(), "script-syntax", "bauds"),
        ("baud = 1".to_owned(), "script-value", "baud of 1"),
        (
            "boot = [\"{serial}\"]".to_owned(),
            "script-template",
            "boot line 1",
        ),
        (
            "boot = [\"{mac\"]".to_owned(),
            "script-template",
            "without its `}`",
        ),
        (
            "boot = [\"{value}\"]".to_owned(),
            "script-template",
            "no meaning",
        ),
        (
            "boot = [\"{flash@0:9999}\"]".to_owned(),
            "script-template",
            "9999",
        ),
        (command("pattern = \"x\""), "script-value", "command 1 (v)"),
        (
            command("min = 2\nmax = 1"),
            "script-value",
            "`min` below `max`",
        ),
        (command("outside = 0.1"), "script-value", "`outside` needs"),
        (command("value = 1"), "script-value", "does not show"),
        (
            command("value = { mean = 1 }"),
            "script-value",
            "`value` is",
        ),
        (command("value = { mena = 1 }"), "script-value", "mena"),
        (command("delay_ms = 99999999"), "script-value", "delay"),
        (
            "[[command]]\npattern = \"(\"\nanswer = \"\"".to_owned(),
            "script-value",
            "pattern",
        ),
        (
            "[failing]\nsilent = 0.7\ncrash = 0.7".to_owned(),
            "script-value",
            "sum",
        ),
        (" ".repeat(300_000), "script-too-long", "300000"),
    ];
    for (text, code, part) in cases {
        let error = AppScript::parse(&text).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(
            error.to_string().contains(part),
            "{error} does not name {part}"
        );
    }
}

#[test]
fn text_in_flash_is_found_by_offset_and_by_partition() {
    use crate::chip::{Application, BoardFacts};
    use crate::nor::NorFlash;

    let script =
        AppScript::parse("boot = [\"{flash@0x9000:8}/{flash@fctry+4:16}/{flash@gone:4}\"]");
    let mut flash = NorFlash::new(4 << 20);
    let mut entry = vec![0xAA, 0x50, 1, 2];
    entry.extend(0x3F_0000u32.to_le_bytes());
    entry.extend(0x1000u32.to_le_bytes());
    entry.extend(b"fctry\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    flash.load(0x8000, &entry).unwrap();
    flash.load(0x9000, b"ABCDEFGHIJ").unwrap();
    flash.load(0x3F_0004, b"SN26-000017\0rest").unwrap();
    let config = crate::chip::ChipConfig::new(station_esp::Chip::Esp32C3, 1, 1);
    let mut application = ScriptedApplication::new(script.unwrap(), 1, 1);
    let facts = BoardFacts {
        chip: config.chip,
        revision: station_esp::Revision { major: 0, minor: 4 },
        mac: config.mac,
        flash: &flash,
    };
    application.start(0, &facts);
    assert_eq!(said(&mut application, SECOND), "ABCDEFGH/SN26-000017/\r\n");
}
