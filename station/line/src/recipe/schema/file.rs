//! The tables of a recipe file, and the options of a step.

use super::Need::{Action, Default, Optional, Required};
use super::actions::{BOOT, CHECK, COMMAND, DATA, ERASE, FLASH, IDENTIFY, READ, SERIAL_STEP, TEST};
use super::keys::{AT, NEEDS};
use super::nvs::NVS;
use super::security::{EFUSE, FLASH_ENCRYPTION, KEY, SECURE_BOOT};
use super::{Key, Kind, Table, key};

/// The recipe.
pub(crate) static RECIPE: Table = Table {
    title: "The recipe",
    meaning: "Keys at the top of the file.",
    keys: &[
        key(
            "format",
            Kind::Integer(0, i64::MAX),
            Required,
            "Version of the language: 1.",
            "format = 1",
        ),
        key(
            "product",
            Kind::Text,
            Required,
            "What is made; counted and reported under this name.",
            "product = \"sensor-node\"",
        ),
        key(
            "revision",
            Kind::Text,
            Optional,
            "Revision of the product.",
            "revision = \"C\"",
        ),
        key(
            "chip",
            Kind::Texts,
            Required,
            "Chip a unit must have, or a list of them.",
            "chip = \"esp32c3\"",
        ),
        key(
            "min_revision",
            Kind::Text,
            Optional,
            "Smallest chip revision, major and minor.",
            "min_revision = \"0.3\"",
        ),
        key(
            "run",
            Kind::Table(&RUN),
            Optional,
            "How a run goes.",
            "[run]",
        ),
        key(
            "serial",
            Kind::Table(&SERIAL),
            Optional,
            "Where serial numbers come from. Without it units have none.",
            "[serial]",
        ),
        key(
            "values",
            Kind::Table(&VALUES),
            Optional,
            "What each unit gets of its own, from a CSV file.",
            "[values]",
        ),
        key(
            "images",
            Kind::Named(&IMAGE),
            Optional,
            "What can be written, by name.",
            "[images]",
        ),
        key(
            "step",
            Kind::Tables(&STEP),
            Required,
            "What is done with each unit, in this order.",
            "[[step]]",
        ),
    ],
};

/// `[run]`.
pub(crate) static RUN: Table = Table {
    title: "`[run]`: how a run goes",
    meaning: "All keys have defaults.",
    keys: &[
        key(
            "mode",
            Kind::Choice(&["independent", "carrier"]),
            Default("\"independent\""),
            "`independent`: every bay starts as soon as it has a board. `carrier`: all bays start \
             together and are released together.",
            "mode = \"carrier\"",
        ),
        key(
            "attempt_timeout",
            Kind::Duration,
            Default("\"120s\""),
            "Longest an attempt on one unit may take.",
            "attempt_timeout = \"90s\"",
        ),
        key(
            "auto_start",
            Kind::Flag,
            Default("true"),
            "Whether a board that is plugged in starts by itself. It must leave before the bay \
             starts again.",
            "auto_start = true",
        ),
        key(
            "seen_before",
            Kind::Choice(&["refuse", "repeat", "verify"]),
            Default("\"refuse\""),
            "What a unit that already passed gets: turned away, done again, or only compared.",
            "seen_before = \"verify\"",
        ),
        key(
            "quota",
            Kind::Integer(1, i64::MAX),
            Optional,
            "Successful units, over all runs, after which none starts: a guard against \
             over-production.",
            "quota = 5000",
        ),
        key(
            "quarantine_after",
            Kind::Integer(1, 1000),
            Default("3"),
            "Consecutive errors after which a bay is closed until a person clears it.",
            "quarantine_after = 3",
        ),
        key(
            "bauds",
            Kind::IntegerList(9600, 5_000_000),
            Default("[921600, 460800, 115200]"),
            "Baud rates to try for bulk transfer, fastest first.",
            "bauds = [2000000, 921600, 115200]",
        ),
    ],
};

