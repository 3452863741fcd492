//! A write group: the records that one flush makes durable, laid out over whole blocks of sectors.
//!
//! The group's bytes run through the payloads of its sectors. They begin with 16 bytes: the group's
//! number (`u64`, grows by one, so that a missing group is noticed), its sectors (`u32`) and its
//! used bytes including these (`u32`). Records follow; the rest is zero.

use bytes::Bytes;

use crate::StreamId;
use crate::blocks::Blocks;
use crate::disk::{BLOCK, SECTOR};
use crate::record::Change;
use crate::sector::{self, Key, PAYLOAD, Place, u32_at, u64_at};

const HEAD: usize = 16;
/// Sectors of a block; groups begin and end at blocks.
pub(crate) const BLOCK_SECTORS: u32 = (BLOCK / SECTOR) as u32;

/// Sectors of a group whose records have `bytes` bytes together.
pub(crate) fn sectors_for(bytes: usize) -> u32 {
    let blocks = (HEAD + bytes).div_ceil(PAYLOAD * BLOCK_SECTORS as usize);
    u32::try_from(blocks).unwrap_or(u32::MAX).saturating_mul(BLOCK_SECTORS)
}

/// Where an entry's record is: segment, and position of the record in the chain of the payloads of
/// all sectors of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// Number of the segment; 0 while the record is not on disk.
    pub(crate) segment: u32,
    /// Position of the record's header.
    pub(crate) at: u32,
    /// Size of the record.
    pub(crate) size: u32,
}

impl Location {
    /// Of a record that is only queued.
    pub(crate) const QUEUED: Location = Location { segment: 0, at: 0, size: 0 };

    /// First sector and number of sectors.
    pub(crate) fn sectors(self) -> (u64, usize) {
        let (first, behind) = (self.at as usize / PAYLOAD, (self.at + self.size) as usize);
        (first as u64, behind.div_ceil(PAYLOAD) - first)
    }
}

/// Collects the records of a group.
pub(crate) struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    /// An empty group.
    pub(crate) fn new() -> Builder {
        Builder { bytes: vec![0; HEAD] }
    }

    /// Adds a record and returns its offset within the group and its size.
    pub(crate) fn push(&mut self, stream: StreamId, change: &Change) -> (usize, usize) {
        let start = self.bytes.len();
        change.encode(stream, &mut self.bytes);
        (start, self.bytes.len() - start)
    }

    /// Sectors of the group as it stands.
    pub(crate) fn sectors(&self) -> u32 {
        sectors_for(self.bytes.len() - HEAD)
    }

    /// Lays the group out for `segment` at `first` into `out`.
    pub(crate) fn lay(
        &mut self,
        number: u64,
        key: Key,
        segment: u32,
        first: u32,
        out: &mut Blocks,
    ) {
        let sectors = self.sectors();
        let used = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes[0..8].copy_from_slice(&number.to_le_bytes());
        self.bytes[8..12].copy_from_slice(&sectors.to_le_bytes());
        self.bytes[12..16].copy_from_slice(&used.to_le_bytes());
        let out = out.reset(sectors as usize * SECTOR);
        let mut parts = self.bytes.chunks(PAYLOAD);
        for (sector, at) in out.chunks_exact_mut(SECTOR).zip(first..) {
            let part = parts.next().unwrap_or(&[]);
            sector::payload_mut(sector)[..part.len()].copy_from_slice(part);
            sector::seal(sector, key, Place { segment, sector: at, group: first });
        }
    }
}

/// The location of a record that a group at `first` of `segment` holds at `offset`.
pub(crate) fn locate(segment: u32, first: u32, (offset, size): (usize, usize)) -> Location {
    let at = first as usize * PAYLOAD + offset;
    // Segments have at most 1 GiB.
    let narrow = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Location { segment, at: narrow(at), size: narrow(size) }
}

/// The chained payloads of sectors that were found fresh.
pub(crate) fn chain(sectors: &[u8]) -> Vec<u8> {
    sectors.chunks_exact(SECTOR).flat_map(sector::payload).copied().collect()
}

/// What a group's first sector says: number and sectors.
pub(crate) fn head(first_sector: &[u8]) -> (u64, u32) {
    let payload = sector::payload(first_sector);
    (u64_at(payload, 0), u32_at(payload, 8))
}

/// The used bytes of a group, and where its records begin; `None` when its head contradicts itself.
pub(crate) fn content(chained: Vec<u8>) -> Option<(Bytes, usize)> {
    let used = u32_at(&chained, 12) as usize;
    (HEAD..=chained.len()).contains(&used).then(|| (Bytes::from(chained).slice(..used), HEAD))
}
