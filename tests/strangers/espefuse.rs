//! Unmodified espefuse burns every virtual chip's eFuses, and refuses what it would refuse on a real one.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Fleet, FleetOptions, Ran, stranger};

/// One board, as espefuse reaches it.
struct Board {
    fleet: Fleet,
    chip: &'static str,
}

impl Board {
    fn new(chip: &'static str) -> Self {
        Self {
            fleet: Fleet::of(chip, 1),
            chip,
        }
    }

    fn faulty(chip: &'static str, faults: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faults.toml");
        std::fs::write(&path, faults).unwrap();
        let fleet = Fleet::with(&FleetOptions {
            chip,
            count: 1,
            more: vec!["--faults".into(), path.display().to_string()],
        });
        Self { fleet, chip }
    }

    fn run(&self, module: &str, options: &[&str], commands: &[&str]) -> Ran {
        let port = format!("socket://{}", self.fleet.tcp(1));
        let mut arguments = vec!["--chip", self.chip, "--port", &port, "--before", "no-reset"];
        arguments.extend(options);
        arguments.extend(commands);
        stranger(module, &arguments)
    }

    /// Runs commands of espefuse one after the other in one process.
    fn espefuse(&self, commands: &[&str]) -> Ran {
        self.run("espefuse", &["--do-not-confirm"], commands)
    }

    fn esptool(&self, commands: &[&str]) -> Ran {
        self.run("esptool", &["--after", "no-reset"], commands)
    }

    /// Commands that must not work, and the words in which espefuse says why.
    fn refuses(&self, commands: &[&str], why: &str) {
        let ran = self.espefuse(commands).expect(2);
        let said = words(&ran.err);
        assert!(
            said.contains("fatal error") && said.contains(why),
            "{} {commands:?}: {said}",
            self.chip
        );
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.fleet.folder().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    /// Every field as espefuse reads it: value, and whether it can be read and written.
    fn summary(&self) -> BTreeMap<String, (Value, bool, bool)> {
        let path = self.fleet.folder().join("summary.json");
        let file = path.display().to_string();
        self.espefuse(&["summary", "--format", "json", "--file", &file])
            .expect(0);
        let text = std::fs::read_to_string(path).unwrap();
        let fields: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
        let flag = |field: &Value, name: &str| field[name].as_bool().unwrap();
        fields
            .into_iter()
            .map(|(name, field)| {
                let (readable, writeable) = (flag(&field, "readable"), flag(&field, "writeable"));
                (name, (field["value"].clone(), readable, writeable))
            })
            .collect()
    }

    fn shows_its_mac(&self) {
        let summary = self.summary();
        let shown = summary["MAC"].0.as_str().unwrap();
        assert!(shown.contains(self.fleet.mac(1)), "{shown}");
    }

    /// Takes the board's power away and gives it back.
    fn cycle_power(&self) {
        self.told(&["power off", "power on"]);
    }

    /// Has the board do what its control socket is told.
    fn told(&self, orders: &[&str]) {
        let path = self.fleet.folder().join("bays/bay1.ctl");
        let mut hand = UnixStream::connect(path).unwrap();
        let mut answers = BufReader::new(hand.try_clone().unwrap()).lines();
        for order in orders {
            writeln!(hand, "{order}").unwrap();
            assert_eq!(answers.next().unwrap().unwrap(), "ok");
        }
    }
}

/// A text with its white space and frames evened out: espefuse breaks its lines anywhere.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A key that is no palindrome.
fn key(seed: u8, length: u8) -> Vec<u8> {
    (0..length)
        .map(|at| at.wrapping_mul(7).wrapping_add(seed))
        .collect()
}

/// Bytes as espefuse prints a block.
fn shown(bytes: &[u8]) -> Value {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ").into()
}

/// Keys for signing, made once for the whole file.
fn signing_key(scheme: &str) -> PathBuf {
    static FOLDER: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        for scheme in ["rsa3072", "ecdsa256"] {
            let path = folder.path().join(scheme).display().to_string();
            let command = [
                "generate-signing-key",
                "--version",
                "2",
                "--scheme",
                scheme,
                &path,
            ];
            stranger("espsecure", &command).expect(0);
        }
        folder
    });
    folder.path().join(scheme)
}

