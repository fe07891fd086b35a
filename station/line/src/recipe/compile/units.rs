//! `[values]`, and what is known of every unit before one is there: the rows of its lists.
//!
//! Invariants: a column has one meaning, whichever list it is in; a serial number that a list gives
//! out has its row of values.

use std::borrow::Cow;
use std::collections::HashMap;

use station_esp::Chip;
use toml::Spanned;

use super::Context;
use super::files::read_bounded;
use super::serials::{Serials, file_finding};
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::syntax::{At, ValuesTable};
use crate::serial::{
    MAX_LIST_BYTES, RowUnits, SerialSource, UnitKey, UnitList, UnitListError, UnitRow, listed,
};
use crate::template::{Template, TemplateError, closest};

/// Longest text of a MAC and of a chip's name, in bytes.
const LONGEST_MAC: usize = 17;
const LONGEST_CHIP: usize = 16;

/// The values of a recipe's units.
#[derive(Debug)]
pub(super) struct Values {
    /// `None` if it is wrong, which was reported.
    pub(super) list: Option<UnitList>,
}

/// Reads `[values]`.
pub(super) fn compile(
    table: &Spanned<ValuesTable>,
    serials: Option<&Serials>,
    context: &mut Context,
) -> Values {
    let list = key(table, serials, context).and_then(|(key, column)| {
        let from = table.get_ref().from.as_ref()?;
        let list = read(from, key, column, context)?;
        let apart = refuse_shared_columns(&list, from, serials, context);
        let whole = refuse_missing(&list, from, serials, context);
        (apart && whole).then_some(list)
    });
    Values { list }
}

/// By what rows name units, and in which column.
fn key<'a>(
    table: &'a Spanned<ValuesTable>,
    serials: Option<&Serials>,
    context: &mut Context,
) -> Option<(UnitKey, &'a Spanned<String>)> {
    let values = table.get_ref();
    match (&values.mac, &values.serial) {
        (Some(column), None) => Some((UnitKey::Mac, column)),
        (None, Some(column)) if serials.is_none() => {
            let message = "rows are found by serial number, and the recipe has none";
            context.error(
                Finding::new(Code::NoSerial, column.span(), message)
                    .hint("add a `[serial]` table, or name units by `mac`"),
            );
            None
        }
        (None, Some(column)) => Some((UnitKey::Serial, column)),
        (Some(_), Some(column)) => {
            let message = "`mac` and `serial` exclude each other";
            context.error(Finding::new(Code::Conflict, column.span(), message));
            None
        }
        (None, None) => {
            context.missing(
                table.span(),
                "`[values]` has neither `mac` nor `serial`",
                "for example `mac = \"mac\"`: the column that names the unit",
            );
            None
        }
    }
}

fn read(
    from: &Spanned<String>,
    key: UnitKey,
    column: &Spanned<String>,
    context: &mut Context,
) -> Option<UnitList> {
    let file = from.get_ref();
    let bytes = match read_bounded(&context.folder.join(file), MAX_LIST_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => {
            context.error(file_finding(from, &error));
            return None;
        }
    };
    match UnitList::read(file, &bytes, key, column.get_ref()) {
        Ok(list) => Some(list),
        Err(errors) => {
            report(&errors, from, column, context);
            None
        }
    }
}

/// Reports what is wrong with a list that names units.
pub(super) fn report(
    errors: &[UnitListError],
    from: &Spanned<String>,
    column: &Spanned<String>,
    context: &mut Context,
) {
    for error in errors {
        let message = format!("`{}`: {error}", from.get_ref());
        let finding = if let UnitListError::NoColumn { column: no, found } = error {
            let finding = Finding::new(Code::BadUnitList, column.span(), message);
            match closest(no, found.iter().map(String::as_str)) {
                Some(suggestion) => finding.suggest(Some(suggestion)),
                None => finding.hint(format!("the header has {}", listed(found, String::clone))),
            }
        } else {
            Finding::new(Code::BadUnitList, from.span(), message)
        };
        context.error(finding);
    }
}

/// Reports columns that the serial list has as well.
fn refuse_shared_columns(
    list: &UnitList,
    from: &Spanned<String>,
    serials: Option<&Serials>,
    context: &mut Context,
) -> bool {
    let Some(serials) = serials else { return true };
    let shared: Vec<_> = list
        .columns()
        .iter()
        .filter(|column| serials.has_column(column))
        .map(|column| format!("`{column}`"))
        .collect();
    if shared.is_empty() {
        return true;
    }
    let message = format!(
        "the serial list has {} as well: `{{csv.COLUMN}}` would mean both",
        listed(&shared, String::clone)
    );
    context.error(
        Finding::new(Code::Conflict, from.span(), message)
            .hint("name the columns of one list otherwise"),
    );
    false
}

