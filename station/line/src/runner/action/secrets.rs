//! Keys of a unit: from the store, sealed and on record before anything is burned with them.
//!
//! Invariants: a key leaves the store only after it is sealed on disk; that it is sealed is on
//! record before the first pulse; a key that was forgotten is never made anew.

use station_esp::secret::Secret;

use crate::event::EventKind;
use crate::keys::{
    Custody, Forgotten, KeyError, KeyOrder, KeyOwner, KeyRecord, KeySource, KeyStore, for_purpose,
    is_said,
};
use crate::outcome::{Failure, FailureClass};
use crate::plan::{PlanKey, PlanKeySource};
use crate::runner::attempt::Attempt;

/// Why a key is destroyed.
const REASON: &str = "the chip has it, and the recipe says that nobody else shall";

/// A key as a step gets it.
pub(super) enum Held {
    /// It is there.
    Key(Secret),
    /// It was burned and destroyed, as the recipe wants.
    Forgotten,
    /// It was never made, and is not to be made now.
    Absent,
}

fn owner(attempt: &Attempt<'_>, key: &PlanKey) -> Result<KeyOwner, Failure> {
    if key.source.is_shared() {
        return Ok(KeyOwner::Shared);
    }
    let mac = attempt.mac().ok_or_else(|| Failure::internal("the unit"))?;
    Ok(KeyOwner::Unit(mac))
}

/// Asks the store away from the runtime's own threads.
async fn ask<T: Send + 'static>(
    attempt: &mut Attempt<'_>,
    question: impl FnOnce(&KeyStore) -> Result<T, KeyError> + Send + 'static,
) -> Result<T, Failure> {
    let Some(store) = attempt.run.keys.clone() else {
        return Err(Failure::station("no-key-store", "the run has no key store"));
    };
    let asked = tokio::task::spawn_blocking(move || question(&store)).await;
    match asked {
        Ok(answer) => answer.map_err(|error| of_keys(&error)),
        Err(_) => Err(Failure::internal("the key store")),
    }
}

fn of_keys(error: &KeyError) -> Failure {
    let failure = Failure::new(FailureClass::Station, error.code(), error.to_string());
    match error.hint() {
        Some(hint) => failure.hinted(hint),
        None => failure,
    }
}

/// The record of a key, if the store has one.
async fn record(attempt: &mut Attempt<'_>, key: &PlanKey) -> Result<Option<KeyRecord>, Failure> {
    let (name, owner) = (key.name.clone(), owner(attempt, key)?);
    ask(attempt, move |store| store.record(&name, &owner)).await
}

/// The unit's key, made if need be, sealed and on record; as it is burned, however it is kept.
pub(super) async fn obtain(
    attempt: &mut Attempt<'_>,
    key: &PlanKey,
    purpose: &str,
) -> Result<Held, Failure> {
    match kept(attempt, key, purpose).await? {
        Held::Key(secret) => match for_purpose(purpose, &secret) {
            Ok(key) => Ok(Held::Key(key)),
            Err(error) => Err(of_keys(&error)),
        },
        held @ (Held::Forgotten | Held::Absent) => Ok(held),
    }
}

async fn kept(attempt: &mut Attempt<'_>, key: &PlanKey, purpose: &str) -> Result<Held, Failure> {
    if let Some(record) = record(attempt, key).await?
        && record.forgotten.is_some()
    {
        return Ok(Held::Forgotten);
    }
    if attempt.is_verified_only() {
        return reveal(attempt, key).await;
    }
    let source = match &key.source {
        PlanKeySource::Generate => KeySource::Generate,
        PlanKeySource::File { key, .. } => KeySource::Given(key.clone()),
        PlanKeySource::Csv { column, keys } => KeySource::Given(listed(attempt, column, keys)?),
        PlanKeySource::Shared => {
            let held = reveal(attempt, key).await?;
            return match held {
                Held::Absent => Err(Failure::station(
                    "key-unknown",
                    format!("the key store has no shared key `{}`", key.name),
                )
                .hinted("make it first: `station keys generate` or `station keys import`")),
                Held::Key(_) | Held::Forgotten => {
                    let kept = record(attempt, key).await?;
                    sealed(attempt, kept.as_ref(), purpose).await?;
                    Ok(held)
                }
            };
        }
    };
    let order = KeyOrder {
        name: key.name.clone(),
        owner: owner(attempt, key)?,
        kind: key.kind,
        custody: key.custody,
        purpose: Some(purpose.to_owned()),
        source,
    };
    let at = attempt.run.clock.now();
    let (record, secret) = ask(attempt, move |store| store.obtain(&order, at)).await?;
    sealed(attempt, Some(&record), purpose).await?;
    Ok(Held::Key(secret))
}