/// What is burned into a chip with eleven blocks or ten; names differ a little from chip to chip.
struct Names {
    /// A field of one bit whose group the test leaves open, and one whose group it closes.
    flag: &'static str,
    closed: &'static str,
    /// The kind of key that signs for this chip.
    signs: &'static str,
    voltage: bool,
}

fn names(chip: &str) -> Names {
    Names {
        flag: "DIS_FORCE_DOWNLOAD",
        closed: "UART_PRINT_CONTROL",
        signs: match chip {
            "esp32c5" | "esp32c6" | "esp32s2" | "esp32s3" | "esp32c3" | "esp32h2" | "esp32p4" => {
                "rsa3072"
            }
            _ => "ecdsa256",
        },
        voltage: matches!(chip, "esp32s2" | "esp32s3"),
    }
}

/// The whole life of a chip's fuses under espefuse: burned, read, power-cycled, refused, and the chip is still one.
fn later_chip(chip: &'static str) {
    let board = Board::new(chip);
    let names = names(chip);
    let pem = signing_key(names.signs).display().to_string();
    let (hidden, open, data) = (key(1, 32), key(2, 32), key(3, 32));
    let (hidden_file, open_file) = (board.file("hidden", &hidden), board.file("open", &open));
    let data_file = board.file("data", &data);
    board.shows_its_mac();
    let mut commands = vec!["adc-info", "check-error"];
    if names.voltage {
        commands.extend(["set-flash-voltage", "3.3V"]);
    }
    commands.extend(["burn-efuse", names.flag, "1"]);
    commands.extend(["burn-bit", "BLOCK_KEY4", "0", "7", "100", "255"]);
    commands.extend(["burn-block-data", "BLOCK_USR_DATA", &data_file]);
    commands.extend(["burn-key", "BLOCK_KEY0", &hidden_file, "XTS_AES_128_KEY"]);
    board.espefuse(&commands).expect(0);
    // A secret that software may still read for now: only such a slot can be hidden later.
    let purpose = "XTS_AES_128_KEY";
    let readable = [
        "burn-key",
        "--no-read-protect",
        "BLOCK_KEY1",
        &open_file,
        purpose,
    ];
    board.espefuse(&readable).expect(0);
    let burned = board.summary();
    assert_eq!(burned[names.flag].0, Value::Bool(true), "{chip}");
    let mut bits = [0; 32];
    (bits[0], bits[12], bits[31]) = (0x81, 0x10, 0x80);
    assert_eq!(burned["BLOCK_KEY4"], (shown(&bits), true, true), "{chip}");
    assert_eq!(burned["BLOCK_USR_DATA"].0, shown(&data), "{chip}");
    let stored: Vec<u8> = open.iter().rev().copied().collect();
    assert_eq!(
        burned["BLOCK_KEY1"],
        (shown(&stored), true, false),
        "{chip}"
    );
    assert!(!burned["BLOCK_KEY0"].1 && !burned["BLOCK_KEY0"].2, "{chip}");
    assert_eq!(burned["KEY_PURPOSE_0"].0, "XTS_AES_128_KEY", "{chip}");
    assert!(!burned["KEY_PURPOSE_0"].2, "{chip}");
    let digest = ["burn-key-digest", "BLOCK_KEY2", &pem, "SECURE_BOOT_DIGEST0"];
    let hide = ["read-protect-efuse", "BLOCK_KEY1"];
    let close = ["write-protect-efuse", names.closed, "BLOCK_USR_DATA"];
    board
        .espefuse(&[&close[..], &digest, &hide].concat())
        .expect(0);
    let closed = board.summary();
    assert!(!closed["BLOCK_KEY1"].1 && !closed[names.closed].2, "{chip}");
    assert_eq!(closed["KEY_PURPOSE_2"].0, "SECURE_BOOT_DIGEST0", "{chip}");
    assert!(closed["BLOCK_KEY2"].1 && !closed["BLOCK_KEY2"].2, "{chip}");
    board.cycle_power();
    board.refuses(
        &["burn-key", "BLOCK_KEY0", &open_file, "XTS_AES_128_KEY"],
        "is read-protected",
    );
    board.refuses(&["burn-efuse", names.closed, "1"], "write-protected");
    board.refuses(
        &["burn-block-data", "BLOCK_USR_DATA", &open_file],
        "is not possible",
    );
    board.refuses(&["burn-bit", "BLOCK_KEY4", "1"], "is forbidden");
    assert_eq!(board.summary(), closed, "{chip}: nothing was burned");
    still_a_chip(&board);
}

