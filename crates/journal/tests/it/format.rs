//! The format on disk (C12): stored samples of each version are read for ever.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use regrow_journal::disk::memory::MemoryDisk;
use regrow_journal::disk::{BLOCK, Disk, SECTOR};
use regrow_journal::{OpenError, Slot};

use crate::support::{append, entries, id, open, options};

fn vector(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

/// A journal in one segment with every kind of record.
fn sample() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk, options()).expect("a new journal");
    let (one, two) = (journal.stream(id(1)), journal.stream(id(2)));
    append(&one, &[(0, b"zero"), (1, b"one"), (2, b"two")]).wait().expect("durable");
    one.truncate_after(Some(1), |result| result.expect("durable"));
    append(&one, &[(2, b"second two"), (3, &[3; 1500])]).wait().expect("durable");
    one.purge(0, |result| result.expect("durable"));
    two.save(Slot(1), Bytes::from_static(b"an older vote"), |result| result.expect("durable"));
    two.save(Slot(1), Bytes::from_static(b"a vote"), |result| result.expect("durable"));
    append(&two, &[(100, b"begins late")]).wait().expect("durable");
    disk
}

/// The first sectors of a segment, without the formatted rest.
fn head(disk: &MemoryDisk) -> Vec<u8> {
    let mut bytes = Vec::new();
    disk.edit("segment-0000000001", |all| bytes = all.clone());
    bytes
}

fn check(disk: &MemoryDisk) {
    let (journal, report) = open(disk, options()).expect("a sample");
    assert_eq!((report.torn, report.created), (None, false));
    let one = entries(&journal.stream(id(1))).expect("readable");
    let wanted: [(u64, &[u8]); 3] = [(1, b"one"), (2, b"second two"), (3, &[3; 1500])];
    assert_eq!(one, wanted.map(|(index, bytes)| (index, bytes.to_vec())));
    let two = journal.stream(id(2));
    assert_eq!(entries(&two).expect("readable"), [(100, b"begins late".to_vec())]);
    assert_eq!(two.load(Slot(1)).expect("a slot"), "a vote");
    assert_eq!(two.purged(), Some(99));
}

/// A disk with one segment file.
fn disk_with(bytes: &[u8]) -> MemoryDisk {
    let disk = MemoryDisk::new();
    disk.create("segment-0000000001", bytes.len() as u64).expect("a file");
    disk.edit("segment-0000000001", |all| all.copy_from_slice(bytes));
    disk
}

#[test]
fn version_1_is_written_as_recorded() {
    let path = vector("v1-segment.bin");
    let written = head(&sample());
    if std::env::var_os("REGROW_GOLDEN").is_some_and(|mode| mode == "update") {
        std::fs::write(&path, &written).expect("a new sample");
    }
    let recorded = std::fs::read(&path).expect("a sample");
    assert!(written == recorded, "what is written differs from the sample: a new version is due");
}

#[test]
fn version_1_is_read() {
    check(&disk_with(&std::fs::read(vector("v1-segment.bin")).expect("a sample")));
    // As programs of before wrote it: with marks, which say nothing.
    check(&disk_with(&std::fs::read(vector("v1-segment-marks.bin")).expect("a sample")));
}

#[test]
fn a_newer_version_is_refused() {
    let disk = sample();
    disk.edit("segment-0000000001", |bytes| {
        bytes[8] = 2;
        let crc = crc32c::crc32c(&bytes[..BLOCK - 4]);
        bytes[BLOCK - 4..BLOCK].copy_from_slice(&crc.to_le_bytes());
    });
    let error = open(&disk, options()).expect_err("a newer version");
    assert!(matches!(error, OpenError::Version { found: 2, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("segment-0000000001 has format version 2"), "{error}");
}

#[test]
fn a_group_with_a_number_that_none_can_follow_is_damage() {
    let disk = sample();
    disk.edit("segment-0000000001", |bytes| {
        // The number is the first in the payload of the group's first sector.
        bytes[BLOCK + 16..BLOCK + 24].copy_from_slice(&u64::MAX.to_le_bytes());
        let key = crc32c::crc32c_append(crc32c::crc32c(&bytes[24..40]), &bytes[20..24]);
        let crc = crc32c::crc32c_append(key, &bytes[BLOCK + 4..BLOCK + SECTOR]);
        bytes[BLOCK..BLOCK + 4].copy_from_slice(&crc.to_le_bytes());
    });
    let error = open(&disk, options()).expect_err("damage");
    assert!(error.to_string().contains("a group's number is out of range"), "{error}");
}

#[test]
fn a_segment_of_another_journal_is_refused() {
    let disk = sample();
    let foreign = {
        // A disk in memory numbers its ids: the first one is the sample's.
        let renewed = MemoryDisk::new();
        let _first = renewed.nonce().expect("an id");
        let (journal, _) = open(&renewed, options()).expect("a new journal");
        append(&journal.stream(id(0)), &[(0, b"x")]).wait().expect("durable");
        let mut bytes = Vec::new();
        renewed.edit("segment-0000000002", |all| bytes = all.clone());
        bytes
    };
    disk.edit("segment-0000000002", |all| all.copy_from_slice(&foreign));
    let error = open(&disk, options()).expect_err("a foreign segment");
    assert!(
        matches!(&error, OpenError::Foreign { file } if file == "segment-0000000002"),
        "{error}"
    );
}
