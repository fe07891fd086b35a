//! The tables of `nvs`.

use super::Need::{Default, Optional, Required};
use super::keys::SIZE;
use super::{Kind, Table, key};

pub(super) static NVS: Table = Table {
    title: "`nvs`",
    meaning: "An NVS partition, made at the station for each unit, written, read back and compared value by \
              value. Its entries come from `csv`, from `values`, or both. On a unit that is only verified they \
              are compared, and what its application has added is left alone.",
    keys: &[
        key(
            "partition",
            Kind::Text,
            Optional,
            "Partition of the recipe's table. Either this or `at`.",
            "partition = \"fctry\"",
        ),
        key(
            "at",
            Kind::Place,
            Optional,
            "Where it is, if not in a partition of the table. On a sector border (4096 bytes).",
            "at = 0x9000",
        ),
        SIZE,
        key(
            "version",
            Kind::Integer(1, 2),
            Default("2"),
            "Form of the image: 2 since ESP-IDF 3.3; in 1 a blob has at most 1984 bytes.",
            "version = 2",
        ),
        key(
            "csv",
            Kind::Text,
            Optional,
            "What every unit gets: a CSV file as for ESP-IDF's NVS partition generator, relative to the \
             recipe, as are the files that it names. A value in `values` takes the place of one in it.",
            "csv = \"fctry.csv\"",
        ),
        key(
            "values",
            Kind::Tables(&VALUE),
            Optional,
            "More entries, in this order.",
            "values = [{ namespace = \"id\", key = \"serial\", type = \"string\", value = \"{serial}\" }]",
        ),
        key(
            "encryption",
            Kind::Table(&ENCRYPTION),
            Optional,
            "Encrypts the entries, as ESP-IDF's NVS encryption does. Without it they are plain.",
            "encryption = { hmac = \"nvs key\" }",
        ),
    ],
};

pub(super) static VALUE: Table = Table {
    title: "`values` of `nvs`: one entry",
    meaning: "What can be known beforehand is checked beforehand, in every row of a CSV file.",
    keys: &[
        key(
            "namespace",
            Kind::Text,
            Required,
            "Its namespace, 1 to 15 printable ASCII characters.",
            "namespace = \"id\"",
        ),
        key(
            "key",
            Kind::Text,
            Required,
            "Its key, 1 to 15 printable ASCII characters.",
            "key = \"serial\"",
        ),
        key(
            "type",
            Kind::Choice(&[
                "u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "string", "hex", "base64",
                "file",
            ]),
            Required,
            "What it is. `hex` and `base64` are blobs written so; `file` is a blob, and the value names \
             the file in the recipe's folder.",
            "type = \"string\"",
        ),
        key(
            "value",
            Kind::TemplateOrInteger,
            Required,
            "The value. Numbers are decimal.",
            "value = \"{serial}\"",
        ),
    ],
};

pub(super) static ENCRYPTION: Table = Table {
    title: "`encryption` of `nvs`",
    meaning: "Either `keys` or `hmac`.",
    keys: &[
        key(
            "keys",
            Kind::Text,
            Optional,
            "Partition for the keys, which are made for each unit and kept nowhere else. Whoever can read \
             flash can read them, until flash encryption covers that partition.",
            "keys = \"nvs_keys\"",
        ),
        key(
            "hmac",
            Kind::Text,
            Optional,
            "An earlier step with `key = { purpose = \"HMAC_UP\", … }`: the keys follow from its key, which \
             the chip holds and software cannot read. It must not be forgotten.",
            "hmac = \"nvs key\"",
        ),
    ],
};
