//! Key bytes drawn from the caller's randomness, and that randomness in an older library's terms.

use rand_core::CryptoRng;

use crate::secret::Secret;

/// `length` random bytes, for AES and HMAC keys.
#[must_use]
pub fn bytes(length: usize, rng: &mut (impl CryptoRng + ?Sized)) -> Secret {
    let mut drawn = vec![0; length];
    rng.fill_bytes(&mut drawn);
    Secret::new(drawn)
}

/// The caller's generator for `rsa`, which speaks an earlier version of the same traits.
pub(crate) struct Earlier<'a>(pub(crate) &'a mut dyn CryptoRng);

impl rsa::rand_core::RngCore for Earlier<'_> {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.0.fill_bytes(dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        self.0.fill_bytes(dest);
        Ok(())
    }
}

impl rsa::rand_core::CryptoRng for Earlier<'_> {}
