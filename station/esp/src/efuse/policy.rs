//! What a product's fuses should be: policies, and how far one chip is from them.
//!
//! Invariants: pure; a policy asks for states, never for keys themselves; comparing changes
//! nothing; what a policy cannot get any more (set bits, closed fields) is said, not left out.
//!
//! A policy in TOML:
//!
//! ```toml
//! name = "own"
//! why = "what our product needs"
//! accept = ["usb-closed"]
//! rules = [
//!   { field = "SPI_BOOT_CRYPT_CNT", want = "full", level = "must", why = "encryption stays on" },
//!   { field = "WDT_DELAY_SEL", want = { value = 1 }, level = "should", why = "slow flash" },
//!   { field = "RD_DIS", want = "closed", level = "must", why = "nobody hides the digest" },
//!   { field = "encryption", want = "key", level = "must", why = "flash is encrypted" },
//! ]
//! ```

mod audit;
mod builtin;
mod report;
#[cfg(test)]
mod tests;

pub use audit::{Audit, Finding, Grade, SlotState, audit};
pub use builtin::{builtin, development, production};
use serde::{Deserialize, Serialize};

use super::map::{FuseBlock, FuseMap, ReadDisable};
use super::plan::{
    Bits, Danger, FieldValue, FieldWish, RD_DIS, Snapshot, WR_DIS, Wish, guard_set, hidden_words,
};

/// What a product's fuses should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub why: String,
    /// What it asks for.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Dangers it accepts when it is burned.
    #[serde(default)]
    pub accept: Vec<Danger>,
}

/// One thing a policy asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A field or block; with [`Want::Key`], a purpose, `encryption` or `secure-boot`.
    pub field: String,
    /// What it should be.
    pub want: Want,
    /// How much it matters.
    pub level: Level,
    /// What it is good for.
    #[serde(default)]
    pub why: String,
}

/// What a field should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Want {
    /// This number.
    Value(u64),
    /// At least these bits.
    Bits(u64),
    /// An odd number of bits: a count that switches something on.
    Odd,
    /// Every bit: a count that can no longer change.
    Full,
    /// Closed against writing.
    Closed,
    /// Hidden from software.
    Hidden,
    /// A key block holds a key for this, protected as its purpose needs.
    Key,
}

/// How much a rule matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Without it the product is not what the policy promises.
    Must,
    /// Better so.
    Should,
}

/// Where a chip is not what a policy asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The field, block or purpose.
    pub field: String,
    /// How much it matters.
    pub level: Level,
    /// What the chip has.
    pub found: String,
    /// What the policy asks for.
    pub wanted: String,
    /// What it is good for.
    pub why: String,
    /// Whether it can still be had.
    pub remedy: Remedy,
}

/// Whether something can still be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// By burning what [`wish`] asks for.
    Burn,
    /// By burning a key, which a policy does not have.
    GiveKey,
    /// Never on this chip.
    None,
}

/// Where the chip is not what the policy asks for; empty when it fulfils it.
#[must_use]
pub fn compare(policy: &Policy, snapshot: &Snapshot) -> Vec<Difference> {
    let map = snapshot.map();
    let now = Bits::of(map, &snapshot.fuses);
    let rules = policy.rules.iter();
    rules
        .filter_map(|rule| {
            let (found, remedy) = judge(rule, map, &now)?;
            Some(Difference {
                field: rule.field.clone(),
                level: rule.level,
                found,
                wanted: rule.want.to_string(),
                why: rule.why.clone(),
                remedy,
            })
        })
        .collect()
}

/// What is to be burned so that the chip fulfils the policy, as far as that needs no key. What the
/// chip has already vanishes when a plan is made of it.
#[must_use]
pub fn wish(policy: &Policy, snapshot: &Snapshot) -> Wish {
    let map = snapshot.map();
    let mut wish = Wish {
        accepted: policy.accept.clone(),
        ..Wish::default()
    };
    for rule in &policy.rules {
        let field = map.field(&rule.field);
        let now = field.map_or(0, |field| Bits::of(map, &snapshot.fuses).number(field));
        let full = field.map_or(0, |field| u64::MAX >> (64 - field.width().clamp(1, 64)));
        let value = match rule.want {
            Want::Value(value) => Some(value),
            Want::Bits(bits) => Some(now | bits),
            Want::Odd if now.count_ones() % 2 == 1 => None,
            Want::Odd => Some(now | (now + 1)),
            Want::Full => Some(full),
            Want::Closed => {
                wish.write_protect.push(rule.field.clone());
                None
            }
            Want::Hidden => {
                wish.read_protect.push(rule.field.clone());
                None
            }
            Want::Key => None,
        };
        wish.fields.extend(value.map(|value| FieldWish {
            field: rule.field.clone(),
            value: FieldValue::Number(value),
        }));
    }
    wish
}

