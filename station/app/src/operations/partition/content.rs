//! What the places of a flash hold, as far as their first bytes and the chip's own MD5 tell.

use schemars::JsonSchema;
use serde::Serialize;
use station_device::NoProgress;
use station_device::session::Session;
use station_esp::image::{Content, Header, Piece};
use station_esp::picture::Fill;

use crate::operation::OperationError;

/// Bytes of a segment's header.
const SEGMENT: u32 = 8;
/// First bytes that are looked at.
const LOOK: u32 = 32;

/// What a place holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ContentView {
    /// Name of the partition, `bootloader` or `partition-table`
    pub name: String,
    /// erased, image, table or data
    pub content: String,
    /// Bytes in use from its start, where that is known
    pub used: Option<u32>,
    /// Bytes it has
    pub size: u32,
}

/// A place to be looked at.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) offset: u32,
    pub(super) size: u32,
}

/// What was seen of a place.
pub(super) struct Seen {
    pub(super) place: Place,
    pub(super) content: Content,
    pub(super) used: Option<u32>,
}

impl Seen {
    pub(super) fn view(&self) -> ContentView {
        let content = match self.content {
            Content::Erased => "erased",
            Content::Image => "image",
            Content::Table => "table",
            Content::Data => "data",
        };
        ContentView {
            name: self.place.name.clone(),
            content: content.to_owned(),
            used: self.used,
            size: self.place.size,
        }
    }

    /// The same for a picture, which takes what is not known for full.
    pub(super) fn fill(&self) -> Fill {
        Fill {
            name: self.place.name.clone(),
            used: self.used.unwrap_or(self.place.size),
            content: self.content,
        }
    }

    /// What a file of a whole flash holds in this place.
    pub(super) fn in_file(place: Place, pieces: &[Piece]) -> Self {
        let piece = pieces.iter().find(|piece| piece.name == place.name);
        let length = piece.map_or(0, |piece| piece.bytes.len());
        Self {
            content: piece.map_or(Content::Erased, |piece| piece.content),
            used: Some(u32::try_from(length).unwrap_or(u32::MAX)),
            place,
        }
    }

    /// What a chip's flash holds in this place: one MD5, and a few bytes if it is not erased.
    ///
    /// # Errors
    /// Those of the session.
    pub(super) async fn on_chip(
        session: &mut Session,
        place: Place,
    ) -> Result<Self, OperationError> {
        if session.is_blank(place.offset, place.size).await? {
            return Ok(Self {
                place,
                content: Content::Erased,
                used: Some(0),
            });
        }
        let look = LOOK.min(place.size);
        let first = session.read_flash(place.offset, look, &NoProgress).await?;
        let content = match Content::of(&first) {
            // Its first bytes are erased, yet something is behind them.
            Content::Erased => Content::Data,
            other @ (Content::Image | Content::Table | Content::Data) => other,
        };
        let used = match (content, Header::parse(&first)) {
            (Content::Image, Ok(header)) => image_length(session, &place, &header).await?,
            _ => None,
        };
        Ok(Self {
            place,
            content,
            used,
        })
    }
}

/// Bytes of an image by the headers of its segments; none where they lead out of the place.
async fn image_length(
    session: &mut Session,
    place: &Place,
    header: &Header,
) -> Result<Option<u32>, OperationError> {
    let mut at = Header::LENGTH as u32;
    for _ in 0..header.segments {
        let inside = at.checked_add(SEGMENT).is_some_and(|end| end <= place.size);
        if !inside {
            return Ok(None);
        }
        let read = session
            .read_flash(place.offset + at, SEGMENT, &NoProgress)
            .await?;
        let length = read.get(4..8).and_then(|four| four.try_into().ok());
        let length = u32::from_le_bytes(length.unwrap_or([0xFF; 4]));
        let Some(next) = at
            .checked_add(SEGMENT)
            .and_then(|at| at.checked_add(length))
        else {
            return Ok(None);
        };
        at = next;
    }
    // The checksum is the last byte of its 16-byte line.
    let end = u64::from(at) / 16 * 16 + 16 + if header.hash_appended { 32 } else { 0 };
    Ok(u32::try_from(end).ok().filter(|end| *end <= place.size))
}
