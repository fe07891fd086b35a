//! Who made a unit, when and as what.

use super::VERSION;
use super::error::RecordError;
use super::nvs::entry;
use super::raw;
use crate::chip::MacAddress;
use crate::nvs::{Entry, Value};

const KIND: u8 = 1;
const NAMESPACE: &str = "mfg";
const MAX_TEXT: usize = 64;
const MAC: u8 = 2;
const MADE_AT: u8 = 8;

/// A unit's manufacturing record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manufacturing {
    /// Serial number.
    pub serial: String,
    /// The chip's MAC address.
    pub mac: MacAddress,
    /// Product.
    pub product: String,
    /// Revision of the hardware, where it has one.
    pub revision: Option<String>,
    /// Version of the firmware it left the factory with.
    pub firmware: Option<String>,
    /// Lot.
    pub lot: Option<String>,
    /// Station that made it.
    pub station: Option<String>,
    /// When, in seconds since 1970 UTC.
    pub made_at: u64,
}

/// Text fields with their tags and NVS keys, in the order in which they are written.
const TEXTS: [(u8, &str); 6] = [
    (1, "serial"),
    (3, "product"),
    (4, "revision"),
    (5, "firmware"),
    (6, "lot"),
    (7, "station"),
];

impl Manufacturing {
    fn text(&self, tag: u8) -> Option<&String> {
        match tag {
            1 => Some(&self.serial),
            3 => Some(&self.product),
            4 => self.revision.as_ref(),
            5 => self.firmware.as_ref(),
            6 => self.lot.as_ref(),
            _ => self.station.as_ref(),
        }
    }

    fn check(&self) -> Result<(), RecordError> {
        for (tag, field) in TEXTS {
            if let Some(text) = self.text(tag) {
                check_text(field, text, MAX_TEXT)?;
            }
        }
        Ok(())
    }

    /// Assembles a record from its parts, wherever they were read.
    fn from_parts(
        mut texts: [Option<String>; 6],
        mac: Option<MacAddress>,
        made_at: Option<u64>,
    ) -> Result<Self, RecordError> {
        let missing = |field: &str| RecordError::Missing {
            field: field.to_owned(),
        };
        let record = Self {
            serial: texts[0].take().ok_or_else(|| missing("serial"))?,
            mac: mac.ok_or_else(|| missing("mac"))?,
            product: texts[1].take().ok_or_else(|| missing("product"))?,
            revision: texts[2].take(),
            firmware: texts[3].take(),
            lot: texts[4].take(),
            station: texts[5].take(),
            made_at: made_at.ok_or_else(|| missing("made_at"))?,
        };
        record.check()?;
        Ok(record)
    }

    /// The record as bytes of a raw partition.
    ///
    /// # Errors
    /// When a text is empty, too long or not printable.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordError> {
        self.check()?;
        let texts = TEXTS.iter().filter_map(|(tag, _)| {
            let text = self.text(*tag)?;
            Some((*tag, text.clone().into_bytes()))
        });
        let mut fields: Vec<_> = texts.collect();
        fields.push((MAC, self.mac.0.to_vec()));
        fields.push((MADE_AT, self.made_at.to_le_bytes().to_vec()));
        fields.sort_by_key(|(tag, _)| *tag);
        Ok(raw::write(KIND, &fields))
    }

    /// Reads those bytes.
    ///
    /// # Errors
    /// At the first thing that is not as it should be, with its place.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut texts = [const { None }; 6];
        let (mut mac, mut made_at, mut last) = (None, None, 0);
        for field in raw::read(KIND, bytes)? {
            // Rising tags are the only order, which also means that none is there twice.
            if field.tag <= last {
                return Err(field.malformed());
            }
            last = field.tag;
            let malformed = |_| field.malformed();
            match TEXTS.iter().position(|(tag, _)| *tag == field.tag) {
                Some(place) => texts[place] = Some(field.text()?),
                None if field.tag == MAC => {
                    mac = Some(MacAddress(field.content.try_into().map_err(malformed)?));
                }
                None if field.tag == MADE_AT => {
                    let bytes = field.content.try_into().map_err(malformed)?;
                    made_at = Some(u64::from_le_bytes(bytes));
                }
                None => return Err(field.malformed()),
            }
        }
        Self::from_parts(texts, mac, made_at)
    }

    /// The record as NVS entries of namespace `mfg`.
    ///
    /// # Errors
    /// As [`Manufacturing::to_bytes`].
    pub fn to_nvs(&self) -> Result<Vec<Entry>, RecordError> {
        self.check()?;
        let entry = |key: &str, value| entry(NAMESPACE, key, value);
        let mut entries = vec![
            entry("format", Value::U8(VERSION)),
            entry("mac", Value::String(self.mac.to_string())),
            entry("made_at", Value::U64(self.made_at)),
        ];
        for (tag, key) in TEXTS {
            if let Some(text) = self.text(tag) {
                entries.push(entry(key, Value::String(text.clone())));
            }
        }
        Ok(entries)
    }

    /// Reads those entries, in any order; entries of other namespaces are passed over.
    ///
    /// # Errors
    /// When one is missing, twice there or none of a record.
    pub fn from_nvs(entries: &[Entry]) -> Result<Self, RecordError> {
        let mut texts = [const { None }; 6];
        let (mut mac, mut made_at, mut format) = (None, None, None);
        for entry in entries
            .iter()
            .filter(|entry| entry.namespace.as_str() == NAMESPACE)
        {
            let key = entry.key.as_str();
            let foreign = || RecordError::Entry {
                key: key.to_owned(),
            };
            let text_place = TEXTS.iter().position(|(_, name)| *name == key);
            let twice = match (&entry.value, text_place) {
                (Value::String(text), Some(place)) => texts[place].replace(text.clone()).is_some(),
                (Value::String(text), None) if key == "mac" => {
                    let parsed = text.parse().map_err(|_| foreign())?;
                    mac.replace(parsed).is_some()
                }
                (Value::U64(number), None) if key == "made_at" => {
                    made_at.replace(*number).is_some()
                }
                (Value::U8(number), None) if key == "format" => format.replace(*number).is_some(),
                _ => return Err(foreign()),
            };
            if twice {
                return Err(RecordError::Twice { field: key.into() });
            }
        }
        check_format(format)?;
        Self::from_parts(texts, mac, made_at)
    }
}

pub(super) fn check_format(format: Option<u8>) -> Result<(), RecordError> {
    match format {
        Some(VERSION) => Ok(()),
        Some(found) => Err(RecordError::Version { found }),
        None => Err(RecordError::Missing {
            field: "format".into(),
        }),
    }
}

pub(super) fn check_text(field: &str, text: &str, most: usize) -> Result<(), RecordError> {
    if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
        return Err(RecordError::Text {
            field: field.to_owned(),
            most,
        });
    }
    Ok(())
}