/// `[serial]`.
pub(crate) static SERIAL: Table = Table {
    title: "`[serial]`: serial numbers",
    meaning: "Either `pattern`, a counter in a pattern, or `from` and `column`, a list in a CSV file. The \
              same MAC always gets the same number.",
    keys: &[
        key(
            "pool",
            Kind::Text,
            Default("the product; for a list the file's name"),
            "Name under which the journal keeps what is taken. Recipes with one pool share it.",
            "pool = \"sensor-node\"",
        ),
        key(
            "pattern",
            Kind::Text,
            Optional,
            "What a number looks like; fields below.",
            "pattern = \"SN{year:02}{week:02}-{counter:06}{check:luhn}\"",
        ),
        key(
            "from",
            Kind::Text,
            Optional,
            "CSV file with a header, relative to the recipe. Its other columns can be used as \
             `{csv.COLUMN}`.",
            "from = \"serials.csv\"",
        ),
        key(
            "column",
            Kind::Text,
            Optional,
            "Column that holds the numbers. Needed with `from`.",
            "column = \"serial\"",
        ),
        key(
            "mac",
            Kind::Text,
            Optional,
            "Column that holds the MAC of the unit a row is for. Then order does not count, every row \
             is used by exactly the unit it names, and a unit that is in no row gets nothing.",
            "mac = \"mac\"",
        ),
        key(
            "allow",
            Kind::Pattern,
            Default("\"[A-Za-z0-9-]{1,50}\""),
            "Regular expression that every number must match from end to end.",
            "allow = \"[A-Z0-9-]+\"",
        ),
    ],
};

/// `[values]`.
static VALUES: Table = Table {
    title: "`[values]`: what each unit gets of its own",
    meaning: "A CSV file with a header, whose rows name units by `mac` or by `serial`, in any order, no unit \
              twice. Templates know the other columns as `{csv.COLUMN}`. A unit that is in no row is not \
              written to and ends with `unit-not-listed`.",
    keys: &[
        key(
            "from",
            Kind::Text,
            Required,
            "CSV file, relative to the recipe.",
            "from = \"units.csv\"",
        ),
        key(
            "mac",
            Kind::Text,
            Optional,
            "Column that holds the MAC of the unit. Either this or `serial`.",
            "mac = \"mac\"",
        ),
        key(
            "serial",
            Kind::Text,
            Optional,
            "Column that holds the serial number of the unit. Needs `[serial]`.",
            "serial = \"serial\"",
        ),
    ],
};

