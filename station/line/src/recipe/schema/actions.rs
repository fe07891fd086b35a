//! The tables of the actions.

use super::Need::{Default, Optional, Required};
use super::keys::{
    AS, AT, BAUD, BOOT_WITHIN, CLEAR, ENCODING, EQUALS, EXPECT, MAX, MEASURE, MIN, NEEDS, PATTERN,
    REJECT, SIZE, UNIT, VALUE,
};
use super::{Key, Kind, Table, key};

pub(super) static IDENTIFY: Table = Table {
    title: "`identify`",
    meaning: "The chip and its revision are always checked; this checks more.",
    keys: &[
        key(
            "flash_size",
            Kind::Size,
            Optional,
            "Exact size of the flash. Images, ranges and the partition table are checked against \
             it.",
            "flash_size = \"4MB\"",
        ),
        key(
            "mac_prefix",
            Kind::Texts,
            Optional,
            "Beginnings of the MAC, one of which must match.",
            "mac_prefix = [\"7c:df:a1\"]",
        ),
    ],
};

pub(super) static ERASE: Table = Table {
    title: "`erase`",
    meaning: "Either `all` or `ranges`.",
    keys: &[
        key(
            "all",
            Kind::Flag,
            Optional,
            "The whole flash.",
            "all = true",
        ),
        key(
            "ranges",
            Kind::Tables(&PLACE),
            Optional,
            "These places.",
            "ranges = [{ at = \"nvs\" }, { at = 0x3f0000, size = \"64KB\" }]",
        ),
    ],
};

pub(super) static PLACE: Table = Table {
    title: "Places",
    meaning: "A range of flash, in `ranges` and `blank`.",
    keys: &[AT, SIZE],
};

pub(super) static FLASH: Table = Table {
    title: "`flash`",
    meaning: "Images for other chips than the unit's are passed over.",
    keys: &[
        key(
            "images",
            Kind::TextList,
            Required,
            "Names of images, in the order in which they are written.",
            "images = [\"bootloader\", \"table\", \"app\"]",
        ),
        key(
            "verify",
            Kind::Choice(&["md5", "none"]),
            Default("\"md5\""),
            "Whether the chip computes an MD5 over each image afterwards.",
            "verify = \"md5\"",
        ),
        key(
            "unchanged",
            Kind::Choice(&["skip", "write"]),
            Default("\"skip\""),
            "What happens to an image that is already there byte by byte.",
            "unchanged = \"write\"",
        ),
        key(
            "encrypt",
            Kind::Choice(&["chip"]),
            Optional,
            "`chip`: the chip encrypts what is sent to it, with the key in its fuses. Flash \
             encryption must be on by then, in development mode. Verified and compared as \
             ciphertext where the station holds the key; else only the application's start shows \
             that it is right, and it is always written.",
            "encrypt = \"chip\"",
        ),
    ],
};

pub(super) static DATA: Table = Table {
    title: "`data`",
    meaning: "Either `value` or `file`; what it gives must be no longer than the place. What lists say of \
              units beforehand is checked for every row before the first unit.",
    keys: &[
        AT,
        SIZE,
        Key {
            need: Optional,
            ..VALUE
        },
        key(
            "file",
            Kind::Template,
            Optional,
            "Name of a file whose bytes are written as they are, in the recipe's folder or below it.",
            "file = \"certs/{serial}.der\"",
        ),
        ENCODING,
        CLEAR,
        key(
            "pad",
            Kind::Integer(0, 255),
            Default("0xff"),
            "Byte that fills the rest of the place; 0xff is erased flash.",
            "pad = 0x00",
        ),
    ],
};

pub(super) static SERIAL_STEP: Table = Table {
    title: "`serial`",
    meaning: "Needs `[serial]`.",
    keys: &[
        AT,
        SIZE,
        key(
            "value",
            Kind::Template,
            Default("\"{serial}\""),
            "The text to write; it must use `{serial}`.",
            "value = \"SN={serial}\"",
        ),
        CLEAR,
    ],
};

pub(super) static BOOT: Table = Table {
    title: "`boot`",
    meaning: "Resets the chip into its application.",
    keys: &[EXPECT, BOOT_WITHIN, REJECT, BAUD],
};

pub(super) static TEST: Table = Table {
    title: "`test`",
    meaning: "With `boot = true` it starts the application first; otherwise an earlier step must have started it, \
              with no access to flash in between.",
    keys: &[
        key(
            "boot",
            Kind::Flag,
            Default("false"),
            "Whether the chip is reset into its application first.",
            "boot = true",
        ),
        EXPECT,
        BOOT_WITHIN,
        REJECT,
        BAUD,
        key(
            "script",
            Kind::Tables(&EXCHANGE),
            Required,
            "Questions and answers, in order.",
            "script = [{ send = \"adc vdd\", measure = \"vdd\", pattern = 'vdd=(\\d+)mV', unit = \
             \"mV\", min = 3200, max = 3400 }]",
        ),
    ],
};

