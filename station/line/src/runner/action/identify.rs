//! `identify`: whether the chip is one of those the recipe is for.

use crate::outcome::{Failure, FailureClass};
use crate::plan::Identify;
use crate::runner::attempt::Attempt;

/// Compares who the chip said it is with what the recipe wants.
pub(super) fn check(attempt: &mut Attempt<'_>, wanted: &Identify) -> Result<(), Failure> {
    let identity = attempt.chip.session()?.identity();
    let limit = |code, message| Err(Failure::new(FailureClass::Limit, code, message));
    if let Some(size) = wanted.flash_size {
        match identity.flash.as_ref().map(|flash| u64::from(flash.size)) {
            Some(found) if found == size => {}
            Some(found) => {
                let message = format!("flash has {found} bytes, wanted {size}");
                return limit("wrong-flash-size", message);
            }
            None => {
                let message = format!("the flash does not say its size, wanted {size} bytes");
                return limit("unknown-flash-size", message);
            }
        }
    }
    let mac = identity.mac.map(|mac| mac.to_string()).unwrap_or_default();
    let prefixes = &wanted.mac_prefix;
    if prefixes.is_empty() || prefixes.iter().any(|prefix| mac.starts_with(prefix)) {
        return Ok(());
    }
    let list = prefixes.join("`, `");
    let message = format!("MAC `{mac}` begins with none of `{list}`");
    limit("foreign-mac", message)
}