/// Reports units that the serial list knows and this one does not: they would all fail.
fn refuse_missing(
    list: &UnitList,
    from: &Spanned<String>,
    serials: Option<&Serials>,
    context: &mut Context,
) -> bool {
    let Some(SerialSource::Csv { rows, units, .. }) =
        serials.and_then(|serials| serials.source.as_ref())
    else {
        return true;
    };
    let numbers = rows.iter().map(|row| row.serial.as_str());
    let macs = units.iter().flat_map(RowUnits::macs).map(|(mac, _)| mac);
    let named: Box<dyn Iterator<Item = &str>> = match list.key() {
        UnitKey::Serial => Box::new(numbers),
        UnitKey::Mac => Box::new(macs),
    };
    let missing: Vec<_> = named.filter(|unit| list.find(unit).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    let message = format!(
        "`{}` has no row for units of the serial list: {}",
        from.get_ref(),
        listed(&missing, |unit| format!("`{unit}`"))
    );
    context.error(Finding::new(Code::BadUnitList, from.span(), message));
    false
}

/// Where the serial list names units, which row is whose; `None` if something was reported.
pub(super) fn row_units(
    column: &At<String>,
    from: &Spanned<String>,
    rows: &[crate::serial::CsvRow],
    context: &mut Context,
) -> Option<Option<RowUnits>> {
    let Some(column) = column else {
        return Some(None);
    };
    let first = rows.first();
    if let Some(row) = first
        && !row.columns.contains_key(column.get_ref())
    {
        let error = UnitListError::NoColumn {
            column: column.get_ref().clone(),
            found: row.columns.keys().cloned().collect(),
        };
        report(&[error], from, column, context);
        return None;
    }
    match RowUnits::read(from.get_ref(), column.get_ref(), rows) {
        Ok(units) => Some(Some(units)),
        Err(errors) => {
            report(&errors, from, column, context);
            None
        }
    }
}

/// What is known of every unit beforehand.
#[derive(Debug, Default)]
pub(super) struct Units<'a> {
    list: Option<&'a UnitList>,
    serials: Option<&'a SerialSource>,
    /// For each row of the list, the row of the serial list for the same unit; empty if nobody can
    /// tell before the unit is there.
    joined: Vec<Option<usize>>,
    /// Whether there is a list of values that could not be read.
    unread: bool,
}

/// Whether every text that a template gives was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It was.
    Every,
    /// A name in it is only known when the unit is there.
    Unknown,
}

/// One unit that a list knows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Known<'a> {
    /// Nothing differs from unit to unit.
    Anyone,
    /// A row of values.
    Listed(&'a UnitRow, Option<usize>),
    /// A row of the serial list, from 0.
    Numbered(usize),
}

impl<'a> Units<'a> {
    pub(super) fn new(values: Option<&'a Values>, serials: Option<&'a Serials>) -> Self {
        let list = values.and_then(|values| values.list.as_ref());
        let serials = serials.and_then(|serials| serials.source.as_ref());
        let mut units = Self {
            list,
            serials,
            joined: Vec::new(),
            unread: values.is_some_and(|values| values.list.is_none()),
        };
        let (
            Some(list),
            Some(SerialSource::Csv {
                rows, units: macs, ..
            }),
        ) = (list, serials)
        else {
            return units;
        };
        let each = list.rows().iter();
        units.joined = match (list.key(), macs) {
            (UnitKey::Mac, Some(macs)) => each.map(|row| macs.row_of(&row.unit)).collect(),
            (UnitKey::Mac, None) => Vec::new(),
            (UnitKey::Serial, _) => {
                let places = rows.iter().enumerate();
                let places: HashMap<&str, usize> =
                    places.map(|(at, row)| (row.serial.as_str(), at)).collect();
                each.map(|row| places.get(row.unit.as_str()).copied())
                    .collect()
            }
        };
        units
    }

    /// Whether there is a list of values that could not be read.
    pub(super) fn is_unread(&self) -> bool {
        self.unread
    }

