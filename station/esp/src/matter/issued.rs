//! What a device attestation certificate says besides its key: for which product it is, who issued it,
//! and by what signature.
//!
//! Facts: X.509's structure (RFC 5280, section 4.1); Matter's attributes for vendor and product in
//! the subject, or the same in the common name behind `Mvid:` and `Mpid:` in four capital hex digits,
//! the first that are whole (Matter core specification, 6.2.2).

use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey as _;
use p256::pkcs8::ObjectIdentifier;
use p256::pkcs8::der::asn1::BitStringRef;
use p256::pkcs8::der::{
    AnyRef, Decode as _, Encode as _, Reader as _, SliceReader, Tag, Tagged as _,
};

type Result<T> = p256::pkcs8::der::Result<T>;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const VENDOR: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.37244.2.1");
const PRODUCT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.37244.2.2");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// The parts of a certificate.
pub(super) struct Issued {
    /// What is signed.
    signed: Vec<u8>,
    signature: Vec<u8>,
    is_ecdsa_sha256: bool,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    /// The vendor it is for.
    pub(super) vendor: Option<u16>,
    /// The product it is for.
    pub(super) product: Option<u16>,
}

impl Issued {
    /// Reads DER whose outer structure is known to be whole.
    pub(super) fn read(der: &[u8]) -> Result<Self> {
        let mut outer = inside(der)?;
        let signed: AnyRef<'_> = outer.decode()?;
        let algorithm: AnyRef<'_> = outer.decode()?;
        let signature: BitStringRef<'_> = outer.decode()?;
        let algorithm: ObjectIdentifier = SliceReader::new(algorithm.value())?.decode()?;

        let mut fields = SliceReader::new(signed.value())?;
        let first: AnyRef<'_> = fields.decode()?;
        if first.tag() != Tag::Integer {
            // The version stood there, the serial number follows.
            let _serial: AnyRef<'_> = fields.decode()?;
        }
        let _algorithm: AnyRef<'_> = fields.decode()?;
        let issuer: AnyRef<'_> = fields.decode()?;
        let _validity: AnyRef<'_> = fields.decode()?;
        let subject: AnyRef<'_> = fields.decode()?;
        let (vendor, product) = numbers(subject.value())?;
        Ok(Self {
            signed: signed.to_der()?,
            signature: signature.raw_bytes().to_vec(),
            is_ecdsa_sha256: algorithm == ECDSA_SHA256,
            issuer: issuer.to_der()?,
            subject: subject.to_der()?,
            vendor,
            product,
        })
    }

    /// Whether the certificate with that name and public key, DER, signed this one.
    pub(super) fn is_signed_by(&self, issuer: &Self, public_der: &[u8]) -> bool {
        let key = VerifyingKey::from_public_key_der(public_der);
        let signature = Signature::from_der(&self.signature);
        let (Ok(key), Ok(signature)) = (key, signature) else {
            return false;
        };
        self.is_ecdsa_sha256
            && self.issuer == issuer.subject
            && key.verify(&self.signed, &signature).is_ok()
    }
}

/// A reader of what a sequence holds.
fn inside(der: &[u8]) -> Result<SliceReader<'_>> {
    let mut outer = SliceReader::new(der)?;
    let sequence: AnyRef<'_> = outer.decode()?;
    sequence.tag().assert_eq(Tag::Sequence)?;
    SliceReader::new(sequence.value())
}

/// Vendor and product in the attributes of a name.
fn numbers(name: &[u8]) -> Result<(Option<u16>, Option<u16>)> {
    let (mut vendor, mut product, mut common) = (None, None, None);
    let mut parts = SliceReader::new(name)?;
    while !parts.is_finished() {
        let set: AnyRef<'_> = parts.decode()?;
        let mut attributes = SliceReader::new(set.value())?;
        while !attributes.is_finished() {
            let attribute: AnyRef<'_> = attributes.decode()?;
            let mut attribute = SliceReader::new(attribute.value())?;
            let kind: ObjectIdentifier = attribute.decode()?;
            let value: AnyRef<'_> = attribute.decode()?;
            if kind == VENDOR {
                vendor = hex(value.value());
            } else if kind == PRODUCT {
                product = hex(value.value());
            } else if kind == COMMON_NAME {
                common = Some(value.value().to_vec());
            }
        }
    }
    if let (None, None, Some(common)) = (vendor, product, common) {
        vendor = marked(&common, b"Mvid:");
        product = marked(&common, b"Mpid:");
    }
    Ok((vendor, product))
}

/// The first whole number behind a mark.
fn marked(text: &[u8], mark: &[u8]) -> Option<u16> {
    let places = text.windows(mark.len() + 4);
    places
        .filter_map(|place| place.strip_prefix(mark))
        .find_map(hex)
}

/// A number of four capital hex digits.
fn hex(digits: &[u8]) -> Option<u16> {
    let capital = |byte: &u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(byte);
    if digits.len() != 4 || !digits.iter().all(capital) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Whether the bytes are one DER sequence and nothing else.
pub(super) fn is_sequence(der: &[u8]) -> bool {
    AnyRef::from_der(der).is_ok_and(|whole| whole.tag() == Tag::Sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_name_says_vendor_and_product_if_it_says_them_whole() {
        for (name, vendor, product) in [
            ("Unit 7 Mvid:FFF1 Mpid:00B1", Some(0xFFF1), Some(0xB1)),
            ("Mpid:00B1,Unit 7,Mvid:FFF1", Some(0xFFF1), Some(0xB1)),
            ("Mvid:FFF1Mpid:00B1", Some(0xFFF1), Some(0xB1)),
            ("Mvid:FF Mvid:FFF1 Mpid:1", Some(0xFFF1), None),
            ("Mvid:fff1 Mpid: 00B1", None, None),
            ("", None, None),
        ] {
            assert_eq!(marked(name.as_bytes(), b"Mvid:"), vendor, "{name}");
            assert_eq!(marked(name.as_bytes(), b"Mpid:"), product, "{name}");
        }
    }
}
