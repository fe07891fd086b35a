//! Learning which place a bay is: two scans, and what is new in the second.
//!
//! Invariant: exactly one new tty names a bay; nothing is guessed from several.

use crate::bay::sysfs::UsbTty;

/// Why two scans teach nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LearnError {
    /// No tty came.
    #[error("no new port appeared")]
    Nothing,
    /// More than one came.
    #[error("{count} new ports appeared: {ports}")]
    Several {
        /// How many.
        count: usize,
        /// Their keys and paths.
        ports: String,
    },
}

impl LearnError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Nothing => "learn-nothing",
            Self::Several { .. } => "learn-several",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Nothing => "plug exactly one board into the bay to be learned",
            Self::Several { .. } => "this board has several ports: give the right key by hand",
        }
    }
}

/// The tty that is in `after` and was not in `before`, by place and plugging: a board that was
/// pulled and put back counts as new.
///
/// # Errors
/// [`LearnError`] unless it is exactly one.
pub fn learned<'a>(before: &[UsbTty], after: &'a [UsbTty]) -> Result<&'a UsbTty, LearnError> {
    let known = |tty: &UsbTty| {
        before
            .iter()
            .any(|old| old.key == tty.key && old.devnum == tty.devnum)
    };
    let new: Vec<_> = after.iter().filter(|tty| !known(tty)).collect();
    match new.as_slice() {
        [] => Err(LearnError::Nothing),
        [tty] => Ok(tty),
        several => {
            let ports: Vec<_> = several
                .iter()
                .map(|tty| format!("{} ({})", tty.key, tty.path.display()))
                .collect();
            Err(LearnError::Several {
                count: several.len(),
                ports: ports.join(", "),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bay::sysfs::tests::{FakeSysfs, PCI};

    #[test]
    fn the_one_board_that_was_plugged_in_is_learned() {
        let fake = FakeSysfs::new();
        let old = fake.plug(PCI, "usb1/1-1", ("10c4", "ea60"), 2);
        fake.tty(&old, "1.0", Some(0), "ttyUSB0");
        let before = fake.sysfs().scan().unwrap();
        assert_eq!(learned(&before, &before), Err(LearnError::Nothing));
        let new = fake.plug(PCI, "usb1/1-4", ("10c4", "ea60"), 3);
        fake.tty(&new, "1.0", Some(0), "ttyUSB1");
        let after = fake.sysfs().scan().unwrap();
        assert_eq!(
            learned(&before, &after).unwrap().key.to_string(),
            "pci-0000:00:14.0/4:1.0"
        );
    }

    #[test]
    fn a_board_that_was_pulled_and_put_back_counts_as_new() {
        let fake = FakeSysfs::new();
        let board = fake.plug(PCI, "usb1/1-1", ("10c4", "ea60"), 2);
        fake.tty(&board, "1.0", Some(0), "ttyUSB0");
        let before = fake.sysfs().scan().unwrap();
        fake.unplug(&board, &["ttyUSB0"]);
        let board = fake.plug(PCI, "usb1/1-1", ("10c4", "ea60"), 3);
        fake.tty(&board, "1.0", Some(0), "ttyUSB0");
        let after = fake.sysfs().scan().unwrap();
        assert_eq!(learned(&before, &after).unwrap().devnum, 3);
    }

    #[test]
    fn a_board_with_two_ports_is_not_guessed() {
        let fake = FakeSysfs::new();
        let board = fake.plug(PCI, "usb1/1-1", ("0403", "6010"), 2);
        fake.tty(&board, "1.0", Some(0), "ttyUSB0");
        fake.tty(&board, "1.1", Some(0), "ttyUSB1");
        let after = fake.sysfs().scan().unwrap();
        let error = learned(&[], &after).unwrap_err();
        assert_eq!(error.code(), "learn-several");
        assert!(error.to_string().contains("1:1.1"), "{error}");
    }
}
