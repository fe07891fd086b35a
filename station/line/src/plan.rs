//! A plan: what is left of a recipe when nothing can be wrong any more.
//!
//! Everything is resolved: offsets instead of partition names, bytes instead of file names,
//! durations instead of text, templates checked against the closed set of names. Only the recipe
//! compiler makes a [`Plan`] (a test proves that nobody else calls its constructor); everyone else
//! reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;
use station_device::FailureClass;
use station_esp::chip::{Chip, Revision};
use station_esp::efuse::plan::{Danger, FlashVoltage, Slot};
use station_esp::efuse::policy::Policy;
use station_esp::nvs;
use station_esp::secret::Secret;

use crate::event::{PlanId, StepName};
use crate::keys::{Custody, KeyKind, KeyName};
use crate::outcome::Limits;
use crate::serial::{SerialSource, UnitList};
use crate::template::Template;
pub use crate::unit_files::{UnitFileError, UnitFiles};

/// A compiled recipe, identified by a hash over itself and every byte it will write.
#[derive(Debug)]
pub struct Plan {
    id: PlanId,
    contents: PlanContents,
}

/// What the compiler hands over; see [`Plan`] for the getters.
#[derive(Debug)]
pub struct PlanContents {
    /// The recipe's text, as written.
    pub source: String,
    /// Name of the product.
    pub product: String,
    /// Revision of the product.
    pub revision: Option<String>,
    /// Chips a unit may have.
    pub chips: Vec<Chip>,
    /// Smallest chip revision, as major × 100 + minor.
    pub min_chip_revision: Option<u16>,
    /// How a run of it goes.
    pub run: RunSettings,
    /// Where serial numbers come from, if units get one.
    pub serial: Option<SerialSource>,
    /// What each unit gets of its own, if a list says so.
    pub values: Option<UnitList>,
    /// Every image, checked and non-overlapping.
    pub images: Vec<PlanImage>,
    /// Partitions of the plan's table, for steps that name one.
    pub partitions: Vec<PlanPartition>,
    /// What is done, in order. Never empty.
    pub steps: Vec<PlanStep>,
}

impl Plan {
    pub(crate) fn new(id: PlanId, contents: PlanContents) -> Self {
        Self { id, contents }
    }

    /// Its identity.
    pub fn id(&self) -> &PlanId {
        &self.id
    }

    /// Everything in it.
    pub fn contents(&self) -> &PlanContents {
        &self.contents
    }

    /// Returns the text whose SHA-256 the identity is: the whole plan as JSON, with the size and
    /// SHA-256 of every image in place of its bytes.
    pub fn canonical(&self) -> String {
        crate::recipe::canonical(&self.contents)
    }

    /// Returns every name its templates use, so that a run can ask for `lot` and `operator`
    /// beforehand.
    pub fn template_names(&self) -> BTreeSet<&str> {
        self.contents
            .steps
            .iter()
            .flat_map(PlanStep::templates)
            .flat_map(Template::names)
            .collect()
    }

    /// Whether any step does what cannot be undone.
    pub fn is_irreversible(&self) -> bool {
        let mut steps = self.contents.steps.iter();
        steps.any(|step| step.action.is_irreversible())
    }

    /// Whether any step needs a store of keys.
    pub fn needs_keys(&self) -> bool {
        let mut steps = self.contents.steps.iter();
        steps.any(|step| step.action.key().is_some())
    }

    /// Whether the chip reads an image as ciphertext once the plan is carried out.
    pub fn is_encrypted(&self, image: usize) -> bool {
        self.contents.steps.iter().any(|step| {
            matches!(&step.action, Action::FlashEncryption(step) if step.images.contains(&image))
                || matches!(&step.action, Action::Flash(step)
                    if step.encrypted && step.images.contains(&image))
        })
    }

    /// The image of that name.
    pub fn image(&self, name: &str) -> Option<&PlanImage> {
        self.contents.images.iter().find(|image| image.name == name)
    }
}

/// How bays take part in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every bay starts as soon as it has a board.
    Independent,
    /// All bays start together and are released together.
    Carrier,
}

/// What a MAC that already passed this plan's product gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeenBefore {
    /// Turned away, nothing is done to it.
    Refuse,
    /// Done again.
    Repeat,
    /// Only steps that change nothing are run: identify, check, boot, test, read, and flash as a
    /// comparison.
    Verify,
}

