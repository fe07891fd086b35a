//! What was measured of a unit so that its firmware can correct itself.

use std::collections::BTreeSet;
use std::fmt;

use super::VERSION;
use super::error::RecordError;
use super::manufacturing::{check_format, check_text};
use super::nvs::entry;
use super::raw::{self, Field};
use crate::nvs::{Entry, Value};

const KIND: u8 = 2;
const NAMESPACE: &str = "cal";
const MADE_AT: u8 = 1;
const QUANTITY: u8 = 2;
const MAX_QUANTITIES: usize = 256;
/// Two less than NVS keys have, for the key of the unit.
const MAX_NAME: usize = 13;
const MAX_UNIT: usize = 16;
const UNIT_SUFFIX: &str = ".u";
/// Keys of the record itself.
const RESERVED: [&str; 2] = ["format", "made_at"];

/// A named value: `value` × 10^`exponent` `unit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    /// Name, 1 to 13 of a-z, 0-9 and _, beginning with a letter.
    pub name: String,
    /// The number without its power of ten.
    pub value: i64,
    /// Power of ten.
    pub exponent: i8,
    /// Unit as people write it (`mV`, `Hz`); `1` for a bare number.
    pub unit: String,
}

impl Quantity {
    fn check(&self) -> Result<(), RecordError> {
        let name = &self.name;
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        let good = (1..=MAX_NAME).contains(&name.len())
            && name.bytes().all(allowed)
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && !RESERVED.contains(&name.as_str());
        if !good {
            return Err(RecordError::Name { name: name.clone() });
        }
        check_text(&format!("{name}.unit"), &self.unit, MAX_UNIT)?;
        if self.unit.contains(' ') {
            return Err(RecordError::Text {
                field: format!("{name}.unit"),
                most: MAX_UNIT,
            });
        }
        Ok(())
    }

    fn to_field(&self) -> Vec<u8> {
        let mut content = self.value.to_le_bytes().to_vec();
        content.extend(self.exponent.to_le_bytes());
        content.push(u8::try_from(self.name.len()).unwrap_or(u8::MAX));
        content.extend(self.name.as_bytes());
        content.extend(self.unit.as_bytes());
        content
    }

    fn from_field(field: &Field<'_>) -> Option<Self> {
        let (value, rest) = field.content.split_first_chunk::<8>()?;
        let ([exponent, length], rest) = rest.split_first_chunk::<2>()?;
        let (name, unit) = rest.split_at_checked(usize::from(*length))?;
        Some(Self {
            name: String::from_utf8(name.to_vec()).ok()?,
            value: i64::from_le_bytes(*value),
            exponent: i8::from_le_bytes([*exponent]),
            unit: String::from_utf8(unit.to_vec()).ok()?,
        })
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} = {}e{} {}",
            self.name, self.value, self.exponent, self.unit
        )
    }
}

/// A unit's calibration record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calibration {
    /// When it was measured, in seconds since 1970 UTC.
    pub made_at: u64,
    /// What was measured, in the order in which it is written; names appear once.
    pub quantities: Vec<Quantity>,
}

impl Calibration {
    fn check(&self) -> Result<(), RecordError> {
        let found = self.quantities.len();
        if found > MAX_QUANTITIES {
            return Err(RecordError::TooMany { found });
        }
        for (number, quantity) in self.quantities.iter().enumerate() {
            quantity.check()?;
            let before = &self.quantities[..number];
            if before.iter().any(|other| other.name == quantity.name) {
                return Err(RecordError::Twice {
                    field: quantity.name.clone(),
                });
            }
        }
        Ok(())
    }

