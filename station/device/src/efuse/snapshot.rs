//! Everything a chip's fuses say, read at one time.
//!
//! Invariants: a snapshot is read after the fuses were read into the registers anew; its MAC has
//! passed its checksum and is the one the session was made with; in secure download mode there is
//! none.

use station_esp::efuse::map::fuse_map;
use station_esp::efuse::plan::Snapshot;
use station_esp::efuse::{EfuseImage, FieldName, RevisionRule};

use super::controller::Fuses;
use crate::error::DeviceError;
use crate::session::{Identity, Session};

/// CODING_SCHEME of an ESP32 whose blocks are 3/4 coded.
const THREE_QUARTERS: u64 = 1;

impl Session {
    /// Reads every word and error register of the eFuse controller, after having it read the fuses
    /// anew.
    ///
    /// # Errors
    /// `SecureDownload` where registers cannot be read any more; `Protocol` when what is read
    /// contradicts itself or is not the chip the session was made with; or an error of the link.
    pub async fn fuse_snapshot(&mut self) -> Result<Snapshot, DeviceError> {
        let (mut fuses, identity) = self.fuses("reading the eFuses")?;
        fuses.idle().await?;
        fuses.refresh().await?;
        let snapshot = fuses.snapshot(identity, None).await;
        self.loader.wipe();
        snapshot
    }

    /// The eFuse controller, where the loader lets it be reached.
    pub(super) fn fuses(&mut self, what: &str) -> Result<(Fuses<'_>, &Identity), DeviceError> {
        if self.loader.is_secure() {
            return Err(DeviceError::SecureDownload { what: what.into() });
        }
        let map = fuse_map(self.spec.chip, self.loader.revision());
        let fuses = Fuses {
            loader: &mut self.loader,
            spec: self.spec,
            map,
        };
        Ok((fuses, &self.identity))
    }
}

impl Fuses<'_> {
    /// What the read registers hold. A word that is `expected` is read once.
    pub(super) async fn snapshot(
        &mut self,
        identity: &Identity,
        expected: Option<&Snapshot>,
    ) -> Result<Snapshot, DeviceError> {
        let chip = self.spec.chip;
        let mut image = EfuseImage::new(chip);
        for block in self.map.blocks {
            let expected = expected.map_or(&[][..], |snapshot| snapshot.fuses.block(block.number));
            let words = self.block(block, expected).await?;
            for (place, word) in image.block_mut(block.number).iter_mut().zip(words.iter()) {
                *place = *word;
            }
        }
        if !image.mac_crc_matches() {
            return Err(contradiction(format!(
                "{} does not match its checksum",
                image.mac()
            )));
        }
        let date = match self.spec.efuse.revision {
            RevisionRule::ApbCtlDate(address) => self.loader.read_register_surely(address).await?,
            RevisionRule::Fields | RevisionRule::FieldsUnlessBlockVersion11 => 0,
        };
        let (revision, mac) = (image.revision(date), image.mac());
        if identity.mac != Some(mac) || identity.revision != Some(revision) {
            return Err(contradiction(format!(
                "the chip says it is {mac} of revision {revision}, and said something else before"
            )));
        }
        let errors = self.errors(is_three_quarters(&image)).await?;
        Ok(Snapshot {
            chip,
            revision,
            mac,
            crystal_mhz: identity.crystal_mhz,
            fuses: image,
            errors,
        })
    }
}

/// Whether the fuses are those of an ESP32 whose blocks are 3/4 coded.
pub(super) fn is_three_quarters(fuses: &EfuseImage) -> bool {
    fuses.read(FieldName::CodingScheme) == Some(THREE_QUARTERS)
}

fn contradiction(detail: String) -> DeviceError {
    DeviceError::Protocol {
        what: "the identity in the eFuses".into(),
        detail,
    }
}
