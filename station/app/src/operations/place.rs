//! Places in flash: offsets, and names of partitions of the table that lies there.

use station_device::NoProgress;
use station_device::session::Session;
use station_esp::partition::{Entry, PartitionError, Table};

use super::text::bytes;
use crate::operation::{Exit, OperationError};

/// Where a partition table lies unless the recipe or the caller says otherwise (ESP-IDF's default).
pub(super) const TABLE_OFFSET: u32 = 0x8000;
/// Room a partition table takes: one sector.
const TABLE_SIZE: u32 = 0x1000;

/// In place of an offset of the table that nobody named.
pub(super) fn table_offset() -> String {
    format!("{TABLE_OFFSET:#x}")
}

/// Where something goes and how much room there is: an offset, the name of a partition of the table on the
/// chip, or such a name with `+` and a distance into it.
pub(super) async fn place(
    session: &mut Session,
    at: &str,
) -> Result<(u32, Option<u32>), OperationError> {
    if !at.starts_with(|character: char| character.is_ascii_digit()) {
        let table = read_table(session, TABLE_OFFSET).await?;
        return within(&table, at).map(|(offset, room)| (offset, Some(room)));
    }
    match bytes(at) {
        Ok(offset) => Ok((offset, None)),
        // A partition's name may begin with a digit; what is no name either is no number.
        Err(refused) => {
            let table = read_table(session, TABLE_OFFSET).await.ok();
            let named = table
                .as_ref()
                .filter(|table| partition(table, at).is_some());
            let (offset, room) = within(named.ok_or(refused)?, at)?;
            Ok((offset, Some(room)))
        }
    }
}

/// The partition that a text names, by itself or with a distance.
fn partition<'a>(table: &'a Table, at: &str) -> Option<&'a Entry> {
    let at = at.trim();
    let of_distance = || table.find(at.rsplit_once('+')?.0.trim());
    table.find(at).or_else(of_distance)
}

/// The place in a partition that a text names, and the room from there to the partition's end.
///
/// # Errors
/// `partition-unknown`, `partition-distance`, `partition-distance-outside`.
pub(super) fn within(table: &Table, at: &str) -> Result<(u32, u32), OperationError> {
    let Some(entry) = partition(table, at) else {
        let names = table.entries().iter().map(|entry| entry.name.as_str());
        let names: Vec<&str> = names.collect();
        let message = format!("the table has no partition `{at}`");
        return Err(OperationError::usage("partition-unknown", message)
            .hint(format!("it names {}", names.join(", "))));
    };
    let offset = table
        .address(at)
        .map_err(|error| OperationError::usage(error.code(), error.to_string()))?;
    let room = entry.end().saturating_sub(offset.into());
    Ok((offset, u32::try_from(room).unwrap_or(u32::MAX)))
}

/// Reads the partition table on the chip.
pub(super) async fn read_table(session: &mut Session, at: u32) -> Result<Table, OperationError> {
    read_flash_table(session, at).await?.map_err(|error| {
        OperationError::new(
            error.code(),
            format!("the partition table at 0x{at:x}: {error}"),
        )
        .exit(Exit::SomeFailed)
    })
}

/// The same, with a chip that cannot be read told apart from one that has no table there.
pub(super) async fn read_flash_table(
    session: &mut Session,
    at: u32,
) -> Result<Result<Table, PartitionError>, OperationError> {
    let content = session.read_flash(at, TABLE_SIZE, &NoProgress).await?;
    Ok(Table::parse_binary(&content))
}
