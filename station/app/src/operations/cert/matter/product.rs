//! What all units of a Matter product have in common, as it is asked for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::matter::{Calendar, Color, Finish, MatterError, Product};

use super::refused;
use crate::operation::OperationError;

/// What all units of a product have in common.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProductParameters {
    /// The maker's number: 0xFFF1, or decimal; 0xFFF1 to 0xFFF4 are for tests
    #[arg(long, value_name = "NUMBER")]
    pub vendor_id: String,
    /// The maker's number of the product: 0x8000, or decimal
    #[arg(long, value_name = "NUMBER")]
    pub product_id: String,
    /// The maker's name
    #[arg(long, value_name = "TEXT")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor_name: Option<String>,
    /// The product's name
    #[arg(long, value_name = "TEXT")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_name: Option<String>,
    /// A more telling name
    #[arg(long, value_name = "TEXT")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_label: Option<String>,
    /// A page about it
    #[arg(long, value_name = "URL")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_url: Option<String>,
    /// The maker's part number
    #[arg(long, value_name = "TEXT")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_number: Option<String>,
    /// Version of the hardware
    #[arg(long, value_name = "NUMBER")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware_version: Option<u16>,
    /// The same in words
    #[arg(long, value_name = "TEXT")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware_version_text: Option<String>,
    /// What its surface is like: other, matte, satin, polished, rugged, fabric
    #[arg(long, value_name = "WORD")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<String>,
    /// Its color: black, navy, green, … gold
    #[arg(long, value_name = "WORD")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// A calendar that it can show dates in: gregorian, buddhist, … taiwanese
    #[arg(long = "calendar", value_name = "WORD")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calendars: Vec<String>,
    /// A language and region that it speaks: en-GB
    #[arg(long = "locale", value_name = "TAG")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locales: Vec<String>,
    /// A label from the factory: 0/orientation/up
    #[arg(long = "label", value_name = "ENDPOINT/NAME/VALUE")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

/// Reads `0xFFF1` or `65521`.
fn number(what: &str, text: &str) -> Result<u16, OperationError> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parsed = plain.then(|| u16::from_str_radix(digits, radix).ok());
    parsed.flatten().ok_or_else(|| {
        let message = format!("`{text}` is no {what}: it has 16 bits");
        OperationError::usage("number-invalid", message).hint("write hex, `0xFFF1`, or decimal")
    })
}

/// Finds a word in a closed list.
fn listed<T: Copy>(
    what: &str,
    all: &[T],
    word: impl Fn(T) -> &'static str,
    wanted: &str,
) -> Result<T, OperationError> {
    let found = all
        .iter()
        .copied()
        .find(|one| word(*one).eq_ignore_ascii_case(wanted));
    found.ok_or_else(|| {
        let words: Vec<&str> = all.iter().map(|one| word(*one)).collect();
        let message = format!("`{wanted}` is no {what}");
        OperationError::usage("matter-word", message)
            .hint(format!("there are {}", words.join(", ")))
    })
}

impl ProductParameters {
    /// The product, checked.
    pub(super) fn product(&self) -> Result<Product, OperationError> {
        let finish = |word: &String| listed("finish", Finish::ALL, Finish::word, word);
        let color = |word: &String| listed("color", Color::ALL, Color::word, word);
        let calendar = |word: &String| listed("calendar", Calendar::ALL, Calendar::word, word);
        let labels = self.labels.iter().map(|label| {
            label.parse().map_err(|error: MatterError| {
                refused(&error).hint("write endpoint, name and value: 0/orientation/up")
            })
        });
        let product = Product {
            vendor_id: number("vendor", &self.vendor_id)?,
            vendor_name: self.vendor_name.clone(),
            product_id: number("product", &self.product_id)?,
            product_name: self.product_name.clone(),
            hardware_version: self.hardware_version,
            hardware_version_text: self.hardware_version_text.clone(),
            finish: self.finish.as_ref().map(finish).transpose()?,
            color: self.color.as_ref().map(color).transpose()?,
            part_number: self.part_number.clone(),
            calendars: self
                .calendars
                .iter()
                .map(calendar)
                .collect::<Result<_, _>>()?,
            locales: self.locales.clone(),
            labels: labels.collect::<Result<_, _>>()?,
            modes: Vec::new(),
            label: self.product_label.clone(),
            url: self.product_url.clone(),
        };
        product.check().map_err(|error| refused(&error))?;
        Ok(product)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_words_and_codes_are_read_and_shown_as_people_write_them() {
        assert_eq!(number("vendor", "0xfff1").unwrap(), 0xFFF1);
        assert_eq!(number("vendor", "65521").unwrap(), 0xFFF1);
        for bad in ["", "0x", "fff1", "-1", "0x+1", "65536", "0x10000"] {
            assert_eq!(
                number("vendor", bad).unwrap_err().code,
                "number-invalid",
                "{bad}"
            );
        }
        assert_eq!(
            listed("color", Color::ALL, Color::word, "Gold").unwrap(),
            Color::Gold
        );
        let error = listed("color", Color::ALL, Color::word, "pink").unwrap_err();
        assert_eq!(error.code, "matter-word");
    }
}