/// The recipe's `[run]` table, complete.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSettings {
    /// How bays take part.
    pub mode: Mode,
    /// Longest an attempt may take.
    pub attempt_timeout: Duration,
    /// Whether a board that is plugged in starts by itself.
    pub auto_start: bool,
    /// What a MAC that already passed gets.
    pub seen_before: SeenBefore,
    /// Successful units of this product and revision, over all runs, after which none starts.
    pub quota: Option<u64>,
    /// Consecutive errors after which a bay is quarantined; at least 1.
    pub quarantine_after: u32,
    /// Baud rates to try for bulk transfer, fastest first. Never empty.
    pub bauds: Vec<u32>,
}

/// What an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// Second-stage bootloader, checked as an ESP image.
    Bootloader,
    /// Binary partition table.
    PartitionTable,
    /// Application, checked as an ESP image.
    Application,
    /// Bytes that mean nothing to the station.
    Raw,
}

/// Bytes with a place in flash.
#[derive(Clone, Debug)]
pub struct PlanImage {
    /// Name steps use.
    pub name: String,
    /// Where the bytes came from, for people.
    pub origin: String,
    /// What they are.
    pub kind: ImageKind,
    /// Chips they are for: all of the plan's, or some of them. Never empty; a unit with another
    /// chip does not get the image.
    pub chips: Vec<Chip>,
    /// Flash offset in bytes, sector aligned.
    pub offset: u32,
    /// The bytes, as written.
    pub bytes: Arc<[u8]>,
    /// Their SHA-256, hex.
    pub sha256: String,
}

/// A named range of flash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanPartition {
    /// Name in the table.
    pub name: String,
    /// Flash offset in bytes.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
}

/// One action with its limits, retry rule and timeout.
#[derive(Debug)]
pub struct PlanStep {
    /// Unique in the plan.
    pub name: StepName,
    /// What it does.
    pub action: Action,
    /// When to try again.
    pub retry: Retry,
    /// Longest one try may take.
    pub timeout: Duration,
    /// Run only if this holds.
    pub when: Option<Condition>,
    /// Run even after an earlier step failed.
    pub always: bool,
    /// Shared resources held while it runs, sorted, so that no two bays can wait for each other.
    pub needs: BTreeSet<String>,
    /// Consecutive steps of one group are retried together, from the first.
    pub group: Option<String>,
}

impl PlanStep {
    /// Returns every template of the step.
    pub fn templates(&self) -> Vec<&Template> {
        let mut templates: Vec<&Template> = self.when.iter().map(|when| &when.subject).collect();
        match &self.action {
            Action::Data(write) | Action::Serial(write) => templates.push(&write.value),
            Action::Nvs(nvs) => templates.extend(nvs.values.iter().map(|value| &value.value)),
            Action::Test(test) => {
                templates.extend(
                    test.script
                        .iter()
                        .filter_map(|exchange| exchange.send.as_ref()),
                );
            }
            Action::Command(command) => templates.extend(&command.run),
            Action::Read(read) => templates.extend(&read.equals),
            Action::Efuse(efuse) => templates.extend(efuse.templates()),
            Action::Identify(_)
            | Action::Erase(_)
            | Action::Flash(_)
            | Action::Boot(_)
            | Action::Check(_)
            | Action::Key(_)
            | Action::FlashEncryption(_)
            | Action::SecureBoot(_) => {}
        }
        templates
    }
}

/// When to try again. `times` counts repeats: 2 means at most three tries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    /// How many repeats.
    pub times: u32,
    /// After failures of these classes only.
    pub on: BTreeSet<FailureClass>,
    /// Pause before each.
    pub pause: Duration,
}

/// When a step runs: the template's text must equal (or differ from) `text`.
#[derive(Clone, Debug)]
pub struct Condition {
    /// What is looked at.
    pub subject: Template,
    /// What it is compared with.
    pub text: String,
    /// Whether it must be equal or must differ.
    pub equal: bool,
}

