//! Where the bytes of a new key come from.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};
use station_esp::secret::Secret;
use station_esp::secure::signature::PrivateKey;
use zeroize::Zeroizing;

use super::asymmetric::{algorithm, system_random};
use super::error::KeyError;
use super::kind::{KeyKind, KeyName, KeyOwner};

/// Draws after which a curve's key counts as impossible; the first one fits but for 1 in 2^32.
const MAX_DRAWS: u32 = 64;

/// Where new keys come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Entropy {
    /// The operating system. The only choice for keys that protect anything.
    #[default]
    System,
    /// A seed, so that a simulation gives a unit the same key whenever it is replayed. Whoever knows
    /// the seed knows the keys.
    Seeded(u64),
}

impl Entropy {
    /// Draws a key.
    pub(super) fn draw(
        self,
        kind: KeyKind,
        name: &KeyName,
        owner: &KeyOwner,
    ) -> Result<Secret, KeyError> {
        let Some(size) = kind.size() else {
            return self.draw_rsa(kind, name, owner);
        };
        let order = kind.order().map(hex::decode).transpose().ok().flatten();
        for draw in 0..MAX_DRAWS {
            let mut bytes = Zeroizing::new(vec![0; size]);
            match self {
                Self::System => getrandom::fill(&mut bytes).map_err(|error| KeyError::Chance {
                    what: error.to_string(),
                })?,
                Self::Seeded(seed) => {
                    let seed = format!("station simulated key\0{seed}\0{name}\0{owner}\0{draw}");
                    fill_from(&seed, &mut bytes);
                }
            }
            let fits = order
                .as_ref()
                .is_none_or(|order| bytes.as_slice() < order.as_slice());
            if fits && bytes.iter().any(|byte| *byte != 0) {
                return Ok(Secret::new(std::mem::take(&mut *bytes)));
            }
        }
        Err(KeyError::Chance {
            what: "it gives the same bytes again and again".to_owned(),
        })
    }

    /// RSA keys are found, not drawn.
    fn draw_rsa(self, kind: KeyKind, name: &KeyName, owner: &KeyOwner) -> Result<Secret, KeyError> {
        let mut random = match self {
            Self::System => system_random()?,
            Self::Seeded(seed) => {
                let mut bytes = [0; 32];
                let seed = format!("station simulated key\0{seed}\0{name}\0{owner}\0rsa");
                fill_from(&seed, &mut bytes);
                ChaCha20Rng::from_seed(bytes)
            }
        };
        let cannot = KeyError::CannotGenerate { kind };
        let algorithm = algorithm(kind).ok_or_else(|| cannot.clone())?;
        let key = PrivateKey::generate(algorithm, &mut random).map_err(|_| cannot)?;
        Ok(key.to_pem())
    }
}

fn fill_from(seed: &str, bytes: &mut [u8]) {
    for (number, chunk) in (0_u64..).zip(bytes.chunks_mut(32)) {
        let digest = Sha256::new()
            .chain_update(seed.as_bytes())
            .chain_update(number.to_le_bytes())
            .finalize();
        chunk.copy_from_slice(&digest[..chunk.len()]);
    }
}