/// The ESP32: four blocks, fixed slots, one command for all of them.
fn first_chip() {
    let board = Board::new("esp32");
    let pem = signing_key("rsa3072").display().to_string();
    let (hidden, data) = (key(1, 32), key(3, 32));
    let (hidden_file, data_file) = (board.file("hidden", &hidden), board.file("data", &data));
    board.shows_its_mac();
    let mut commands = vec!["adc-info", "check-error", "set-flash-voltage", "3.3V"];
    commands.extend(["burn-efuse", "JTAG_DISABLE", "1"]);
    commands.extend(["burn-key", "flash_encryption", &hidden_file]);
    commands.extend(["burn-key-digest", &pem]);
    commands.extend(["burn-block-data", "BLOCK3", &data_file]);
    board.espefuse(&commands).expect(0);
    let burned = board.summary();
    assert_eq!(burned["JTAG_DISABLE"].0, Value::Bool(true));
    assert_eq!(burned["XPD_SDIO_FORCE"].0, Value::Bool(true));
    assert!(!burned["BLOCK1"].1 && !burned["BLOCK1"].2);
    assert!(burned["BLOCK2"].1 && !burned["BLOCK2"].2);
    assert_eq!(burned["BLOCK3"], (shown(&data), true, true));
    // Uncoded fuses can gain bits at any time.
    board.espefuse(&["burn-bit", "BLOCK3", "2", "30"]).expect(0);
    let mut data = data;
    data[0] |= 4;
    data[3] |= 0x40;
    assert_eq!(board.summary()["BLOCK3"].0, shown(&data));
    let close = ["write-protect-efuse", "JTAG_DISABLE", "BLOCK3"];
    board.espefuse(&close).expect(0);
    board.cycle_power();
    let closed = board.summary();
    board.refuses(
        &["burn-key", "flash_encryption", &data_file],
        "is read-protected",
    );
    board.refuses(&["burn-efuse", "JTAG_DISABLE", "0"], "not accepted");
    board.refuses(&["burn-bit", "BLOCK3", "5"], "is write-protected");
    assert_eq!(board.summary(), closed);
    still_a_chip(&board);
}

/// The ESP32-C2: one key block in two halves, burned together.
fn halved_chip() {
    let board = Board::new("esp32c2");
    let pem = signing_key("ecdsa256").display().to_string();
    let (low, data) = (key(1, 16), key(3, 32));
    let (low_file, data_file) = (board.file("low", &low), board.file("data", &data));
    board.shows_its_mac();
    let purpose = "XTS_AES_128_KEY_DERIVED_FROM_128_EFUSE_BITS";
    let mut commands = vec![
        "adc-info",
        "check-error",
        "burn-efuse",
        "DIS_DOWNLOAD_ICACHE",
        "1",
    ];
    commands.extend(["burn-bit", "BLOCK1", "1", "64"]);
    commands.extend(["burn-key", "BLOCK_KEY0", &low_file, purpose]);
    commands.extend(["burn-key-digest", &pem]);
    board.espefuse(&commands).expect(0);
    let burned = board.summary();
    assert_eq!(burned["DIS_DOWNLOAD_ICACHE"].0, Value::Bool(true));
    assert!(!burned["BLOCK_KEY0_LOW_128"].1, "{burned:?}");
    assert!(burned["BLOCK_KEY0_HI_128"].1, "{burned:?}");
    board.cycle_power();
    let close = ["write-protect-efuse", "UART_PRINT_CONTROL", "CUSTOM_MAC"];
    board.espefuse(&close).expect(0);
    let closed = board.summary();
    board.refuses(
        &["burn-key", "BLOCK_KEY0", &data_file, "USER"],
        "cannot be cleared",
    );
    board.refuses(
        &["burn-efuse", "UART_PRINT_CONTROL", "1"],
        "write-protected",
    );
    board.refuses(&["burn-bit", "BLOCK1", "5"], "is write-protected");
    assert_eq!(board.summary(), closed);
    still_a_chip(&board);
}

