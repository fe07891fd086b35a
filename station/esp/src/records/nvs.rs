//! NVS entries of records, whose names are known to fit.

use crate::nvs::{Entry, Name, Value};

/// An entry of a record that was checked.
pub(super) fn entry(namespace: &str, key: &str, value: Value) -> Entry {
    let name = |text| Name::new(text).expect("names of a checked record are short and plain");
    Entry {
        namespace: name(namespace),
        key: name(key),
        value,
    }
}
