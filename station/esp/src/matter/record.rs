//! Factory data read back from a partition: everything but the secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::attestation::{self, Declaration, is_key_of};
use super::date::ManufacturingDate;
use super::error::MatterError;
use super::factory::{Discriminator, NAMESPACE, PRIVATE_KEY, ROTATING_ID, SERIAL};
use super::product::{
    Calendar, Color, Finish, FixedLabel, MAX_LISTED, MAX_LOCALES, Mode, Product, SemanticTag, few,
    numbered, text,
};
use super::verifier::Verifier;
use crate::cert::Certificate;
use crate::nvs::{Image, Value};
use crate::secret::Secret;

/// What a partition says about a unit.
#[derive(Debug)]
pub struct FactoryRecord {
    /// What all units of the product have in common.
    pub product: Product,
    /// The unit's serial number.
    pub serial: String,
    /// When it was made.
    pub made: Option<ManufacturingDate>,
    /// What tells it from others nearby.
    pub discriminator: Discriminator,
    /// By what it knows who knows its passcode; [`Verifier::fits`] tells whether a passcode is its.
    pub verifier: Verifier,
    /// Whether it can make rotating identifiers.
    pub rotating_id: bool,
    /// By what it proves to be genuine, without the key.
    pub attestation: Option<AttestationRecord>,
    /// That the product was certified.
    pub declaration: Option<Declaration>,
    /// Keys in the namespace that mean nothing here, in their order.
    pub others: Vec<String>,
}

/// Certificates of a unit and what may be known of its key.
#[derive(Debug)]
pub struct AttestationRecord {
    /// The unit's certificate.
    pub device: Certificate,
    /// The certificate of the authority that signed it.
    pub intermediate: Certificate,
    /// Whether private and public key in the partition are those of the unit's certificate.
    pub key_matches: bool,
    /// Whether the intermediate signed the unit's certificate, and both are for this product.
    pub chain: Result<(), MatterError>,
}

impl FactoryRecord {
    /// Reads a partition.
    ///
    /// # Errors
    /// When something that must be there is not, or is not what it should be.
    pub fn read(image: &Image) -> Result<Self, MatterError> {
        let mut from = Reader {
            image,
            known: Vec::new(),
        };
        let salt = from.coded("salt")?;
        let verifier = Verifier::new(
            salt.expose(),
            from.needed_number("iteration-count")?,
            from.coded("verifier")?,
        )?;
        let product = from.product()?;
        product.check()?;
        let serial = from.needed_text("serial-num")?;
        text("the serial number", &serial, SERIAL)?;
        let rotating_id = match from.bytes("rd-id-uid")? {
            Some(id) if id.len() != ROTATING_ID => {
                return Err(MatterError::RotatingId { found: id.len() });
            }
            id => id.is_some(),
        };
        let declaration = from.bytes("cert-dclrn")?;
        let record = Self {
            made: from
                .text("mfg-date")?
                .map(|made| made.parse())
                .transpose()?,
            discriminator: Discriminator::new(from.needed_number("discriminator")?)?,
            verifier,
            rotating_id,
            attestation: from.attestation(&product)?,
            declaration: declaration
                .map(|der| Declaration::new(der.to_vec()))
                .transpose()?,
            product,
            serial,
            others: from.others(),
        };
        Ok(record)
    }
}

/// Reads entries of the one namespace and remembers which.
struct Reader<'a> {
    image: &'a Image,
    known: Vec<String>,
}

