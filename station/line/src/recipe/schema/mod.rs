//! The recipe language as a table: every key with its type, default, meaning and an example.
//!
//! The walk over a recipe's text refuses what is not here, and the reference is printed from here.
//! A test proves that the table has exactly the keys of the structs in `syntax`.

mod actions;
mod file;
mod keys;
mod nvs;
mod security;

pub(crate) use file::{RECIPE, STEP};
#[cfg(test)]
pub(crate) use security::DANGERS;

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// Text with names in braces.
    Template,
    /// Text that is a regular expression.
    Pattern,
    /// `true` or `false`.
    Flag,
    /// A whole number within bounds.
    Integer(i64, i64),
    /// A number.
    Number,
    /// Text such as `5s`.
    Duration,
    /// Text such as `4MB`.
    Size,
    /// A whole number, text that is one, or a partition's name.
    Place,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// One text or a list of texts.
    Texts,
    /// A list of texts.
    TextList,
    /// A list of whole numbers within bounds.
    IntegerList(i64, i64),
    /// A table.
    Table(&'static Table),
    /// A list of tables.
    Tables(&'static Table),
    /// A table whose keys are names and whose values are tables.
    Named(&'static Table),
    /// A list of these words.
    Choices(&'static [&'static str]),
    /// One of these words, or a table.
    WordOrTable(&'static [&'static str], &'static Table),
    /// A template, or a whole number.
    TemplateOrInteger,
    /// A table whose keys are names and whose values are templates.
    NamedTemplates,
    /// A table whose keys are fields of the fuse map and whose values are numbers, `true` or
    /// templates.
    FuseValues,
}

/// Whether a key must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// It must.
    Required,
    /// It may, and nothing stands for it otherwise.
    Optional,
    /// It may, and this stands for it otherwise.
    Default(&'static str),
    /// Exactly one key of this kind must be there.
    Action,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) need: Need,
    pub(crate) meaning: &'static str,
    pub(crate) example: &'static str,
}

/// One table of keys.
#[derive(Debug)]
pub(crate) struct Table {
    /// Heading in the reference.
    pub(crate) title: &'static str,
    /// What it is for.
    pub(crate) meaning: &'static str,
    pub(crate) keys: &'static [Key],
}

impl Table {
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// Actions that the language will have and this station cannot do yet.
pub(crate) const LATER_ACTIONS: [&str; 3] = ["prompt", "label", "power"];

const fn key(
    name: &'static str,
    kind: Kind,
    need: Need,
    meaning: &'static str,
    example: &'static str,
) -> Key {
    Key {
        name,
        kind,
        need,
        meaning,
        example,
    }
}
