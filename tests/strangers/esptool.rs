//! Unmodified esptool against the virtual chips: every chip, stub and ROM, PTY, TCP and RFC 2217.

use std::path::Path;

use crate::support::{Fleet, FleetOptions, stranger};

/// The twelve chips; esptool 5.6 knows them all.
const CHIPS: [&str; 12] = [
    "esp32", "esp32s2", "esp32s3", "esp32c2", "esp32c3", "esp32c5", "esp32c6", "esp32c61",
    "esp32h2", "esp32h4", "esp32p4", "esp32s31",
];

/// How esptool reaches a board.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Pty,
    Tcp,
    Rfc2217,
}

struct Esptool<'a> {
    fleet: &'a Fleet,
    chip: &'static str,
    way: Way,
    stub: bool,
}

impl Esptool<'_> {
    /// Runs a command and returns what it printed.
    fn run(&self, command: &[&str]) -> String {
        let port = match self.way {
            Way::Pty => self.fleet.pty(1).display().to_string(),
            Way::Tcp => format!("socket://{}", self.fleet.tcp(1)),
            Way::Rfc2217 => format!("rfc2217://{}?ign_set_control", self.fleet.rfc2217(1)),
        };
        let mut arguments = vec!["--chip", self.chip, "--port", &port];
        match self.way {
            Way::Rfc2217 => {}
            Way::Pty | Way::Tcp => {
                arguments.extend(["--before", "no-reset", "--after", "no-reset"]);
            }
        }
        if !self.stub {
            arguments.push("--no-stub");
        }
        arguments.extend(command);
        stranger("esptool", &arguments).expect(0).out
    }
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x1234_5678_u32;
    (0..length)
        .map(|at| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Half of it compresses.
            if at / 512 % 2 == 0 {
                (state >> 24) as u8
            } else {
                0x55
            }
        })
        .collect()
}

