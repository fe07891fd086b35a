//! One unit's Matter factory partition and codes, once everything about them is known.

use getrandom::SysRng;
use rand_core::UnwrapErr;
use schemars::JsonSchema;
use serde::Serialize;
use station_esp::matter::{
    Attestation, Declaration, Discovery, Discriminator, FactoryData, Flow, ManufacturingDate,
    Onboarding, Passcode, Product, Verifier,
};
use station_esp::nvs::{self, NvsKeys, Version};
use station_esp::secret::Secret;

use super::super::super::target::{FileView, Target};
use super::refused;
use crate::operation::OperationError;

/// A Matter factory partition that was written.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MatterView {
    /// The file that was written, readable for its owner only
    #[serde(flatten)]
    pub file: FileView,
    /// The text of the QR code; who has it can commission the unit, and it is kept nowhere else
    pub qr: String,
    /// The manual pairing code, 11 or 21 digits; the same is true of it
    pub manual_code: String,
    /// The unit's serial number
    pub serial: String,
    /// By which it is told from others nearby
    pub discriminator: u16,
    /// Whether the passcode was drawn
    pub passcode_drawn: bool,
    /// How many values the partition has
    pub entries: usize,
    /// Fewest bytes that would hold everything and could be written to
    pub smallest_size: u32,
    /// Whether the unit's attestation certificate and key are in it
    pub attestation: bool,
    /// Whether it is encrypted
    pub encrypted: bool,
    /// Whether the maker's number is one for tests, which no product may be sold with
    pub test_vendor: bool,
}

/// Everything that the partition and the codes are made of.
pub(super) struct Order {
    pub(super) product: Product,
    pub(super) serial: String,
    pub(super) made: Option<ManufacturingDate>,
    pub(super) discriminator: Discriminator,
    pub(super) given: Option<Passcode>,
    pub(super) iterations: u32,
    pub(super) salt: Vec<u8>,
    pub(super) rotating_id: Option<Secret>,
    pub(super) attestation: Option<Attestation>,
    pub(super) declaration: Option<Declaration>,
    pub(super) flow: Flow,
    pub(super) discovery: Discovery,
    pub(super) size: u32,
    pub(super) keys: Option<NvsKeys>,
    pub(super) target: Target,
}

impl Order {
    /// Makes and writes them.
    pub(super) fn made(self) -> Result<MatterView, OperationError> {
        let passcode_drawn = self.given.is_none();
        let passcode = self
            .given
            .unwrap_or_else(|| Passcode::generate(&mut UnwrapErr(SysRng)));
        let verifier = Verifier::derive(&passcode, &self.salt, self.iterations)
            .map_err(|error| refused(&error))?;
        let codes = Onboarding {
            vendor_id: self.product.vendor_id,
            product_id: self.product.product_id,
            discriminator: self.discriminator,
            passcode,
            flow: self.flow,
            discovery: self.discovery,
        };
        let data = FactoryData {
            product: self.product,
            serial: self.serial,
            made: self.made,
            discriminator: self.discriminator,
            verifier,
            rotating_id: self.rotating_id,
            attestation: self.attestation,
            declaration: self.declaration,
        };
        let content = data.to_content().map_err(|error| refused(&error))?;
        let wrong = |error: nvs::NvsError| OperationError::usage(error.code(), error.to_string());
        let smallest_size = nvs::smallest_size(&content, Version::V2).map_err(wrong)?;
        let image = match &self.keys {
            None => nvs::build(&content, self.size, Version::V2),
            Some(keys) => nvs::build_encrypted(&content, self.size, Version::V2, keys),
        };
        let image = Secret::new(image.map_err(wrong)?);
        Ok(MatterView {
            file: self.target.write(image.expose())?,
            qr: codes.qr().to_string(),
            manual_code: codes.manual().to_string(),
            discriminator: self.discriminator.value(),
            passcode_drawn,
            entries: content.entries().count(),
            smallest_size,
            attestation: data.attestation.is_some(),
            encrypted: self.keys.is_some(),
            test_vendor: data.product.is_test(),
            serial: data.serial,
        })
    }
}