/// What a step does.
#[derive(Debug)]
pub enum Action {
    /// Check who the chip is.
    Identify(Identify),
    /// Make flash blank.
    Erase(Erase),
    /// Write images and verify them on the chip.
    Flash(Flash),
    /// Write bytes made for this unit.
    Data(WriteBytes),
    /// Write the serial number as text and read it back.
    Serial(WriteBytes),
    /// Write an NVS partition made for this unit and read it back.
    Nvs(Box<Nvs>),
    /// Start the application and wait for a text.
    Boot(Boot),
    /// Talk to the application and judge what it says.
    Test(Test),
    /// Run a program on the station.
    Command(HostCommand),
    /// Check what is on the chip without changing it.
    Check(Check),
    /// Read flash and record or compare it.
    Read(Read),
    /// Burn fuses.
    Efuse(Efuse),
    /// Burn a key.
    Key(BurnKey),
    /// Write ciphertext and switch flash encryption on.
    FlashEncryption(FlashEncryption),
    /// Switch secure boot on.
    SecureBoot(SecureBoot),
}

impl Action {
    /// Returns the recipe's key for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Identify(_) => "identify",
            Self::Erase(_) => "erase",
            Self::Flash(_) => "flash",
            Self::Data(_) => "data",
            Self::Serial(_) => "serial",
            Self::Nvs(_) => "nvs",
            Self::Boot(_) => "boot",
            Self::Test(_) => "test",
            Self::Command(_) => "command",
            Self::Check(_) => "check",
            Self::Read(_) => "read",
            Self::Efuse(_) => "efuse",
            Self::Key(_) => "key",
            Self::FlashEncryption(_) => "flash_encryption",
            Self::SecureBoot(_) => "secure_boot",
        }
    }

    /// Whether it does what cannot be undone.
    pub fn is_irreversible(&self) -> bool {
        match self {
            Self::Efuse(_) | Self::Key(_) | Self::FlashEncryption(_) | Self::SecureBoot(_) => true,
            Self::Identify(_)
            | Self::Erase(_)
            | Self::Flash(_)
            | Self::Data(_)
            | Self::Serial(_)
            | Self::Nvs(_)
            | Self::Boot(_)
            | Self::Test(_)
            | Self::Command(_)
            | Self::Check(_)
            | Self::Read(_) => false,
        }
    }

    /// The key it burns that comes from a store.
    pub fn key(&self) -> Option<&PlanKey> {
        match self {
            Self::Key(step) => Some(&step.key),
            Self::FlashEncryption(step) => Some(&step.key),
            Self::SecureBoot(SecureBoot::V1(step)) => Some(&step.digest.key),
            Self::Identify(_)
            | Self::Erase(_)
            | Self::Flash(_)
            | Self::Data(_)
            | Self::Serial(_)
            | Self::Nvs(_)
            | Self::Boot(_)
            | Self::Test(_)
            | Self::Command(_)
            | Self::Check(_)
            | Self::Read(_)
            | Self::Efuse(_)
            | Self::SecureBoot(SecureBoot::V2(_)) => None,
        }
    }
}

/// `identify`: what the chip must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identify {
    /// Exact flash size in bytes.
    pub flash_size: Option<u64>,
    /// MAC prefixes (lower-case colon form), any of which must match.
    pub mac_prefix: Vec<String>,
}

/// A sector-aligned range of flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Flash offset in bytes.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
}

/// `erase`: what to make blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Erase {
    /// The whole chip.
    All,
    /// These ranges.
    Ranges(Vec<Range>),
}

/// `flash`: which images, and how careful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flash {
    /// Indices into the plan's images, in the order they are written.
    pub images: Vec<usize>,
    /// Whether the chip computes an MD5 over each image afterwards.
    pub verify: bool,
    /// Whether an image whose MD5 already matches is left alone.
    pub skip_unchanged: bool,
    /// Whether the chip encrypts what is sent to it.
    pub encrypted: bool,
}

/// `data` and `serial`: bytes made for one unit.
#[derive(Clone, Debug)]
pub struct WriteBytes {
    /// Where they go; `size` is the room there is.
    pub range: Range,
    /// How the text becomes bytes.
    pub encoding: Encoding,
    /// The text; the name of a file where there are `files`.
    pub value: Template,
    /// Files that hold the bytes of units.
    pub files: Option<UnitFiles>,
    /// Whether the rest of the range is filled so that nothing older stays behind.
    pub clear: bool,
    /// What the rest is filled with; 0xFF is erased flash.
    pub pad: u8,
}

/// How text becomes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8.
    Text,
    /// Pairs of hex digits.
    Hex,
    /// Base64 with padding.
    Base64,
}

