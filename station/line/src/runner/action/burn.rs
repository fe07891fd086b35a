//! `efuse`, `key`, `flash_encryption`, `secure_boot`: what cannot be undone, from the step to the
//! pulses.
//!
//! The way is always the same: the key, sealed and on record; the fuses, read afresh; a wish, and a
//! plan of pulses that refuses what is wrong; the pulses with their witness. A unit that is as it
//! should be passes without a pulse, and one that is only verified passes in no other way.

use std::sync::Arc;

use station_device::flash::{PreparedImage, ProgressSink, WriteOptions};
use station_esp::Chip;
use station_esp::efuse::FieldName;
use station_esp::efuse::map::FuseMap;
use station_esp::efuse::plan::{BurnPlan, Danger, Refusals, Snapshot, Wish, halves};
use station_esp::secret::Secret;
use station_esp::secure::encryption::{self, FlashKey, Scheme};

use super::flash::BLOCK_RETRIES;
use super::secrets::{self, Held};
use super::{first_boot, witness};
use crate::outcome::{Failure, FailureClass};
use crate::plan::{Action, BurnKey, EncryptedBy, FlashEncryption, PlanImage, SecureBoot};
use crate::recipe::closes;
use crate::runner::attempt::{Attempt, Turn};
use crate::runner::context::RunContext;
use crate::wish::{self, WishError};

/// What a plan is refused with when some block does not read well.
const CODING_ERRORS: &str = "coding-errors";

/// Burns what a step wants.
pub(super) async fn perform(attempt: &mut Attempt<'_>, turn: Turn<'_>) -> Result<(), Failure> {
    // The step that closes the loader has nothing left to burn once the loader is closed, and no
    // other step that burns comes after it.
    if attempt.closed && closes(&turn.step.action).is_some() {
        return Ok(());
    }
    match &turn.step.action {
        Action::Efuse(step) => {
            let wish = wish::of_efuse(step, &attempt.values)?;
            burn(attempt, turn, wish).await
        }
        Action::SecureBoot(SecureBoot::V1(step)) => {
            first_boot::secure_boot(attempt, turn, step).await
        }
        Action::SecureBoot(SecureBoot::V2(step)) => {
            let snapshot = turn.ends.during(read(attempt)).await?;
            let wish = wish::of_secure_boot(step, snapshot.map());
            burn(attempt, turn, wish).await
        }
        Action::Key(step) => key(attempt, turn, step).await,
        Action::FlashEncryption(step) => flash_encryption(attempt, turn, step).await,
        Action::Identify(_)
        | Action::Erase(_)
        | Action::Flash(_)
        | Action::Data(_)
        | Action::Serial(_)
        | Action::Nvs(_)
        | Action::Boot(_)
        | Action::Test(_)
        | Action::Command(_)
        | Action::Check(_)
        | Action::Read(_) => Err(Failure::internal("the choice of the action")),
    }
}

async fn key(attempt: &mut Attempt<'_>, turn: Turn<'_>, step: &BurnKey) -> Result<(), Failure> {
    let held = secrets::obtain(attempt, &step.key, &step.purpose);
    match turn.ends.during(held).await? {
        Held::Key(secret) => {
            burn(attempt, turn, wish::of_key(step, secret)).await?;
            forget(attempt, turn, &step.key).await
        }
        Held::Absent => Err(not_there(&step.purpose)),
        Held::Forgotten => {
            let snapshot = turn.ends.during(read(attempt)).await?;
            secrets::note_forgotten(attempt, &step.key).await?;
            match holds(&snapshot, &step.purpose) {
                true => Ok(()),
                false => Err(lost(&step.purpose)),
            }
        }
    }
}

/// Whether the chip has a hidden key for a purpose, in as many slots as that takes.
pub(super) fn holds(snapshot: &Snapshot, purpose: &str) -> bool {
    match halves(purpose) {
        Some(halves) => halves.iter().all(|half| holds_in_a_slot(snapshot, half)),
        None => holds_in_a_slot(snapshot, purpose),
    }
}

fn holds_in_a_slot(snapshot: &Snapshot, purpose: &str) -> bool {
    let map: &FuseMap = snapshot.map();
    // What a block is for, where no fuse says so.
    let fixed = match (snapshot.chip, purpose) {
        (Chip::Esp32, "flash_encryption") => Some("BLOCK1"),
        (Chip::Esp32, "secure_boot_v1") => Some("BLOCK2"),
        (Chip::Esp32C2, _) => Some("BLOCK_KEY0"),
        (_, _) => None,
    };
    if let Some(block) = fixed.and_then(|name| map.block_named(name)) {
        return snapshot.is_hidden(block.number);
    }
    let Some(wanted) = map.purpose(purpose) else {
        return false;
    };
    map.key_slots().any(|slot| {
        let field = slot.purpose.and_then(|name| map.field(name));
        let code = field.and_then(|field| snapshot.fuses.number(field));
        code == Some(u64::from(wanted.code)) && snapshot.is_hidden(slot.number)
    })
}

