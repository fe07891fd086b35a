//! Sealing: a key becomes an age file that the station and the escrow recipients can open.
//!
//! Invariants: what is sealed is exactly the key's bytes, so that `age -d` with the right identity
//! gives them back without this program; what is opened is bounded; plain bytes are wiped.

use std::io::{Read, Write};
use std::path::Path;
use std::str::FromStr;

use age::secrecy::ExposeSecret;
use age::x25519;
use station_esp::secret::Secret;
use zeroize::Zeroizing;

use super::error::KeyError;

/// Largest key that is sealed, in bytes: an RSA key of 3072 bits is 2.5 kB of PEM.
pub(super) const MAX_SECRET: usize = 16 * 1024;

/// Largest sealed file that is opened, in bytes: the key and 64 recipients.
pub(super) const MAX_SEALED: u64 = 64 * 1024;

/// Most escrow recipients.
const MAX_RECIPIENTS: usize = 64;

/// The station's own identity, and the way to the text that stands in its file.
pub(super) struct Sealer {
    identity: x25519::Identity,
}

impl Sealer {
    pub(super) fn generate() -> Self {
        Self {
            identity: x25519::Identity::generate(),
        }
    }

    /// Reads an identity file as age tools write it.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, KeyError> {
        let mut lines = text.lines().map(str::trim);
        let line = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
        let identity = line.and_then(|line| x25519::Identity::from_str(line).ok());
        let identity = identity.ok_or_else(|| KeyError::Format {
            path: path.to_path_buf(),
            what: "it holds no age identity",
        })?;
        Ok(Self { identity })
    }

    /// The identity file's text.
    pub(super) fn text(&self) -> Zeroizing<String> {
        let secret = self.identity.to_string();
        Zeroizing::new(format!(
            "# identity of a station's key store; whoever has it can open every key\n\
             # public key: {}\n{}\n",
            self.recipient(),
            secret.expose_secret()
        ))
    }

    /// The public half: what keys are sealed to.
    pub(super) fn recipient(&self) -> String {
        self.identity.to_public().to_string()
    }

    /// Seals a key to the station and to others.
    pub(super) fn seal(
        &self,
        secret: &Secret,
        others: &[x25519::Recipient],
    ) -> std::io::Result<Vec<u8>> {
        let own = self.identity.to_public();
        let recipients = std::iter::once(&own)
            .chain(others)
            .map(|recipient| recipient as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients)
            .map_err(|error| std::io::Error::other(error.to_string()))?;
        let mut sealed = Vec::new();
        let mut writer = encryptor.wrap_output(&mut sealed)?;
        writer.write_all(secret.expose())?;
        writer.finish()?;
        Ok(sealed)
    }

    /// Opens a sealed key.
    pub(super) fn open(&self, sealed: &[u8], path: &Path) -> Result<Secret, KeyError> {
        let damaged = |what| KeyError::Damaged {
            path: path.to_path_buf(),
            what,
        };
        let decryptor =
            age::Decryptor::new_buffered(sealed).map_err(|_| damaged("it is no age file"))?;
        let identity: &dyn age::Identity = &self.identity;
        let reader = decryptor
            .decrypt(std::iter::once(identity))
            .map_err(|_| damaged("it was not sealed to this station, or was changed"))?;
        // Room for everything at once, so that no part is left behind where a buffer grew.
        let mut plain = Zeroizing::new(Vec::with_capacity(MAX_SECRET + 1));
        let limit = u64::try_from(MAX_SECRET + 1).unwrap_or(u64::MAX);
        reader
            .take(limit)
            .read_to_end(&mut plain)
            .map_err(|_| damaged("it was changed or cut off"))?;
        if plain.is_empty() || plain.len() > MAX_SECRET {
            return Err(damaged("no key is of that size"));
        }
        Ok(Secret::new(plain.to_vec()))
    }
}

/// Reads a list of recipients, one a line.
pub(super) fn parse_recipients(
    text: &str,
    path: &Path,
) -> Result<Vec<x25519::Recipient>, KeyError> {
    let mut recipients = Vec::new();
    for (line, text) in text.lines().enumerate() {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let strange = || KeyError::Recipients {
            path: path.to_path_buf(),
            line: line + 1,
        };
        if recipients.len() == MAX_RECIPIENTS {
            return Err(strange());
        }
        recipients.push(x25519::Recipient::from_str(text).map_err(|_| strange())?);
    }
    Ok(recipients)
}