impl<'a> Reader<'a> {
    fn value(&mut self, key: &str) -> Option<&'a Value> {
        let found = self.image.find(NAMESPACE, key)?;
        self.known.push(key.to_owned());
        found.exact.then_some(&found.value)
    }

    fn number(&mut self, key: &str) -> Result<Option<u32>, MatterError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::U32(number)) => Ok(Some(*number)),
            Some(_) => Err(wrong(key, "a number of 32 bits without sign")),
        }
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, MatterError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong(key, "text")),
        }
    }

    fn bytes(&mut self, key: &str) -> Result<Option<&'a [u8]>, MatterError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Blob(bytes)) => Ok(Some(bytes)),
            Some(_) => Err(wrong(key, "bytes")),
        }
    }

    fn needed_number(&mut self, key: &str) -> Result<u32, MatterError> {
        self.number(key)?.ok_or_else(|| missing(key))
    }

    fn needed_text(&mut self, key: &str) -> Result<String, MatterError> {
        self.text(key)?.ok_or_else(|| missing(key))
    }

    fn needed_bytes(&mut self, key: &str) -> Result<&'a [u8], MatterError> {
        self.bytes(key)?.ok_or_else(|| missing(key))
    }

    /// A number that fits something smaller.
    fn small<T: TryFrom<u32>>(&mut self, key: &str) -> Result<Option<T>, MatterError> {
        let Some(found) = self.number(key)? else {
            return Ok(None);
        };
        let small = T::try_from(found).map_err(|_| too_large(key, found))?;
        Ok(Some(small))
    }

    fn needed_small<T: TryFrom<u32>>(&mut self, key: &str) -> Result<T, MatterError> {
        self.small(key)?.ok_or_else(|| missing(key))
    }

    /// A number from a closed list.
    fn listed<T>(
        &mut self,
        key: &str,
        from_number: impl Fn(u32) -> Option<T>,
    ) -> Result<Option<T>, MatterError> {
        let Some(found) = self.number(key)? else {
            return Ok(None);
        };
        let one = from_number(found).ok_or_else(|| too_large(key, found))?;
        Ok(Some(one))
    }

    /// Bytes written as text.
    fn coded(&mut self, key: &str) -> Result<Secret, MatterError> {
        let text = Secret::new(self.needed_text(key)?.into_bytes());
        match STANDARD.decode(text.expose()) {
            Ok(bytes) => Ok(Secret::new(bytes)),
            Err(_) => Err(wrong(key, "text in base64")),
        }
    }

    fn product(&mut self) -> Result<Product, MatterError> {
        Ok(Product {
            vendor_id: self.needed_small("vendor-id")?,
            vendor_name: self.text("vendor-name")?,
            product_id: self.needed_small("product-id")?,
            product_name: self.text("product-name")?,
            hardware_version: self.small("hardware-ver")?,
            hardware_version_text: self.text("hw-ver-str")?,
            finish: self.listed("product-finish", Finish::from_number)?,
            color: self.listed("product-color", Color::from_number)?,
            part_number: self.text("part-number")?,
            calendars: self.calendars()?,
            locales: self.locales()?,
            labels: self.labels()?,
            modes: self.modes()?,
            label: self.text("product-label")?,
            url: self.text("product-url")?,
        })
    }

    fn calendars(&mut self) -> Result<Vec<Calendar>, MatterError> {
        let key = "cal-types";
        let bits = self.number(key)?.unwrap_or(0);
        if bits >> Calendar::ALL.len() != 0 {
            return Err(too_large(key, bits));
        }
        let set = |calendar: &Calendar| bits >> calendar.number() & 1 == 1;
        Ok(Calendar::ALL.iter().copied().filter(set).collect())
    }

    fn locales(&mut self) -> Result<Vec<String>, MatterError> {
        let Some(count) = self.count("locale-sz", "locales", MAX_LOCALES)? else {
            return Ok(Vec::new());
        };
        (0..count)
            .map(|number| self.needed_text(&numbered("locale", &[number])?))
            .collect()
    }

    fn labels(&mut self) -> Result<Vec<FixedLabel>, MatterError> {
        let mut labels = Vec::new();
        for endpoint in self.endpoints("fl-sz/") {
            let on = usize::from(endpoint);
            let count = self.count(&numbered("fl-sz", &[on])?, "labels", MAX_LISTED)?;
            for number in 0..count.unwrap_or(0) {
                labels.push(FixedLabel {
                    endpoint,
                    name: self.needed_text(&numbered("fl-k", &[on, number])?)?,
                    value: self.needed_text(&numbered("fl-v", &[on, number])?)?,
                });
            }
            few("labels", labels.len(), MAX_LISTED)?;
        }
        Ok(labels)
    }

    fn modes(&mut self) -> Result<Vec<Mode>, MatterError> {
        let mut modes = Vec::new();
        for endpoint in self.endpoints("sm-sz/") {
            let on = usize::from(endpoint);
            let count = self.count(&numbered("sm-sz", &[on])?, "modes", MAX_LISTED)?;
            for number in 0..count.unwrap_or(0) {
                let at = [on, number];
                modes.push(Mode {
                    endpoint,
                    label: self.needed_text(&numbered("sm-label", &at)?)?,
                    mode: self.needed_small(&numbered("sm-mode", &at)?)?,
                    tags: self.tags(at)?,
                });
            }
            few("modes", modes.len(), MAX_LISTED)?;
        }
        Ok(modes)
    }

    fn tags(&mut self, [on, number]: [usize; 2]) -> Result<Vec<SemanticTag>, MatterError> {
        let key = numbered("sm-st-sz", &[on, number])?;
        let count = self.count(&key, "tags of a mode", MAX_LISTED)?;
        let tag = |which| {
            let at = [on, number, which];
            Ok(SemanticTag {
                value: self.needed_small(&numbered("st-v", &at)?)?,
                vendor: self.needed_small(&numbered("st-mfg", &at)?)?,
            })
        };
        (0..count.ok_or_else(|| missing(&key))?).map(tag).collect()
    }

    /// The length of a list, which is bounded.
    fn count(
        &mut self,
        key: &str,
        what: &'static str,
        most: usize,
    ) -> Result<Option<usize>, MatterError> {
        let Some(count) = self.number(key)? else {
            return Ok(None);
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        few(what, count, most)?;
        Ok(Some(count))
    }

    /// The endpoints behind a prefix, each once, in the order of their entries.
    fn endpoints(&self, prefix: &str) -> Vec<u16> {
        let mut endpoints = Vec::new();
        for entry in &self.image.entries {
            let digits = entry.key.strip_prefix(prefix);
            let digits = digits.filter(|_| entry.namespace == NAMESPACE);
            let Some(endpoint) = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok())
            else {
                continue;
            };
            // Firmware writes it in one way only.
            let written = format!("{prefix}{endpoint:x}") == entry.key;
            if written && !endpoints.contains(&endpoint) && endpoints.len() <= MAX_LISTED {
                endpoints.push(endpoint);
            }
        }
        endpoints
    }

    fn attestation(&mut self, product: &Product) -> Result<Option<AttestationRecord>, MatterError> {
        let Some(device) = self.bytes("dac-cert")? else {
            return Ok(None);
        };
        let device = Certificate::read(device)?;
        let intermediate = Certificate::read(self.needed_bytes("pai-cert")?)?;
        let private = self.needed_bytes(PRIVATE_KEY)?;
        let public = self.needed_bytes("dac-pub-key")?;
        let key_matches = is_key_of(private, &device)
            && attestation::point(&device).is_ok_and(|point| point == public);
        let chain = attestation::check_pair(&device, &intermediate).and_then(|()| {
            let (vendor, product) = (product.vendor_id, product.product_id);
            attestation::check_product(&device, &intermediate, vendor, product)
        });
        Ok(Some(AttestationRecord {
            device,
            intermediate,
            key_matches,
            chain,
        }))
    }

    /// Keys that were not read.
    fn others(&self) -> Vec<String> {
        let entries = self.image.entries.iter();
        entries
            .filter(|entry| entry.namespace == NAMESPACE && !self.known.contains(&entry.key))
            .map(|entry| entry.key.clone())
            .collect()
    }
}

fn missing(key: &str) -> MatterError {
    MatterError::Missing {
        key: key.to_owned(),
    }
}

fn wrong(key: &str, wanted: &'static str) -> MatterError {
    MatterError::Type {
        key: key.to_owned(),
        wanted,
    }
}

fn too_large(key: &str, found: u32) -> MatterError {
    MatterError::Number {
        key: key.to_owned(),
        found,
    }
}
