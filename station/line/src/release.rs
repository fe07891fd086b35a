//! Released plans: an engineer's word, under the station's signature, that a plan may make product.
//!
//! Invariants: the signature covers the plan's identity (and with it every byte it writes), the
//! product and its revision; a release counts only in force and signed by a key the station trusts,
//! its own or one of its folder `trusted`; the private key is never shown.

use std::fmt;

use chrono::{DateTime, Utc};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::ota::{OtaError, Package};
use station_esp::secret::Secret;
use thiserror::Error;

use crate::event::PlanId;
use crate::journal::PlanRecord;

/// What stands before the signed bytes, so that a signature means nothing else.
const DOMAIN: &[u8] = b"station recipe release 1\0";

/// The key a station signs releases with.
#[derive(Clone)]
pub struct StationKey(SigningKey);

impl fmt::Debug for StationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StationKey({})", self.public_hex())
    }
}

impl StationKey {
    /// Takes the 32 bytes of an Ed25519 key; nothing else is one.
    pub fn from_secret(secret: &Secret) -> Option<Self> {
        let bytes: &[u8; 32] = secret.expose().try_into().ok()?;
        Some(Self(SigningKey::from_bytes(bytes)))
    }

    /// Returns the public key, 64 hex digits.
    pub fn public_hex(&self) -> String {
        hex::encode(self.0.verifying_key().as_bytes())
    }

    /// Signs an OTA package; what is signed begins with a text of its own, so it means nothing else.
    ///
    /// # Errors
    /// When the key has signed it already.
    pub fn sign_package(&self, package: &mut Package<'_>) -> Result<(), OtaError> {
        package.sign(&Secret::new(self.0.to_bytes().to_vec()))
    }

    fn sign(&self, message: &[u8]) -> String {
        hex::encode(self.0.sign(message).to_bytes())
    }
}

/// The public keys whose releases count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedKeys(Vec<String>);

impl TrustedKeys {
    /// Trusts these keys, 64 lower-case hex digits each.
    pub fn new(keys: impl IntoIterator<Item = String>) -> Self {
        let mut keys: Vec<_> = keys.into_iter().collect();
        keys.sort();
        keys.dedup();
        Self(keys)
    }

    /// Returns the keys.
    pub fn keys(&self) -> &[String] {
        &self.0
    }
}

/// A plan that was released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Release {
    /// Which plan.
    pub plan: PlanId,
    /// Product it makes.
    pub product: String,
    /// Revision of the product.
    pub revision: Option<String>,
    /// Who released it.
    pub by: String,
    /// When.
    pub released_at: DateTime<Utc>,
    /// Public key of the station that signed, 64 hex digits.
    pub key: String,
    /// Ed25519 signature, 128 hex digits.
    pub signature: String,
    /// When it was taken back, if it was.
    pub withdrawn: Option<Withdrawal>,
}

/// A release that was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Withdrawal {
    /// When.
    pub at: DateTime<Utc>,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Release {
    /// Signs a plan.
    pub fn sign(at: DateTime<Utc>, plan: &PlanRecord, key: &StationKey, by: &str) -> Self {
        let message = message(&plan.id, &plan.product, plan.revision.as_deref());
        Self {
            plan: plan.id.clone(),
            product: plan.product.clone(),
            revision: plan.revision.clone(),
            by: by.to_owned(),
            released_at: at,
            key: key.public_hex(),
            signature: key.sign(&message),
            withdrawn: None,
        }
    }
}

fn message(plan: &PlanId, product: &str, revision: Option<&str>) -> Vec<u8> {
    let mut message = DOMAIN.to_vec();
    for text in [plan.as_str(), product, revision.unwrap_or("")] {
        message.extend(u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
        message.extend(text.as_bytes());
    }
    message
}

/// Why a plan must not be run as released.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReleaseRefusal {
    /// Nobody released it.
    #[error("plan `{plan}` is not released")]
    Missing {
        /// Which plan.
        plan: PlanId,
    },
    /// It was taken back.
    #[error("plan `{plan}` was withdrawn by {by}: {reason}")]
    Withdrawn {
        /// Which plan.
        plan: PlanId,
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
    /// The key that signed it is not trusted here.
    #[error("plan `{plan}` was released under key `{key}`, which this station does not trust")]
    Untrusted {
        /// Which plan.
        plan: PlanId,
        /// The key.
        key: String,
    },
    /// The signature does not fit.
    #[error("the signature under the release of plan `{plan}` is not its key's")]
    Forged {
        /// Which plan.
        plan: PlanId,
    },
}

impl ReleaseRefusal {
    /// Returns a stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "release-missing",
            Self::Withdrawn { .. } => "release-withdrawn",
            Self::Untrusted { .. } => "release-untrusted",
            Self::Forged { .. } => "release-forged",
        }
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => {
                "an engineer releases it with `station release`; any change makes a new plan"
            }
            Self::Withdrawn { .. } => "ask the engineer; a corrected recipe is released anew",
            Self::Untrusted { .. } => {
                "put the public key of the station that released it into the key store's folder `trusted`"
            }
            Self::Forged { .. } => "run `station journal verify` and find out who edited the file",
        }
    }
}

