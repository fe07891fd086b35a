//! Where something that lies in flash is read from: a file, or the chip itself.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::Chip;
use station_esp::secret::Secret;

use super::attached::{Attached, Reported, reported};
use super::images::RawFile;
use super::place::{read_table, within};
use crate::operation::{Call, OperationError};
use crate::station::Station;

/// A file, or a chip.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// The file; none when a chip is named
    #[arg(required_unless_present = "port")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The chip instead of a file, by bay name or address: tty:/dev/ttyUSB0, tcp://host:port, rfc2217://host:port, virtual:N
    #[arg(long, short, conflicts_with = "file")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Baud rate for the conversation; slower ones are tried if it does not work
    #[arg(long, requires = "port", value_parser = clap::value_parser!(u32).range(1_200..=5_000_000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1_200, max = 5_000_000))]
    pub baud: Option<u32>,
    /// The chip that a file is for; any other chip is refused
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub chip: Option<Chip>,
    /// Talk to the ROM loader only; load no flasher stub
    #[arg(long, requires = "port")]
    #[serde(default)]
    pub no_stub: bool,
    /// Do not reset the chip first; it must already wait in its bootloader
    #[arg(long, requires = "port")]
    #[serde(default)]
    pub no_reset: bool,
}

/// Which of the two.
pub(super) enum Origin<'a> {
    /// A file.
    File(&'a PathBuf),
    /// A chip.
    Chip(Attached),
}

impl Source {
    /// Which of the two is meant.
    ///
    /// # Errors
    /// `source-missing`, `source-ambiguous`.
    pub(super) fn origin(&self) -> Result<Origin<'_>, OperationError> {
        match (&self.file, &self.port) {
            (Some(file), None) => Ok(Origin::File(file)),
            (None, Some(port)) => Ok(Origin::Chip(Attached {
                port: port.clone(),
                baud: self.baud,
                chip: self.chip,
                no_stub: self.no_stub,
                no_reset: self.no_reset,
            })),
            (None, None) => Err(OperationError::usage(
                "source-missing",
                "neither a file nor a chip was named",
            )
            .hint("give `file`, or `port` for what lies in a chip's flash")),
            (Some(_), Some(_)) => Err(OperationError::usage(
                "source-ambiguous",
                "name a file or a port, not both",
            )),
        }
    }

    /// The content of a partition, and where it lies if it was read from a chip: a file is all of it, on a chip
    /// it has the name, and `length` says of its size how much is read.
    ///
    /// # Errors
    /// As [`Self::origin`]; those of files, of the session and of the table.
    pub(super) async fn partition(
        &self,
        station: &Station,
        (name, table): (&str, u32),
        length: impl Fn(u32) -> Result<u32, OperationError> + Send,
        call: &Call,
    ) -> Result<(Option<u32>, Secret), OperationError> {
        let attached = match self.origin()? {
            Origin::File(file) => {
                let read = RawFile::read(station, file).await?.into_bytes();
                return Ok((None, Secret::new(read)));
            }
            Origin::Chip(attached) => attached,
        };
        let mut session = attached.connect(station, call).await?;
        let reading = async {
            let table = reported(call, "reading", None, read_table(&mut session, table)).await?;
            let (offset, size) = within(&table, name)?;
            let progress = Reported::to(call);
            let read = session.read_flash(offset, length(size)?, &progress).await?;
            Ok((Some(offset), Secret::new(read)))
        };
        let read = reading.await;
        attached.finish(session, read).await
    }
}
