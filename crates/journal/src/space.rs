//! How much a journal takes: limits that follow from the size of a segment.

use crate::JournalError;
use crate::StreamId;
use crate::disk::SECTOR;
use crate::group::{BLOCK_SECTORS, sectors_for};
use crate::record::{self, Change};
use crate::sector::PAYLOAD;

/// Limits in sectors, all multiples of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Space {
    pub(crate) segment_bytes: u32,
    /// Sectors of a segment file.
    pub(crate) sectors: u32,
    /// A quarter of a segment: room for what each new segment repeats, for the largest record, and
    /// for votes and purges when there is no space for a further segment.
    pub(crate) quarter: u32,
}

/// A flush makes at most so many bytes of records durable, a larger record apart: long flushes would
/// make all others wait.
const GROUP_BYTES: usize = 1024 * 1024;
/// Fixed bytes of a stream in a checkpoint: its purge.
const STREAM_BYTES: usize = record::HEAD;

impl Space {
    pub(crate) fn new(segment_bytes: u32) -> Space {
        let sectors = segment_bytes / SECTOR as u32;
        let quarter = (sectors - BLOCK_SECTORS) / 4 / BLOCK_SECTORS * BLOCK_SECTORS;
        Space { segment_bytes, sectors, quarter }
    }

    /// Bytes of records that fit into a quarter of a segment.
    pub(crate) fn record_limit(self) -> usize {
        // A group's own 16 bytes.
        self.quarter as usize * PAYLOAD - 16
    }

    /// Bytes of records in one group.
    pub(crate) fn group_bytes(self) -> usize {
        GROUP_BYTES.min(self.record_limit())
    }

    /// The most sectors that records of `bytes` bytes together can take, however they fall into
    /// groups: of two neighbouring groups one is at least half full, and each wastes less than a
    /// block.
    pub(crate) fn cost(self, bytes: usize) -> u64 {
        if bytes == 0 {
            return 0;
        }
        let groups = 2 * bytes / self.group_bytes() + 1;
        u64::from(sectors_for(bytes)) + groups as u64 * u64::from(BLOCK_SECTORS)
    }

    /// Sectors that surely can be written before another segment is needed: `end` is the end of the
    /// current one; `spare` says whether the next one is ready.
    pub(crate) fn room(self, end: u32, spare: bool) -> u64 {
        let in_next = self.sectors - BLOCK_SECTORS - self.quarter;
        u64::from(if spare { in_next } else { self.sectors - end })
    }

    /// Refuses a record that is over the limit, or that makes the checkpoint too large, of which
    /// the rest takes `kept` bytes (0: the change adds nothing to it).
    pub(crate) fn check(
        self,
        stream: StreamId,
        change: &Change,
        kept: usize,
    ) -> Result<(), JournalError> {
        let repeated = match change {
            Change::Slot { .. } => kept + change.size(),
            _ => kept,
        };
        let bytes = change.size().max(repeated);
        let limit = self.record_limit();
        if bytes <= limit {
            return Ok(());
        }
        Err(JournalError::TooLarge { stream, bytes: bytes as u64, limit: limit as u64 })
    }

    /// What a stream with slots of these sizes takes in a checkpoint.
    pub(crate) fn kept(slots: impl Iterator<Item = usize>) -> usize {
        STREAM_BYTES + slots.map(|bytes| record::HEAD + bytes).sum::<usize>()
    }
}
