//! The tables of the actions that cannot be undone.

use super::Need::{Default, Optional, Required};
use super::{Key, Kind, Table, key};

/// Dangers that a step may name to have them.
pub(crate) const DANGERS: [&str; 8] = [
    "encryption-without-content",
    "secure-boot-without-signed-content",
    "unprotected-key",
    "usb-closed",
    "download-closed",
    "coding-errors",
    "flash-unreachable-in-secure-download",
    "secure-boot-version-one",
];

const ACCEPT: Key = key(
    "accept",
    Kind::Choices(&DANGERS),
    Optional,
    "Dangers that are wanted; without their name here the step refuses to burn them.",
    "accept = [\"download-closed\"]",
);

const SLOT: Key = key(
    "slot",
    Kind::Text,
    Default("\"free\""),
    "Key block, or `free` for the first that is free and can hold the purpose.",
    "slot = \"BLOCK_KEY0\"",
);

const SOURCE: Key = key(
    "source",
    Kind::WordOrTable(&["generate"], &KEY_SOURCE),
    Required,
    "Where the key comes from: `generate` makes one for each unit, or one of the tables below.",
    "source = \"generate\"",
);

const KEY_NAME: Key = key(
    "name",
    Kind::Text,
    Default("the step's name"),
    "Name under which the key store keeps it.",
    "name = \"hmac\"",
);

const CUSTODY: Key = key(
    "custody",
    Kind::Choice(&["escrow", "forget"]),
    Default("\"escrow\""),
    "Whether the sealed key is kept, or forgotten once the chip has it and the step has passed.",
    "custody = \"forget\"",
);

const READ_PROTECT: Key = key(
    "read_protect",
    Kind::Flag,
    Default("what the purpose needs"),
    "Whether software is kept from reading the key.",
    "read_protect = true",
);

const WRITE_PROTECT: Key = key(
    "write_protect",
    Kind::Flag,
    Default("true"),
    "Whether the block is closed against further bits.",
    "write_protect = true",
);

pub(super) static EFUSE: Table = Table {
    title: "`efuse`",
    meaning: "Burns fuses. Names are those of Espressif's eFuse tables, as `station efuse read` \
              prints them; what is already as it should be is left alone.",
    keys: &[
        key(
            "fields",
            Kind::FuseValues,
            Optional,
            "Fields and their values: a number, `true`, `\"hex:…\"`, or a template that gives one \
             of them. Text for a field of bytes is taken as it is and must fill it.",
            "fields = { DIS_USB_JTAG = true }",
        ),
        key(
            "block_usr_data",
            Kind::Template,
            Optional,
            "Bytes of the user's block: the same as `blocks = { BLOCK_USR_DATA = … }`.",
            "block_usr_data = \"hex:{serial|ascii|pad32}\"",
        ),
        key(
            "blocks",
            Kind::NamedTemplates,
            Optional,
            "Bytes of whole blocks, from the first on: text, or hex after `hex:`.",
            "blocks = { BLOCK_USR_DATA = \"hex:{mac|nocolon|pad32}\" }",
        ),
        key(
            "write_protect",
            Kind::Texts,
            Optional,
            "Fields and blocks that nobody can write afterwards.",
            "write_protect = [\"DIS_USB_JTAG\"]",
        ),
        key(
            "read_protect",
            Kind::Texts,
            Optional,
            "Key blocks that software cannot read afterwards.",
            "read_protect = [\"BLOCK_KEY5\"]",
        ),
        key(
            "custom_mac",
            Kind::Template,
            Optional,
            "A MAC of one's own, beside the factory's.",
            "custom_mac = \"{csv.mac}\"",
        ),
        key(
            "flash_voltage",
            Kind::Choice(&["1.8V", "3.3V", "off"]),
            Optional,
            "Supply of the flash, on chips that choose it by fuses.",
            "flash_voltage = \"3.3V\"",
        ),
        ACCEPT,
    ],
};

pub(super) static KEY: Table = Table {
    title: "`key`",
    meaning: "Burns a key into a key block, with its purpose and protections.",
    keys: &[
        key(
            "purpose",
            Kind::Text,
            Required,
            "What the key is for: a purpose of the chip's fuse map.",
            "purpose = \"HMAC_UP\"",
        ),
        SLOT,
        SOURCE,
        KEY_NAME,
        CUSTODY,
        READ_PROTECT,
        WRITE_PROTECT,
        ACCEPT,
    ],
};

pub(super) static KEY_SOURCE: Table = Table {
    title: "`source`: where a key comes from",
    meaning: "Exactly one of the keys.",
    keys: &[
        key(
            "file",
            Kind::Text,
            Optional,
            "File with the key's bytes, or on a curve as PEM, too; the same for every unit.",
            "file = \"hmac.bin\"",
        ),
        key(
            "csv",
            Kind::Text,
            Optional,
            "Column of the serial list that has each unit's key as pairs of hex digits, or on a \
             curve as PEM, too. Templates cannot use it.",
            "csv = \"hmac key\"",
        ),
        key(
            "shared",
            Kind::Text,
            Optional,
            "Name of a key that the key store has already, the same for every unit.",
            "shared = \"fleet-hmac\"",
        ),
    ],
};