/// esptool finds the chip and writes its flash.
fn still_a_chip(board: &Board) {
    let image = board.file("image", &key(9, 255));
    let said = board.esptool(&["write-flash", "0x10000", &image]).expect(0);
    assert!(said.out.contains("Hash of data verified"), "{}", said.out);
}

macro_rules! every_chip {
    ($($chip:ident)*) => { $(
        #[test]
        fn $chip() {
            later_chip(stringify!($chip));
        }
    )* };
}

mod burns_reads_and_refuses {
    use super::*;
    every_chip!(esp32s2 esp32s3 esp32c3 esp32c5 esp32c6 esp32c61 esp32h2 esp32h4 esp32p4 esp32s31);

    #[test]
    fn esp32() {
        first_chip();
    }

    #[test]
    fn esp32c2() {
        halved_chip();
    }
}

/// Secure download mode: espefuse ends well, and finds the door closed when it comes back.
fn secure_download(chip: &'static str) {
    let board = Board::new(chip);
    let ran = board
        .espefuse(&["burn-efuse", "ENABLE_SECURITY_DOWNLOAD", "1"])
        .expect(0);
    assert!(ran.out.contains("Successful"), "{chip}: {}", ran.out);
    // That for the ESP32-P4 stumbles over the closed door before it sees it.
    let why = if chip == "esp32p4" {
        "Failed to read"
    } else {
        "Secure Download Mode"
    };
    board.refuses(&["summary"], why);
    let said = board
        .esptool(&["--no-stub", "get-security-info"])
        .expect(0)
        .out;
    assert!(said.contains("in Secure Download Mode"), "{chip}: {said}");
    board.esptool(&["--no-stub", "read-mac"]).expect(2);
}

mod secure_download_mode_ends_espefuse {
    use super::*;

    macro_rules! every {
        ($($chip:ident)*) => { $(
            #[test]
            fn $chip() {
                secure_download(stringify!($chip));
            }
        )* };
    }

    every!(esp32s2 esp32s3 esp32c2 esp32c3 esp32c5 esp32c6 esp32c61 esp32h2 esp32h4 esp32p4 esp32s31);
}

#[test]
fn a_chip_whose_download_mode_is_burned_away_says_nothing_more() {
    let board = Board::new("esp32c3");
    let ran = board
        .espefuse(&["burn-efuse", "DIS_DOWNLOAD_MODE", "1"])
        .expect(0);
    assert!(
        ran.out.contains("This is the correct behavior"),
        "{}",
        ran.out
    );
}

#[test]
fn an_esp32_without_its_download_mode_goes_silent_with_the_next_reset() {
    let board = Board::new("esp32");
    board
        .espefuse(&["burn-efuse", "UART_DOWNLOAD_DIS", "1"])
        .expect(0);
    assert_eq!(board.summary()["UART_DOWNLOAD_DIS"].0, Value::Bool(true));
    board.cycle_power();
    board.espefuse(&["summary"]).expect(2);
}

#[test]
fn weak_fuses_are_burned_again_and_stuck_ones_are_reported() {
    let board = Board::faulty(
        "esp32s3",
        "[fuses]\nweak = [{ block = 4, bit = 1, pulses = 2 }, { block = 0, bit = 46, pulses = 2 }]",
    );
    let file = board.file("key", &[0xFF; 32]);
    board
        .espefuse(&["burn-key", "BLOCK_KEY0", &file, "USER"])
        .expect(0);
    board.espefuse(&["burn-efuse", "DIS_TWAI", "1"]).expect(0);
    assert_eq!(board.summary()["BLOCK_KEY0"].0, shown(&[0xFF; 32]));
    let board = Board::faulty("esp32s3", "[fuses]\nstuck = [{ block = 4, bit = 1 }]");
    let file = board.file("key", &[0xFF; 32]);
    let ran = board.espefuse(&["burn-key", "BLOCK_KEY0", &file, "USER"]);
    assert_ne!(ran.code, 0, "{}", ran.out);
}

