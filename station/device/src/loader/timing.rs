//! How long a chip may take for what it is asked.
//!
//! These are the largest times a healthy flash chip needs by its data sheet, with room: they bound
//! a wait, they are never waited out. Time on the wire comes on top, by the rate in use.
//! Source of the rates per MiB: esptool 5.6 and espflash 4.7, which use the same ones.

use std::time::Duration;

const MIB: u64 = 1024 * 1024;

/// A command that only touches registers or RAM.
pub(crate) const PROMPT: Duration = Duration::from_secs(3);
/// One greeting.
pub(crate) const GREETING: Duration = Duration::from_millis(100);
/// The stub's greeting after it was started.
pub(crate) const STUB_START: Duration = Duration::from_secs(2);
/// One packet of a flash read.
pub(crate) const PACKET: Duration = Duration::from_secs(2);
/// Erasing all of a flash chip.
pub(crate) const CHIP_ERASE: Duration = Duration::from_secs(240);

/// Erasing `bytes`.
pub(crate) fn erase(bytes: u64) -> Duration {
    per_mib(30, bytes).max(Duration::from_secs(10))
}

/// Erasing and programming `bytes`.
pub(crate) fn program(bytes: u64) -> Duration {
    PROMPT + per_mib(40, bytes)
}

/// Computing an MD5 over `bytes`.
pub(crate) fn digest(bytes: u64) -> Duration {
    per_mib(8, bytes).max(PROMPT)
}

fn per_mib(seconds: u64, bytes: u64) -> Duration {
    Duration::from_millis(seconds * 1000 * bytes / MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_with_the_work() {
        assert_eq!(erase(0), Duration::from_secs(10));
        assert_eq!(erase(4 * MIB), Duration::from_secs(120));
        assert_eq!(digest(16 * MIB), Duration::from_secs(128));
        assert_eq!(program(MIB / 2), Duration::from_secs(23));
    }
}