pub(super) fn not_there(purpose: &str) -> Failure {
    let message = format!("the unit has no key for {purpose}, and verifying makes none");
    Failure::new(FailureClass::Verify, "key-missing", message)
}

pub(super) fn lost(purpose: &str) -> Failure {
    let message = format!("the key for {purpose} is forgotten, and the chip does not have it");
    Failure::new(FailureClass::Efuse, "key-forgotten", message)
        .hinted("another chip with this MAC, or fuses that were changed elsewhere")
}

/// Destroys a key that is in the chip by now. A unit that was only verified has none to destroy.
pub(super) async fn forget(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    key: &crate::plan::PlanKey,
) -> Result<(), Failure> {
    if attempt.is_verified_only() {
        return Ok(());
    }
    attempt.pen(turn.step).progress("forget", 0, None);
    secrets::forget(attempt, key).await
}

async fn flash_encryption(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    step: &FlashEncryption,
) -> Result<(), Failure> {
    let chip = attempt.chip.session()?.identity().chip;
    let purpose = wish::encryption_purpose(chip, step.key.kind);
    let held = secrets::obtain(attempt, &step.key, purpose);
    let held = turn.ends.during(held).await?;
    let snapshot = turn.ends.during(read(attempt)).await?;
    let (map, is_on) = (snapshot.map(), is_encrypted(&snapshot));
    match held {
        Held::Absent => Err(not_there(purpose)),
        Held::Forgotten => {
            secrets::note_forgotten(attempt, &step.key).await?;
            let wish = wish::of_flash_encryption(step, map, is_on, None);
            let plan = turn.ends.during(plan(attempt, &wish)).await;
            match plan {
                // It is on, and its key is where nobody can compare it.
                Ok(plan) if plan.is_empty() && holds(&snapshot, purpose) => Ok(()),
                Ok(_) | Err(_) => Err(lost(purpose)),
            }
        }
        Held::Key(secret) => {
            let wish = wish::of_flash_encryption(step, map, is_on, Some(secret.clone()));
            // What the fuses would refuse is known before flash is touched.
            let plan = turn.ends.during(plan(attempt, &wish)).await?;
            // What the bootloader made is compared once it is there; it will not make it again, so
            // what an earlier step has erased since is written.
            if step.content == EncryptedBy::Host || is_on {
                let written = ciphertext(attempt, turn, step, &secret);
                turn.ends.during(written).await?;
                if let Some(digest) = &step.digest {
                    let written = first_boot::ciphertext(attempt, turn, digest, &secret);
                    turn.ends.during(written).await?;
                }
            }
            carry_out(attempt, turn, plan).await?;
            forget(attempt, turn, &step.key).await
        }
    }
}

/// Whether the fuses say that flash is ciphertext: an odd number of bits of the count.
pub(super) fn is_encrypted(snapshot: &Snapshot) -> bool {
    let count = snapshot.fuses.read(FieldName::FlashCryptCount);
    count.is_some_and(|count| count.count_ones() % 2 == 1)
}

/// Writes the images as ciphertext of the key, or compares them.
async fn ciphertext(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    step: &FlashEncryption,
    secret: &Secret,
) -> Result<(), Failure> {
    let chip = attempt.chip.session()?.identity().chip;
    let run = attempt.run;
    for index in &step.images {
        let image = run.plan.contents().images.get(*index);
        let image = image.ok_or_else(|| Failure::internal("the plan's list of images"))?;
        if !image.chips.contains(&chip) {
            continue;
        }
        attempt.pen(turn.step).progress("encrypt", 0, None);
        let shared = step.key.source.is_shared();
        let ready = made_once(run, chip, *index, secret, shared).await?;
        let what = format!("image `{}` as ciphertext", image.name);
        put(attempt, turn, &ready, &what).await?;
    }
    Ok(())
}

/// Writes what was made for the unit's key, or compares it.
pub(super) async fn put(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    ready: &Ciphertext,
    what: &str,
) -> Result<(), Failure> {
    let options = WriteOptions {
        skip_unchanged: true,
        verify: true,
        retries: BLOCK_RETRIES,
    };
    let verified_only = attempt.is_verified_only();
    let pen = attempt.pen(turn.step);
    let session = attempt.chip.session()?;
    if verified_only {
        let found = session.md5(ready.image.offset(), ready.length).await?;
        if found != ready.md5 {
            let message = format!("what is in flash differs from {what}");
            return Err(Failure::new(FailureClass::Verify, "image-differs", message));
        }
    } else {
        session.write(&ready.image, &options, &pen).await?;
    }
    Ok(())
}

