//! A room whose boards get everything that cannot be undone: a key, flash encryption, secure boot,
//! their serial number in fuses, and at last a closed loader.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use station_esp::Chip;
use station_esp::chip::{MemoryKind, Revision};
use station_esp::secure::signature::{self, Algorithm, PrivateKey, v1};
use station_virtual::AppScript;
use station_virtual::chip::ChipConfig;
use tempfile::TempDir;

use super::room::{Room, SOUND, compile, image_for};
use crate::approval::{Grant, Subject};
use crate::clock::Clock;
use crate::event::Mac;
use crate::journal::PlanRecord;
use crate::keys::{KeyName, KeyOwner, KeyStore, KeyStoreOptions};
use crate::plan::Plan;
use crate::runner::{RunReport, RunRequest};

/// The demo key of the recipe tests.
const SIGNING_KEY: &str = include_str!("../../../../../tests/recipes/parts/demo-signing-key.pem");

/// Partitions of every plant's boards.
const PARTITIONS: &str = "\
nvs,data,nvs,0x9000,0x6000,
factory,app,factory,0x10000,0x10000,
serial,data,0x40,0x20000,0x1000,
";

/// What differs from chip to chip.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) chip: Chip,
    /// Lines at the top of the recipe.
    pub(super) head: &'static str,
    /// Of the encryption key.
    pub(super) encryption: &'static str,
    /// The step with a key of its own, if the chip has room for one.
    pub(super) hmac: &'static str,
    /// Fuses that are closed, and the user's bytes.
    pub(super) fuses: &'static str,
    /// The fuse that closes the loader.
    pub(super) last: &'static str,
    /// What secure boot trusts.
    pub(super) secure_boot: &'static str,
    /// How images are signed.
    pub(super) signed: Signed,
    /// The silicon of an ESP32.
    pub(super) revision: Revision,
}

/// How images are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signed {
    /// For version 2, with RSA.
    Rsa,
    /// For version 2, on a curve.
    Curve,
    /// For version 1.
    First,
}

/// Secure boot version 2 with the plant's key.
const SECOND: &str = "digests = [{ public_key = \"signing.pem\" }]";

pub(super) const S3: Kind = Kind {
    chip: Chip::Esp32S3,
    head: "",
    encryption: "xts256",
    hmac: HMAC,
    fuses: "fields = { DIS_PAD_JTAG = true, DIS_USB_JTAG = true }, \
            block_usr_data = \"hex:{serial|ascii|pad32}\"",
    last: "ENABLE_SECURITY_DOWNLOAD",
    secure_boot: SECOND,
    signed: Signed::Rsa,
    revision: Revision::new(3, 0),
};

pub(super) const C3: Kind = Kind {
    chip: Chip::Esp32C3,
    head: "min_revision = \"0.3\"",
    encryption: "xts128",
    hmac: HMAC,
    fuses: "fields = { DIS_PAD_JTAG = true, DIS_USB_JTAG = true }, \
            block_usr_data = \"hex:{serial|ascii|pad32}\"",
    last: "ENABLE_SECURITY_DOWNLOAD",
    secure_boot: SECOND,
    signed: Signed::Rsa,
    revision: Revision::new(3, 0),
};

pub(super) const ESP32: Kind = Kind {
    chip: Chip::Esp32,
    head: "min_revision = \"3.0\"",
    encryption: "esp32",
    hmac: "",
    fuses: "fields = { JTAG_DISABLE = true }, blocks = { BLOCK3 = \"hex:{serial|ascii|pad32}\" }",
    last: "UART_DOWNLOAD_DIS",
    secure_boot: SECOND,
    signed: Signed::Rsa,
    revision: Revision::new(3, 0),
};