/// What the chip has instead, and whether that can be changed; nothing when the rule is kept.
fn judge(rule: &Rule, map: &FuseMap, now: &Bits) -> Option<(String, Remedy)> {
    if rule.want == Want::Key {
        return judge_key(&rule.field, map, now);
    }
    let field = map.field(&rule.field);
    let block = map.block_named(&rule.field);
    if field.is_none() && block.is_none() {
        return Some(("this chip has no such field".to_owned(), Remedy::None));
    }
    match rule.want {
        Want::Closed => {
            let guard = block.map_or_else(
                || field.and_then(|field| field.write_disable),
                |block| block.write_disable,
            );
            let closed = guard.is_some_and(|index| guard_set(map, now, WR_DIS, index));
            let remedy = if guard.is_some() {
                Remedy::Burn
            } else {
                Remedy::None
            };
            (!closed).then(|| ("writable".to_owned(), remedy))
        }
        Want::Hidden => {
            let guard = block.map_or_else(
                || field.map(|field| field.read_disable),
                |block| Some(block.read_disable),
            );
            let bits: Vec<u8> = guard.into_iter().flat_map(ReadDisable::bits).collect();
            let hidden = bits.iter().all(|index| guard_set(map, now, RD_DIS, *index));
            let open = !guard_set(map, now, WR_DIS, 0) && !bits.is_empty();
            let remedy = if open { Remedy::Burn } else { Remedy::None };
            (!hidden || bits.is_empty()).then(|| ("readable".to_owned(), remedy))
        }
        Want::Value(_) | Want::Bits(_) | Want::Odd | Want::Full | Want::Key => {
            judge_number(rule.want, map, now, field?)
        }
    }
}

fn judge_number(
    want: Want,
    map: &FuseMap,
    now: &Bits,
    field: &super::map::FuseField,
) -> Option<(String, Remedy)> {
    let value = now.number(field);
    let full = u64::MAX >> (64 - field.width().clamp(1, 64));
    let (kept, reachable) = match want {
        Want::Value(wanted) => (value == wanted, value & !wanted == 0),
        Want::Bits(bits) => (value & bits == bits, true),
        Want::Odd => (value.count_ones() % 2 == 1, value != full),
        Want::Full => (value == full, true),
        Want::Closed | Want::Hidden | Want::Key => return None,
    };
    let closed = field.write_disable;
    let closed = closed.is_some_and(|index| guard_set(map, now, WR_DIS, index));
    let remedy = if reachable && !closed {
        Remedy::Burn
    } else {
        Remedy::None
    };
    let closed = if closed { ", closed" } else { "" };
    (!kept).then(|| (format!("{value:#x}{closed}"), remedy))
}

/// Purposes that serve `encryption` and `secure-boot`, any of them.
fn purposes_for(name: &str) -> Vec<&str> {
    match name {
        "encryption" => vec!["XTS_AES_128_KEY", "XTS_AES_256_KEY_1"],
        "secure-boot" => vec![
            "SECURE_BOOT_DIGEST0",
            "SECURE_BOOT_DIGEST1",
            "SECURE_BOOT_DIGEST2",
        ],
        own => vec![own],
    }
}

fn judge_key(name: &str, map: &FuseMap, now: &Bits) -> Option<(String, Remedy)> {
    let slots = slots_for(name, map, now);
    if slots.is_empty() {
        return Some(("no such key".to_owned(), Remedy::GiveKey));
    }
    for (block, hide) in slots {
        let hidden = hidden_words(map, now, block).contains(&true);
        let closed = block.write_disable;
        let closed = closed.is_some_and(|index| guard_set(map, now, WR_DIS, index));
        if hide && !hidden {
            return Some((format!("`{}` is readable", block.name), Remedy::None));
        }
        if !hide && hidden {
            return Some((format!("`{}` is hidden", block.name), Remedy::None));
        }
        if !closed {
            return Some((format!("`{}` is writable", block.name), Remedy::Burn));
        }
    }
    None
}

/// The blocks that hold keys for this, and whether they must be hidden.
fn slots_for(name: &str, map: &FuseMap, now: &Bits) -> Vec<(&'static FuseBlock, bool)> {
    let fixed = match name {
        "encryption" | "flash_encryption" => Some((1, true)),
        "secure-boot" | "secure_boot_v2" => Some((2, false)),
        "secure_boot_v1" => Some((2, true)),
        _ => None,
    };
    let holds = |block: &FuseBlock| {
        !now.is_blank(block.number) || hidden_words(map, now, block).contains(&true)
    };
    if map.purposes.is_empty() {
        let split = map.block_named("BLOCK_KEY0"); // the ESP32-C2 keeps both in one block
        let found = fixed.and_then(|(number, hide)| {
            let block = split.or_else(|| map.block(number))?;
            let hide = if split.is_some() {
                hidden_words(map, now, block).contains(&true)
            } else {
                hide
            };
            holds(block).then_some((block, hide))
        });
        return found.into_iter().collect();
    }
    let purposes = purposes_for(name);
    let slot = |block: &'static FuseBlock| {
        let field = block.purpose.and_then(|name| map.field(name))?;
        let code = u8::try_from(now.number(field)).ok()?;
        let purpose = map.purpose_code(code)?;
        let fits = purposes.contains(&purpose.name) && holds(block);
        fits.then_some((block, purpose.hidden))
    };
    map.key_slots().filter_map(slot).collect()
}

impl std::fmt::Display for Want {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value:#x}"),
            Self::Bits(bits) => write!(f, "at least {bits:#x}"),
            Self::Odd => f.write_str("an odd number of bits"),
            Self::Full => f.write_str("all bits"),
            Self::Closed => f.write_str("closed against writing"),
            Self::Hidden => f.write_str("hidden from software"),
            Self::Key => f.write_str("a protected key"),
        }
    }
}
