//! Texts of a script with `{name}` places in them.
//!
//! Invariant: a parsed template always renders; what is not known at run time renders as nothing.

use super::error::ScriptError;

/// Longest text a template may be written as, in bytes.
const LONGEST: usize = 1024;
/// Longest stretch of flash a text may show, in bytes.
const LONGEST_FLASH: u32 = 256;

/// A text with places to fill in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

/// A stretch of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Text that stands for itself.
    Text(String),
    /// `{mac}`: the board's MAC address, lower case with colons.
    Mac,
    /// `{chip}`: the chip's name, such as `esp32c3`.
    Chip,
    /// `{unit}`: the unit number.
    Unit,
    /// `{value}`: the value drawn for this answer.
    Value,
    /// `{1}`: what group 1 of the command's pattern matched.
    Capture(usize),
    /// `{flash@0x3f0000:32}` or `{flash@fctry+0x10:32}`: text found in flash.
    Flash(FlashText),
}

/// A piece of text that lives in flash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FlashText {
    /// Partition the offset counts from; none counts from the start of flash.
    pub(super) partition: Option<String>,
    /// Offset in bytes.
    pub(super) offset: u32,
    /// Most bytes shown.
    pub(super) length: u32,
}

/// Which places a text may have, beside those of the board.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allowed {
    /// `{value}` has a meaning here.
    pub(super) value: bool,
    /// How many groups the command's pattern has.
    pub(super) captures: usize,
}

/// What a template is filled with.
pub(super) struct Filling<'a> {
    /// The MAC address as text.
    pub(super) mac: &'a str,
    /// The chip's name.
    pub(super) chip: &'a str,
    /// The unit number.
    pub(super) unit: u64,
    /// The drawn value as text.
    pub(super) value: &'a str,
    /// What the pattern's groups matched, group 1 first.
    pub(super) captures: &'a [String],
    /// Reads a piece of text from flash.
    pub(super) flash: &'a dyn Fn(&FlashText) -> String,
}

impl Template {
    /// Parses `text`, which stands at `place` of the script.
    pub(super) fn parse(text: &str, place: &str, allowed: Allowed) -> Result<Self, ScriptError> {
        let refuse = |problem: String| ScriptError::Template {
            place: place.to_owned(),
            text: text.chars().take(80).collect(),
            problem,
        };
        if text.len() > LONGEST {
            return Err(refuse(format!("longer than {LONGEST} bytes")));
        }
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text.chars().peekable();
        while let Some(letter) = rest.next() {
            match letter {
                '{' if rest.peek() == Some(&'{') => {
                    rest.next();
                    plain.push('{');
                }
                '}' if rest.peek() == Some(&'}') => {
                    rest.next();
                    plain.push('}');
                }
                '}' => return Err(refuse("a `}` without its `{`; write `}}` for one".into())),
                '{' => {
                    let mut name = String::new();
                    loop {
                        match rest.next() {
                            Some('}') => break,
                            Some(letter) => name.push(letter),
                            None => return Err(refuse("a `{` without its `}`".into())),
                        }
                    }
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(Part::parse(&name, allowed).map_err(refuse)?);
                }
                letter => plain.push(letter),
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// Whether the text shows a drawn value.
    pub(super) fn shows_value(&self) -> bool {
        self.parts.contains(&Part::Value)
    }

    /// The places of flash that the text shows.
    pub(super) fn flash_texts(&self) -> impl Iterator<Item = &FlashText> {
        self.parts.iter().filter_map(|part| match part {
            Part::Flash(place) => Some(place),
            Part::Text(_)
            | Part::Mac
            | Part::Chip
            | Part::Unit
            | Part::Value
            | Part::Capture(_) => None,
        })
    }

    /// The text with its places filled.
    pub(super) fn render(&self, filling: &Filling<'_>) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Mac => text.push_str(filling.mac),
                Part::Chip => text.push_str(filling.chip),
                Part::Unit => text.push_str(&filling.unit.to_string()),
                Part::Value => text.push_str(filling.value),
                Part::Capture(group) => {
                    let found = group
                        .checked_sub(1)
                        .and_then(|group| filling.captures.get(group));
                    text.push_str(found.map_or("", String::as_str));
                }
                Part::Flash(flash) => text.push_str(&(filling.flash)(flash)),
            }
        }
        text
    }
}

impl Part {
    /// The part a `{name}` stands for.
    fn parse(name: &str, allowed: Allowed) -> Result<Self, String> {
        match name {
            "mac" => Ok(Self::Mac),
            "chip" => Ok(Self::Chip),
            "unit" => Ok(Self::Unit),
            "value" if allowed.value => Ok(Self::Value),
            "value" => Err("`{value}` has no meaning here: the command has no `value`".into()),
            _ => {
                if let Some(place) = name.strip_prefix("flash@") {
                    return FlashText::parse(place).map(Self::Flash);
                }
                match name.parse::<usize>() {
                    Ok(group) if (1..=allowed.captures).contains(&group) => {
                        Ok(Self::Capture(group))
                    }
                    Ok(group) => Err(format!("the command's pattern has no group {group}")),
                    Err(_) => Err(format!(
                        "unknown place `{{{name}}}`; known are mac, chip, unit, value, \
                         flash@OFFSET:LENGTH and the numbers of a pattern's groups"
                    )),
                }
            }
        }
    }
}

impl FlashText {
    /// Parses what follows `flash@`: an offset or partition, a colon, a length.
    fn parse(place: &str) -> Result<Self, String> {
        let (from, length) = place
            .rsplit_once(':')
            .ok_or_else(|| format!("`flash@{place}` needs a length, as in flash@0x3f0000:32"))?;
        let length = number(length).ok_or_else(|| format!("`{length}` is not a length"))?;
        if length == 0 || length > LONGEST_FLASH {
            return Err(format!(
                "a length of {length} is not from 1 to {LONGEST_FLASH}"
            ));
        }
        let (partition, offset) = match from.split_once('+') {
            Some((name, offset)) => (Some(name), offset),
            None if from.starts_with(|first: char| first.is_ascii_digit()) => (None, from),
            None => (Some(from), "0"),
        };
        let offset = number(offset).ok_or_else(|| format!("`{offset}` is not an offset"))?;
        Ok(Self {
            partition: partition.map(str::to_owned),
            offset,
            length,
        })
    }
}

/// A decimal or `0x` number.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
