//! Keys that mean the same in several tables.

use super::Need::{Default, Optional, Required};
use super::{Key, Kind, key};

pub(super) const AT: Key = key(
    "at",
    Kind::Place,
    Required,
    "Where: a flash offset in bytes, or the name of a partition of the recipe's table. On a sector \
     border (4096 bytes).",
    "at = \"nvs\"",
);
pub(super) const SIZE: Key = key(
    "size",
    Kind::Size,
    Optional,
    "How much. Needed with an offset; with a partition's name it stands for the whole partition.",
    "size = \"4KB\"",
);
pub(super) const MEASURE: Key = key(
    "measure",
    Kind::Text,
    Optional,
    "Name under which the value is recorded, unique in its step. Group 1 of the pattern is the \
     value.",
    "measure = \"vdd\"",
);
pub(super) const PATTERN: Key = key(
    "pattern",
    Kind::Pattern,
    Optional,
    "Regular expression to wait for. One that measures has a group around the value.",
    "pattern = 'vdd=(\\d+)mV'",
);
pub(super) const UNIT: Key = key(
    "unit",
    Kind::Text,
    Optional,
    "Unit of the value and its limits.",
    "unit = \"mV\"",
);
pub(super) const MIN: Key = key(
    "min",
    Kind::Number,
    Optional,
    "Smallest good number.",
    "min = 3200",
);
pub(super) const MAX: Key = key(
    "max",
    Kind::Number,
    Optional,
    "Largest good number.",
    "max = 3400",
);
pub(super) const EQUALS: Key = key(
    "equals",
    Kind::Text,
    Optional,
    "The one good value, as text.",
    "equals = \"ok\"",
);
pub(super) const AS: Key = key(
    "as",
    Kind::Choice(&["number", "text"]),
    Optional,
    "Whether the value is a number or text. Without it: text if `equals` is there, otherwise a \
     number. A number that cannot be read fails.",
    "as = \"text\"",
);
pub(super) const NEEDS: Key = key(
    "needs",
    Kind::Texts,
    Optional,
    "Shared things of the station that only one bay can hold at a time, held while it runs.",
    "needs = \"rf-box\"",
);
pub(super) const VALUE: Key = key(
    "value",
    Kind::Template,
    Required,
    "The text to write.",
    "value = \"{serial} {mac|nocolon|upper}\"",
);
pub(super) const ENCODING: Key = key(
    "encoding",
    Kind::Choice(&["text", "hex", "base64"]),
    Default("\"text\""),
    "What bytes the text stands for: `text` is UTF-8, `hex` is pairs of hex digits.",
    "encoding = \"hex\"",
);
pub(super) const CLEAR: Key = key(
    "clear",
    Kind::Flag,
    Default("true"),
    "Whether the rest of the place is erased too, so that nothing older stays behind.",
    "clear = true",
);
pub(super) const EXPECT: Key = key(
    "expect",
    Kind::Pattern,
    Optional,
    "Regular expression that the application must print after its start.",
    "expect = \"SELFTEST READY\"",
);
pub(super) const BOOT_WITHIN: Key = key(
    "within",
    Kind::Duration,
    Default("\"5s\""),
    "Longest wait for `expect` after the reset.",
    "within = \"5s\"",
);
pub(super) const REJECT: Key = key(
    "reject",
    Kind::Texts,
    Optional,
    "Regular expressions that mean the start failed.",
    "reject = [\"Guru Meditation\", \"invalid header\"]",
);
pub(super) const BAUD: Key = key(
    "baud",
    Kind::Integer(300, 5_000_000),
    Default("115200"),
    "Baud rate of the application's console.",
    "baud = 115200",
);