/// `[images]`, one of them.
pub(crate) static IMAGE: Table = Table {
    title: "`[images]`: what can be written",
    meaning: "One line per image, `name = { … }`. What a file is follows from its content and its name: `.elf` \
              is converted, `.csv` is compiled into a partition table, `.bin` is checked as an application \
              or bootloader if it is one, and taken as it is otherwise. `.hex`, `.uf2` and the \
              `flasher_args.json` of an ESP-IDF build say themselves where their parts go: each part is \
              checked like a file of its own, and the one name stands for all of them. Paths are relative \
              to the recipe.",
    keys: &[
        key(
            "file",
            Kind::Text,
            Optional,
            "File that holds it. Either this or `bundled`.",
            "file = \"build/flasher_args.json\"",
        ),
        key(
            "bundled",
            Kind::Choice(&["bootloader"]),
            Optional,
            "An image that the station brings along: `bootloader`, the second-stage bootloader \
             for the chip.",
            "bundled = \"bootloader\"",
        ),
        Key {
            need: Optional,
            meaning: "Where: a flash offset in bytes, or the name of a partition of the recipe's table. On a \
                      sector border (4096 bytes). Needed unless the file says it itself.",
            ..AT
        },
        key(
            "crystal",
            Kind::Integer(26, 48),
            Default("the usual one of the chip"),
            "Crystal in MHz, which a bundled bootloader is built for: chips that exist with \
             several are esp32 and esp32c2 (40, 26) and esp32c5 (48, 40).",
            "crystal = 26",
        ),
        key(
            "chip",
            Kind::Texts,
            Default("every chip of the recipe"),
            "Chips it is for, where a recipe has several.",
            "chip = \"esp32c3\"",
        ),
        key(
            "kind",
            Kind::Choice(&["app", "bootloader", "table", "raw"]),
            Default("found out"),
            "What it is, where the station cannot tell or would be wrong.",
            "kind = \"raw\"",
        ),
        key(
            "flash_mode",
            Kind::Choice(&["qio", "qout", "dio", "dout"]),
            Default("\"dio\""),
            "ELF files: how the header says that flash is read.",
            "flash_mode = \"dio\"",
        ),
        key(
            "flash_freq",
            Kind::Choice(&[
                "80MHz", "64MHz", "60MHz", "48MHz", "40MHz", "32MHz", "30MHz", "26MHz", "24MHz",
                "20MHz", "16MHz", "15MHz", "12MHz",
            ]),
            Default("the usual one of the chip"),
            "ELF files: flash clock in the header; which there are depends on the chip.",
            "flash_freq = \"80MHz\"",
        ),
        key(
            "min_revision",
            Kind::Text,
            Default("\"0.0\""),
            "ELF files: oldest revision of the chip that the header lets start it.",
            "min_revision = \"0.3\"",
        ),
        key(
            "max_revision",
            Kind::Text,
            Default("any revision"),
            "ELF files: newest revision of the chip that the header lets start it.",
            "max_revision = \"1.99\"",
        ),
        key(
            "mmu_page_size",
            Kind::Size,
            Default("as built"),
            "ELF files: page of the memory map, where the chip has a choice.",
            "mmu_page_size = \"32KB\"",
        ),
        key(
            "secure_pad",
            Kind::Choice(&["none", "v1", "v2"]),
            Default("\"none\""),
            "ELF files: version of secure boot for whose signature the image is filled up.",
            "secure_pad = \"v2\"",
        ),
        key(
            "pad_to_size",
            Kind::Size,
            Default("not filled up"),
            "ELF files: the image is filled with 0xFF to a multiple of this.",
            "pad_to_size = \"64KB\"",
        ),
        key(
            "hash",
            Kind::Choice(&["sha256", "none"]),
            Default("\"sha256\""),
            "ELF files: what is appended, so that a bootloader notices damage.",
            "hash = \"none\"",
        ),
        key(
            "elf_sha256_offset",
            Kind::Integer(0, 0xFFFF_FFFF),
            Default("in the application descriptor"),
            "ELF files: where in the image the SHA-256 of the ELF stands.",
            "elf_sha256_offset = 0xb0",
        ),
        key(
            "use_segments",
            Kind::Flag,
            Default("`false`"),
            "ELF files: the program headers are loaded instead of the sections.",
            "use_segments = true",
        ),
        key(
            "ram_only_header",
            Kind::Flag,
            Default("`false`"),
            "ELF files: the header counts only what goes into RAM, which comes first; nothing is appended.",
            "ram_only_header = true",
        ),
    ],
};