    /// Every unit of which all these names are known; `None` if there is a name nobody knows yet.
    pub(super) fn all(&self, names: &[&str]) -> Option<Vec<Known<'a>>> {
        if names.is_empty() {
            return Some(vec![Known::Anyone]);
        }
        let listed = self.list.into_iter().flat_map(|list| {
            let joined = self.joined.iter().copied();
            let joined = joined.chain(std::iter::repeat(None));
            list.rows()
                .iter()
                .zip(joined)
                .map(|(row, at)| Known::Listed(row, at))
        });
        let listed: Vec<_> = listed.collect();
        let numbered: Vec<_> = match self.serials {
            Some(SerialSource::Csv { rows, .. }) => (0..rows.len()).map(Known::Numbered).collect(),
            Some(SerialSource::Pool { .. }) | None => Vec::new(),
        };
        [listed, numbered].into_iter().find_map(|units| {
            // Of a row without its number in the serial list, only its own columns are known.
            let knows =
                |unit: &&Known<'a>| names.iter().all(|name| self.value(**unit, name).is_some());
            let known: Vec<_> = units.iter().filter(knows).copied().collect();
            let whole = known.len() == units.len() || !self.joined.is_empty();
            (!known.is_empty() && whole).then_some(known)
        })
    }

    /// What a name stands for with one unit.
    pub(super) fn value(&self, unit: Known<'a>, name: &str) -> Option<Cow<'a, str>> {
        let (row, number) = match unit {
            Known::Anyone => return None,
            Known::Listed(row, number) => (Some(row), number),
            Known::Numbered(number) => (None, Some(number)),
        };
        let own = row.zip(self.list).and_then(|(row, list)| {
            if name == list.key().word() {
                return Some(row.unit.as_str());
            }
            list.value(row, name.strip_prefix("csv.")?)
        });
        if let Some(own) = own {
            return Some(Cow::Borrowed(own));
        }
        let Some(SerialSource::Csv { rows, units, .. }) = self.serials else {
            return None;
        };
        let number = rows.get(number?)?;
        if name == "serial" {
            return Some(Cow::Borrowed(&number.serial));
        }
        if name == "mac" {
            let mac = number.columns.get(units.as_ref()?.column())?;
            let mac = mac.parse::<station_esp::chip::MacAddress>().ok()?;
            return Some(Cow::Owned(mac.to_string()));
        }
        let column = name.strip_prefix("csv.")?;
        number
            .columns
            .get(column)
            .map(|text| Cow::Borrowed(text.as_str()))
    }

    /// Where the unit stands, for people.
    pub(super) fn place(&self, unit: Known<'a>) -> String {
        let of_list = self.list.map_or("", UnitList::file);
        match unit {
            Known::Anyone => "every unit".to_owned(),
            Known::Listed(row, _) => format!("row {} of `{of_list}`", row.row),
            Known::Numbered(at) => format!("row {} of the serial list", at + 2),
        }
    }

    /// Gives `visit` every text that a template can give, with the unit it is for.
    pub(super) fn each_text(
        &self,
        template: &Template,
        chips: &[Chip],
        mut visit: impl FnMut(Known<'a>, Result<String, TemplateError>),
    ) -> Seen {
        let chip = only_chip(chips);
        let names = template.names().into_iter();
        let names: Vec<_> = names
            .filter(|name| *name != "chip" || chip.is_none())
            .collect();
        let Some(known) = self.all(&names) else {
            return Seen::Unknown;
        };
        for unit in known {
            let text = template.render_with(|name| match chip {
                Some(chip) if name == "chip" => Some(Cow::Borrowed(chip)),
                Some(_) | None => self.value(unit, name),
            });
            visit(unit, text);
        }
        Seen::Every
    }

    /// The longest text a name can stand for, in bytes, if that is known beforehand.
    pub(super) fn longest(&self, name: &str) -> Option<usize> {
        match name {
            "mac" => Some(LONGEST_MAC),
            "chip" => Some(LONGEST_CHIP),
            "serial" => self.serials.map(SerialSource::longest),
            _ => {
                let known = self.all(&[name])?.into_iter();
                known
                    .filter_map(|unit| self.value(unit, name))
                    .map(|value| value.len())
                    .max()
            }
        }
    }
}

/// The name of the one chip a step may meet, which every unit of the step then has.
fn only_chip(chips: &[Chip]) -> Option<&'static str> {
    match chips {
        [chip] => Some(chip.name()),
        [] | [_, ..] => None,
    }
}
