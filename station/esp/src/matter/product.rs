//! What all units of a product have in common: who makes it, what it is called, what it looks like.
//!
//! Facts: lengths and numbers of the Basic Information, Time Format Localization, Localization
//! Configuration, Fixed Label and Mode Select clusters (Matter core and application cluster
//! specifications); connectedhomeip's ESP32 platform finds numbered keys of up to 14 letters.

use std::str::FromStr;

use super::error::MatterError;

/// Most locales that a unit offers.
pub(super) const MAX_LOCALES: usize = 32;
/// Most fixed labels, most modes and most tags of a mode.
pub(super) const MAX_LISTED: usize = 64;
/// Longest numbered key that firmware finds; it cuts longer ones off.
const MAX_KEY: usize = 14;

/// A word and its number for each of a closed list.
macro_rules! listed {
    ($(#[$about:meta])* $name:ident { $($(#[$one:meta])* $variant:ident $word:literal = $number:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$one])* $variant,)+ }

        impl $name {
            /// All of them, by number.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word, as esp-matter-mfg-tool has it, in lower case.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The specification's number.
            #[must_use]
            pub fn number(self) -> u32 {
                match self { $(Self::$variant => $number,)+ }
            }

            /// The one with this number.
            #[must_use]
            pub fn from_number(number: u32) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.number() == number)
            }
        }
    };
}

listed! {
    /// What the surface is like.
    Finish {
        /// None of the others.
        Other "other" = 0,
        /// Matte.
        Matte "matte" = 1,
        /// Satin.
        Satin "satin" = 2,
        /// Polished.
        Polished "polished" = 3,
        /// Rugged.
        Rugged "rugged" = 4,
        /// Fabric.
        Fabric "fabric" = 5,
    }
}

listed! {
    /// The color that is seen most.
    Color {
        /// Black.
        Black "black" = 0,
        /// Navy.
        Navy "navy" = 1,
        /// Green.
        Green "green" = 2,
        /// Teal.
        Teal "teal" = 3,
        /// Maroon.
        Maroon "maroon" = 4,
        /// Purple.
        Purple "purple" = 5,
        /// Olive.
        Olive "olive" = 6,
        /// Gray.
        Gray "gray" = 7,
        /// Blue.
        Blue "blue" = 8,
        /// Lime.
        Lime "lime" = 9,
        /// Aqua.
        Aqua "aqua" = 10,
        /// Red.
        Red "red" = 11,
        /// Fuchsia.
        Fuchsia "fuchsia" = 12,
        /// Yellow.
        Yellow "yellow" = 13,
        /// White.
        White "white" = 14,
        /// Nickel.
        Nickel "nickel" = 15,
        /// Chrome.
        Chrome "chrome" = 16,
        /// Brass.
        Brass "brass" = 17,
        /// Copper.
        Copper "copper" = 18,
        /// Silver.
        Silver "silver" = 19,
        /// Gold.
        Gold "gold" = 20,
    }
}

listed! {
    /// A calendar that a unit can show dates in.
    Calendar {
        /// Buddhist.
        Buddhist "buddhist" = 0,
        /// Chinese.
        Chinese "chinese" = 1,
        /// Coptic.
        Coptic "coptic" = 2,
        /// Ethiopian.
        Ethiopian "ethiopian" = 3,
        /// Gregorian.
        Gregorian "gregorian" = 4,
        /// Hebrew.
        Hebrew "hebrew" = 5,
        /// Indian.
        Indian "indian" = 6,
        /// Islamic.
        Islamic "islamic" = 7,
        /// Japanese.
        Japanese "japanese" = 8,
        /// Korean.
        Korean "korean" = 9,
        /// Persian.
        Persian "persian" = 10,
        /// Taiwanese.
        Taiwanese "taiwanese" = 11,
    }
}

/// A label that a unit carries from the factory: name and value, on an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedLabel {
    /// The endpoint.
    pub endpoint: u16,
    /// What is said, such as `orientation`: 1 to 16 bytes.
    pub name: String,
    /// What it is, such as `up`: 1 to 16 bytes.
    pub value: String,
}

impl FromStr for FixedLabel {
    type Err = MatterError;

    /// Reads `ENDPOINT/NAME/VALUE`.
    fn from_str(text: &str) -> Result<Self, MatterError> {
        let what = "the label";
        let parts = text.split_once('/').and_then(|(endpoint, rest)| {
            let (name, value) = rest.split_once('/')?;
            Some((endpoint.parse().ok()?, name, value))
        });
        let (endpoint, name, value) = parts.ok_or(MatterError::Letters { what })?;
        let label = Self {
            endpoint,
            name: name.to_owned(),
            value: value.to_owned(),
        };
        label.check()?;
        Ok(label)
    }
}

impl FixedLabel {
    fn check(&self) -> Result<(), MatterError> {
        text("the label's name", &self.name, 16)?;
        text("the label's value", &self.value, 16)
    }
}

/// A mode that a unit can be set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mode {
    /// The endpoint.
    pub endpoint: u16,
    /// What it is called: 1 to 64 bytes.
    pub label: String,
    /// Its number.
    pub mode: u8,
    /// What it means.
    pub tags: Vec<SemanticTag>,
}