/// `[[step]]`.
pub(crate) static STEP: Table = Table {
    title: "`[[step]]`: one step",
    meaning: "A name, exactly one action, and options.",
    keys: &[
        key(
            "name",
            Kind::Text,
            Required,
            "Name, unique in the recipe: letters, digits, blanks, `-`, `_`.",
            "name = \"self test\"",
        ),
        key(
            "identify",
            Kind::Table(&IDENTIFY),
            Action,
            "Checks who the chip is.",
            "identify = { flash_size = \"4MB\" }",
        ),
        key(
            "erase",
            Kind::Table(&ERASE),
            Action,
            "Makes flash blank.",
            "erase = { ranges = [{ at = \"nvs\" }] }",
        ),
        key(
            "flash",
            Kind::Table(&FLASH),
            Action,
            "Writes images and has the chip verify them.",
            "flash = { images = [\"bootloader\", \"table\", \"app\"] }",
        ),
        key(
            "data",
            Kind::Table(&DATA),
            Action,
            "Writes text or bytes made for this unit.",
            "data = { at = \"config\", value = \"lot={lot}\" }",
        ),
        key(
            "serial",
            Kind::Table(&SERIAL_STEP),
            Action,
            "Writes the serial number and reads it back.",
            "serial = { at = \"serial\" }",
        ),
        key(
            "nvs",
            Kind::Table(&NVS),
            Action,
            "Writes an NVS partition made for this unit and reads it back.",
            "nvs = { partition = \"fctry\", values = [{ namespace = \"id\", key = \"serial\", type = \
             \"string\", value = \"{serial}\" }] }",
        ),
        key(
            "boot",
            Kind::Table(&BOOT),
            Action,
            "Starts the application and waits for a text.",
            "boot = { expect = \"ready\", within = \"5s\" }",
        ),
        key(
            "test",
            Kind::Table(&TEST),
            Action,
            "Talks to the application and judges what it says.",
            "test = { boot = true, script = [{ send = \"ram test\", pattern = \"ram=ok\" }] }",
        ),
        key(
            "command",
            Kind::Table(&COMMAND),
            Action,
            "Runs a program on the station.",
            "command = { run = [\"./print-label\", \"{serial}\"], within = \"10s\" }",
        ),
        key(
            "check",
            Kind::Table(&CHECK),
            Action,
            "Checks what is on the chip without changing it.",
            "check = { images = [\"app\"], secure_boot = false }",
        ),
        key(
            "read",
            Kind::Table(&READ),
            Action,
            "Reads flash to record or compare it.",
            "read = { at = \"serial\", equals = \"{serial}\" }",
        ),
        key(
            "efuse",
            Kind::Table(&EFUSE),
            Action,
            "Burns fuses. Cannot be undone.",
            "efuse = { fields = { DIS_USB_JTAG = true } }",
        ),
        key(
            "key",
            Kind::Table(&KEY),
            Action,
            "Burns a key. Cannot be undone.",
            "key = { purpose = \"HMAC_UP\", source = \"generate\" }",
        ),
        key(
            "flash_encryption",
            Kind::Table(&FLASH_ENCRYPTION),
            Action,
            "Writes ciphertext and switches flash encryption on. Cannot be undone.",
            "flash_encryption = { mode = \"release\", images = [\"bootloader\", \"table\", \"app\"], \
             key = { kind = \"xts128\", source = \"generate\" } }",
        ),
        key(
            "secure_boot",
            Kind::Table(&SECURE_BOOT),
            Action,
            "Switches secure boot on. Cannot be undone.",
            "secure_boot = { digests = [{ public_key = \"signing.pem\" }] }",
        ),
        key(
            "timeout",
            Kind::Duration,
            Default("`attempt_timeout`"),
            "Longest one try of the step may take.",
            "timeout = \"30s\"",
        ),
        key(
            "retry",
            Kind::Table(&RETRY),
            Optional,
            "When to try again. Without it a step is tried once.",
            "retry = { times = 2, on = [\"link\", \"verify\"] }",
        ),
        key(
            "when",
            Kind::Template,
            Optional,
            "Run only if this holds: `TEMPLATE == TEXT` or `TEMPLATE != TEXT`. Otherwise the step \
             is skipped.",
            "when = \"{chip} == esp32c3\"",
        ),
        key(
            "always",
            Kind::Flag,
            Default("false"),
            "Run even after an earlier step has failed.",
            "always = true",
        ),
        NEEDS,
        key(
            "group",
            Kind::Text,
            Optional,
            "Consecutive steps of one group are retried together, from the first.",
            "group = \"program\"",
        ),
    ],
};

static RETRY: Table = Table {
    title: "`retry`: trying again",
    meaning: "A measurement outside its limits is tried again only if `on` says `limit`, and \
     every try is recorded.",
    keys: &[
        key(
            "times",
            Kind::Integer(1, 20),
            Required,
            "How often it is repeated: 2 means at most three tries.",
            "times = 2",
        ),
        key(
            "on",
            Kind::TextList,
            Default("[\"contact\", \"link\", \"timeout\"]"),
            "Failures after which it is repeated: `contact`, `link`, `flash`, `verify`, `boot`, \
             `limit`, `timeout`, `station`.",
            "on = [\"link\", \"verify\"]",
        ),
        key(
            "pause",
            Kind::Duration,
            Default("\"0s\""),
            "Pause before each repeat.",
            "pause = \"500ms\"",
        ),
    ],
};