/// The key that belongs to the unit's serial number.
fn listed(
    attempt: &Attempt<'_>,
    column: &str,
    keys: &std::collections::BTreeMap<String, Secret>,
) -> Result<Secret, Failure> {
    let serial = attempt.values.get("serial").unwrap_or_default();
    keys.get(serial).cloned().ok_or_else(|| {
        let message = format!("column `{column}` has no key for serial number `{serial}`");
        Failure::station("key-not-listed", message)
    })
}

/// A key that is there, without making one or saying that it is used.
pub(super) async fn known(
    attempt: &mut Attempt<'_>,
    key: &PlanKey,
) -> Result<Option<Secret>, Failure> {
    match record(attempt, key).await? {
        Some(record) if record.forgotten.is_none() => match reveal(attempt, key).await? {
            Held::Key(secret) => Ok(Some(secret)),
            Held::Forgotten | Held::Absent => Ok(None),
        },
        Some(_) | None => Ok(None),
    }
}

/// A key that is there already, without making one.
async fn reveal(attempt: &mut Attempt<'_>, key: &PlanKey) -> Result<Held, Failure> {
    let (name, owner) = (key.name.clone(), owner(attempt, key)?);
    let secret = ask(attempt, move |store| match store.record(&name, &owner)? {
        Some(_) => store.reveal(&name, &owner).map(Some),
        None => Ok(None),
    })
    .await?;
    Ok(secret.map_or(Held::Absent, Held::Key))
}

/// Puts on record that a key is sealed.
async fn sealed(
    attempt: &mut Attempt<'_>,
    record: Option<&KeyRecord>,
    purpose: &str,
) -> Result<(), Failure> {
    let record = record.ok_or_else(|| Failure::internal("the key store"))?;
    let event = EventKind::KeySealed {
        attempt: Some(attempt.id),
        key: record.name.to_string(),
        mac: record.owner.mac().cloned(),
        key_kind: record.kind.to_string(),
        purpose: Some(purpose.to_owned()),
        fingerprint: record.fingerprint.clone(),
        custody: record.custody,
    };
    attempt.bay.pen().write(event).await
}

/// Makes up for what a crash kept from the record: that a key was destroyed.
pub(super) async fn note_forgotten(
    attempt: &mut Attempt<'_>,
    key: &PlanKey,
) -> Result<(), Failure> {
    let (name, owner) = (key.name.clone(), owner(attempt, key)?);
    match ask(attempt, move |store| store.unsaid_of(&name, &owner)).await? {
        Some(record) => say(attempt, record).await,
        None => Ok(()),
    }
}

/// Puts on record that a key is destroyed, unless a crash came just after that was done.
async fn say(attempt: &mut Attempt<'_>, record: KeyRecord) -> Result<(), Failure> {
    let (journal, asked) = (attempt.run.journal.clone(), record.clone());
    let said = match tokio::task::spawn_blocking(move || is_said(&journal, &asked)).await {
        Ok(Ok(said)) => said,
        Ok(Err(error)) => return Err(Failure::station(error.code(), error.to_string())),
        Err(_) => return Err(Failure::internal("the journal's reader")),
    };
    if let (false, Some(end)) = (said, record.end(Some(attempt.id))) {
        attempt.bay.pen().write(end).await?;
    }
    ask(attempt, move |store| store.said(&record)).await
}

/// Destroys a key that the chip has by now, if the recipe wants it so.
pub(super) async fn forget(attempt: &mut Attempt<'_>, key: &PlanKey) -> Result<(), Failure> {
    if key.custody != Custody::Forget {
        return Ok(());
    }
    let (name, owner) = (key.name.clone(), owner(attempt, key)?);
    let end = Forgotten {
        at: attempt.run.clock.now(),
        by: "recipe".to_owned(),
        reason: REASON.to_owned(),
    };
    let record = ask(attempt, move |store| store.forget(&name, &owner, end)).await?;
    say(attempt, record).await
}