impl Encoding {
    /// Turns text into bytes.
    ///
    /// # Errors
    /// What the text is not.
    pub fn decode(self, text: &str) -> Result<Vec<u8>, &'static str> {
        match self {
            Self::Text => Ok(text.as_bytes().to_vec()),
            Self::Hex => hex::decode(text.trim()).map_err(|_| "it is not pairs of hex digits"),
            // Tables of NVS have the same form.
            Self::Base64 => match nvs::Value::from_text("base64", text.trim()) {
                Ok(nvs::Value::Blob(bytes)) => Ok(bytes),
                Ok(_) | Err(_) => Err("it is not base64"),
            },
        }
    }
}

/// `nvs`: an NVS partition made for one unit.
#[derive(Clone, Debug)]
pub struct Nvs {
    /// The partition.
    pub range: Range,
    /// The form of its image.
    pub version: nvs::Version,
    /// The CSV file it is based on, for people.
    pub origin: Option<String>,
    /// What every unit gets, with empty values where a unit has its own, in the order in which
    /// everything is written.
    pub base: nvs::Content,
    /// What a unit has of its own; every entry stands in `base`.
    pub values: Vec<NvsValue>,
    /// How it is encrypted, if it is.
    pub encryption: Option<NvsEncryption>,
}

/// An entry of an NVS partition whose value only a unit has.
#[derive(Clone, Debug)]
pub struct NvsValue {
    /// Its namespace.
    pub namespace: nvs::Name,
    /// Its key.
    pub key: nvs::Name,
    /// How the text becomes a value.
    pub form: NvsForm,
    /// The text.
    pub value: Template,
}

/// How text becomes a value.
#[derive(Clone, Debug)]
pub enum NvsForm {
    /// As in the CSV form of NVS, in this encoding.
    Encoding(&'static str),
    /// It names a file that holds the bytes.
    File(UnitFiles),
}

/// Where the keys of an encrypted NVS partition are.
#[derive(Clone, Debug)]
pub enum NvsEncryption {
    /// Made for each unit, in a partition of their own.
    Partition(Range),
    /// They follow from an HMAC key, which an earlier step has burned.
    Hmac {
        /// The step.
        step: StepName,
        /// Its key.
        key: Box<PlanKey>,
    },
}

/// `boot`: start the application and wait.
#[derive(Clone, Debug)]
pub struct Boot {
    /// Text that must appear.
    pub expect: Option<Regex>,
    /// Within this time after the reset.
    pub within: Duration,
    /// Texts that mean the boot failed.
    pub reject: Vec<Regex>,
    /// Console baud rate.
    pub baud: u32,
}

/// `test`: a conversation with the application.
#[derive(Debug)]
pub struct Test {
    /// How to start it; `None` goes on with an application an earlier step started.
    pub boot: Option<Boot>,
    /// Console baud rate.
    pub baud: u32,
    /// The exchanges, in order.
    pub script: Vec<Exchange>,
}

/// One question and its answer.
#[derive(Debug)]
pub struct Exchange {
    /// Line to send, without its line end.
    pub send: Option<Template>,
    /// What to look for in what the application prints. Group 1 is the value, if something is
    /// measured.
    pub pattern: Option<Regex>,
    /// Longest wait for it.
    pub within: Duration,
    /// What to record.
    pub measure: Option<Measure>,
    /// Shared resources held during this exchange, sorted.
    pub needs: BTreeSet<String>,
}

/// What to record of a matched value.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// Name, unique in its step.
    pub name: String,
    /// Unit of value and limits.
    pub unit: Option<String>,
    /// What it is judged by.
    pub limits: Limits,
    /// Whether the value is a number; otherwise it is text.
    pub numeric: bool,
}

/// `command`: a program on the station.
#[derive(Debug)]
pub struct HostCommand {
    /// Program and arguments. Never empty.
    pub run: Vec<Template>,
    /// Folder it runs in: the recipe's. Not part of the plan's identity.
    pub folder: std::path::PathBuf,
    /// Longest it may take.
    pub within: Duration,
    /// Patterns on its standard output, with what to record.
    pub measures: Vec<(Regex, Measure)>,
}

/// `check`: what must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Check {
    /// Images whose MD5 must match what is on the chip: indices into the plan's images.
    pub images: Vec<usize>,
    /// Ranges that must be blank (0xFF).
    pub blank: Vec<Range>,
    /// Whether secure boot must be on or off.
    pub secure_boot: Option<bool>,
    /// Whether flash encryption must be on or off.
    pub flash_encryption: Option<bool>,
    /// What every fuse must be.
    pub policy: Option<CheckedPolicy>,
}

