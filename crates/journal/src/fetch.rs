//! Reads one entry from its file.

use std::sync::Arc;

use bytes::Bytes;

use crate::disk::SECTOR;
use crate::error::Damage;
use crate::group::{self, Location};
use crate::record::{self, Change};
use crate::sector::{self, PAYLOAD, Sector};
use crate::segment::Segment;
use crate::{JournalError, StreamId};

/// Damage at an entry.
pub(crate) fn damaged(
    stream: StreamId,
    index: u64,
    at: Location,
    what: &'static str,
) -> JournalError {
    let (segment, offset) = (at.segment, at.sectors().0 * SECTOR as u64);
    let damage = Damage { segment, offset, stream: Some(stream), index: Some(index), what };
    JournalError::Damaged(Arc::new(damage))
}

/// Reads the record of entry `index` and checks that it is what was asked for.
pub(crate) fn fetch(
    stream: StreamId,
    index: u64,
    at: Location,
    segment: &Segment,
) -> Result<Bytes, JournalError> {
    let (first, sectors) = at.sectors();
    let mut image = vec![0; sectors * SECTOR];
    segment
        .file
        .read_at(&mut image, first * SECTOR as u64)
        .map_err(|cause| JournalError::Read { segment: at.segment, cause: Arc::new(cause) })?;
    let key = segment.header.key();
    for (bytes, number) in image.chunks_exact(SECTOR).zip(at.at / PAYLOAD as u32..) {
        match sector::inspect(bytes, key, at.segment, number) {
            Sector::Fresh(_) => {}
            Sector::Stale => return Err(damaged(stream, index, at, "a sector is out of date")),
            Sector::Damaged(what) => return Err(damaged(stream, index, at, what)),
        }
    }
    let bytes = Bytes::from(group::chain(&image)).slice(at.at as usize % PAYLOAD..);
    match record::decode(&bytes) {
        Ok((id, Some(Change::Entry { index: found, bytes }), _))
            if id == stream && found == index =>
        {
            Ok(bytes)
        }
        Ok(_) => Err(damaged(stream, index, at, "another record lies here")),
        Err(what) => Err(damaged(stream, index, at, what)),
    }
}
