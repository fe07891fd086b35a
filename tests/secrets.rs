//! No key leaves the station but into its chip: whatever a run and the key operations print, log or record is
//! searched for the bytes of every key, in every form in which they could be written.

use std::fmt::Write;
use std::path::Path;
use std::process::Stdio;

use regex::bytes::Regex;
use serde_json::json;
use station_esp::secret::Secret;
use station_line::keys::KeyStore;

use crate::support::{Client, Ran, TestStation, finish};

/// Bytes that are looked for together: short enough that half a key is found as well, long enough that chance
/// does not find them.
const WINDOW: usize = 8;

/// Every way to write `bytes` that a program has been known to print.
fn forms(bytes: &[u8]) -> Vec<String> {
    let mut forms = Vec::new();
    let listed: Vec<String> = bytes.iter().map(u8::to_string).collect();
    let hexed: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    for separator in ["", " ", ":", ", ", ",0x", ", 0x", "\\x"] {
        forms.push(hexed.join(separator));
        forms.push(hexed.join(separator).to_uppercase());
    }
    forms.push(listed.join(","));
    forms.push(listed.join(", "));
    let words: Vec<u32> = bytes
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
        .collect();
    for separator in [",", ", ", " ", ", 0x"] {
        let hexed: Vec<String> = words.iter().map(|word| format!("{word:08x}")).collect();
        let listed: Vec<String> = words.iter().map(u32::to_string).collect();
        forms.push(hexed.join(separator));
        forms.push(hexed.join(separator).to_uppercase());
        forms.push(listed.join(separator));
    }
    forms
}

/// The characters of a base64 text that depend on `bytes` alone, for each of the three ways they can lie.
fn base64(bytes: &[u8]) -> Vec<String> {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (0..3)
        .map(|shift| {
            let mut padded = vec![0; shift];
            padded.extend(bytes);
            let whole = padded.len() / 3 * 3;
            let text: String = padded[..whole]
                .chunks(3)
                .flat_map(|part| {
                    let bits =
                        u32::from(part[0]) << 16 | u32::from(part[1]) << 8 | u32::from(part[2]);
                    [18, 12, 6, 0].map(|place| char::from(SIGNS[(bits >> place & 63) as usize]))
                })
                .collect();
            text[if shift == 0 { 0 } else { 4 }..].to_owned()
        })
        .collect()
}

/// A pattern that matches any form of any part of the keys.
fn needles(keys: &[Secret]) -> Regex {
    let mut any = Vec::new();
    let mut raw = |bytes: &[u8]| {
        let mut pattern = String::new();
        for byte in bytes {
            let _infallible = write!(pattern, "\\x{byte:02x}");
        }
        any.push(pattern);
    };
    let mut texts = Vec::new();
    for key in keys {
        let there = key.expose().to_vec();
        let back: Vec<u8> = there.iter().rev().copied().collect();
        for bytes in [there, back] {
            let last = bytes.len() - WINDOW;
            for at in (0..=last).step_by(WINDOW / 2) {
                raw(&bytes[at..at + WINDOW]);
                texts.extend(forms(&bytes[at..at + WINDOW]));
            }
            texts.extend(base64(&bytes[..24.min(bytes.len())]));
            texts.extend(base64(&bytes[bytes.len().saturating_sub(24)..]));
        }
    }
    any.extend(texts.iter().map(|text| regex::escape(text)));
    regex::bytes::RegexBuilder::new(&format!("(?-u){}", any.join("|")))
        .size_limit(256 << 20)
        .build()
        .unwrap()
}

/// Everything that was said, with where.
#[derive(Default)]
struct Heard(Vec<(String, Vec<u8>)>);

impl Heard {
    fn ran(&mut self, what: &str, ran: Ran) {
        self.0
            .push((format!("{what}: stdout"), ran.out.into_bytes()));
        self.0
            .push((format!("{what}: stderr"), ran.err.into_bytes()));
    }

    fn file(&mut self, path: &Path) {
        let read = std::fs::read(path).unwrap();
        self.0.push((path.display().to_string(), read));
    }

    fn assert_silent_about(&self, keys: &[Secret]) {
        let needles = needles(keys);
        for (place, said) in &self.0 {
            let found = needles.find(said).map(|found| found.start());
            assert_eq!(found, None, "{place} holds a part of a key at this byte");
        }
    }
}

