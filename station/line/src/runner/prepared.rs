//! A plan's images, made ready once, before any bay starts.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use md5::{Digest, Md5};
use station_device::flash::{Md5Digest, PreparedImage};
use station_esp::Chip;

use tokio::sync::Mutex;

use super::action::Ciphertext;
use super::request::StartError;
use crate::outcome::Failure;
use crate::plan::{Plan, PlanImage};

/// An image that every bay can write or compare without further work.
#[derive(Debug)]
pub(super) struct ReadyImage {
    /// Its frames.
    pub(super) prepared: Arc<PreparedImage>,
    /// How many bytes it has.
    pub(super) length: u32,
    /// What the chip computes over them when they are there.
    pub(super) md5: Md5Digest,
}

/// What a ciphertext is of: an image of the plan, for one kind of chip, and the fingerprint of its
/// key. The same image may be ciphertext of another key in another step, or on another chip.
pub(super) type CiphertextOf = (usize, Chip, String);

/// Images as ciphertext of keys that every unit gets: made once, by the first bay that needs one.
#[derive(Debug, Default)]
pub(super) struct Ciphertexts {
    made: Mutex<BTreeMap<CiphertextOf, Ciphertext>>,
}

impl Ciphertexts {
    /// The ciphertext of an image of the plan. Whoever comes while it is made waits for it.
    pub(super) async fn get_or_make<F: Future<Output = Result<Ciphertext, Failure>>>(
        &self,
        of: CiphertextOf,
        make: impl FnOnce() -> F,
    ) -> Result<Ciphertext, Failure> {
        let mut made = self.made.lock().await;
        if let Some(ready) = made.get(&of) {
            return Ok(ready.clone());
        }
        let ready = make().await?;
        made.insert(of, ready.clone());
        Ok(ready)
    }
}

/// So few bytes are made ready on the spot: handing them to another thread takes longer, and leaves
/// the order of what follows to chance.
const AT_ONCE: usize = 128 * 1024;

/// Makes every image of the plan ready, large ones away from the runtime's own threads.
pub(super) async fn prepare(plan: &Arc<Plan>) -> Result<Vec<ReadyImage>, StartError> {
    let bytes: usize = plan
        .contents()
        .images
        .iter()
        .map(|image| image.bytes.len())
        .sum();
    if bytes <= AT_ONCE {
        return all_ready(plan);
    }
    let plan = Arc::clone(plan);
    let work = tokio::task::spawn_blocking(move || all_ready(&plan));
    work.await.unwrap_or(Err(StartError::Internal))
}

fn all_ready(plan: &Plan) -> Result<Vec<ReadyImage>, StartError> {
    plan.contents().images.iter().map(ready).collect()
}

fn ready(image: &PlanImage) -> Result<ReadyImage, StartError> {
    let bytes = Arc::clone(&image.bytes);
    let prepared = PreparedImage::prepare(image.name.as_str(), image.offset, bytes);
    let refused = |source| StartError::Prepare {
        image: image.name.clone(),
        source,
    };
    Ok(ReadyImage {
        prepared: prepared.map_err(refused)?,
        // An image that is longer than any flash was refused just above.
        length: u32::try_from(image.bytes.len()).unwrap_or(u32::MAX),
        md5: Md5::digest(&image.bytes).into(),
    })
}