/// A security policy that the fuses are compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckedPolicy {
    /// The station's own for a chip during development.
    Development,
    /// The station's own for a chip that leaves the factory.
    Production,
    /// The recipe's own.
    Own(Box<Policy>),
}

impl CheckedPolicy {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
            Self::Own(policy) => &policy.name,
        }
    }

    /// The rules for one chip.
    pub fn for_chip(&self, chip: Chip, revision: Revision) -> Policy {
        match self {
            Self::Development => station_esp::efuse::policy::development(chip, revision),
            Self::Production => station_esp::efuse::policy::production(chip, revision),
            Self::Own(policy) => policy.as_ref().clone(),
        }
    }
}

/// `efuse`: what fuses are to be. Names are those of the fuse map.
#[derive(Clone, Debug, PartialEq)]
pub struct Efuse {
    /// Fields and their values.
    pub fields: Vec<FuseField>,
    /// Bytes of blocks, from the first on.
    pub blocks: Vec<FuseBytes>,
    /// Fields and blocks that nobody can write afterwards.
    pub write_protect: Vec<String>,
    /// Blocks that software cannot read afterwards.
    pub read_protect: Vec<String>,
    /// A MAC of one's own, as text.
    pub custom_mac: Option<Template>,
    /// Supply of the flash.
    pub flash_voltage: Option<FlashVoltage>,
    /// Dangers that are wanted.
    pub accepted: Vec<Danger>,
}

impl Efuse {
    /// Every template of the step.
    fn templates(&self) -> impl Iterator<Item = &Template> {
        let fields = self.fields.iter().filter_map(|field| match &field.value {
            FuseValue::Number(_) => None,
            FuseValue::Counted(template) => Some(template),
            FuseValue::Bytes(bytes) => Some(&bytes.value),
        });
        let blocks = self.blocks.iter().map(|block| &block.bytes.value);
        fields.chain(blocks).chain(&self.custom_mac)
    }
}

/// A field and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct FuseField {
    /// Its name in the fuse map.
    pub name: String,
    /// Its value.
    pub value: FuseValue,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum FuseValue {
    /// The same number for every unit.
    Number(u64),
    /// A number as text, decimal or `0x…`.
    Counted(Template),
    /// Bytes, exactly as many as the field has.
    Bytes(UnitBytes),
}

/// Bytes made for one unit.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitBytes {
    /// How the text becomes bytes.
    pub encoding: Encoding,
    /// The text.
    pub value: Template,
}

/// Bytes of one block.
#[derive(Clone, Debug, PartialEq)]
pub struct FuseBytes {
    /// Its name in the fuse map.
    pub block: String,
    /// The bytes, from its first on.
    pub bytes: UnitBytes,
}

/// `key`: a key in a key block.
#[derive(Clone, Debug)]
pub struct BurnKey {
    /// The key.
    pub key: PlanKey,
    /// What it is for: a purpose of the fuse map.
    pub purpose: String,
    /// Whether software is kept from reading it; `None` is as the purpose wants.
    pub read_protect: Option<bool>,
    /// Whether the block is closed against further bits.
    pub write_protect: bool,
    /// Dangers that are wanted.
    pub accepted: Vec<Danger>,
}

/// A key that comes from the key store, or goes into it first.
#[derive(Clone, Debug)]
pub struct PlanKey {
    /// Name under which the store keeps it.
    pub name: KeyName,
    /// What it is.
    pub kind: KeyKind,
    /// Which block it goes to.
    pub slot: Slot,
    /// Where it comes from.
    pub source: PlanKeySource,
    /// Whether it is kept.
    pub custody: Custody,
}

/// Where a key comes from.
#[derive(Clone, Debug)]
pub enum PlanKeySource {
    /// The store makes one for each unit.
    Generate,
    /// These bytes, for every unit.
    File {
        /// The file's name, for people.
        origin: String,
        /// The bytes.
        key: Secret,
    },
    /// Each unit has its own in the serial list.
    Csv {
        /// The column.
        column: String,
        /// Keys by serial number.
        keys: Arc<BTreeMap<String, Secret>>,
    },
    /// The store has it already, for every unit.
    Shared,
}