const STEPS: &str = r#"
[[step]]
name = "hmac"
key = { purpose = "HMAC_UP", source = "generate", name = "hmac" }

[[step]]
name = "given"
key = { purpose = "USER", source = { file = "given.bin" }, name = "given", read_protect = false }

[[step]]
name = "encryption"
flash_encryption = { mode = "development", content = "host", images = ["bootloader", "table", "app"], key = { kind = "xts128", source = "generate", name = "flash" } }
"#;

/// Runs a command that says as much as it can.
fn loud(station: &TestStation, code: i32, arguments: &[&str]) -> Ran {
    let mut command = station.command(arguments);
    command
        .env("STATION_LOG", "trace")
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "full");
    finish(&mut command).expect(code)
}

#[test]
fn a_search_finds_a_key_in_every_form() {
    let key = Secret::new((0..32).map(|byte| byte * 7 + 3).collect());
    let needles = needles(std::slice::from_ref(&key));
    let bytes = key.expose();
    let words: Vec<u32> = bytes
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
        .collect();
    let shown = [
        format!("key {}", hex::encode(bytes)),
        hex::encode_upper(&bytes[5..20]),
        format!("{bytes:?}"),
        format!("{words:x?}"),
        format!("{words:?}"),
        format!("x{}", base64(bytes)[0]),
    ];
    for text in shown {
        assert!(needles.is_match(text.as_bytes()), "{text}");
    }
    assert!(needles.is_match(&[b"raw ", bytes].concat()));
    assert!(!needles.is_match(b"Secret(32 bytes) 0123456789abcdef"));
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one station, one record, everything that can be asked of it"
)]
fn no_key_is_printed_logged_or_recorded() {
    let station = TestStation::new();
    let given: Vec<u8> = (0..32_u8)
        .map(|byte| byte.wrapping_mul(37).wrapping_add(11))
        .collect();
    station.write("given.bin", &given);
    let recipe = station.derived("demo.toml", &[]);
    let text = std::fs::read_to_string(&recipe).unwrap();
    std::fs::write(&recipe, text + STEPS).unwrap();
    let mut heard = Heard::default();

    // A reader that stays keeps the log of the database from being folded into it and removed.
    let _made = loud(
        &station,
        0,
        &["keys", "generate", "boot", "--kind", "ecdsa-p256"],
    );
    let reader = station.record();
    reader
        .sql()
        .execute_batch("BEGIN; SELECT count(*) FROM event;")
        .unwrap();

    heard.ran("check", loud(&station, 0, &["check", &recipe]));
    heard.ran(
        "run",
        loud(&station, 0, &["run", &recipe, "--virtual", "2", "--plain"]),
    );
    heard.ran(
        "run as JSON",
        loud(&station, 0, &["run", &recipe, "--virtual", "1", "--json"]),
    );
    heard.ran(
        "import",
        loud(
            &station,
            0,
            &[
                "keys",
                "import",
                "extra",
                "--kind",
                "hmac",
                "--file",
                "given.bin",
            ],
        ),
    );
    for json in [false, true] {
        let ask = |code, arguments: &[&str]| {
            let mut arguments = arguments.to_vec();
            arguments.extend(json.then_some("--json"));
            loud(&station, code, &arguments)
        };
        heard.ran("list", ask(0, &["keys", "list"]));
        heard.ran("escrow", ask(0, &["keys", "escrow"]));
        heard.ran(
            "again",
            ask(0, &["keys", "generate", "boot", "--kind", "ecdsa-p256"]),
        );
        heard.ran(
            "other",
            ask(
                50,
                &[
                    "keys",
                    "import",
                    "boot",
                    "--kind",
                    "hmac",
                    "--file",
                    "given.bin",
                ],
            ),
        );
        heard.ran(
            "forget",
            ask(70, &["keys", "forget", "given", "--reason", "a test"]),
        );
        let key = "BLOCK_KEY5:USER=store:given,readable";
        heard.ran(
            "plan",
            ask(
                0,
                &[
                    "efuse",
                    "plan",
                    "--port",
                    "virtual:1",
                    "--key",
                    key,
                    "--accept",
                    "unprotected-key",
                ],
            ),
        );
        heard.ran(
            "burn",
            ask(
                70,
                &[
                    "efuse",
                    "burn",
                    "--port",
                    "virtual:1",
                    "--key",
                    key,
                    "--accept",
                    "unprotected-key",
                ],
            ),
        );
        let long = format!("free:XTS_AES_128_KEY=file:{recipe}");
        heard.ran(
            "refused",
            ask(
                70,
                &["efuse", "plan", "--port", "virtual:1", "--key", &long],
            ),
        );
        let digest = ["security", "public-key-digest", "--key", "boot"];
        heard.ran("digest", ask(0, &digest));
        let out = if json { "one.bin" } else { "two.bin" };
        heard.ran(
            "sign",
            ask(
                0,
                &[
                    "security",
                    "sign",
                    "given.bin",
                    "--key",
                    "boot",
                    "--out",
                    out,
                ],
            ),
        );
        heard.ran(
            "wrong",
            ask(
                2,
                &[
                    "security",
                    "sign",
                    "given.bin",
                    "--key-file",
                    "given.bin",
                    "--append",
                    "--out",
                    "x",
                ],
            ),
        );
    }
    let mut client = Client::of(&station);
    for (tool, parameters) in [
        ("esp_key_list", json!({})),
        (
            "esp_key_generate",
            json!({"name": "boot", "kind": "ecdsa-p256"}),
        ),
        (
            "esp_efuse_burn",
            json!({"port": "virtual:1", "key": ["free:HMAC_UP=store:given"]}),
        ),
        ("unit_quarantine_list", json!({})),
    ] {
        let answer = client.call(tool, &parameters).to_string();
        heard.0.push((tool.to_owned(), answer.into_bytes()));
    }
    assert_eq!(client.hang_up(), Some(0));

    let journal = station.journal();
    let log = journal.with_file_name("station.db-wal");
    assert!(
        std::fs::metadata(&log).unwrap().len() > 100_000,
        "the log of the database was looked at"
    );
    heard.file(&log);
    heard.file(&journal);

    let store = KeyStore::open(station.folder().join("station.keys")).unwrap();
    let records = store.list().unwrap();
    let mut keys: Vec<Secret> = records
        .iter()
        .filter(|record| record.forgotten.is_none())
        .map(|record| store.reveal(&record.name, &record.owner).unwrap())
        .collect();
    assert!(
        keys.len() >= 8,
        "two keys of each unit, the given one and the pair: {}",
        keys.len()
    );
    keys.push(Secret::new(given));
    heard.assert_silent_about(&keys);
    // What is sealed is sealed: only the identity opens it.
    let mut sealed = Heard::default();
    let mut folders = vec![store.folder().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                sealed.file(&path);
            }
        }
    }
    sealed.assert_silent_about(&keys);
}

