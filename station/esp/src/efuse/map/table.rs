//! The notation of the field tables.
//!
//! `NAME = BLOCK:BIT+WIDTH …` gives the place, lowest part first; `wd N` the WR_DIS bit that closes
//! the field, `rd N` the RD_DIS bit that hides it (two for the two halves of a block); `is KIND`
//! how its value is read, a number unless told; `also` its other names.

use super::{FuseField, KeyPurpose};

/// An array of fields in the notation above.
macro_rules! fuses {
    ($(
        $name:ident = $($block:literal:$bit:literal+$width:literal)+
            $(wd $write:literal)? $(rd $($read:literal)+)? $(is $kind:ident)? $(also $($alias:ident)+)?;
    )+) => {
        [$($crate::efuse::map::FuseField {
            name: stringify!($name),
            aliases: &[$($(stringify!($alias)),+)?],
            parts: &[$($crate::efuse::Part { block: $block, bit: $bit, width: $width }),+],
            write_disable: fuses!(@write $($write)?),
            read_disable: fuses!(@read $($($read)+)?),
            kind: fuses!(@kind $($kind)?),
        }),+]
    };
    (@write) => { None };
    (@write $bit:literal) => { Some($bit) };
    (@read) => { $crate::efuse::map::ReadDisable::Never };
    (@read $bit:literal) => { $crate::efuse::map::ReadDisable::Whole($bit) };
    (@read $low:literal $high:literal) => { $crate::efuse::map::ReadDisable::Halves($low, $high) };
    (@kind) => { $crate::efuse::map::FieldKind::Number };
    (@kind count) => { $crate::efuse::map::FieldKind::Count };
    (@kind purpose) => { $crate::efuse::map::FieldKind::Purpose };
    (@kind bytes) => { $crate::efuse::map::FieldKind::Bytes };
    (@kind mac) => { $crate::efuse::map::FieldKind::Mac };
    (@kind custom_mac) => { $crate::efuse::map::FieldKind::CustomMac };
}
pub(super) use fuses;

/// Fields that all revisions share, followed by those of some; `N` is their number together.
pub(super) const fn join<const A: usize, const B: usize, const N: usize>(
    common: [FuseField; A],
    own: [FuseField; B],
) -> [FuseField; N] {
    assert!(A + B == N && A > 0);
    let mut all = [common[0]; N];
    let mut index = 0;
    while index < A {
        all[index] = common[index];
        index += 1;
    }
    while index < N {
        all[index] = own[index - A];
        index += 1;
    }
    all
}

/// A purpose whose key software must not read.
pub(super) const fn secret(name: &'static str, code: u8) -> KeyPurpose {
    KeyPurpose {
        name,
        aliases: &[],
        code,
        hidden: true,
        reversed: false,
        unfit: &[],
    }
}

/// A purpose whose block is no secret.
pub(super) const fn open(name: &'static str, code: u8) -> KeyPurpose {
    KeyPurpose {
        hidden: false,
        ..secret(name, code)
    }
}

/// A purpose whose key is a secret and goes into the fuses in reverse order.
pub(super) const fn reversed(name: &'static str, code: u8) -> KeyPurpose {
    KeyPurpose {
        reversed: true,
        ..secret(name, code)
    }
}

/// The same purpose, barred from block 9 by a fault of the hardware
/// (ESP-IDF `SOC_EFUSE_BLOCK9_KEY_PURPOSE_QUIRK`).
pub(super) const fn not_in_block_9(purpose: KeyPurpose) -> KeyPurpose {
    KeyPurpose {
        unfit: &[9],
        ..purpose
    }
}

/// The same purpose with another name in use.
pub(super) const fn also(purpose: KeyPurpose, aliases: &'static [&'static str]) -> KeyPurpose {
    KeyPurpose { aliases, ..purpose }
}
