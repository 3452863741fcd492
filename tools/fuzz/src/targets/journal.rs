//! Segment files of the journal, on a disk in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use regrow_journal::disk::memory::MemoryDisk;
use regrow_journal::disk::{BLOCK, Disk, SECTOR};
use regrow_journal::{
    Journal, JournalError, Mode, OpenError, Options, SEGMENT_MIN, Slot, StreamId,
};

use crate::scratch::{choice, must, pieces};

const NAME: &str = "segment-0000000001";
/// Bytes of a sector before its payload.
const SECTOR_HEAD: usize = 16;
/// Bytes of a group before its records.
const GROUP_HEAD: usize = 16;
/// Where a header's checksum stands.
const CRC_AT: usize = BLOCK - 4;
/// Most bytes of entries that are read at once.
const READ_BYTES: usize = 1 << 20;

const OPTIONS: Options = Options {
    segment_bytes: SEGMENT_MIN,
    cache_bytes: 2048,
    pool: 0,
    mode: Mode::Inline,
    sync: regrow_journal::Sync::Always,
};

fn open(disk: &MemoryDisk) -> Result<Journal, OpenError> {
    Journal::open_on(Arc::new(disk.clone()), OPTIONS).map(|(journal, _)| journal)
}

fn done(result: Result<(), JournalError>) {
    must(result, "write to the journal");
}

/// A disk with one segment that holds every kind of record, and its bytes.
static SAMPLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let disk = MemoryDisk::new();
    let journal = must(open(&disk), "make a journal");
    let (one, two) = (journal.stream(StreamId(1)), journal.stream(StreamId(2)));
    let entries = |from: u64| (from..from + 3).map(|index| (index, Bytes::from_static(b"entry")));
    one.append(entries(0).collect(), done);
    one.truncate_after(Some(1), done);
    one.append(vec![(2, Bytes::from(vec![3; 1500]))], done);
    one.purge(0, done);
    two.save(Slot(1), Bytes::from_static(b"a vote"), done);
    two.append(entries(100).collect(), done);
    drop(journal);
    files(&disk).remove(NAME).unwrap_or_default()
});

fn files(disk: &MemoryDisk) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for name in must(disk.list(), "list the disk") {
        disk.edit(&name, |bytes| {
            files.insert(name.clone(), bytes.clone());
        });
    }
    files
}

fn disk_with(bytes: &[u8]) -> MemoryDisk {
    let disk = MemoryDisk::new();
    must(disk.create(NAME, bytes.len() as u64), "make a file");
    disk.edit(NAME, |all| all.copy_from_slice(bytes));
    disk
}

/// A file as it is, the sample with changes, the sample with changes under right checksums, or
/// records of any content in a whole group.
fn segment(data: &[u8]) -> Vec<u8> {
    let (how, rest) = choice(data, 4);
    match how {
        0 => rest.to_vec(),
        1 => edited(rest),
        2 => resealed(edited(rest)),
        _ => {
            let records: Vec<u8> = pieces(rest).flat_map(record).collect();
            resealed(with_group(&records))
        }
    }
}

/// The sample with changes: each piece is a place (two bytes) and what stands there instead.
fn edited(data: &[u8]) -> Vec<u8> {
    let mut bytes = SAMPLE.clone();
    for piece in pieces(data) {
        let Some((at, new)) = piece.split_first_chunk::<2>() else { continue };
        let at = usize::from(u16::from_le_bytes(*at)) % bytes.len();
        let end = bytes.len().min(at + new.len());
        bytes[at..end].copy_from_slice(&new[..end - at]);
    }
    bytes
}

/// A record under a right checksum: of a piece the first 16 bytes are its head, the rest its content.
fn record(piece: &[u8]) -> Vec<u8> {
    let (head, content) = piece.split_at(piece.len().min(16));
    let mut behind = u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    behind.extend_from_slice(head);
    behind.resize(20, 0);
    behind.extend_from_slice(content);
    [crc32c::crc32c(&behind).to_le_bytes().to_vec(), behind].concat()
}

