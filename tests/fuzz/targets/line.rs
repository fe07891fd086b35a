//! What engineers write: recipes, policies, lists, and the small texts in them.

use std::path::Path;

use station_esp::efuse::plan::Token;
use station_esp::efuse::policy::Policy;
use station_esp::{MacAddress, Revision, flash};
use station_line::recipe;
use station_line::serial::{SerialPattern, UnitKey, UnitList, read_list};

/// Where no file is.
const NOWHERE: &str = "/nonexistent/station";

pub(super) fn recipe(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    match recipe::compile_text("recipe.toml", &text, Path::new(NOWHERE)) {
        Ok(compiled) => {
            let _ = (compiled.render_warnings(), compiled.warning_records());
            assert!(!recipe::describe(&compiled.plan).is_empty());
            assert!(!recipe::canonical(compiled.plan.contents()).is_empty());
            true
        }
        Err(errors) => {
            assert!(!errors.findings().is_empty(), "refused without a word");
            assert!(!errors.render().is_empty());
            assert!(!errors.records().is_empty());
            false
        }
    }
}

pub(super) fn policy(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Ok(policy) = toml::from_str::<Policy>(&text) else {
        return false;
    };
    let json = serde_json::to_string(&policy).expect("policies can be written");
    let again: Policy = serde_json::from_str(&json).expect("what we write we read");
    assert_eq!(again, policy);
    true
}

pub(super) fn units(bytes: &[u8]) -> bool {
    let serials = read_list(bytes, "serial");
    let keys = [(UnitKey::Mac, "mac"), (UnitKey::Serial, "serial")];
    let lists = keys.map(|(key, column)| UnitList::read("units.csv", bytes, key, column));
    for list in lists.iter().flatten() {
        for row in list.rows() {
            assert_eq!(list.find(&row.unit), Some(row));
        }
    }
    serials.is_ok() || lists.iter().any(Result::is_ok)
}

pub(super) fn texts(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let pattern = SerialPattern::parse(&text);
    if let Ok(pattern) = &pattern {
        let _ = pattern.counter_of(&text);
    }
    let mac = text.parse::<MacAddress>();
    if let Ok(mac) = mac {
        assert_eq!(mac.to_string().parse(), Ok(mac));
    }
    let token = text.parse::<Token>();
    if let Ok(token) = &token {
        assert_eq!(token.to_string().parse().as_ref(), Ok(token));
    }
    let revision = text.parse::<Revision>();
    let size = flash::parse_size(&text);
    if let Ok(size) = size {
        assert_eq!(flash::parse_size(&flash::size_text(size)), Ok(size));
    }
    pattern.is_ok() || mac.is_ok() || token.is_ok() || revision.is_ok() || size.is_ok()
}
