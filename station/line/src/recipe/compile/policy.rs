//! `check = { policy = … }`: a policy of the station, or one of the recipe's own.

use station_esp::efuse::policy::{Policy, Want};
use toml::Spanned;

use super::Context;
use super::files::read_bounded;
use super::security::maps;
use super::serials::file_finding;
use super::steps::Scope;
use crate::plan::CheckedPolicy;
use crate::recipe::diagnostic::{Code, Finding};
use crate::template::closest;

/// Largest policy, in bytes.
const MAX_POLICY: u64 = 256 * 1024;

/// Names of the station's own policies.
const OWN: [&str; 2] = ["development", "production"];

/// Finds or reads a policy. `None` if something was reported.
pub(super) fn compile(
    name: &Spanned<String>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<CheckedPolicy> {
    match name.get_ref().as_str() {
        "development" => return Some(CheckedPolicy::Development),
        "production" => return Some(CheckedPolicy::Production),
        _ => {}
    }
    let shown: String = name.get_ref().chars().take(60).collect();
    if !name.get_ref().ends_with(".toml") {
        let message = format!("no policy is called `{shown}`");
        let finding = Finding::new(Code::BadPolicy, name.span(), message);
        context.error(match closest(name.get_ref(), OWN) {
            Some(suggestion) => finding.suggest(Some(suggestion)),
            None => finding.hint("there are `development`, `production`, and your own `.toml`"),
        });
        return None;
    }
    let bytes = match read_bounded(&context.folder.join(name.get_ref()), MAX_POLICY) {
        Ok(bytes) => bytes,
        Err(error) => {
            context.error(file_finding(name, &error));
            return None;
        }
    };
    let parsed = String::from_utf8(bytes)
        .map_err(|_| "it is not UTF-8".to_owned())
        .and_then(|text| {
            let parsed = toml::from_str::<Policy>(&text);
            parsed.map_err(|error| error.message().lines().collect::<Vec<_>>().join(", "))
        });
    let policy = match parsed {
        Ok(policy) => policy,
        Err(reason) => {
            let message = format!("`{shown}` is no good policy: {reason}");
            context.error(Finding::new(Code::BadPolicy, name.span(), message));
            return None;
        }
    };
    for map in maps(scope) {
        for rule in &policy.rules {
            let known = rule.want == Want::Key
                || map.field(&rule.field).is_some()
                || map.block_named(&rule.field).is_some();
            if !known {
                let field: String = rule.field.chars().take(60).collect();
                let message = format!("{} has no fuse field `{field}`", map.chip.title());
                let known = map.fields.iter().map(|field| field.name);
                let finding = Finding::new(Code::BadPolicy, name.span(), message);
                context.error(finding.suggest(closest(&rule.field, known)));
                return None;
            }
        }
    }
    Some(CheckedPolicy::Own(Box::new(policy)))
}
