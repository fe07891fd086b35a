//! The setup passcode: the secret on a product's label that its first owner proves to know.
//!
//! Facts (Matter core specification, 5.1.7): 1 to 99 999 998 without twelve that are guessed first.

use std::fmt;
use std::str::FromStr;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::error::MatterError;

/// Bits of a passcode in onboarding codes.
const BITS: u32 = 27;
const MOST: u32 = 99_999_998;
/// Digits that are all the same, 11111111 to 88888888, are multiples of this.
const REPEATED: u32 = 11_111_111;
const RISING: u32 = 12_345_678;
const FALLING: u32 = 87_654_321;

/// An allowed passcode. Nothing that formats shows it, and it is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Passcode(Zeroizing<u32>);

impl Passcode {
    /// Checks a passcode.
    ///
    /// # Errors
    /// [`MatterError::Passcode`], [`MatterError::PasscodeForbidden`].
    pub fn new(number: u32) -> Result<Self, MatterError> {
        // 0 is a repeated digit, too, and 99999999 is the last.
        if number > MOST + 1 {
            return Err(MatterError::Passcode);
        }
        if number.is_multiple_of(REPEATED) || number == RISING || number == FALLING {
            return Err(MatterError::PasscodeForbidden);
        }
        Ok(Self(Zeroizing::new(number)))
    }

    /// Draws one; each that is allowed is as likely as any other.
    #[must_use]
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        loop {
            let mut drawn = Zeroizing::new([0; 4]);
            rng.fill_bytes(&mut *drawn);
            if let Ok(passcode) = Self::new(u32::from_le_bytes(*drawn) >> (32 - BITS)) {
                return passcode;
            }
        }
    }

    /// The number itself.
    #[must_use]
    pub fn expose(&self) -> u32 {
        *self.0
    }
}

impl FromStr for Passcode {
    type Err = MatterError;

    fn from_str(text: &str) -> Result<Self, MatterError> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || text.is_empty() || text.len() > 8 {
            return Err(MatterError::Passcode);
        }
        Self::new(text.parse().map_err(|_| MatterError::Passcode)?)
    }
}

impl fmt::Debug for Passcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passcode(********)")
    }
}