/// The sample with one group of these records instead of its own.
fn with_group(records: &[u8]) -> Vec<u8> {
    let mut bytes = SAMPLE.clone();
    let payload = SECTOR - SECTOR_HEAD;
    let used = GROUP_HEAD + records.len();
    let blocks = used.div_ceil(payload * (BLOCK / SECTOR));
    let sectors = (blocks * (BLOCK / SECTOR)).min((bytes.len() - BLOCK) / SECTOR);
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
    let group = [&1_u64.to_le_bytes()[..], &number(sectors), &number(used), records].concat();
    let mut parts = group.chunks(payload);
    for (at, sector) in bytes.chunks_exact_mut(SECTOR).enumerate().skip(BLOCK / SECTOR) {
        let ours = at < BLOCK / SECTOR + sectors;
        let part = parts.next().filter(|_| ours).unwrap_or_default();
        sector[4..8].copy_from_slice(&number(usize::from(ours)));
        sector[12..16].copy_from_slice(&number(if ours { BLOCK / SECTOR } else { 0 }));
        sector[SECTOR_HEAD..].fill(0);
        sector[SECTOR_HEAD..SECTOR_HEAD + part.len()].copy_from_slice(part);
    }
    bytes
}

/// With the checksums that belong to what stands there: see the formats in `segment` and `sector`.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let header = crc32c::crc32c(&bytes[..CRC_AT]);
    bytes[CRC_AT..BLOCK].copy_from_slice(&header.to_le_bytes());
    let key = crc32c::crc32c(&bytes[24..40]);
    let key = crc32c::crc32c_append(key, &bytes[20..24]);
    for sector in bytes.chunks_exact_mut(SECTOR).skip(BLOCK / SECTOR) {
        let crc = crc32c::crc32c_append(key, &sector[4..]);
        sector[..4].copy_from_slice(&crc.to_le_bytes());
    }
    bytes
}

/// All that a journal holds: bounds, slots and entries of each stream.
type Held = Vec<(StreamId, [Option<u64>; 3], Option<Bytes>, Vec<(u64, Bytes)>)>;

fn held(journal: &Journal) -> Held {
    let look = |id: StreamId| {
        let stream = journal.stream(id);
        let bounds = [stream.first(), stream.last(), stream.purged()];
        let mut entries = Vec::new();
        if let [Some(mut at), Some(last), ..] = bounds {
            assert!(at <= last && last < u64::MAX, "{bounds:?}");
            while at <= last {
                let part = must(stream.read(at..last + 1, READ_BYTES), "read the journal");
                assert!(
                    !part.is_empty() && part.iter().map(|one| one.0).eq(at..at + part.len() as u64)
                );
                at += part.len() as u64;
                entries.extend(part);
            }
        }
        (id, bounds, stream.load(Slot(1)), entries)
    };
    journal.streams().into_iter().map(look).collect()
}

/// A damaged file is refused and left as it was, or it is read: twice the same, with all that it
/// says it holds, and what is appended is there the next time.
pub fn segments(data: &[u8]) {
    let bytes = segment(data);
    let disk = disk_with(&bytes);
    let before = files(&disk);
    let journal = match open(&disk) {
        Ok(journal) => journal,
        Err(fault) => {
            assert!(!fault.to_string().is_empty());
            assert_eq!(files(&disk), before, "a refused journal was changed");
            return;
        }
    };
    let found = held(&journal);
    assert!(found.iter().map(|stream| stream.3.len()).sum::<usize>() <= bytes.len());
    drop(journal);
    let journal = must(open(&disk), "open again");
    assert_eq!(held(&journal), found);
    let stream = journal.stream(StreamId(1));
    let next = stream.last().or(stream.purged()).map_or(0, |last| last.saturating_add(1));
    if next < u64::MAX {
        stream.append(vec![(next, Bytes::from_static(b"after"))], done);
        drop(journal);
        let journal = must(open(&disk), "open after an entry");
        assert_eq!(journal.stream(StreamId(1)).last(), Some(next));
    }
}