fn file(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

fn asks_who_it_is(esptool: &Esptool<'_>) {
    let mac = esptool.fleet.mac(1);
    assert!(
        esptool.run(&["read-mac"]).to_lowercase().contains(mac),
        "{mac}"
    );
    esptool.run(&["chip-id"]);
    assert!(esptool.run(&["flash-id"]).contains("4MB"));
    if esptool.chip != "esp32" {
        esptool.run(&["get-security-info"]);
    }
    esptool.run(&["read-flash-status", "--bytes", "2"]);
}

fn writes_and_reads_back(esptool: &Esptool<'_>) {
    let folder = esptool.fleet.folder();
    let length = if esptool.stub { 70_001 } else { 9_001 };
    let image = file(folder, "image.bin", &noise(length));
    esptool.run(&["write-flash", "0x10000", &image]);
    esptool.run(&["verify-flash", "0x10000", &image]);
    esptool.run(&["write-flash", "--no-compress", "0x40000", &image]);
    let back = folder.join("back.bin").display().to_string();
    let read = if esptool.stub { length } else { 512 };
    esptool.run(&["read-flash", "0x40000", &read.to_string(), &back]);
    assert_eq!(std::fs::read(&back).unwrap(), &noise(length)[..read]);
}

fn erases(esptool: &Esptool<'_>) {
    let folder = esptool.fleet.folder();
    esptool.run(&["erase-region", "0x10000", "0x1000"]);
    let back = folder.join("blank.bin").display().to_string();
    esptool.run(&["read-flash", "0x10000", "4096", &back]);
    assert!(
        std::fs::read(&back)
            .unwrap()
            .iter()
            .all(|byte| *byte == 0xFF)
    );
    esptool.run(&["erase-flash"]);
}

fn whole_round(chip: &'static str, way: Way) {
    let fleet = Fleet::of(chip, 1);
    let stub = Esptool {
        fleet: &fleet,
        chip,
        way,
        stub: true,
    };
    asks_who_it_is(&stub);
    writes_and_reads_back(&stub);
    erases(&stub);
}

fn rom_round(chip: &'static str, way: Way) {
    let fleet = Fleet::of(chip, 1);
    let rom = Esptool {
        fleet: &fleet,
        chip,
        way,
        stub: false,
    };
    asks_who_it_is(&rom);
    writes_and_reads_back(&rom);
}

/// One write: it resets, says the MAC, loads the stub, writes and verifies. pyserial asks for the port's settings
/// again at every change of a timeout, so each command takes many seconds over RFC 2217.
fn rfc2217_round(chip: &'static str) {
    // Strapped to flash: only the modem lines lead into the loader.
    let more = vec!["--strap".into(), "flash".into()];
    let fleet = Fleet::with(&FleetOptions {
        chip,
        count: 1,
        more,
    });
    let esptool = Esptool {
        fleet: &fleet,
        chip,
        way: Way::Rfc2217,
        stub: true,
    };
    let image = file(fleet.folder(), "image.bin", &noise(5_000));
    let said = esptool.run(&["write-flash", "0x10000", &image]);
    assert!(said.to_lowercase().contains(fleet.mac(1)), "{said}");
    assert!(said.contains("Hash of data verified"), "{said}");
}

macro_rules! every_chip {
    ($($chip:ident)*) => { $(
        mod $chip {
            use super::*;

            #[test]
            fn works_with_the_stub_over_tcp() {
                whole_round(stringify!($chip), Way::Tcp);
            }

            #[test]
            fn works_with_the_rom_alone_over_tcp() {
                rom_round(stringify!($chip), Way::Tcp);
            }

            #[test]
            fn works_over_a_pty() {
                let fleet = Fleet::of(stringify!($chip), 1);
                let esptool = Esptool { fleet: &fleet, chip: stringify!($chip), way: Way::Pty, stub: true };
                writes_and_reads_back(&esptool);
            }

            #[test]
            fn is_reset_into_its_bootloader_and_written_over_rfc2217() {
                rfc2217_round(stringify!($chip));
            }
        }
    )* };
}

every_chip!(esp32 esp32s2 esp32s3 esp32c2 esp32c3 esp32c5 esp32c6 esp32c61 esp32h2 esp32h4 esp32p4 esp32s31);

#[test]
fn the_chips_are_found_without_being_told() {
    for chip in CHIPS {
        let fleet = Fleet::of(chip, 1);
        let port = format!("socket://{}", fleet.tcp(1));
        let ran = stranger(
            "esptool",
            &["--port", &port, "--before", "no-reset", "chip-id"],
        )
        .expect(0);
        let title = format!("ESP32{}", chip.trim_start_matches("esp32").to_uppercase());
        let plain = ran.out.replace('-', "");
        assert!(plain.contains(&title), "{chip}: {}", ran.out);
    }
}

#[test]
fn a_ram_image_is_loaded_and_started() {
    let fleet = Fleet::of("esp32c3", 1);
    let folder = fleet.folder();
    let elf = crate::support::root()
        .join("recipes/demo/selftest.elf")
        .display()
        .to_string();
    let image = folder.join("ram.bin").display().to_string();
    // A RAM image needs segments in RAM: esptool makes one from a flat image of code at 0x40380000.
    let code = file(folder, "code.bin", &[0x6F, 0x00, 0x00, 0x00]);
    let mut ram = vec![0xE9, 1, 2, 0x20];
    ram.extend(0x4038_0000_u32.to_le_bytes());
    ram.extend([0xEE, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0]);
    ram.extend(0x4038_0000_u32.to_le_bytes());
    ram.extend(4_u32.to_le_bytes());
    let body = std::fs::read(&code).unwrap();
    ram.extend(&body);
    let checksum = body.iter().fold(0xEF_u8, |sum, byte| sum ^ byte);
    while ram.len() % 16 != 15 {
        ram.push(0);
    }
    ram.push(checksum);
    std::fs::write(&image, &ram).unwrap();
    assert!(Path::new(&elf).exists());
    let port = format!("socket://{}", fleet.tcp(1));
    stranger(
        "esptool",
        &[
            "--chip",
            "esp32c3",
            "--port",
            &port,
            "--before",
            "no-reset",
            "--no-stub",
            "load-ram",
            &image,
        ],
    )
    .expect(0);
}

/// A C3 that is reset over RFC 2217. Three tests, as pySerial waits 0.3 s before each answer.
fn over_rfc2217(part: fn(&Esptool<'_>)) {
    let fleet = Fleet::with(&FleetOptions {
        chip: "esp32c3",
        count: 1,
        more: vec!["--strap".into(), "flash".into()],
    });
    part(&Esptool {
        fleet: &fleet,
        chip: "esp32c3",
        way: Way::Rfc2217,
        stub: true,
    });
}

#[test]
fn a_chip_says_who_it_is_over_rfc2217() {
    over_rfc2217(asks_who_it_is);
}

#[test]
fn what_is_written_over_rfc2217_is_read_back() {
    over_rfc2217(writes_and_reads_back);
}

#[test]
fn flash_is_erased_over_rfc2217() {
    over_rfc2217(erases);
}

#[test]
fn run_starts_the_application() {
    let fleet = Fleet::of("esp32c3", 1);
    let port = format!("socket://{}", fleet.tcp(1));
    stranger(
        "esptool",
        &[
            "--chip", "esp32c3", "--port", &port, "--before", "no-reset", "run",
        ],
    )
    .expect(0);
}
