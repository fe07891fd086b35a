//! Numbers in words that people read.

use std::fmt::Display;

/// A number and what it counts, in the plural unless it is one: `1 pulse`, `2 pulses`.
#[must_use]
pub fn counted(count: impl TryInto<u64> + Display + Copy, what: &str) -> String {
    match count.try_into() {
        Ok(1) => format!("1 {what}"),
        Ok(_) | Err(_) if what == "try" => format!("{count} tries"),
        Ok(_) | Err(_) => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!(counted(1_u16, "pulse"), "1 pulse");
        assert_eq!(counted(1_usize, "try"), "1 try");
        assert_eq!(counted(0_u32, "bit"), "0 bits");
        assert_eq!(counted(2_u8, "try"), "2 tries");
        assert_eq!(counted(u64::MAX, "bay"), format!("{} bays", u64::MAX));
    }
}
