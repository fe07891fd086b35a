//! What somebody who wants something burned answers for: dangers that are wanted, and an approval.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::efuse::plan::Danger;

use super::wish::refuse;
use crate::operation::OperationError;

/// Dangers that are wanted.
#[derive(clap::Args, Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// A danger that is wanted: usb-closed, download-closed, unprotected-key, encryption-without-content …
    #[arg(long = "accept", value_name = "DANGER")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<String>,
}

/// What a burn needs of the one who wants it.
#[derive(clap::Args, Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Consent {
    /// What may happen
    #[command(flatten)]
    #[serde(flatten)]
    pub accepted: Accepted,
    /// Approval of exactly the plan that this makes; without one the plan is shown and refused
    #[arg(long, value_name = "ID")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
}

impl Accepted {
    /// The dangers by their names.
    ///
    /// # Errors
    /// `wish-invalid`.
    pub(super) fn dangers(&self) -> Result<Vec<Danger>, OperationError> {
        self.accept
            .iter()
            .map(|name| {
                name.parse()
                    .map_err(|_| refuse(name, "is no danger the station knows"))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::operations::registry;

    #[test]
    fn programs_name_it_beside_the_other_parameters() {
        for (name, approves) in [
            ("esp_efuse_burn", true),
            ("esp_efuse_plan", false),
            ("esp_security_configure", true),
            ("esp_encryption_enable", true),
            ("esp_secure_boot_enable", true),
        ] {
            let registry = registry();
            let schema = registry.find(name).unwrap().input_schema();
            let type_of = |parameter: &str| schema["properties"].get(parameter).cloned();
            let accept = type_of("accept").map(|accept| accept["type"].clone());
            assert_eq!(accept, Some(Value::from("array")), "{name}");
            assert_eq!(type_of("approval").is_some(), approves, "{name}");
            assert!(type_of("port").is_some(), "{name}");
            assert!(!schema.contains_key("allOf"), "{name}");
        }
    }
}
