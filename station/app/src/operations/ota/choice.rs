//! The choice of a slot where it lies: a partition of a chip, or of a file.

use station_device::session::Session;
use station_device::{NoProgress, PreparedImage, WriteOptions};
use station_esp::flash::SECTOR;
use station_esp::otadata::{Applications, Boot, OTADATA_LENGTH, OtaData, OtaDataError};
use station_esp::partition::{Entry, Table};

use super::super::attached::Reported;
use super::super::place::read_table;
use super::super::target::blocking;
use crate::operation::{Call, OperationError};

/// The choice, and among what.
pub(super) struct Choice {
    /// The partition table.
    pub table: Table,
    /// Where the choice lies.
    pub at: u32,
    /// What it says.
    pub data: OtaData,
}

/// Something that cannot be done to the choice, as an answer.
pub(super) fn impossible(error: &OtaDataError) -> OperationError {
    OperationError::usage(error.code(), error.to_string())
}

/// Where the choice lies.
///
/// # Errors
/// `otadata-missing`, `otadata-length`.
pub(super) fn otadata(table: &Table) -> Result<&Entry, OperationError> {
    let entry = table.otadata().ok_or_else(|| {
        let message = "the table has no partition of type data and subtype ota";
        OperationError::usage("otadata-missing", message)
            .hint("`station partition create-ota` lays out a table for updates")
    })?;
    if entry.size as usize == OTADATA_LENGTH {
        Ok(entry)
    } else {
        Err(impossible(&OtaDataError::Length(entry.size as usize)))
    }
}

impl Choice {
    /// Reads the choice of a chip.
    ///
    /// # Errors
    /// `flash-encrypted`, those of the table and of the session.
    pub(super) async fn on_chip(
        session: &mut Session,
        table_offset: u32,
    ) -> Result<Self, OperationError> {
        if session.identity().flash_encryption() == Some(true) {
            let message =
                "the chip encrypts its flash: nobody but its program reads or changes the choice";
            return Err(OperationError::usage("flash-encrypted", message));
        }
        let table = read_table(session, table_offset).await?;
        let at = otadata(&table)?.offset;
        let data = read(session, at).await?;
        Ok(Self { table, at, data })
    }

    /// The applications there are to choose from.
    pub(super) fn applications(&self) -> Applications {
        Applications::of(&self.table)
    }

    /// The partition of what starts.
    pub(super) fn starts(&self, data: &OtaData) -> Option<&Entry> {
        match data.boot(self.applications()) {
            Boot::Factory => self.table.default_app(),
            Boot::Slot(slot) => self.table.slot(slot),
            Boot::First => self.table.slot(0),
        }
    }

    /// Writes another choice, reads it back and takes it over. Returns how many sectors were written.
    ///
    /// # Errors
    /// Those of the session; `otadata-readback` when something else is read.
    pub(super) async fn write(
        &mut self,
        session: &mut Session,
        new: OtaData,
        call: &Call,
    ) -> Result<u8, OperationError> {
        // The active record last: until it changes, a power cut leaves what starts now.
        let last = self.data.active().unwrap_or(0);
        let mut written = 0;
        for record in [1 - last, last] {
            if self.data.records[record] == new.records[record] {
                continue;
            }
            let at = self.at + if record == 0 { 0 } else { SECTOR };
            let begin = record * SECTOR as usize;
            let content: Vec<u8> = new.to_bytes()[begin..begin + SECTOR as usize].to_vec();
            let image = blocking(move || {
                Ok(PreparedImage::prepare(
                    "otadata".to_owned(),
                    at,
                    content.into(),
                )?)
            })
            .await?;
            session
                .write(&image, &WriteOptions::default(), &Reported::to(call))
                .await?;
            written += 1;
        }
        if read(session, self.at).await? != new {
            let message = "the choice of a slot reads back as something else than was written";
            return Err(OperationError::new("otadata-readback", message));
        }
        self.data = new;
        Ok(written)
    }
}

async fn read(session: &mut Session, at: u32) -> Result<OtaData, OperationError> {
    let length = u32::try_from(OTADATA_LENGTH).unwrap_or(u32::MAX);
    let bytes = session.read_flash(at, length, &NoProgress).await?;
    OtaData::parse(&bytes).map_err(|error| impossible(&error))
}
