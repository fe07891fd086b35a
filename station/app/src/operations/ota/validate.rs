//! Packages checked: `esp_ota_validate`.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::Chip;
use station_esp::chip::Revision;
use station_esp::ota::{OtaError, Package, TrustedKeys};

use super::super::partition::FindingView;
use super::super::target::blocking;
use super::package::{ManifestView, read, refused};
use super::trust::TrustParameters;
use crate::operation::{Call, Declaration, Effect, Exit, Operation, OperationError};
use crate::station::Station;

/// Parameters of `esp_ota_validate`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ValidateParameters {
    /// The package
    pub package: PathBuf,
    /// Whose signature counts
    #[command(flatten)]
    #[serde(flatten)]
    pub trust: TrustParameters,
    /// Product that it must be for
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Chip that it must be for
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub chip: Option<Chip>,
    /// Revision of the chip that it must be for
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub revision: Option<Revision>,
}

/// A signature on a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SignatureView {
    /// Public key it names
    pub key: String,
    /// Whether it is that key's signature of this manifest
    pub holds: bool,
    /// Whether the key counts
    pub trusted: bool,
}

/// What was found out about a package.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ValidateView {
    /// Whether nothing speaks against it
    pub valid: bool,
    /// What it says about its image, which is true
    pub manifest: ManifestView,
    /// Its signatures
    pub signatures: Vec<SignatureView>,
    /// What speaks against it
    pub findings: Vec<FindingView>,
}

impl ValidateParameters {
    fn judge(&self, package: &Package<'_>, trusted: &TrustedKeys) -> ValidateView {
        let manifest = package.manifest();
        let product = self.product.as_deref().unwrap_or(&manifest.product);
        let chip = self.chip.unwrap_or(manifest.chip);
        let mut against = Vec::new();
        against.extend(manifest.check_target(product, chip, self.revision).err());
        match package.check_signed(trusted) {
            Ok(_) => {}
            Err(OtaError::Unsigned | OtaError::Untrusted) if self.trust.unsigned => {}
            Err(error) => against.push(error),
        }
        let signatures = package.signatures().iter();
        ValidateView {
            valid: against.is_empty(),
            manifest: ManifestView::of(manifest),
            signatures: signatures
                .map(|signature| SignatureView {
                    key: signature.key.to_string(),
                    holds: signature.verify(manifest).is_ok(),
                    trusted: trusted.0.contains(&signature.key),
                })
                .collect(),
            findings: against
                .iter()
                .map(|error| FindingView {
                    code: error.code().to_owned(),
                    message: error.to_string(),
                })
                .collect(),
        }
    }
}

/// `esp_ota_validate`.
#[derive(Debug)]
pub struct OtaValidate;

#[async_trait]
impl Operation for OtaValidate {
    const DECLARATION: Declaration = Declaration {
        name: "esp_ota_validate",
        aliases: &[],
        command: &["ota", "validate"],
        title: "Check an update package",
        summary: "Checks form, image and signatures of an update package, and whether it is for a product, chip and revision. What is no \
                  package, or holds another image than it says, is refused with the place.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = ValidateParameters;
    type Output = ValidateView;

    async fn invoke(
        station: &Station,
        parameters: ValidateParameters,
        _call: &Call,
    ) -> Result<ValidateView, OperationError> {
        let trusted = parameters.trust.keys(station).await?;
        let bytes = read(station, &parameters.package).await?;
        blocking(move || {
            let name = parameters.package.display().to_string();
            let package = Package::open(&bytes).map_err(|error| refused(&name, &error))?;
            Ok(parameters.judge(&package, &trusted))
        })
        .await
    }

    fn words(view: &ValidateView) -> String {
        let mut text = view.manifest.words();
        for signature in &view.signatures {
            let judged = match (signature.holds, signature.trusted) {
                (false, _) => "does not hold",
                (true, false) => "holds, not trusted",
                (true, true) => "holds, trusted",
            };
            text.push_str(&format!("\nsignature of {}: {judged}", signature.key));
        }
        for finding in &view.findings {
            text.push_str(&format!("\nrefused: {}", finding.message));
        }
        if view.valid {
            text.push_str("\nnothing speaks against it");
        }
        text
    }

    fn exit(view: &ValidateView) -> Exit {
        if view.valid {
            Exit::Passed
        } else {
            Exit::SomeFailed
        }
    }
}