/// A meaning from a list of the specification or a maker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SemanticTag {
    /// Its number in the list.
    pub value: u16,
    /// Whose list it is.
    pub vendor: u16,
}

/// What all units of a product have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Product {
    /// The maker, as the Connectivity Standards Alliance numbers them; 0xfff1 to 0xfff4 are for tests.
    pub vendor_id: u16,
    /// The maker's name: 1 to 32 bytes.
    pub vendor_name: Option<String>,
    /// The maker's number of the product.
    pub product_id: u16,
    /// The product's name: 1 to 32 bytes.
    pub product_name: Option<String>,
    /// Version of the hardware.
    pub hardware_version: Option<u16>,
    /// The same in words: 1 to 64 bytes.
    pub hardware_version_text: Option<String>,
    /// What its surface is like.
    pub finish: Option<Finish>,
    /// Its color.
    pub color: Option<Color>,
    /// The maker's part number: 1 to 32 bytes.
    pub part_number: Option<String>,
    /// Calendars that it can show dates in; each once counts.
    pub calendars: Vec<Calendar>,
    /// Languages and regions that it speaks, such as `en-GB`: 1 to 35 letters each.
    pub locales: Vec<String>,
    /// Labels from the factory.
    pub labels: Vec<FixedLabel>,
    /// Modes that it can be set to.
    pub modes: Vec<Mode>,
    /// A more telling name: 1 to 64 bytes.
    pub label: Option<String>,
    /// A page about it: 1 to 256 bytes.
    pub url: Option<String>,
}

impl Product {
    /// Checks everything against the specification.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), MatterError> {
        if !(0x0001..=0xFFF4).contains(&self.vendor_id) {
            let found = self.vendor_id;
            return Err(MatterError::Vendor { found });
        }
        if self.product_id == 0 {
            return Err(MatterError::Product);
        }
        for (what, value, most) in [
            ("the vendor name", &self.vendor_name, 32),
            ("the product name", &self.product_name, 32),
            ("the hardware version", &self.hardware_version_text, 64),
            ("the part number", &self.part_number, 32),
            ("the product label", &self.label, 64),
            ("the product's URL", &self.url, 256),
        ] {
            if let Some(value) = value {
                text(what, value, most)?;
            }
        }
        if let Some(url) = &self.url
            && !url.bytes().all(|byte| byte.is_ascii_graphic())
        {
            let what = "the product's URL";
            return Err(MatterError::Letters { what });
        }
        self.check_lists()
    }

    fn check_lists(&self) -> Result<(), MatterError> {
        few("locales", self.locales.len(), MAX_LOCALES)?;
        few("labels", self.labels.len(), MAX_LISTED)?;
        few("modes", self.modes.len(), MAX_LISTED)?;
        for locale in &self.locales {
            let what = "the locale";
            text(what, locale, 35)?;
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if !locale.bytes().all(allowed) {
                return Err(MatterError::Letters { what });
            }
        }
        for label in &self.labels {
            label.check()?;
        }
        for mode in &self.modes {
            text("the mode's label", &mode.label, 64)?;
            few("tags of a mode", mode.tags.len(), MAX_LISTED)?;
        }
        Ok(())
    }

    /// Whether the maker's number is one of those for tests.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.vendor_id >= 0xFFF1
    }

    /// The calendars as the bits of a number.
    pub(super) fn calendar_bits(&self) -> u32 {
        let bits = self.calendars.iter().map(|one| 1 << one.number());
        bits.fold(0, |all, bit: u32| all | bit)
    }
}

/// Checks the length of a text, and that it has no control letters.
pub(super) fn text(what: &'static str, value: &str, most: usize) -> Result<(), MatterError> {
    let found = value.len();
    if found == 0 || found > most {
        return Err(MatterError::Text { what, found, most });
    }
    if value.chars().any(char::is_control) {
        return Err(MatterError::Letters { what });
    }
    Ok(())
}

/// Checks the length of a list.
pub(super) fn few(what: &'static str, found: usize, most: usize) -> Result<(), MatterError> {
    if found > most {
        return Err(MatterError::TooMany { what, found, most });
    }
    Ok(())
}

/// The things of each endpoint together, endpoints in the order in which they are first named.
pub(super) fn by_endpoint<T>(things: &[T], endpoint: impl Fn(&T) -> u16) -> Vec<(u16, Vec<&T>)> {
    let mut groups: Vec<(u16, Vec<&T>)> = Vec::new();
    for thing in things {
        let of = endpoint(thing);
        match groups.iter_mut().find(|(endpoint, _)| *endpoint == of) {
            Some((_, group)) => group.push(thing),
            None => groups.push((of, vec![thing])),
        }
    }
    groups
}

/// A numbered key: `fl-k/1f/0`, all numbers in hex.
pub(super) fn numbered(key: &str, numbers: &[usize]) -> Result<String, MatterError> {
    let numbers: String = numbers
        .iter()
        .map(|number| format!("/{number:x}"))
        .collect();
    let key = format!("{key}{numbers}");
    if key.len() > MAX_KEY {
        return Err(MatterError::Key { key });
    }
    Ok(key)
}
