//! The key store: a folder of sealed keys and their records.
//!
//! ```text
//! identity.txt       the station's age identity, 0600
//! recipients.txt     escrow: age recipients that can open every kept key, one a line; optional
//! unsaid/OWNER.NAME  a key that is destroyed, and the journal is still to hear of it
//! trusted/*.pub      public keys of other stations whose releases count, 64 hex digits; optional
//! shared/NAME.age    a sealed key         shared/NAME.json   its record
//! units/MAC/NAME.age a unit's sealed key  units/MAC/NAME.json
//! ```
//!
//! Invariants: the record is written after the sealed key; a record that says forgotten is written
//! before the sealed key is destroyed; a key that is sealed without a record is taken up again and
//! never overwritten; so a crash at any point leaves either no key, or the key, or a tombstone. Nobody
//! gets a key before the disk has it, whoever wrote it.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use station_esp::secret::Secret;

use super::asymmetric::public_half;
use super::chance::Entropy;
use super::error::KeyError;
use super::folder::Folder;
use super::kind::{Custody, KeyName, KeyOwner};
use super::order::{KeyOrder, KeySource, check_given};
use super::place::Place;
use super::record::{Forgotten, KeyRecord};
use super::seal::{MAX_SEALED, Sealer};
use super::station::STATION_KEY;
use crate::journal::Durability;

/// Name of the list of escrow recipients.
pub(super) const RECIPIENTS: &str = "recipients.txt";

/// Largest record and largest text file of the store, in bytes.
pub(super) const MAX_TEXT: u64 = 64 * 1024;

/// Most units, and most keys of one owner, that are listed.
pub(super) const MAX_LISTED: usize = 1_000_000;

/// Longest reason, in bytes.
const MAX_REASON: usize = 4096;

/// How to open a key store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyStoreOptions {
    /// How hard a write insists on the disk.
    pub durability: Durability,
    /// Where new keys come from.
    pub entropy: Entropy,
}

impl KeyStoreOptions {
    /// For simulations: nobody waits for the disk, and the keys follow from a seed.
    pub fn simulation(seed: u64) -> Self {
        Self {
            durability: Durability::Off,
            entropy: Entropy::Seeded(seed),
        }
    }
}

/// A store of sealed keys. Clones share one.
#[derive(Clone)]
pub struct KeyStore {
    inner: Arc<Inner>,
}

struct Inner {
    folder: Folder,
    sealer: Sealer,
    entropy: Entropy,
}

impl std::fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyStore")
            .field("folder", &self.inner.folder.path())
            .finish_non_exhaustive()
    }
}

impl KeyStore {
    /// Opens a store, or makes one with an identity of its own.
    ///
    /// # Errors
    /// [`KeyError::Permissions`] when others can change the folder or read the identity,
    /// [`KeyError::Format`] when the identity is none, [`KeyError::Io`].
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, KeyError> {
        Self::open_with(folder, KeyStoreOptions::default())
    }

    /// Opens a store in a certain way.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(folder: impl AsRef<Path>, options: KeyStoreOptions) -> Result<Self, KeyError> {
        let folder = Folder::open(folder.as_ref(), options.durability)?;
        let sealer = {
            let _turn = folder.turn()?;
            identity(&folder)?
        };
        let inner = Inner {
            folder,
            sealer,
            entropy: options.entropy,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        self.inner.folder.path()
    }

    /// Returns the public half of the store's identity, `age1…`: what keys are sealed to.
    pub fn recipient(&self) -> String {
        self.inner.sealer.recipient()
    }

    /// Returns the key of this name and owner; the first time, makes it. When this returns, it is
    /// sealed on the disk and was opened again for proof.
    ///
    /// # Errors
    /// [`KeyError::Differs`] and [`KeyError::KindDiffers`] when there is another one,
    /// [`KeyError::Forgotten`], [`KeyError::Reserved`], [`KeyError::Size`], [`KeyError::Recipients`],
    /// [`KeyError::Damaged`], [`KeyError::Busy`], [`KeyError::Io`].
    pub fn obtain(
        &self,
        order: &KeyOrder,
        at: DateTime<Utc>,
    ) -> Result<(KeyRecord, Secret), KeyError> {
        not_reserved(&order.name)?;
        self.obtain_any(order, at)
    }

