//! What a stream can be told, and how it is written.
//!
//! A record is a header of 24 bytes and its content:
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | CRC32C of everything behind it |
//! | 4..8 | length of the content |
//! | 8..12 | stream |
//! | 12 | kind: 1 entry, 2 truncate, 3 purge, 4 slot, 5 mark |
//! | 13 | slot number (kind 4); 1 to set and 0 to clear (kind 5); else 0 |
//! | 14..16 | 0 |
//! | 16..24 | entry: its index; truncate: first index removed; purge: last index removed; mark: first index lost |
//!
//! Marks are of programs of before, which repeated a clear one for each stream in each segment. They are
//! read and not written; one that is set says that entries of the stream are lost.

use bytes::Bytes;

use crate::StreamId;
use crate::sector::{u32_at, u64_at};

/// Size of a record's header.
pub(crate) const HEAD: usize = 24;

/// One change of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Appends an entry.
    Entry { index: u64, bytes: Bytes },
    /// Removes all entries from this index on.
    Truncate { from: u64 },
    /// Removes all entries up to and including this index.
    Purge { upto: u64 },
    /// Sets a slot.
    Slot { slot: u8, bytes: Bytes },
}

impl Change {
    /// Bytes of the record.
    pub(crate) fn size(&self) -> usize {
        HEAD + self.content().len()
    }

    fn content(&self) -> &[u8] {
        match self {
            Change::Entry { bytes, .. } | Change::Slot { bytes, .. } => bytes,
            Change::Truncate { .. } | Change::Purge { .. } => &[],
        }
    }

    /// Kind, slot, index.
    fn head(&self) -> (u8, u8, u64) {
        match *self {
            Change::Entry { index, .. } => (1, 0, index),
            Change::Truncate { from } => (2, 0, from),
            Change::Purge { upto } => (3, 0, upto),
            Change::Slot { slot, .. } => (4, slot, 0),
        }
    }

    /// Writes the record behind what `out` holds.
    pub(crate) fn encode(&self, stream: StreamId, out: &mut Vec<u8>) {
        let (kind, slot, index) = self.head();
        let content = self.content();
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        // Admission bounds a record to a quarter of a segment, so its length fits.
        out.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&stream.0.to_le_bytes());
        out.extend_from_slice(&[kind, slot, 0, 0]);
        out.extend_from_slice(&index.to_le_bytes());
        out.extend_from_slice(content);
        let crc = crc32c::crc32c(&out[start + 4..]);
        out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    }
}

/// Reads the record at the beginning of `bytes`; also returns its size. `None` for a record that says
/// nothing. The error says what is wrong with it.
pub(crate) fn decode(bytes: &Bytes) -> Result<(StreamId, Option<Change>, usize), &'static str> {
    if bytes.len() < HEAD {
        return Err("a record is cut");
    }
    let size = HEAD + u32_at(bytes, 4) as usize;
    if bytes.len() < size {
        return Err("a record is longer than its group");
    }
    if crc32c::crc32c(&bytes[4..size]) != u32_at(bytes, 0) {
        return Err("a record's checksum does not match");
    }
    let (slot, index, content) = (bytes[13], u64_at(bytes, 16), bytes.slice(HEAD..size));
    let stream = StreamId(u32_at(bytes, 8));
    let change = match bytes[12] {
        1 => Change::Entry { index, bytes: content },
        2 => Change::Truncate { from: index },
        3 => Change::Purge { upto: index },
        4 => Change::Slot { slot, bytes: content },
        5 if slot == 0 => return Ok((stream, None, size)),
        5 => return Err("a mark says that entries are lost"),
        _ => return Err("a record is of an unknown kind"),
    };
    Ok((stream, Some(change), size))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mark of programs of before.
    fn mark(set: u8) -> Bytes {
        let mut record = vec![0; HEAD];
        record[12..14].copy_from_slice(&[5, set]);
        let crc = crc32c::crc32c(&record[4..]);
        record[..4].copy_from_slice(&crc.to_le_bytes());
        record.into()
    }

    #[test]
    fn a_clear_mark_says_nothing_and_a_set_one_is_damage() {
        assert_eq!(decode(&mark(0)), Ok((StreamId(0), None, HEAD)));
        assert_eq!(decode(&mark(1)), Err("a mark says that entries are lost"));
    }
}