    /// The quantity of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Quantity> {
        self.quantities
            .iter()
            .find(|quantity| quantity.name == name)
    }

    /// The record as bytes of a raw partition.
    ///
    /// # Errors
    /// When a name or unit cannot be, a name is there twice, or there are more than 256.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordError> {
        self.check()?;
        let mut fields = vec![(MADE_AT, self.made_at.to_le_bytes().to_vec())];
        let quantities = self.quantities.iter();
        fields.extend(quantities.map(|quantity| (QUANTITY, quantity.to_field())));
        Ok(raw::write(KIND, &fields))
    }

    /// Reads those bytes.
    ///
    /// # Errors
    /// At the first thing that is not as it should be, with its place.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let fields = raw::read(KIND, bytes)?;
        let found = fields.len().saturating_sub(1);
        if found > MAX_QUANTITIES {
            return Err(RecordError::TooMany { found });
        }
        let mut fields = fields.into_iter();
        let first = fields.next().ok_or(RecordError::Missing {
            field: "made_at".into(),
        })?;
        let made_at = match <[u8; 8]>::try_from(first.content) {
            Ok(bytes) if first.tag == MADE_AT => u64::from_le_bytes(bytes),
            _ => return Err(first.malformed()),
        };
        let quantities = fields
            .map(|field| {
                let quantity = (field.tag == QUANTITY).then(|| Quantity::from_field(&field));
                quantity.flatten().ok_or_else(|| field.malformed())
            })
            .collect::<Result<_, _>>()?;
        let record = Self {
            made_at,
            quantities,
        };
        record.check()?;
        Ok(record)
    }

    /// The record as NVS entries of namespace `cal`: for each quantity a number under its name, and
    /// under its name with `.u` the power of ten and the unit, such as `e-3 V`.
    ///
    /// # Errors
    /// As [`Calibration::to_bytes`].
    pub fn to_nvs(&self) -> Result<Vec<Entry>, RecordError> {
        self.check()?;
        let mut entries = vec![
            entry(NAMESPACE, "format", Value::U8(VERSION)),
            entry(NAMESPACE, "made_at", Value::U64(self.made_at)),
        ];
        for quantity in &self.quantities {
            let name = &quantity.name;
            let unit = format!("e{} {}", quantity.exponent, quantity.unit);
            let value = Value::I64(quantity.value);
            entries.push(entry(NAMESPACE, name, value));
            let key = format!("{name}{UNIT_SUFFIX}");
            entries.push(entry(NAMESPACE, &key, Value::String(unit)));
        }
        Ok(entries)
    }

    /// Reads those entries; quantities keep the order of their numbers, and entries of other
    /// namespaces are passed over.
    ///
    /// # Errors
    /// When one is missing, twice there or none of a record.
    pub fn from_nvs(entries: &[Entry]) -> Result<Self, RecordError> {
        let own: Vec<&Entry> = entries
            .iter()
            .filter(|entry| entry.namespace.as_str() == NAMESPACE)
            .collect();
        let found = own.len() / 2;
        if found > MAX_QUANTITIES + 1 {
            return Err(RecordError::TooMany { found });
        }
        let (mut made_at, mut format, mut quantities) = (None, None, Vec::new());
        let mut seen = BTreeSet::new();
        for entry in &own {
            let key = entry.key.as_str();
            if !seen.insert(key) {
                return Err(RecordError::Twice { field: key.into() });
            }
            match &entry.value {
                Value::U8(number) if key == "format" => format = Some(*number),
                Value::U64(number) if key == "made_at" => made_at = Some(*number),
                Value::I64(value) => {
                    let (exponent, unit) = unit_of(&own, key)?;
                    quantities.push(Quantity {
                        name: key.to_owned(),
                        value: *value,
                        exponent,
                        unit,
                    });
                }
                Value::String(_) if belongs(&own, key) => {}
                Value::U8(_)
                | Value::I8(_)
                | Value::U16(_)
                | Value::I16(_)
                | Value::U32(_)
                | Value::I32(_)
                | Value::U64(_)
                | Value::String(_)
                | Value::Blob(_) => {
                    return Err(RecordError::Entry { key: key.into() });
                }
            }
        }
        check_format(format)?;
        let record = Self {
            made_at: made_at.ok_or(RecordError::Missing {
                field: "made_at".into(),
            })?,
            quantities,
        };
        record.check()?;
        Ok(record)
    }
}

/// Power of ten and unit of a quantity.
fn unit_of(entries: &[&Entry], name: &str) -> Result<(i8, String), RecordError> {
    let key = format!("{name}{UNIT_SUFFIX}");
    let Some(entry) = entries.iter().find(|entry| entry.key.as_str() == key) else {
        return Err(RecordError::Missing { field: key });
    };
    let text = match &entry.value {
        Value::String(text) => text.as_str(),
        Value::U8(_)
        | Value::I8(_)
        | Value::U16(_)
        | Value::I16(_)
        | Value::U32(_)
        | Value::I32(_)
        | Value::U64(_)
        | Value::I64(_)
        | Value::Blob(_) => "",
    };
    let parsed = text.strip_prefix('e').and_then(|text| text.split_once(' '));
    parsed
        .and_then(|(exponent, unit)| Some((exponent.parse().ok()?, unit.to_owned())))
        .ok_or(RecordError::Entry { key })
}

/// Whether a text is the unit of a number that is there.
fn belongs(entries: &[&Entry], key: &str) -> bool {
    let Some(name) = key.strip_suffix(UNIT_SUFFIX) else {
        return false;
    };
    entries
        .iter()
        .any(|entry| entry.key.as_str() == name && matches!(entry.value, Value::I64(_)))
}