    /// As [`Self::obtain`], also for the names that are the station's own.
    pub(super) fn obtain_any(
        &self,
        order: &KeyOrder,
        at: DateTime<Utc>,
    ) -> Result<(KeyRecord, Secret), KeyError> {
        if let KeySource::Given(secret) = &order.source {
            check_given(order.kind, secret)?;
        }
        let _turn = self.inner.folder.turn()?;
        let place = self.place(&order.name, &order.owner);
        match self.read_record(&place, &order.name, &order.owner)? {
            Some(record) => self.obtain_again(order, &place, record),
            None => self.obtain_new(order, &place, at),
        }
    }

    fn obtain_again(
        &self,
        order: &KeyOrder,
        place: &Place,
        mut record: KeyRecord,
    ) -> Result<(KeyRecord, Secret), KeyError> {
        let secret = self.open_sealed(place, &record)?;
        if record.kind != order.kind {
            return Err(KeyError::KindDiffers {
                name: record.name,
                owner: record.owner,
                has: record.kind,
                wanted: order.kind,
            });
        }
        match &order.source {
            KeySource::Given(given) if *given != secret => Err(KeyError::Differs {
                name: record.name,
                owner: record.owner,
                fingerprint: record.fingerprint,
            }),
            KeySource::Given(_) | KeySource::Generate => {
                if (record.custody, order.custody) == (Custody::Forget, Custody::Escrow) {
                    // Sealed to the station alone, and now it is to be kept.
                    record.custody = Custody::Escrow;
                    self.write_sealed(place, &record, &secret)?;
                    self.write_record(place, &record)?;
                }
                // Who made it may have been cut off before it was on the disk.
                self.inner.folder.settle(&place.sealed)?;
                self.inner.folder.settle(&place.record)?;
                Ok((record, secret))
            }
        }
    }

    fn obtain_new(
        &self,
        order: &KeyOrder,
        place: &Place,
        at: DateTime<Utc>,
    ) -> Result<(KeyRecord, Secret), KeyError> {
        let folder = &self.inner.folder;
        let secret = match (self.orphan(order, place)?, &order.source) {
            (Some(orphan), _) => orphan,
            (None, KeySource::Given(secret)) => secret.clone(),
            (None, KeySource::Generate) => {
                let Inner { entropy, .. } = &*self.inner;
                entropy.draw(order.kind, &order.name, &order.owner)?
            }
        };
        let record = KeyRecord {
            name: order.name.clone(),
            owner: order.owner.clone(),
            kind: order.kind,
            purpose: order.purpose.clone(),
            custody: order.custody,
            fingerprint: secret.fingerprint(),
            public: public_half(order.kind, &secret)?,
            made_at: at,
            forgotten: None,
        };
        if let Some(parent) = place.sealed.parent() {
            folder.make(parent)?;
        }
        self.write_sealed(place, &record, &secret)?;
        self.write_record(place, &record)?;
        Ok((record, secret))
    }

    /// A key that is sealed in this place without a record: a crash came between the two, or the
    /// record was lost. It may be in a chip, so it is never overwritten with another one.
    fn orphan(&self, order: &KeyOrder, place: &Place) -> Result<Option<Secret>, KeyError> {
        let Some(sealed) = self.inner.folder.read(&place.sealed, MAX_SEALED)? else {
            return Ok(None);
        };
        let secret = self.inner.sealer.open(&sealed, &place.sealed)?;
        check_given(order.kind, &secret)?;
        match &order.source {
            KeySource::Given(given) if *given != secret => Err(KeyError::Differs {
                name: order.name.clone(),
                owner: order.owner.clone(),
                fingerprint: secret.fingerprint(),
            }),
            KeySource::Given(_) | KeySource::Generate => Ok(Some(secret)),
        }
    }

    pub(super) fn files(&self) -> &Folder {
        &self.inner.folder
    }

    pub(super) fn sealer(&self) -> &Sealer {
        &self.inner.sealer
    }

