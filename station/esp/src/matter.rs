//! Matter factory data: what a unit must know before it can be commissioned, as an NVS partition, and
//! the codes by which a person commissions it.
//!
//! Invariants: every [`FactoryData`] that becomes a [`Content`](crate::nvs::Content) was checked
//! against the limits of the Matter core specification; the entries are those that Espressif's
//! `esp-matter-mfg-tool` 1.0.29 writes for the same unit, in its order and with its types, so that
//! the image is the same byte for byte, except where the list below says otherwise; the passcode is
//! in no image, and neither it nor a private key is shown by anything that formats.
//!
//! Facts: the tool's observed output; connectedhomeip's ESP32 platform for what firmware reads (keys
//! of the namespace `chip-factory`, lengths of its buffers); the Matter core specification for
//! passcodes (5.1.7), onboarding payloads (5.1.3, 5.1.4), SPAKE2+ verifiers (3.10), the Basic
//! Information cluster (11.1) and device attestation certificates (6.2).
//!
//! # Differences from esp-matter-mfg-tool
//!
//! - What a partition without a serial number would have is not made up: the tool draws 32 hex
//!   digits. A serial number may have 32 bytes, as the specification says (the tool takes 16).
//! - A manufacturing date has 16 bytes at most, as the specification and firmware say: the tool also
//!   takes one with hyphens and a suffix, 18 bytes. It is a day that exists.
//! - Passcodes beyond 99 999 998, and vendors and products that no product can have, are refused (the
//!   tool lets them through).
//! - A discriminator of 0 is one (the tool draws another), and the last text of a partition keeps the
//!   space that it ends with (the tool drops it).
//! - Lengths are those of UTF-8 bytes, as in firmware, not of letters. Names and values of fixed
//!   labels have up to 16 bytes (the tool: 15).
//! - An attestation key must belong to its certificate, that must be signed by the intermediate, and
//!   both must be for this vendor and product; whether the day is within their validity is for those
//!   who know the day.
//! - Nothing is put into other namespaces or partitions: rainmaker's, the user's, `esp_secure_cert`.

mod attestation;
mod base38;
mod date;
mod error;
mod factory;
mod issued;
mod onboarding;
mod passcode;
mod product;
mod record;
#[cfg(test)]
mod tests;
mod verhoeff;
mod verifier;

pub use attestation::{Attestation, Declaration};
pub use date::ManufacturingDate;
pub use error::MatterError;
pub use factory::{Discriminator, FactoryData, NAMESPACE, is_private};
pub use onboarding::{Discovery, Flow, Onboarding};
pub use passcode::Passcode;
pub use product::{Calendar, Color, Finish, FixedLabel, Mode, Product, SemanticTag};
pub use record::{AttestationRecord, FactoryRecord};
pub use verifier::{ITERATIONS, SALT, Verifier};