pub(super) static SECURE_BOOT: Table = Table {
    title: "`secure_boot`",
    meaning: "Switches secure boot on. Version 2 burns digests of public keys; every bootloader \
              and application of the recipe must be signed by one of them. Version 1, of the \
              ESP32 alone, burns a key of the chip's own and writes the digest of the bootloader \
              that is made with it. Comes after `flash_encryption`.",
    keys: &[
        key(
            "version",
            Kind::Integer(1, 2),
            Default("2"),
            "Version of the scheme. From revision 3.0 on an ESP32 has version 2, and gets \
             version 1 only with `accept = [\"secure-boot-version-one\"]`.",
            "version = 2",
        ),
        key(
            "digests",
            Kind::Tables(&DIGEST),
            Optional,
            "Version 2: one to three public keys that are trusted.",
            "digests = [{ public_key = \"signing.pem\" }]",
        ),
        key(
            "revoke_unused",
            Kind::Flag,
            Default("true"),
            "Version 2: whether the digests that are not used are closed for good.",
            "revoke_unused = true",
        ),
        key(
            "aggressive_revoke",
            Kind::Flag,
            Default("false"),
            "Version 2: whether the ROM itself closes a key whose signature does not verify.",
            "aggressive_revoke = false",
        ),
        key(
            "key",
            Kind::Table(&BOOT_KEY),
            Optional,
            "Version 1: the chip's own key, 32 bytes, which nobody can read from it.",
            "key = { source = \"generate\" }",
        ),
        key(
            "signed_by",
            Kind::Text,
            Optional,
            "Version 1: PEM file with the public key that the bootloader carries, and that \
             verifies the applications.",
            "signed_by = \"signing.pem\"",
        ),
        ACCEPT,
    ],
};

pub(super) static DIGEST: Table = Table {
    title: "`digests`: trusted keys",
    meaning: "Exactly one of the keys.",
    keys: &[
        key(
            "public_key",
            Kind::Text,
            Optional,
            "PEM file with the public key.",
            "public_key = \"signing.pem\"",
        ),
        key(
            "file",
            Kind::Text,
            Optional,
            "File with the 32 bytes of its digest.",
            "file = \"digest.bin\"",
        ),
    ],
};

pub(super) static BOOT_KEY: Table = Table {
    title: "The key of `secure_boot` version 1",
    meaning: "The key that the digest of the bootloader is made with.",
    keys: &[SOURCE, KEY_NAME, CUSTODY],
};

pub(super) static FLASH_ENCRYPTION: Table = Table {
    title: "`flash_encryption`",
    meaning: "Writes images as ciphertext and burns the key and the fuses that make the chip read \
              them. Comes before `secure_boot`.",
    keys: &[
        key(
            "mode",
            Kind::Choice(&["release", "development"]),
            Required,
            "`release` closes every way to write plain text; `development` leaves them open.",
            "mode = \"release\"",
        ),
        key(
            "key",
            Kind::Table(&ENCRYPTION_KEY),
            Required,
            "The key.",
            "key = { kind = \"xts128\", source = \"generate\" }",
        ),
        key(
            "images",
            Kind::TextList,
            Required,
            "Images that the chip reads as ciphertext from then on: bootloader, table, applications, \
             and what lies in a partition with the flag. All of them, or a later step writes them \
             with `encrypt = \"chip\"`.",
            "images = [\"bootloader\", \"table\", \"app\"]",
        ),
        key(
            "content",
            Kind::Choice(&["host", "bootloader"]),
            Default("\"host\""),
            "Who encrypts: the station, which writes and verifies the ciphertext in this step, or \
             the bootloader on its first start, from images that an earlier step has written.",
            "content = \"host\"",
        ),
        ACCEPT,
    ],
};

pub(super) static ENCRYPTION_KEY: Table = Table {
    title: "The key of `flash_encryption`",
    meaning: "The kinds a chip has: `xts128` all but the ESP32, `xts256` ESP32-S2, ESP32-S3 and \
              ESP32-P4, `xts128_derived` the ESP32-C2 alone, `esp32` the ESP32 alone. The \
              ESP32-C2 has one key block: `xts128` fills it, `xts128_derived` leaves the half \
              that secure boot needs, and is burned together with its digest.",
    keys: &[
        key(
            "kind",
            Kind::Choice(&["xts128", "xts128_derived", "xts256", "esp32"]),
            Required,
            "Scheme and length: 32 bytes, 16 bytes in half a block, 64 bytes in two blocks, 32 \
             bytes.",
            "kind = \"xts128\"",
        ),
        SLOT,
        SOURCE,
        KEY_NAME,
        CUSTODY,
    ],
};