    /// Returns a key that was sealed earlier.
    ///
    /// # Errors
    /// [`KeyError::Unknown`], [`KeyError::Forgotten`], [`KeyError::Reserved`], [`KeyError::Damaged`],
    /// [`KeyError::Io`].
    pub fn reveal(&self, name: &KeyName, owner: &KeyOwner) -> Result<Secret, KeyError> {
        Ok(self.reveal_with_record(name, owner)?.1)
    }

    pub(super) fn reveal_with_record(
        &self,
        name: &KeyName,
        owner: &KeyOwner,
    ) -> Result<(KeyRecord, Secret), KeyError> {
        not_reserved(name)?;
        let _turn = self.inner.folder.turn()?;
        let place = self.place(name, owner);
        let record = self.known(&place, name, owner)?;
        let secret = self.open_sealed(&place, &record)?;
        Ok((record, secret))
    }

    /// Returns what is known of a key.
    ///
    /// # Errors
    /// [`KeyError::Format`], [`KeyError::Io`].
    pub fn record(&self, name: &KeyName, owner: &KeyOwner) -> Result<Option<KeyRecord>, KeyError> {
        self.read_record(&self.place(name, owner), name, owner)
    }

    /// Destroys a key and leaves a tombstone, so that it is never made anew. Forgetting it again
    /// changes nothing. Its end is unsaid from then on, until [`Self::said`].
    ///
    /// # Errors
    /// [`KeyError::Unknown`], [`KeyError::Io`]; then it may be asked again.
    pub fn forget(
        &self,
        name: &KeyName,
        owner: &KeyOwner,
        end: Forgotten,
    ) -> Result<KeyRecord, KeyError> {
        let _turn = self.inner.folder.turn()?;
        let place = self.place(name, owner);
        let record = self.read_record(&place, name, owner)?;
        let mut record = record.ok_or_else(|| KeyError::Unknown {
            name: name.clone(),
            owner: owner.clone(),
        })?;
        if record.forgotten.is_none() {
            let short = |text: String| text.chars().take(MAX_REASON).collect();
            record.forgotten = Some(Forgotten {
                at: end.at,
                by: short(end.by),
                reason: short(end.reason),
            });
            self.mark(name, owner)?;
            self.write_record(&place, &record)?;
        }
        self.destroy_sealed(name, owner)?;
        Ok(record)
    }

    /// Seals every kept key anew, to the escrow recipients of now. Returns how many.
    ///
    /// # Errors
    /// As [`Self::obtain`]; keys that were not reached are as they were.
    pub fn reseal(&self) -> Result<u64, KeyError> {
        let mut resealed = 0;
        for listed in self.list()? {
            let _turn = self.inner.folder.turn()?;
            let place = self.place(&listed.name, &listed.owner);
            let record = self.read_record(&place, &listed.name, &listed.owner)?;
            let Some(record) = record.filter(|record| record.forgotten.is_none()) else {
                continue;
            };
            let secret = self.open_sealed(&place, &record)?;
            self.write_sealed(&place, &record, &secret)?;
            resealed += 1;
        }
        Ok(resealed)
    }
}

/// Refuses the names that are the station's own: whoever could seal another key in its place, or sign
/// with it, could release recipes.
fn not_reserved(name: &KeyName) -> Result<(), KeyError> {
    if name.as_str() == STATION_KEY {
        return Err(KeyError::Reserved { name: name.clone() });
    }
    Ok(())
}

/// Reads the store's identity, or makes one.
fn identity(folder: &Folder) -> Result<Sealer, KeyError> {
    let path = folder.path().join("identity.txt");
    if let Some(text) = folder.read_text(&path, MAX_TEXT)? {
        folder.require_private(&path)?;
        let sealer = Sealer::parse(&text, &path)?;
        // Who made it may have been cut off before it was on the disk.
        folder.settle(&path)?;
        return Ok(sealer);
    }
    // Without its identity the keys that are here cannot be opened: a new one would hide that.
    for inside in ["shared", "units"] {
        if !folder
            .names(&folder.path().join(inside), MAX_LISTED)?
            .is_empty()
        {
            return Err(KeyError::Format {
                path,
                what: "it is gone, and there are keys that only it can open",
            });
        }
    }
    let sealer = Sealer::generate();
    folder.write(&path, sealer.text().as_bytes())?;
    Ok(sealer)
}
