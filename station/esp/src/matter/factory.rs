//! The factory data of one unit, and the NVS entries they make.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::attestation::{Attestation, Declaration};
use super::date::ManufacturingDate;
use super::error::MatterError;
use super::product::{Product, by_endpoint, numbered, text};
use super::verifier::Verifier;
use crate::nvs::{Content, Value};
use crate::secret::Secret;

/// The NVS namespace that firmware reads.
pub const NAMESPACE: &str = "chip-factory";

/// Key of the private key that a unit attests itself with.
pub(super) const PRIVATE_KEY: &str = "dac-key";

/// Whether an entry of an NVS partition is a private key of Matter, which is shown to nobody.
#[must_use]
pub fn is_private(namespace: &str, key: &str) -> bool {
    namespace == NAMESPACE && key == PRIVATE_KEY
}

/// Bytes of the number that rotating device identifiers are made of.
pub(super) const ROTATING_ID: usize = 16;
/// Most bytes of a serial number.
pub(super) const SERIAL: usize = 32;

/// 12 bits that tell a unit from others that wait to be commissioned nearby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discriminator(u16);

impl Discriminator {
    /// Checks a discriminator.
    ///
    /// # Errors
    /// [`MatterError::Discriminator`] when it has more than 12 bits.
    pub fn new(number: u32) -> Result<Self, MatterError> {
        match u16::try_from(number) {
            Ok(number) if number <= 0xFFF => Ok(Self(number)),
            _ => Err(MatterError::Discriminator { found: number }),
        }
    }

    /// The number.
    #[must_use]
    pub fn value(self) -> u16 {
        self.0
    }
}

/// Everything that one unit is given.
#[derive(Debug)]
pub struct FactoryData {
    /// What all units of the product have in common.
    pub product: Product,
    /// The unit's serial number: 1 to 32 bytes.
    pub serial: String,
    /// When it was made.
    pub made: Option<ManufacturingDate>,
    /// What tells it from others nearby.
    pub discriminator: Discriminator,
    /// By what it knows who knows its passcode.
    pub verifier: Verifier,
    /// The 16 bytes that its rotating identifiers are made of; they stay between unit and maker.
    pub rotating_id: Option<Secret>,
    /// By what it proves to be genuine; `None` if that is in another partition.
    pub attestation: Option<Attestation>,
    /// That the product was certified.
    pub declaration: Option<Declaration>,
}

impl FactoryData {
    /// Checks everything against the specification.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), MatterError> {
        self.product.check()?;
        text("the serial number", &self.serial, SERIAL)?;
        if let Some(id) = &self.rotating_id
            && id.len() != ROTATING_ID
        {
            return Err(MatterError::RotatingId { found: id.len() });
        }
        if let Some(attestation) = &self.attestation {
            attestation.check_product(self.product.vendor_id, self.product.product_id)?;
        }
        Ok(())
    }

    /// The entries in the order in which esp-matter-mfg-tool writes them. They hold the private key.
    ///
    /// # Errors
    /// As [`FactoryData::check`]; [`MatterError::Key`] for numbers that make keys too long.
    pub fn to_content(&self) -> Result<Content, MatterError> {
        self.check()?;
        let mut rows = Rows(Content::new());
        let product = &self.product;
        rows.number("discriminator", self.discriminator.value())?;
        rows.number("iteration-count", self.verifier.iterations())?;
        rows.text("salt", Some(&STANDARD.encode(self.verifier.salt())))?;
        rows.number("vendor-id", product.vendor_id)?;
        rows.text("vendor-name", product.vendor_name.as_deref())?;
        rows.number("product-id", product.product_id)?;
        rows.text("product-name", product.product_name.as_deref())?;
        if let Some(version) = product.hardware_version {
            rows.number("hardware-ver", version)?;
        }
        rows.text("hw-ver-str", product.hardware_version_text.as_deref())?;
        rows.text(
            "mfg-date",
            self.made.as_ref().map(ManufacturingDate::as_str),
        )?;
        if let Some(id) = &self.rotating_id {
            rows.bytes("rd-id-uid", id.expose())?;
        }
        if let Some(finish) = product.finish {
            rows.number("product-finish", finish.number())?;
        }
        if let Some(color) = product.color {
            rows.number("product-color", color.number())?;
        }
        rows.text("part-number", product.part_number.as_deref())?;
        rows.text("serial-num", Some(&self.serial))?;
        if let Some(attestation) = &self.attestation {
            rows.bytes("dac-cert", attestation.device().der())?;
            rows.bytes(PRIVATE_KEY, attestation.key().expose())?;
            rows.bytes("dac-pub-key", attestation.public_key())?;
            rows.bytes("pai-cert", attestation.intermediate().der())?;
        }
        rows.text("verifier", Some(&STANDARD.encode(self.verifier.expose())))?;
        if let Some(declaration) = &self.declaration {
            rows.bytes("cert-dclrn", declaration.der())?;
        }
        rows.lists(product)?;
        rows.text("product-label", product.label.as_deref())?;
        rows.text("product-url", product.url.as_deref())?;
        Ok(rows.0)
    }
}

