//! A certificate as it comes in a file and as it goes into the partition.
//!
//! Facts: X.509's outer structure (RFC 5280, section 4.1). The tool writes a certificate from a PEM
//! file as PEM of 64 columns with a closing zero, one from a DER file as it is.

use p256::pkcs8::der::pem::{self, Decoder, LineEnding};
use p256::pkcs8::der::{AnyRef, Encode as _, Reader as _, SliceReader, Tag, Tagged as _};

use super::error::CertError;
use super::key::{Encoding, KeyFile};

/// Files beyond this are no certificate.
const MAX_FILE: usize = 256 * 1024;
const LABEL: &str = "CERTIFICATE";
const BEGIN: &str = "-----BEGIN ";

/// One X.509 certificate. Its structure is known to be whole; who signed it is not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    encoding: Encoding,
    der: Vec<u8>,
    public: Vec<u8>,
}

impl Certificate {
    /// Reads PEM or DER with exactly one certificate.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn read(file: &[u8]) -> Result<Self, CertError> {
        if file.len() > MAX_FILE {
            return Err(unreadable("the file is too long for a certificate"));
        }
        match std::str::from_utf8(file) {
            Ok(text) if text.contains(BEGIN) => Self::new(from_pem(text)?, Encoding::Pem),
            _ => Self::new(file.to_vec(), Encoding::Der),
        }
    }

    fn new(der: Vec<u8>, encoding: Encoding) -> Result<Self, CertError> {
        let public = public_key(&der)
            .map_err(|_| unreadable("neither PEM nor DER of an X.509 certificate"))?;
        Ok(Self {
            encoding,
            der,
            public,
        })
    }

    /// How its file was written.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The certificate itself.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The public key in it, DER of a SubjectPublicKeyInfo.
    #[must_use]
    pub fn public_der(&self) -> &[u8] {
        &self.public
    }

    /// Checks that the certificate was made for this key.
    ///
    /// # Errors
    /// [`CertError::KeyMismatch`].
    pub fn check_key(&self, key: &KeyFile) -> Result<(), CertError> {
        if self.public == key.public_der() {
            Ok(())
        } else {
            Err(CertError::KeyMismatch)
        }
    }

    /// The bytes of a certificate entry.
    ///
    /// # Errors
    /// When the certificate cannot be encoded.
    pub fn entry_content(&self) -> Result<Vec<u8>, CertError> {
        if self.encoding == Encoding::Der {
            return Ok(self.der.clone());
        }
        let text = pem::encode_string(LABEL, LineEnding::LF, &self.der)
            .map_err(|_| unreadable("it cannot be written as PEM"))?;
        let mut content = text.into_bytes();
        content.push(0);
        Ok(content)
    }
}

fn unreadable(reason: &'static str) -> CertError {
    CertError::CertificateUnreadable { reason }
}

/// The bytes of the only certificate in PEM text; blocks with other labels are passed over.
fn from_pem(text: &str) -> Result<Vec<u8>, CertError> {
    let begin = format!("{BEGIN}{LABEL}-----");
    let found = text.matches(&begin).count();
    if found > 1 {
        return Err(CertError::CertificateChain { found });
    }
    let start = text.find(&begin);
    let start = start.ok_or(unreadable("no PEM block with a certificate"))?;
    let end = format!("-----END {LABEL}-----");
    let block = &text[start..];
    let at = block.find(&end);
    let at = at.ok_or(unreadable("a PEM block without end"))?;
    let block = &block[..at + end.len()];
    let broken = |_| unreadable("a PEM block that is no clean base64");
    let mut decoder = Decoder::new_detect_wrap(block.as_bytes()).map_err(broken)?;
    let mut der = Vec::with_capacity(decoder.remaining_len());
    decoder.decode_to_end(&mut der).map_err(broken)?;
    Ok(der)
}

/// The SubjectPublicKeyInfo, after a walk over the fields that stand around it.
fn public_key(der: &[u8]) -> Result<Vec<u8>, p256::pkcs8::der::Error> {
    let mut outer = SliceReader::new(der)?;
    let certificate: AnyRef<'_> = outer.decode()?;
    outer.finish()?;
    certificate.tag().assert_eq(Tag::Sequence)?;
    let mut fields = SliceReader::new(certificate.value())?;
    let content: AnyRef<'_> = fields.decode()?;
    content.tag().assert_eq(Tag::Sequence)?;
    let algorithm: AnyRef<'_> = fields.decode()?;
    algorithm.tag().assert_eq(Tag::Sequence)?;
    let signature: AnyRef<'_> = fields.decode()?;
    signature.tag().assert_eq(Tag::BitString)?;
    fields.finish()?;

    let mut fields = SliceReader::new(content.value())?;
    let mut next: AnyRef<'_> = fields.decode()?;
    if next.tag() != Tag::Integer {
        // The version, which very old certificates leave out.
        next = fields.decode()?;
    }
    next.tag().assert_eq(Tag::Integer)?;
    // Signature algorithm, issuer, validity and subject.
    for _ in 0..4 {
        let field: AnyRef<'_> = fields.decode()?;
        field.tag().assert_eq(Tag::Sequence)?;
    }
    let public: AnyRef<'_> = fields.decode()?;
    public.tag().assert_eq(Tag::Sequence)?;
    public.to_der()
}