/// An ESP32 from before secure boot version 2. Its loader stays open.
pub(super) const OLD_ESP32: Kind = Kind {
    chip: Chip::Esp32,
    head: "",
    encryption: "esp32",
    hmac: "",
    fuses: "fields = { JTAG_DISABLE = true }, blocks = { BLOCK3 = \"hex:{serial|ascii|pad32}\" }",
    last: "CONSOLE_DEBUG_DISABLE",
    secure_boot: "version = 1, key = { source = \"generate\" }, signed_by = \"signing.pem\"",
    signed: Signed::First,
    revision: Revision::new(1, 0),
};

/// The key block in halves, burned once.
pub(super) const C2: Kind = Kind {
    chip: Chip::Esp32C2,
    head: "",
    encryption: "xts128_derived",
    hmac: "",
    fuses: "fields = { DIS_PAD_JTAG = true }",
    last: "ENABLE_SECURITY_DOWNLOAD",
    secure_boot: SECOND,
    signed: Signed::Curve,
    revision: Revision::new(1, 0),
};

const HMAC: &str = r#"
[[step]]
name = "hmac"
key = { purpose = "HMAC_UP", source = "generate" }
"#;

/// A plant of one kind of chip.
pub(super) struct Plant {
    pub(super) room: Room,
    pub(super) kind: &'static Kind,
    pub(super) keys: KeyStore,
    pub(super) plan: Arc<Plan>,
}

pub(super) fn signing_key(signed: Signed) -> &'static PrivateKey {
    static RSA: OnceLock<PrivateKey> = OnceLock::new();
    static CURVE: OnceLock<PrivateKey> = OnceLock::new();
    match signed {
        Signed::Rsa => RSA.get_or_init(|| PrivateKey::from_pem(SIGNING_KEY).unwrap()),
        Signed::Curve | Signed::First => {
            CURVE.get_or_init(|| PrivateKey::generate(Algorithm::EcdsaP256, &mut chance()).unwrap())
        }
    }
}