/// Entries of the one namespace.
struct Rows(Content);

impl Rows {
    fn push(&mut self, key: &str, value: Value) -> Result<(), MatterError> {
        Ok(self.0.push(NAMESPACE, key, value)?)
    }

    fn number(&mut self, key: &str, number: impl Into<u32>) -> Result<(), MatterError> {
        self.push(key, Value::U32(number.into()))
    }

    fn count(&mut self, key: &str, count: usize) -> Result<(), MatterError> {
        self.number(key, u32::try_from(count).unwrap_or(u32::MAX))
    }

    fn text(&mut self, key: &str, text: Option<&str>) -> Result<(), MatterError> {
        match text {
            Some(text) => self.push(key, Value::String(text.to_owned())),
            None => Ok(()),
        }
    }

    fn bytes(&mut self, key: &str, bytes: &[u8]) -> Result<(), MatterError> {
        self.push(key, Value::Blob(bytes.to_vec()))
    }

    fn lists(&mut self, product: &Product) -> Result<(), MatterError> {
        if !product.calendars.is_empty() {
            self.number("cal-types", product.calendar_bits())?;
        }
        if !product.locales.is_empty() {
            self.count("locale-sz", product.locales.len())?;
        }
        for (number, locale) in product.locales.iter().enumerate() {
            self.text(&numbered("locale", &[number])?, Some(locale))?;
        }
        for (endpoint, labels) in by_endpoint(&product.labels, |label| label.endpoint) {
            let on = usize::from(endpoint);
            self.count(&numbered("fl-sz", &[on])?, labels.len())?;
            for (number, label) in labels.into_iter().enumerate() {
                self.text(&numbered("fl-k", &[on, number])?, Some(&label.name))?;
                self.text(&numbered("fl-v", &[on, number])?, Some(&label.value))?;
            }
        }
        for (endpoint, modes) in by_endpoint(&product.modes, |mode| mode.endpoint) {
            let on = usize::from(endpoint);
            self.count(&numbered("sm-sz", &[on])?, modes.len())?;
            for (number, mode) in modes.into_iter().enumerate() {
                let at = [on, number];
                self.text(&numbered("sm-label", &at)?, Some(&mode.label))?;
                self.number(&numbered("sm-mode", &at)?, mode.mode)?;
                self.count(&numbered("sm-st-sz", &at)?, mode.tags.len())?;
                for (which, tag) in mode.tags.iter().enumerate() {
                    let at = [on, number, which];
                    self.number(&numbered("st-v", &at)?, tag.value)?;
                    self.number(&numbered("st-mfg", &at)?, tag.vendor)?;
                }
            }
        }
        Ok(())
    }
}
