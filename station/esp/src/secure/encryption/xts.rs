//! AES-XTS as the flash controllers of all chips but the ESP32 do it.
//!
//! Facts: a unit is 128 bytes of flash at a multiple of 128; the cipher sees its bytes in reverse
//! order and its tweak is the unit's address, little-endian, in 16 bytes; the first half of the key
//! encrypts data, the second the tweak; a key of 16 bytes stands for its SHA-256.

use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit};
use aes::{Aes128, Aes256};
use sha2::{Digest, Sha256};
use xts_mode::{Xts128, get_tweak_default};
use zeroize::Zeroizing;

/// Bytes under one tweak.
const UNIT: usize = 128;

/// Encrypts whole blocks in place; the caller has checked key length and alignment.
pub(super) fn encrypt(key: &[u8], address: u32, data: &mut [u8]) {
    run(key, address, data, Direction::Encrypt);
}

/// Decrypts whole blocks in place; the caller has checked key length and alignment.
pub(super) fn decrypt(key: &[u8], address: u32, data: &mut [u8]) {
    run(key, address, data, Direction::Decrypt);
}

#[derive(Clone, Copy)]
enum Direction {
    Encrypt,
    Decrypt,
}

fn run(key: &[u8], address: u32, data: &mut [u8], direction: Direction) {
    match key.len() {
        16 => {
            let extended = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(key)));
            over_units(&cipher::<Aes128>(&*extended), address, data, direction);
        }
        32 => over_units(&cipher::<Aes128>(key), address, data, direction),
        _ => over_units(&cipher::<Aes256>(key), address, data, direction),
    }
}

fn cipher<C>(key: &[u8]) -> Xts128<C>
where
    C: KeyInit + BlockSizeUser<BlockSize = U16>,
{
    let (data, tweak) = key.split_at(key.len() / 2);
    let half =
        |bytes| C::new_from_slice(bytes).expect("key lengths are checked when a key is made");
    Xts128::new(half(data), half(tweak))
}

/// A part of a unit is as good as the whole: blocks under one tweak do not touch each other.
fn over_units<C>(cipher: &Xts128<C>, address: u32, data: &mut [u8], direction: Direction)
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U16>,
{
    let mut inside = address as usize % UNIT;
    let mut unit_address = u128::from(address) - inside as u128;
    let mut rest = data;
    let mut unit = Zeroizing::new([0; UNIT]);
    while !rest.is_empty() {
        let taken = rest.len().min(UNIT - inside);
        let (part, later) = rest.split_at_mut(taken);
        unit[inside..inside + taken].copy_from_slice(part);
        unit.reverse();
        let tweak = get_tweak_default(unit_address);
        match direction {
            Direction::Encrypt => cipher.encrypt_sector(&mut *unit, tweak),
            Direction::Decrypt => cipher.decrypt_sector(&mut *unit, tweak),
        }
        unit.reverse();
        part.copy_from_slice(&unit[inside..inside + taken]);
        rest = later;
        inside = 0;
        unit_address += UNIT as u128;
    }
}