/// The whole recipe of a kind.
pub(super) fn recipe(kind: &Kind) -> String {
    let Kind {
        head,
        encryption,
        hmac,
        fuses,
        last,
        secure_boot,
        ..
    } = kind;
    let chip = kind.chip.name();
    let bootloader_at = kind.chip.spec().bootloader_offset;
    format!(
        r#"
format = 1
product = "node"
chip = "{chip}"
{head}
[run]
attempt_timeout = "10m"
quarantine_after = 1000
[serial]
pattern = "SN-{{counter:06}}"
[images]
bootloader = {{ file = "bootloader.bin", at = {bootloader_at:#x} }}
table = {{ file = "partitions.csv", at = 0x8000 }}
app = {{ file = "app.bin", at = "factory" }}
[[step]]
name = "identify"
identify = {{ flash_size = "4MB" }}
[[step]]
name = "serial"
serial = {{ at = "serial" }}
{hmac}
[[step]]
name = "encryption"
flash_encryption = {{ mode = "release", images = ["bootloader", "table", "app"],
  key = {{ kind = "{encryption}", source = "generate" }} }}
[[step]]
name = "secure boot"
secure_boot = {{ {secure_boot} }}
[[step]]
name = "fuses"
efuse = {{ {fuses} }}
[[step]]
name = "close"
efuse = {{ fields = {{ {last} = true }}, accept = ["download-closed"] }}
[[step]]
name = "self test"
test = {{ boot = true, expect = "SELFTEST READY", within = "3s", script = [
  {{ send = "finish", pattern = 'SELFTEST (PASS|FAIL)', measure = "verdict", equals = "PASS" }} ] }}
"#
    )
}

/// The recipe of an old ESP32 without flash encryption: its secure boot step writes the digest itself.
pub(super) fn unencrypted() -> String {
    let text = recipe(&OLD_ESP32);
    let from = text.find("[[step]]\nname = \"encryption\"").unwrap();
    let to = text.find("[[step]]\nname = \"secure boot\"").unwrap();
    let flash =
        "[[step]]\nname = \"flash\"\nflash = { images = [\"bootloader\", \"table\", \"app\"] }\n";
    [&text[..from], flash, &text[to..]].concat()
}

/// Writes the files that the recipe names.
pub(super) fn write_parts(kind: &Kind, folder: &TempDir) {
    let (ram, rom) = addresses(kind.chip);
    let key = signing_key(kind.signed);
    let mut chance = chance();
    let mut content = vec![0x13; 256];
    let mut signed = |name: &str, plain: &[u8]| {
        let signed = match (kind.signed, name) {
            (Signed::First, "bootloader.bin") => plain.to_vec(),
            (Signed::First, _) => v1::sign(plain, key, &mut chance).unwrap(),
            (Signed::Rsa | Signed::Curve, _) => {
                signature::sign(plain, &[key], &mut chance).unwrap()
            }
        };
        std::fs::write(folder.path().join(name), signed).unwrap();
    };
    if kind.signed == Signed::First {
        content.extend(v1::public_key_bytes(key.public()).unwrap());
    }
    signed("bootloader.bin", &image_for(kind.chip, ram, &content));
    signed("app.bin", &image_for(kind.chip, rom, &[0x77; 3000]));
    // Bootloaders that encrypt on their first start: the virtual chip reads it in their log texts.
    let mut development = b"flash_encrypt   ".to_vec();
    let write = |name: &str, texts: &[u8]| {
        std::fs::write(folder.path().join(name), image_for(kind.chip, ram, texts)).unwrap();
    };
    write("encrypting-development.bin", &development);
    development.extend(b"Setting CRYPT_CNT for permanent encryption  ");
    write("encrypting-release.bin", &development);
    std::fs::write(folder.path().join("partitions.csv"), PARTITIONS).unwrap();
    std::fs::write(folder.path().join("signing.pem"), key.public().to_pem()).unwrap();
}

/// Addresses in RAM and in mapped flash that images of a chip may have.
fn addresses(chip: Chip) -> (u32, u32) {
    match chip {
        Chip::Esp32 => (0x3FFF_0018, 0x3F40_0020),
        Chip::Esp32S3 | Chip::Esp32C3 => (0x3FCD_5820, 0x3C00_0020),
        _ => {
            let start = |kinds: [MemoryKind; 2]| {
                let regions = &chip.spec().memory;
                let of = |kind| regions.iter().find(|region| region.kind == kind);
                kinds.into_iter().find_map(of).unwrap().start
            };
            (
                start([MemoryKind::Dram, MemoryKind::Iram]) + 0x2000,
                start([MemoryKind::Drom, MemoryKind::Irom]) + 0x20,
            )
        }
    }
}

pub(super) fn chance() -> impl rand_chacha::rand_core::CryptoRng {
    use rand_chacha::rand_core::SeedableRng;
    rand_chacha::ChaCha20Rng::seed_from_u64(7)
}

impl Plant {
    /// A plant of one bay with a released recipe.
    pub(super) async fn new(kind: &'static Kind) -> Self {
        let plant = Self::unreleased(kind, &recipe(kind));
        plant.release().await;
        plant
    }

    pub(super) fn unreleased(kind: &'static Kind, recipe: &str) -> Self {
        Self::of_bays(kind, recipe, 1)
    }

    /// A plant of several bays.
    pub(super) fn of_bays(kind: &'static Kind, recipe: &str, bays: usize) -> Self {
        let room = Room::new(bays);
        write_parts(kind, &room.folder);
        let plan = compile(recipe, room.folder.path());
        let keys = room.folder.path().join("keys");
        let keys = KeyStore::open_with(keys, KeyStoreOptions::simulation(3)).unwrap();
        Self {
            room,
            kind,
            keys,
            plan,
        }
    }

    /// An engineer releases the plan.
    pub(super) async fn release(&self) {
        let now = self.room.clock.now();
        let key = self.keys.station_key(now).unwrap();
        let record = PlanRecord::of(&self.plan, "test");
        self.room
            .journal
            .release(now, &record, &key, "engineer")
            .await
            .unwrap();
    }

    /// An operator allows one run.
    pub(super) async fn grant(&self) {
        let grant = Grant {
            at: self.room.clock.now(),
            subject: Subject::Plan(self.plan.id().clone()),
            by: "lead".to_owned(),
            valid: Duration::from_secs(3600),
        };
        self.room.journal.grant(grant).await.unwrap();
    }

    /// An armed run of everything.
    pub(super) fn request(&self) -> RunRequest {
        RunRequest {
            once: true,
            keys: Some(self.keys.clone()),
            arm: true,
            ..self.room.request(&self.plan)
        }
    }

    /// Runs the board in the bay once, allowed.
    pub(super) async fn run(&self) -> RunReport {
        self.grant().await;
        self.room
            .finish(self.room.start(self.request()).await)
            .await
    }

    pub(super) fn board(&self, unit: u64) -> ChipConfig {
        Self::board_of(self.kind, unit)
    }

    /// A sound board of a kind.
    pub(super) fn board_of(kind: &Kind, unit: u64) -> ChipConfig {
        let mut config = ChipConfig::new(kind.chip, unit, 1);
        config.app = Some(AppScript::parse(SOUND).unwrap());
        if kind.chip == Chip::Esp32 {
            config.revision = kind.revision;
        }
        config
    }

    /// Takes the board out and puts it in again.
    pub(super) async fn reseat(&self) {
        self.room.bays[0].control.reseat().await.unwrap();
        self.room.settle().await;
    }

    /// Whether a person must look at the unit, and why.
    pub(super) fn quarantine(&self, mac: &Mac) -> Option<String> {
        let reader = self.room.journal.reader().unwrap();
        let quarantine = reader.quarantine(mac).unwrap();
        quarantine.map(|found| format!("{}: {}", found.code, found.reason))
    }

    /// Checks that what was burned into the board was intended, in order, and that every bit of a
    /// key in it is a bit of the unit's own key in the store.
    pub(super) async fn check_board(&self, mac: &Mac) {
        let rows = self.room.journal.burns_of(mac).await.unwrap();
        let intents: Vec<u8> = rows.iter().map(|row| row.pulse.block).collect();
        let look = |chip: Option<&station_virtual::VirtualChip>| {
            let efuse = chip.unwrap().efuse();
            let burned: Vec<u8> = efuse.burn_log().iter().map(|burn| burn.block).collect();
            let slots = efuse.image().map().key_slots();
            let slots: Vec<Vec<u32>> = slots.map(|slot| efuse.data(slot.number)).collect();
            (burned, slots)
        };
        let (burned, slots) = self.room.bays[0].control.inspect(look).await.unwrap();
        let mut at = 0;
        for block in &burned {
            // A pulse may be repeated under one intent.
            while intents.get(at) != Some(block) {
                at += 1;
                assert!(at < intents.len(), "{mac}: {burned:?} without {intents:?}");
            }
        }
        let own = self.secrets_of(mac);
        for words in slots {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let known = own.iter().any(|own| {
                let mut pairs = bytes.iter().zip(own);
                pairs.all(|(burned, own)| burned & !own == 0)
            });
            let blank = bytes.iter().all(|byte| *byte == 0);
            assert!(
                known || blank,
                "{mac}: a key block holds what is not the unit's own"
            );
        }
    }

    /// What the key blocks of a unit may hold: its keys, as far as the store has them, and the
    /// digest of the signing key; of the ESP32-C2 halves of both.
    fn secrets_of(&self, mac: &Mac) -> Vec<Vec<u8>> {
        let digest = signing_key(self.kind.signed).public().digest();
        let mut known = vec![digest.to_vec()];
        for name in ["hmac", "encryption", "secure-boot"] {
            let name = KeyName::parse(name).unwrap();
            let owner = KeyOwner::Unit(mac.clone());
            let Ok(key) = self.keys.reveal(&name, &owner) else {
                continue;
            };
            for part in key.expose().chunks(32) {
                let mut reversed: Vec<u8> = part.iter().rev().copied().collect();
                if part.len() == 16 {
                    reversed.extend(&digest[..16]);
                }
                known.push(part.to_vec());
                known.push(reversed);
            }
        }
        known
    }
}