pub(super) static EXCHANGE: Table = Table {
    title: "`script`: questions and answers",
    meaning: "Each sends a line, waits for a pattern, or both.",
    keys: &[
        key(
            "send",
            Kind::Template,
            Optional,
            "Line to send, without its line end.",
            "send = \"adc vdd\"",
        ),
        PATTERN,
        key(
            "within",
            Kind::Duration,
            Default("\"2s\""),
            "Longest wait for `pattern`.",
            "within = \"500ms\"",
        ),
        MEASURE,
        UNIT,
        MIN,
        MAX,
        EQUALS,
        AS,
        NEEDS,
    ],
};

pub(super) static COMMAND: Table = Table {
    title: "`command`",
    meaning: "The program runs in the recipe's folder, without a shell. It passes if its exit code is 0 and every \
              measurement is within its limits.",
    keys: &[
        key(
            "run",
            Kind::TextList,
            Required,
            "Program and arguments; each is a template.",
            "run = [\"./print-label\", \"{serial}\"]",
        ),
        key(
            "within",
            Kind::Duration,
            Required,
            "Longest it may take.",
            "within = \"10s\"",
        ),
        key(
            "measures",
            Kind::Tables(&OUTPUT),
            Optional,
            "What is taken from its standard output.",
            "measures = [{ measure = \"width\", pattern = 'width=(\\d+)', unit = \"mm\", min = 10 \
             }]",
        ),
    ],
};

pub(super) static OUTPUT: Table = Table {
    title: "`measures`: values from a program",
    meaning: "The first match in the program's standard output counts.",
    keys: &[
        Key {
            need: Required,
            ..MEASURE
        },
        Key {
            need: Required,
            ..PATTERN
        },
        UNIT,
        MIN,
        MAX,
        EQUALS,
        AS,
    ],
};

pub(super) static CHECK: Table = Table {
    title: "`check`",
    meaning: "Everything that is named must hold.",
    keys: &[
        key(
            "images",
            Kind::TextList,
            Optional,
            "Images that must be on the chip byte by byte.",
            "images = [\"app\"]",
        ),
        key(
            "blank",
            Kind::Tables(&PLACE),
            Optional,
            "Places that must be blank.",
            "blank = [{ at = \"nvs\" }]",
        ),
        key(
            "secure_boot",
            Kind::Flag,
            Optional,
            "Whether secure boot must be on or off.",
            "secure_boot = false",
        ),
        key(
            "flash_encryption",
            Kind::Flag,
            Optional,
            "Whether flash encryption must be on or off.",
            "flash_encryption = false",
        ),
        key(
            "policy",
            Kind::Text,
            Optional,
            "Security policy whose every rule the fuses must meet: `development`, `production`, or \
             a TOML file of your own. The fuse with which a later step closes the loader does not \
             count yet.",
            "policy = \"production\"",
        ),
    ],
};

pub(super) static READ: Table = Table {
    title: "`read`",
    meaning: "Needs at least one of `equals`, `measure`, `attach`. With `min` and `max` the value is a number, \
              whatever its form.",
    keys: &[
        Key {
            need: Optional,
            meaning: "Where: a flash offset in bytes, or the name of a partition of the recipe's table. Either \
                      this or `nvs`.",
            ..AT
        },
        Key {
            meaning: "How much. Needed with an offset; with a partition's name it stands for the whole \
                      partition. Numbers have the size of their encoding.",
            ..SIZE
        },
        key(
            "nvs",
            Kind::Table(&NVS_PLACE),
            Optional,
            "A value in an NVS partition that is not encrypted: text as it is, numbers in decimal, bytes \
             in hex.",
            "nvs = { partition = \"fctry\", namespace = \"id\", key = \"serial\" }",
        ),
        key(
            "equals",
            Kind::Template,
            Optional,
            "Text or number it must be; 0x00 and 0xFF at the end of text do not count.",
            "equals = \"{serial}\"",
        ),
        key(
            "encoding",
            Kind::Choice(&[
                "text", "hex", "u8", "u16le", "u16be", "u32le", "u32be", "u64le", "u64be",
            ]),
            Default("\"text\""),
            "What the bytes are: `text` is UTF-8, `hex` any bytes as pairs of hex digits, the others \
             numbers without sign, the least or the most significant byte first. Numbers beyond 2^53 are \
             recorded rounded, and compared exactly.",
            "encoding = \"u16le\"",
        ),
        key(
            "measure",
            Kind::Text,
            Optional,
            "Name under which the value is recorded, with its limits.",
            "measure = \"stored serial\"",
        ),
        UNIT,
        MIN,
        MAX,
        key(
            "attach",
            Kind::Flag,
            Default("false"),
            "Whether the bytes are stored with the record.",
            "attach = true",
        ),
    ],
};

pub(super) static NVS_PLACE: Table = Table {
    title: "`nvs` in `read`",
    meaning: "One value.",
    keys: &[
        key(
            "partition",
            Kind::Text,
            Required,
            "The NVS partition.",
            "partition = \"fctry\"",
        ),
        key(
            "namespace",
            Kind::Text,
            Required,
            "The value's namespace.",
            "namespace = \"id\"",
        ),
        key("key", Kind::Text, Required, "Its key.", "key = \"serial\""),
    ],
};
