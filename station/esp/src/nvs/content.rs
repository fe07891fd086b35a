//! What an NVS partition is to hold: namespaces and entries in the order they are written.
//!
//! Invariants: names are valid, no key stands twice in a namespace, text has no NUL, there are at
//! most 254 namespaces, and all values together stay within [`MAX_SIZE`].

use std::collections::HashMap;

use super::csv;
use super::error::{Fault, NvsError, Place};
use super::layout::MAX_NAMESPACES;
use super::{MAX_BLOB, MAX_SIZE, Name, Value, wifi};

/// A key with its value in its namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The namespace.
    pub namespace: Name,
    /// The key.
    pub key: Name,
    /// The value.
    pub value: Value,
}

/// One thing that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// A namespace, where it is first named.
    Namespace(Name),
    /// An entry of a namespace named before.
    Entry(Entry),
}

/// A checked, ordered table of namespaces and entries.
#[derive(Debug, Clone, Default)]
pub struct Content {
    rows: Vec<Row>,
    /// Numbers of the namespaces, from 1.
    numbers: HashMap<Name, u8>,
    /// Where in `rows` an entry is.
    places: HashMap<(u8, Name), usize>,
    /// Sum of all value lengths.
    length: usize,
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        // The other fields follow from the rows.
        self.rows == other.rows
    }
}

impl Eq for Content {}

impl Content {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the CSV form: a header naming `key`, `type`, `encoding` and `value`, then a row for
    /// each namespace and entry. `files` gives the content of a file named in a row, or says in
    /// words why it cannot.
    ///
    /// # Errors
    /// When the text is no such table or breaks a rule; the place is line and column.
    pub fn parse_csv(
        text: &str,
        files: &dyn Fn(&str) -> Result<Vec<u8>, String>,
    ) -> Result<Self, NvsError> {
        csv::parse(text, files)
    }

    /// The CSV form, which esp-idf-nvs-partition-gen reads too; blobs are in hex. Of a Wi-Fi
    /// configuration the tool writes twice what stands there already.
    ///
    /// # Errors
    /// [`Fault::NotCsv`] for text that CSV cannot carry: a carriage return, or a line that would be
    /// taken for a comment; [`Fault::PartOfWifi`] when reading it would add to it.
    pub fn to_csv(&self) -> Result<String, NvsError> {
        let text = csv::encode(&self.rows)?;
        let grows = self.entries().any(|entry| wifi::adds(entry.key.as_str()));
        if grows && Self::parse_csv(&text, &|_| Err(String::new())).as_ref() != Ok(self) {
            return Err(Place::Partition.fault(Fault::PartOfWifi));
        }
        Ok(text)
    }

    /// Names a namespace; one that was named before is left as it is.
    ///
    /// # Errors
    /// When the name is not valid or there are too many.
    pub fn add_namespace(&mut self, namespace: &str) -> Result<(), NvsError> {
        let at = || Place::Namespace(namespace.to_owned());
        let name = Name::new(namespace).map_err(|fault| at().fault(fault))?;
        self.number(name).map_err(|fault| at().fault(fault))?;
        Ok(())
    }

    /// Adds an entry behind all others, and its namespace before it if that is new.
    ///
    /// # Errors
    /// When the key is there already or a rule is broken.
    pub fn push(&mut self, namespace: &str, key: &str, value: Value) -> Result<(), NvsError> {
        self.write(namespace, key, value, false)
            .map_err(|fault| Place::entry(namespace, key).fault(fault))
    }

    /// Gives an entry a value: in its place if it is there, else behind all others.
    ///
    /// # Errors
    /// When a rule is broken; [`Fault::Hashed`] for name or password of a Wi-Fi access point whose
    /// hash is here too and would no longer be theirs.
    pub fn set(&mut self, namespace: &str, key: &str, value: Value) -> Result<(), NvsError> {
        self.write(namespace, key, value, true)
            .map_err(|fault| Place::entry(namespace, key).fault(fault))
    }

    fn write(
        &mut self,
        namespace: &str,
        key: &str,
        value: Value,
        replace: bool,
    ) -> Result<(), Fault> {
        let (namespace, key) = (Name::new(namespace)?, Name::new(key)?);
        check(&value)?;
        let number = self.numbers.get(&namespace).copied();
        let place = number.and_then(|number| self.places.get(&(number, key)).copied());
        if replace && wifi::is_hashed(key.as_str()) {
            let held = self.find(namespace.as_str(), wifi::HASH).is_some();
            if held && self.find(namespace.as_str(), key.as_str()) != Some(&value) {
                return Err(Fault::Hashed);
            }
        }
        let former = match place.and_then(|place| self.rows.get(place)) {
            Some(Row::Entry(_)) if !replace => return Err(Fault::Duplicate),
            Some(Row::Entry(entry)) => entry.value.length(),
            Some(Row::Namespace(_)) | None => 0,
        };
        let length = self.length - former + value.length();
        if length > MAX_SIZE as usize {
            return Err(Fault::TooMuch);
        }
        let number = self.number(namespace)?;
        let row = Row::Entry(Entry {
            namespace,
            key,
            value,
        });
        match place.and_then(|place| self.rows.get_mut(place)) {
            Some(former) => *former = row,
            None => {
                self.places.insert((number, key), self.rows.len());
                self.rows.push(row);
            }
        }
        self.length = length;
        Ok(())
    }

    /// The number of a namespace, which is added if it is new.
    fn number(&mut self, name: Name) -> Result<u8, Fault> {
        if let Some(number) = self.numbers.get(&name) {
            return Ok(*number);
        }
        let number = u8::try_from(self.numbers.len() + 1)
            .ok()
            .filter(|number| usize::from(*number) <= MAX_NAMESPACES)
            .ok_or(Fault::TooManyNamespaces)?;
        self.numbers.insert(name, number);
        self.rows.push(Row::Namespace(name));
        Ok(number)
    }

    /// Namespaces and entries as they are written.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The entries in their order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.rows.iter().filter_map(|row| match row {
            Row::Entry(entry) => Some(entry),
            Row::Namespace(_) => None,
        })
    }

    /// The value of a key.
    #[must_use]
    pub fn find(&self, namespace: &str, key: &str) -> Option<&Value> {
        let number = self.numbers.get(&Name::new(namespace).ok()?)?;
        let place = self.places.get(&(*number, Name::new(key).ok()?))?;
        match self.rows.get(*place)? {
            Row::Entry(entry) => Some(&entry.value),
            Row::Namespace(_) => None,
        }
    }
}

fn check(value: &Value) -> Result<(), Fault> {
    if let Value::String(text) = value
        && text.contains('\0')
    {
        return Err(Fault::Nul);
    }
    let (length, most) = (value.length(), MAX_BLOB);
    if length > most {
        return Err(Fault::TooLong { length, most });
    }
    Ok(())
}