#[test]
fn coding_errors_of_every_chip_are_found_by_check_error() {
    for (chip, block) in [
        ("esp32s2", 4),
        ("esp32s3", 4),
        ("esp32c2", 3),
        ("esp32c3", 4),
        ("esp32c5", 9),
        ("esp32c6", 5),
        ("esp32c61", 6),
        ("esp32h2", 7),
        ("esp32h4", 8),
        ("esp32p4", 3),
        ("esp32s31", 8),
    ] {
        let bits: Vec<String> = (0..9)
            .map(|byte| format!("{{ block = {block}, bit = {} }}", byte * 8))
            .collect();
        let board = Board::faulty(chip, &format!("[fuses]\nmisread = [{}]", bits.join(", ")));
        let ran = board.espefuse(&["check-error"]).expect(2);
        assert!(
            ran.out.contains("FAIL:1") || ran.out.contains("FAIL:True"),
            "{chip}: {}",
            ran.out
        );
    }
}

#[test]
fn what_the_chip_encrypted_with_the_key_in_its_fuses_espsecure_decrypts() {
    for chip in ["esp32c3", "esp32s3"] {
        let board = Board::new(chip);
        let secret = board.file("key", &key(5, 32));
        let plain = key(6, 255).repeat(16)[..4064].to_vec();
        let image = board.file("image", &plain);
        let purpose = "XTS_AES_128_KEY";
        board
            .espefuse(&["burn-key", "BLOCK_KEY0", &secret, purpose])
            .expect(0);
        board
            .espefuse(&["burn-efuse", "SPI_BOOT_CRYPT_CNT", "1"])
            .expect(0);
        board
            .esptool(&["write-flash", "--encrypt", "0x10000", &image])
            .expect(0);
        let read = board.file("read", &[]);
        board
            .esptool(&["read-flash", "0x10000", "4064", &read])
            .expect(0);
        assert_ne!(std::fs::read(&read).unwrap(), plain, "{chip}");
        let back = board.file("back", &[]);
        let decrypt = ["decrypt-flash-data", "--aes-xts", "--keyfile", &secret];
        let what = ["--address", "0x10000", "--output", &back, &read];
        stranger("espsecure", &[&decrypt[..], &what].concat()).expect(0);
        assert_eq!(std::fs::read(&back).unwrap(), plain, "{chip}");
    }
}

#[test]
fn what_we_have_the_chip_encrypt_leaves_the_same_flash_as_esptools_write() {
    let station = crate::support::TestStation::new();
    for chip in ["esp32", "esp32c2", "esp32c3", "esp32s3", "esp32c6"] {
        let board = Board::new(chip);
        let secret = board.file("key", &key(5, 32));
        // No whole block, and erased flash in the middle.
        let mut plain = key(6, 255).repeat(40)[..9_001].to_vec();
        plain[4096..8192].fill(0xFF);
        let image = board.file("image.bin", &plain);
        let burn: &[&str] = match chip {
            "esp32" => &["burn-key", "flash_encryption", &secret],
            _ => &["burn-key", "BLOCK_KEY0", &secret, "XTS_AES_128_KEY"],
        };
        board.espefuse(burn).expect(0);
        if chip == "esp32" {
            let config = ["burn-efuse", "FLASH_CRYPT_CONFIG", "0xf"];
            board.espefuse(&config).expect(0);
        }
        let mut found = Vec::new();
        for ours in [false, true] {
            board
                .esptool(&["erase-region", "0x10000", "0x4000"])
                .expect(0);
            if ours {
                let port = board.fleet.pty(1).display().to_string();
                let write = ["flash", "write", &image, "--at", "0x10000", "--encrypt"];
                let told = station.run(&[&write[..], &["--port", &port, "--json"]].concat());
                let told = told.expect(0).json();
                assert_eq!(told["images"][0]["verified"], false, "{chip}: {told}");
                // It started its application; esptool cannot ask for the loader over a bare socket.
                board.told(&["reset download"]);
            } else {
                board
                    .esptool(&["write-flash", "--encrypt", "0x10000", &image])
                    .expect(0);
            }
            let read = board.file("read", &[]);
            board
                .esptool(&["read-flash", "0x10000", "0x4000", &read])
                .expect(0);
            found.push(std::fs::read(&read).unwrap());
        }
        assert_ne!(found[0][..4096], plain[..4096], "{chip}");
        assert!(found[0] == found[1], "{chip}");
    }
}
