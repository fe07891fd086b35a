//! What a person scans or types to commission a unit: the QR code's text and the manual pairing code.
//!
//! Facts (Matter core specification, 5.1.3 and 5.1.4): the QR code's 88 bits are, from the least
//! significant, version 0 (3), vendor (16), product (16), flow (2), discovery capabilities (8),
//! discriminator (12), passcode (27) and padding (4). The manual code has the upper four bits of the
//! discriminator and the passcode in 10 digits, then vendor and product in five digits each unless
//! the flow is the standard one, then a check digit.

use zeroize::Zeroizing;

use super::error::MatterError;
use super::factory::Discriminator;
use super::passcode::Passcode;
use super::{base38, verhoeff};

/// What else has to be done to a unit before it can be commissioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flow {
    /// Nothing: power suffices.
    #[default]
    Standard,
    /// Something that its user knows, such as pressing a button.
    UserIntent,
    /// Something that its maker's instructions say.
    Custom,
}

/// How a unit that is not yet commissioned can be found: one bit for each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discovery(u8);

impl Discovery {
    /// Bluetooth Low Energy.
    pub const BLE: Self = Self(1 << 1);
    /// On a network that it is on already.
    pub const ON_NETWORK: Self = Self(1 << 2);
    /// Wi-Fi Public Action Frames.
    pub const WIFI_PAF: Self = Self(1 << 3);
    /// NFC.
    pub const NFC: Self = Self(1 << 4);
    /// Thread.
    pub const THREAD: Self = Self(1 << 5);
    const ALL: u8 = 0x3E;

    /// Checks the bits.
    ///
    /// # Errors
    /// [`MatterError::Discovery`] for bits that mean nothing, or none.
    pub fn new(bits: u8) -> Result<Self, MatterError> {
        if bits == 0 || bits & !Self::ALL != 0 {
            return Err(MatterError::Discovery { found: bits });
        }
        Ok(Self(bits))
    }

    /// This way or the other.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The bits.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }
}

impl Default for Discovery {
    fn default() -> Self {
        Self::BLE
    }
}

/// What the codes of a unit are made of.
#[derive(Debug, Clone)]
pub struct Onboarding {
    /// The maker.
    pub vendor_id: u16,
    /// The maker's product.
    pub product_id: u16,
    /// What tells the unit from others nearby.
    pub discriminator: Discriminator,
    /// Its passcode, which both codes hold.
    pub passcode: Passcode,
    /// What else has to be done.
    pub flow: Flow,
    /// How it is found.
    pub discovery: Discovery,
}

impl Onboarding {
    /// The text of the QR code, 22 letters. Who has it can commission the unit.
    #[must_use]
    pub fn qr(&self) -> Zeroizing<String> {
        let flow: u8 = match self.flow {
            Flow::Standard => 0,
            Flow::UserIntent => 1,
            Flow::Custom => 2,
        };
        let fields = [
            (3, 0),
            (16, u128::from(self.vendor_id)),
            (16, u128::from(self.product_id)),
            (2, u128::from(flow)),
            (8, u128::from(self.discovery.bits())),
            (12, u128::from(self.discriminator.value())),
            (27, u128::from(self.passcode.expose())),
        ];
        let (_, bits) = fields
            .iter()
            .fold((0, 0_u128), |(at, bits), (width, field)| {
                (at + width, bits | field << at)
            });
        let bytes = Zeroizing::new(bits.to_le_bytes());
        // Sized first, so that no copy stays behind when the text grows.
        let mut text = Zeroizing::new(String::with_capacity(24));
        text.push_str("MT:");
        base38::append(&bytes[..11], &mut text);
        text
    }

    /// The manual pairing code: 11 digits, or 21 unless the flow is standard. Who has it can
    /// commission the unit.
    #[must_use]
    pub fn manual(&self) -> Zeroizing<String> {
        let (short, passcode) = (self.discriminator.value() >> 8, self.passcode.expose());
        let long = self.flow != Flow::Standard;
        let first = u32::from(long) << 2 | u32::from(short >> 2);
        let second = u32::from(short & 0b11) << 14 | passcode & 0x3FFF;
        let third = passcode >> 14;
        let mut text = Zeroizing::new(String::with_capacity(24));
        decimal(&mut text, 1, first);
        decimal(&mut text, 5, second);
        decimal(&mut text, 4, third);
        if long {
            decimal(&mut text, 5, self.vendor_id.into());
            decimal(&mut text, 5, self.product_id.into());
        }
        let check = verhoeff::check_digit(text.bytes().map(|digit| digit - b'0'));
        decimal(&mut text, 1, check.into());
        text
    }
}

/// Appends a number in so many digits.
fn decimal(text: &mut String, digits: u32, number: u32) {
    for place in (0..digits).rev() {
        let digit = number / 10_u32.pow(place) % 10;
        text.push(char::from_digit(digit, 10).unwrap_or('0'));
    }
}