/// An image as ciphertext, ready to be written.
#[derive(Clone, Debug)]
pub(in crate::runner) struct Ciphertext {
    image: Arc<PreparedImage>,
    length: u32,
    md5: station_device::flash::Md5Digest,
}

impl Ciphertext {
    /// Takes the bytes as they go into flash at `offset`.
    pub(super) fn prepare(name: &str, offset: u32, bytes: Vec<u8>) -> Result<Self, Failure> {
        use md5::Digest as _;
        let length = u32::try_from(bytes.len())
            .map_err(|_| Failure::station("image-too-long", "more bytes than any flash"))?;
        let md5 = md5::Md5::digest(&bytes).into();
        let image = PreparedImage::prepare(name, offset, bytes.into())?;
        Ok(Self { image, length, md5 })
    }

    /// How many bytes it has, and what the chip computes over them when they are there.
    pub(super) fn proof(&self) -> (u32, station_device::flash::Md5Digest) {
        (self.length, self.md5)
    }
}

/// An image of the plan as ciphertext; made once for all bays where all units have the key.
pub(super) async fn made_once(
    run: &RunContext,
    chip: Chip,
    index: usize,
    secret: &Secret,
    shared: bool,
) -> Result<Ciphertext, Failure> {
    let image = run.plan.contents().images.get(index);
    let image = image.ok_or_else(|| Failure::internal("the plan's list of images"))?;
    if !shared {
        return encrypted(chip, image, secret).await;
    }
    let of = (index, chip, secret.fingerprint());
    let made = run
        .ciphertexts
        .get_or_make(of, || encrypted(chip, image, secret));
    made.await
}

/// Encrypts away from the runtime's own threads.
async fn encrypted(chip: Chip, image: &PlanImage, secret: &Secret) -> Result<Ciphertext, Failure> {
    let (name, offset) = (image.name.clone(), image.offset);
    let (bytes, secret) = (Arc::clone(&image.bytes), secret.clone());
    let work = tokio::task::spawn_blocking(move || {
        let failed = |error: encryption::EncryptionError| {
            Failure::station(error.code(), format!("image `{name}`: {error}"))
        };
        let key = FlashKey::new(Scheme::of(chip), secret).map_err(failed)?;
        let plain = encryption::filled_up(bytes.to_vec());
        let ciphertext = encryption::encrypt(&key, offset, &plain).map_err(failed)?;
        Ciphertext::prepare(&name, offset, ciphertext)
    });
    work.await
        .unwrap_or_else(|_| Err(Failure::internal("the encryption")))
}

/// Every fuse, read afresh.
pub(super) async fn read(attempt: &mut Attempt<'_>) -> Result<Snapshot, Failure> {
    Ok(attempt.chip.session()?.fuse_snapshot().await?)
}

/// The pulses that a wish needs on this unit.
pub(super) async fn plan(attempt: &mut Attempt<'_>, wish: &Wish) -> Result<BurnPlan, Failure> {
    let burns = attempt.burns().await?;
    let snapshot = read(attempt).await?;
    let refusals = match BurnPlan::make(&snapshot, wish, &burns.earlier) {
        Ok(plan) => return Ok(plan),
        Err(refusals) => refusals,
    };
    // A block that a later step left half burned does not read well until that step comes again.
    // This one may be passed over meanwhile if nothing is missing, and burns nothing if it is not.
    let known = snapshot
        .errors
        .iter()
        .all(|error| burns.partly.contains(&error.block));
    if known
        && refusals
            .0
            .iter()
            .all(|refusal| refusal.code == CODING_ERRORS)
    {
        let mut patient = wish.clone();
        patient.accepted.push(Danger::CodingErrors);
        let plan = BurnPlan::make(&snapshot, &patient, &burns.earlier);
        if let Ok(plan) = plan
            && plan.is_empty()
        {
            return Ok(plan);
        }
    }
    Err(refused(&refusals))
}

async fn burn(attempt: &mut Attempt<'_>, turn: Turn<'_>, wish: Wish) -> Result<(), Failure> {
    let plan = turn.ends.during(plan(attempt, &wish)).await?;
    carry_out(attempt, turn, plan).await
}

