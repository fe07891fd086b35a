//! By what a unit proves to be genuine: its certificate (DAC), that of the intermediate authority
//! (PAI) that signed it, its private key, and the declaration that its product was certified.
//!
//! Facts (Matter core specification, 6.2 and 6.3): keys are on P-256, signatures ECDSA with SHA-256,
//! certificates have 600 bytes at most as DER. The DAC names vendor and product, the PAI the vendor
//! and perhaps the product. Firmware holds the private key as its number in 32 bytes and the public
//! key as an uncompressed point in 65.

use std::fmt;

use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::pkcs8::DecodePublicKey as _;

use super::error::MatterError;
use super::issued::{Issued, is_sequence};
use crate::cert::{Certificate, KeyFile, KeyKind};
use crate::secret::Secret;

/// Longest certificate of Matter, DER.
const MAX_CERTIFICATE: usize = 600;
/// Longest certification declaration taken: firmware's buffer for any has fewer bytes.
const MAX_DECLARATION: usize = 2048;
const DEVICE: &str = "device attestation certificate";
const INTERMEDIATE: &str = "intermediate's certificate";

/// Certificates and key of a unit, which are known to belong together. It shows no key.
pub struct Attestation {
    device: Certificate,
    intermediate: Certificate,
    key: Secret,
    public: Vec<u8>,
}

impl Attestation {
    /// Takes the three of them.
    ///
    /// # Errors
    /// When they do not belong together or are not what Matter uses.
    pub fn new(
        device: Certificate,
        intermediate: Certificate,
        key: &KeyFile,
    ) -> Result<Self, MatterError> {
        let found = key.kind();
        let (KeyKind::EcdsaP256, Some(scalar)) = (found, key.scalar()) else {
            return Err(MatterError::KeyKind { found });
        };
        device.check_key(key)?;
        check_pair(&device, &intermediate)?;
        Ok(Self {
            public: point(&device)?,
            key: scalar.clone(),
            device,
            intermediate,
        })
    }

    /// Checks that the certificates are for this product.
    ///
    /// # Errors
    /// [`MatterError::Certified`]; [`MatterError::Certificate`] when they do not say.
    pub fn check_product(&self, vendor: u16, product: u16) -> Result<(), MatterError> {
        check_product(&self.device, &self.intermediate, vendor, product)
    }

    /// The unit's certificate.
    #[must_use]
    pub fn device(&self) -> &Certificate {
        &self.device
    }

    /// The certificate of the authority that signed the unit's.
    #[must_use]
    pub fn intermediate(&self) -> &Certificate {
        &self.intermediate
    }

    /// The private key: a number, big-endian in 32 bytes.
    #[must_use]
    pub fn key(&self) -> &Secret {
        &self.key
    }

    /// The public key: an uncompressed point, 65 bytes.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.public
    }
}

impl fmt::Debug for Attestation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attestation(ECDSA P-256)")
    }
}

/// Checks lengths, and that one certificate signed the other.
pub(super) fn check_pair(
    device: &Certificate,
    intermediate: &Certificate,
) -> Result<(), MatterError> {
    for (what, certificate) in [(DEVICE, device), (INTERMEDIATE, intermediate)] {
        let (found, most) = (certificate.der().len(), MAX_CERTIFICATE);
        if found > most {
            return Err(MatterError::CertificateLength { what, found, most });
        }
    }
    let (unit, issuer) = (issued(DEVICE, device)?, issued(INTERMEDIATE, intermediate)?);
    if unit.is_signed_by(&issuer, intermediate.public_der()) {
        Ok(())
    } else {
        Err(MatterError::Chain)
    }
}

/// Checks that both certificates are for this product.
pub(super) fn check_product(
    device: &Certificate,
    intermediate: &Certificate,
    vendor: u16,
    product: u16,
) -> Result<(), MatterError> {
    let (unit, issuer) = (issued(DEVICE, device)?, issued(INTERMEDIATE, intermediate)?);
    let unsaid = |what, reason| MatterError::Certificate { what, reason };
    let wanted = [
        (
            "vendor of the device attestation certificate",
            Some(unit.vendor.ok_or(unsaid(DEVICE, "it names no vendor"))?),
            vendor,
        ),
        (
            "product of the device attestation certificate",
            Some(unit.product.ok_or(unsaid(DEVICE, "it names no product"))?),
            product,
        ),
        (
            "vendor of the intermediate's certificate",
            Some(
                issuer
                    .vendor
                    .ok_or(unsaid(INTERMEDIATE, "it names no vendor"))?,
            ),
            vendor,
        ),
        // An intermediate may be for all products of its vendor.
        (
            "product of the intermediate's certificate",
            issuer.product,
            product,
        ),
    ];
    for (what, certified, wanted) in wanted {
        if let Some(certified) = certified
            && certified != wanted
        {
            return Err(MatterError::Certified {
                what,
                certified,
                wanted,
            });
        }
    }
    Ok(())
}

fn issued(what: &'static str, certificate: &Certificate) -> Result<Issued, MatterError> {
    Issued::read(certificate.der()).map_err(|_| MatterError::Certificate {
        what,
        reason: "its fields cannot be read",
    })
}

/// A certificate's public key as an uncompressed point.
pub(super) fn point(certificate: &Certificate) -> Result<Vec<u8>, MatterError> {
    let reason = "its public key is not on P-256";
    let key = p256::PublicKey::from_public_key_der(certificate.public_der()).map_err(|_| {
        MatterError::Certificate {
            what: DEVICE,
            reason,
        }
    })?;
    Ok(key.to_sec1_point(false).as_bytes().to_vec())
}

/// Whether 32 bytes are the private key of a certificate.
pub(super) fn is_key_of(key: &[u8], certificate: &Certificate) -> bool {
    let Ok(key) = p256::SecretKey::from_slice(key) else {
        return false;
    };
    point(certificate).is_ok_and(|point| key.public_key().to_sec1_point(false).as_bytes() == point)
}

/// A certification declaration: a signed message of the Connectivity Standards Alliance, of which only
/// the outer form is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration(Vec<u8>);

impl Declaration {
    /// Takes DER.
    ///
    /// # Errors
    /// [`MatterError::Declaration`].
    pub fn new(der: Vec<u8>) -> Result<Self, MatterError> {
        if der.len() > MAX_DECLARATION {
            let reason = "it is longer than any can be";
            return Err(MatterError::Declaration { reason });
        }
        if !is_sequence(&der) {
            let reason = "it is not one sequence in DER";
            return Err(MatterError::Declaration { reason });
        }
        Ok(Self(der))
    }

    /// The bytes.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0
    }
}
