//! Flash encryption of the ESP32: AES-256 with a key of its own for every 32 bytes of flash.
//!
//! Facts (ESP-IDF's flash encryption document; the order of the address bits was found by trying
//! against espsecure): encrypting is AES *de*cryption, each block of 16 bytes is reversed before and
//! after; a key of 24 bytes is followed by its own bytes 8 to 15; FLASH_CRYPT_CONFIG's four bits
//! stand for key bits 0–66, 67–131, 132–194 and 195–255 (bit 0 is the top bit of the first byte), and
//! within each range the key bits are XORed with address bits 23 down to 5 three times over, and what
//! is left of the range with the lowest of them, ending again with bit 5.

use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes256Dec, Aes256Enc};
use zeroize::Zeroizing;

use super::BLOCK;

/// Bytes of flash under one key.
const UNIT: usize = 32;
/// First and number of address bits that the key follows.
const FIRST_BIT: usize = 5;
const ADDRESS_BITS: usize = 19;
/// Where the ranges of FLASH_CRYPT_CONFIG's bits end.
const RANGE_ENDS: [usize; 4] = [67, 132, 195, 256];

type Key = [u8; 32];
type Block = Array<u8, aes::cipher::consts::U16>;

/// Encrypts whole blocks in place; the caller has checked key length and alignment.
pub(super) fn encrypt(key: &[u8], crypt_config: u8, address: u32, data: &mut [u8]) {
    over_units(key, crypt_config, address, data, Aes256Dec::decrypt_block);
}

/// Decrypts whole blocks in place; the caller has checked key length and alignment.
pub(super) fn decrypt(key: &[u8], crypt_config: u8, address: u32, data: &mut [u8]) {
    over_units(key, crypt_config, address, data, Aes256Enc::encrypt_block);
}

fn over_units<C: KeyInit>(
    key: &[u8],
    crypt_config: u8,
    address: u32,
    data: &mut [u8],
    apply: impl Fn(&C, &mut Block),
) {
    let key = full_key(key);
    let masks = masks(crypt_config);
    let mut address = address as usize;
    let mut rest = data;
    while !rest.is_empty() {
        let taken = rest.len().min(UNIT - address % UNIT);
        let (part, later) = rest.split_at_mut(taken);
        let key = tweaked(&key, &masks, address);
        let cipher = C::new_from_slice(&*key).expect("the full key has 32 bytes");
        for block in part.chunks_exact_mut(BLOCK) {
            block.reverse();
            let mut whole = Block::default();
            whole.copy_from_slice(block);
            apply(&cipher, &mut whole);
            block.copy_from_slice(&whole);
            block.reverse();
        }
        rest = later;
        address += taken;
    }
}

/// A key of 24 bytes as the hardware completes it; one of 32 as it is.
pub(in crate::secure) fn full_key(key: &[u8]) -> Zeroizing<Key> {
    let mut full = Zeroizing::new([0; 32]);
    full[..key.len()].copy_from_slice(key);
    if key.len() == 24 {
        full[24..].copy_from_slice(&key[8..16]);
    }
    full
}

/// The key bits that follow each address bit.
fn masks(crypt_config: u8) -> [Key; ADDRESS_BITS] {
    let mut masks = [[0; 32]; ADDRESS_BITS];
    let mut start = 0;
    for (part, end) in RANGE_ENDS.into_iter().enumerate() {
        if crypt_config & (1 << part) != 0 {
            for bit in start..end {
                let whole_rounds = (end - start) / ADDRESS_BITS * ADDRESS_BITS;
                let number = if bit - start < whole_rounds {
                    ADDRESS_BITS - 1 - (bit - start) % ADDRESS_BITS
                } else {
                    end - 1 - bit
                };
                masks[number][bit / 8] |= 0x80 >> (bit % 8);
            }
        }
        start = end;
    }
    masks
}

fn tweaked(key: &Key, masks: &[Key; ADDRESS_BITS], address: usize) -> Zeroizing<Key> {
    let mut tweaked = Zeroizing::new(*key);
    for (number, mask) in masks.iter().enumerate() {
        if address & (1 << (FIRST_BIT + number)) != 0 {
            for (byte, mask) in tweaked.iter_mut().zip(mask) {
                *byte ^= mask;
            }
        }
    }
    tweaked
}