/// Burns a plan, unless it is empty or the unit is only verified.
pub(super) async fn carry_out(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    plan: BurnPlan,
) -> Result<(), Failure> {
    if plan.is_empty() {
        return Ok(());
    }
    if attempt.is_verified_only() {
        let first = plan.pulses().first();
        let what = first.map(|pulse| pulse.does.join(", ")).unwrap_or_default();
        let message = format!("the fuses are not as the recipe wants them: missing is {what}");
        return Err(Failure::new(FailureClass::Verify, "fuses-differ", message));
    }
    let pen = attempt.pen(turn.step);
    pen.progress("burn", 0, u64::try_from(plan.pulses().len()).ok());
    let burned = witness::burn(attempt, turn, Arc::new(plan)).await?;
    pen.progress(
        "burn",
        u64::try_from(burned.pulses.len()).unwrap_or(0),
        None,
    );
    Ok(())
}

fn refused(refusals: &Refusals) -> Failure {
    let failure = Failure::new(FailureClass::Efuse, refusals.code(), refusals.to_string());
    match refusals.0.first() {
        Some(first) => failure.hinted(&first.hint),
        None => failure,
    }
}

impl From<WishError> for Failure {
    fn from(error: WishError) -> Self {
        Self::station(error.code(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use station_esp::chip::{MacAddress, Revision};
    use station_esp::efuse::EfuseImage;
    use station_esp::efuse::plan::{KeyWish, Slot};

    use super::*;
    use crate::plan::ImageKind;
    use crate::runner::prepared::Ciphertexts;

    fn blank(chip: Chip) -> Snapshot {
        let mut fuses = EfuseImage::new(chip);
        let mac = MacAddress([0x7C, 0xDF, 0xA1, 0, 0, 1]);
        fuses.set_mac(mac).unwrap();
        Snapshot {
            chip,
            revision: Revision::new(u8::MAX, 99),
            mac,
            crystal_mhz: chip.spec().typical_crystal_mhz(),
            fuses,
            errors: Vec::new(),
        }
    }

    #[test]
    fn a_hidden_key_is_found_again_on_every_chip_and_by_its_whole_purpose_only() {
        for chip in Chip::ALL {
            for kind in [
                crate::keys::KeyKind::XtsAes128,
                crate::keys::KeyKind::XtsAes256,
            ] {
                let mut snapshot = blank(chip);
                let purpose = wish::encryption_purpose(chip, kind);
                let wide = kind == crate::keys::KeyKind::XtsAes256 && chip != Chip::Esp32;
                let length = if wide { 64 } else { 32 };
                let wish = Wish {
                    keys: vec![KeyWish {
                        slot: Slot::Free,
                        purpose: purpose.to_owned(),
                        key: Secret::new((1..=length).collect()),
                        read_protect: Some(true),
                        write_protect: Some(true),
                    }],
                    ..Wish::default()
                };
                let Ok(plan) = BurnPlan::make(&snapshot, &wish, &[]) else {
                    // Not every chip takes 256 bits.
                    assert_eq!(length, 64, "{chip}");
                    continue;
                };
                for pulse in plan.pulses() {
                    assert!(!holds(&snapshot, purpose), "{chip}: {purpose} too early");
                    let words = snapshot.fuses.block_mut(pulse.block);
                    let expected = pulse.expected(words.len());
                    words.copy_from_slice(&expected);
                    if snapshot.is_hidden(4) || snapshot.is_hidden(1) {
                        break;
                    }
                }
                assert!(holds(&snapshot, purpose), "{chip}: {purpose}");
                assert!(
                    !holds(&snapshot, "HMAC_UP") || chip == Chip::Esp32C2,
                    "{chip}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_ciphertext_is_shared_between_bays_and_never_between_keys_or_chips() {
        let image = PlanImage {
            name: "app".to_owned(),
            origin: "app.bin".to_owned(),
            sha256: String::new(),
            bytes: vec![7; 256].into(),
            offset: 0x1_0000,
            kind: ImageKind::Raw,
            chips: vec![Chip::Esp32C3, Chip::Esp32S3],
        };
        let made = Ciphertexts::default();
        let mut seen = Vec::new();
        for key in [1, 2] {
            let secret = Secret::new(vec![key; 32]);
            let of = (0, Chip::Esp32C3, secret.fingerprint());
            let first = made.get_or_make(of.clone(), || encrypted(Chip::Esp32C3, &image, &secret));
            let first = first.await.unwrap();
            let again = made.get_or_make(of, || async { panic!("it was made already") });
            assert_eq!(again.await.unwrap().md5, first.md5);
            seen.push(first.md5);
        }
        assert_ne!(seen[0], seen[1]);
    }
}