/// A server's own words go to standard error, which this client leaves alone; here they are heard.
#[test]
fn a_server_says_nothing_about_keys_on_standard_error() {
    let station = TestStation::new();
    let given: Vec<u8> = (0..32_u8)
        .map(|byte| byte.wrapping_mul(59).wrapping_add(29))
        .collect();
    let file = station.write("given.bin", &given).display().to_string();
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let call = |id: u32, name: &str, arguments: serde_json::Value| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": name, "arguments": arguments}});
    let import = call(
        2,
        "esp_key_import",
        json!({"name": "given", "kind": "hmac", "file": file}),
    );
    let burn = call(
        3,
        "esp_efuse_burn",
        json!({"port": "virtual:1", "key": ["free:HMAC_UP=store:given"]}),
    );
    let mut child = station
        .command(&["mcp", "--virtual", "1"])
        .env("STATION_LOG", "trace")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    let mut from = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut err = child.stderr.take().unwrap();
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut err, &mut text).unwrap();
        text
    });
    let mut heard = Heard::default();
    for (message, answered) in [
        (&hello, true),
        (&ready, false),
        (&import, true),
        (&burn, true),
    ] {
        std::io::Write::write_all(&mut to, format!("{message}\n").as_bytes()).unwrap();
        if answered {
            let mut line = String::new();
            std::io::BufRead::read_line(&mut from, &mut line).unwrap();
            assert!(!line.is_empty(), "the server hung up on {message}");
            heard.0.push(("an answer".to_owned(), line.into_bytes()));
        }
    }
    drop(to);
    assert!(child.wait().unwrap().success());
    let said = errors.join().unwrap();
    assert!(
        !said.is_empty(),
        "a server that logs everything says something"
    );
    heard.0.push(("standard error".to_owned(), said));
    heard.assert_silent_about(&[Secret::new(given)]);
}
