//! Keys as they come in files: PEM with any of the usual labels around DER.
//!
//! Facts: RFC 7468 (PEM), RFC 5958 and 5280 (PKCS#8, SPKI), RFC 8017 (PKCS#1), RFC 5915 (SEC1).

use p256::pkcs8::der::pem::Decoder;
use zeroize::Zeroizing;

use super::error::SignatureError;

/// Text beyond this is no key file.
const MAX_TEXT: usize = 64 * 1024;
const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// What a PEM label promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Pkcs8,
    Pkcs1,
    Sec1,
    Spki,
    Pkcs1Public,
}

/// DER with the form its label names.
pub(super) struct Contained {
    pub(super) form: Form,
    pub(super) der: Zeroizing<Vec<u8>>,
}

/// The first key in PEM text; other blocks, such as curve parameters, are passed over.
pub(super) fn first_key(text: &str) -> Result<Contained, SignatureError> {
    let unreadable = |reason| SignatureError::KeyUnreadable { reason };
    if text.len() > MAX_TEXT {
        return Err(unreadable("the text is too long for a key"));
    }
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        let block = &rest[at..];
        let label = block[BEGIN.len()..]
            .split_once(DASHES)
            .map(|(label, _)| label)
            .ok_or(unreadable("a PEM label without end"))?;
        let form = match label {
            "PRIVATE KEY" => Form::Pkcs8,
            "RSA PRIVATE KEY" => Form::Pkcs1,
            "EC PRIVATE KEY" => Form::Sec1,
            "PUBLIC KEY" => Form::Spki,
            "RSA PUBLIC KEY" => Form::Pkcs1Public,
            "ENCRYPTED PRIVATE KEY" => return Err(SignatureError::KeyEncrypted),
            _ => {
                rest = &block[BEGIN.len()..];
                continue;
            }
        };
        let end = format!("-----END {label}-----");
        let length = block
            .find(&end)
            .ok_or(unreadable("a PEM block without end"))?
            + end.len();
        let block = &block[..length];
        if block.contains("Proc-Type:") {
            return Err(SignatureError::KeyEncrypted);
        }
        return Ok(Contained {
            form,
            der: decoded(block)?,
        });
    }
    Err(unreadable("no PEM block with a key"))
}

fn decoded(block: &str) -> Result<Zeroizing<Vec<u8>>, SignatureError> {
    let broken = |_| SignatureError::KeyUnreadable {
        reason: "a PEM block that is no clean base64",
    };
    let mut decoder = Decoder::new_detect_wrap(block.as_bytes()).map_err(broken)?;
    // Sized first, so that no copy of a private key stays behind when the vector grows.
    let mut der = Zeroizing::new(Vec::with_capacity(decoder.remaining_len()));
    decoder.decode_to_end(&mut der).map_err(broken)?;
    Ok(der)
}