/// Checks a release.
///
/// # Errors
/// Why the plan must not be run.
pub fn verify(release: &Release, trusted: &TrustedKeys) -> Result<(), ReleaseRefusal> {
    let plan = release.plan.clone();
    if let Some(withdrawal) = &release.withdrawn {
        return Err(ReleaseRefusal::Withdrawn {
            plan,
            by: withdrawal.by.clone(),
            reason: withdrawal.reason.clone(),
        });
    }
    if !trusted.0.contains(&release.key) {
        let key = release.key.clone();
        return Err(ReleaseRefusal::Untrusted { plan, key });
    }
    let message = message(&plan, &release.product, release.revision.as_deref());
    let good = parse_public(&release.key).is_some_and(|key| {
        let mut signature = [0; 64];
        hex::decode_to_slice(&release.signature, &mut signature).is_ok()
            && key
                .verify_strict(&message, &Signature::from_bytes(&signature))
                .is_ok()
    });
    if good {
        Ok(())
    } else {
        Err(ReleaseRefusal::Forged { plan })
    }
}

/// Reads a public key of 64 hex digits.
pub(crate) fn parse_public(text: &str) -> Option<VerifyingKey> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    VerifyingKey::from_bytes(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::tests::story;

    fn key(byte: u8) -> StationKey {
        StationKey::from_secret(&Secret::new(vec![byte; 32])).unwrap()
    }

    fn signed() -> Release {
        Release::sign(story::noon(), &story::plan(), &key(1), "anna")
    }

    #[test]
    fn a_release_counts_under_a_trusted_key_only() {
        let own = TrustedKeys::new([key(1).public_hex()]);
        let other = TrustedKeys::new([key(2).public_hex()]);
        verify(&signed(), &own).unwrap();
        assert_eq!(
            verify(&signed(), &other).unwrap_err().code(),
            "release-untrusted"
        );
        let none = TrustedKeys::default();
        assert_eq!(
            verify(&signed(), &none).unwrap_err().code(),
            "release-untrusted"
        );
    }

    #[test]
    fn a_release_of_something_else_is_forged() {
        let trusted = TrustedKeys::new([key(1).public_hex(), key(2).public_hex()]);
        let forge = |change: fn(&mut Release)| {
            let mut release = signed();
            change(&mut release);
            verify(&release, &trusted).unwrap_err().code()
        };
        assert_eq!(
            forge(|r| r.plan = PlanId::new("ab".repeat(32))),
            "release-forged"
        );
        assert_eq!(forge(|r| r.product.push('x')), "release-forged");
        assert_eq!(forge(|r| r.revision = None), "release-forged");
        assert_eq!(forge(|r| r.key = key(2).public_hex()), "release-forged");
        assert_eq!(forge(|r| r.signature = "00".repeat(64)), "release-forged");
        assert_eq!(forge(|r| r.signature.clear()), "release-forged");
        let withdrawn = |r: &mut Release| {
            r.withdrawn = Some(Withdrawal {
                at: story::noon(),
                by: "bob".into(),
                reason: "wrong app".into(),
            });
        };
        assert_eq!(forge(withdrawn), "release-withdrawn");
    }

    #[test]
    fn a_station_key_shows_only_its_public_half() {
        let shown = format!("{:?}", key(0xC3));
        assert!(!shown.contains(&"c3".repeat(8)), "{shown}");
        assert!(shown.contains(&key(0xC3).public_hex()));
        assert!(StationKey::from_secret(&Secret::new(vec![1; 31])).is_none());
    }
}