impl PlanKeySource {
    /// Whether every unit gets the same key.
    pub fn is_shared(&self) -> bool {
        match self {
            Self::File { .. } | Self::Shared => true,
            Self::Generate | Self::Csv { .. } => false,
        }
    }
}

/// `flash_encryption`: ciphertext in flash and the fuses to read it.
#[derive(Clone, Debug)]
pub struct FlashEncryption {
    /// Whether every way to write plain text is closed.
    pub release: bool,
    /// The key.
    pub key: PlanKey,
    /// Images that the chip reads as ciphertext: indices into the plan's images.
    pub images: Vec<usize>,
    /// Who encrypts them.
    pub content: EncryptedBy,
    /// ESP32-C2: what secure boot, which comes later, will trust. It shares a block with the key,
    /// and the block is burned once.
    pub trusted: Option<TrustedKey>,
    /// ESP32: the digest that secure boot version 1, which comes later, compares. The chip reads it
    /// as ciphertext, too.
    pub digest: Option<BootloaderDigest>,
    /// Dangers that are wanted.
    pub accepted: Vec<Danger>,
}

/// Who turns images into ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncryptedBy {
    /// The station, which writes and verifies it.
    Host,
    /// The bootloader on its first start.
    Bootloader,
}

/// `secure_boot`: what a chip starts.
#[derive(Clone, Debug)]
pub enum SecureBoot {
    /// Version 1, of the ESP32 alone: a bootloader whose digest was made with the chip's key.
    V1(SecureBootV1),
    /// Version 2: what a key signed whose digest is in the chip.
    V2(SecureBootV2),
}

impl SecureBoot {
    /// Bootloaders and applications that the chip would start: indices into the plan's images.
    pub fn signed(&self) -> &[usize] {
        match self {
            Self::V1(step) => &step.signed,
            Self::V2(step) => &step.signed,
        }
    }
}

/// Secure boot version 1.
#[derive(Clone, Debug)]
pub struct SecureBootV1 {
    /// The digest that the ROM compares.
    pub digest: BootloaderDigest,
    /// Where the public key came from that the bootloader carries and applications are signed
    /// with, for people.
    pub signed_by: String,
    /// The bootloader, and the applications that it would start: indices into the plan's images.
    pub signed: Vec<usize>,
    /// Whether flash encryption, which came before, has written the digest as ciphertext.
    pub encrypted: bool,
}

/// The digest of a bootloader, which lies at the start of flash.
#[derive(Clone, Debug)]
pub struct BootloaderDigest {
    /// The key it is made with.
    pub key: PlanKey,
    /// The bootloader: an index into the plan's images.
    pub bootloader: usize,
    /// Dangers that are wanted where it is switched on.
    pub accepted: Vec<Danger>,
}

/// Secure boot version 2: the keys a chip trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecureBootV2 {
    /// One to three of them.
    pub digests: Vec<TrustedKey>,
    /// Bootloaders and applications that one of them has signed: indices into the plan's images.
    pub signed: Vec<usize>,
    /// Whether the digests that are not used are closed for good.
    pub revoke_unused: bool,
    /// Whether the ROM itself closes a key whose signature does not verify.
    pub aggressive_revoke: bool,
    /// Dangers that are wanted.
    pub accepted: Vec<Danger>,
}

/// A public key a chip trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// Where it came from, for people.
    pub origin: String,
    /// Its digest, as it is burned.
    pub digest: [u8; 32],
}

/// `read`: look at flash.
#[derive(Clone, Debug)]
pub struct Read {
    /// What is read.
    pub range: Range,
    /// What its bytes are.
    pub form: ReadForm,
    /// What it must be, as text.
    pub equals: Option<Template>,
    /// How it is recorded and judged. What `equals` gives for a unit is a limit too.
    pub measure: Option<Measure>,
    /// Whether the bytes are stored with the record.
    pub attach: bool,
}

/// What bytes in flash are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadForm {
    /// They stand for text.
    Bytes(Encoding),
    /// A number without sign.
    Number {
        /// Its bytes: 1, 2, 4 or 8.
        width: u8,
        /// Whether its most significant byte comes first.
        big_endian: bool,
    },
    /// An NVS partition, one value of which is meant.
    Nvs {
        /// The value's namespace.
        namespace: nvs::Name,
        /// Its key.
        key: nvs::Name,
    },
}
