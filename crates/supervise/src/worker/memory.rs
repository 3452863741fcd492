//! What the next worker goes on from: kept in memory that init holds, written before effects are
//! carried out.
//!
//! A snapshot of the whole book now and then, and between two of them each record behind it, so that
//! keeping costs what happened and not what there is. Two places for snapshots, far apart in a file
//! with holes, are written in turn; a word at the start of the file says which one is whole and counts
//! the snapshots. Records carry that count and a checksum: those before the last snapshot and one
//! that was cut short are not taken for the next.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use thiserror::Error;

use super::book::{Book, Record};

/// Version of what is kept. Another one is not read: both ends are the same program.
const VERSION: u8 = 2;
/// Where the two snapshots begin, and where the records do.
const PLACES: [u64; 2] = [1 << 12, 1 << 36];
const RECORDS: u64 = 1 << 37;
/// Bytes of the word at the start: count of snapshots and bytes of the last. The place is the lowest
/// bit of the count.
const WORD: usize = 16;
/// Bytes before a record: count of snapshots, length, checksum.
const HEAD: usize = 16;
/// More than any snapshot or record; a length beyond it is damage.
const MOST: u64 = 1 << 30;
/// Bytes of records after which a snapshot is written, at least; and as many as the last snapshot has.
const ENOUGH: u64 = 256 << 10;

/// What went wrong with the memory of the worker.
#[derive(Debug, Error)]
pub enum MemoryError {
    /// The file could not be read or written.
    #[error("{doing} the state that the next worker goes on from: {source}")]
    Io {
        /// `read` or `write`.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// What is in it is not what a worker wrote.
    #[error("read the state of the worker before: {reason}; its jobs are ended and started again")]
    Damaged {
        /// How that is known.
        reason: String,
    },
}

fn reading(source: io::Error) -> MemoryError {
    MemoryError::Io { doing: "read", source }
}

fn writing(source: io::Error) -> MemoryError {
    MemoryError::Io { doing: "write", source }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands behind `map_err`")]
fn damaged(fault: impl ToString) -> MemoryError {
    MemoryError::Damaged { reason: fault.to_string() }
}

/// The memory.
#[derive(Debug)]
pub struct Memory {
    file: File,
    /// Snapshots so far.
    count: u64,
    /// Bytes of the last one.
    snapshot: u64,
    /// Bytes of records behind it.
    records: u64,
}

impl Memory {
    /// The memory in a file that init keeps.
    pub fn new(file: OwnedFd) -> Self {
        Self { file: File::from(file), count: 0, snapshot: 0, records: 0 }
    }

    /// The book that the worker before kept, with every record entered; `None` where there was none.
    ///
    /// # Errors
    /// It cannot be read, or is not what a worker wrote.
    pub fn load(&mut self) -> Result<Option<Book>, MemoryError> {
        let mut word = [0; WORD];
        match self.file.read_exact_at(&mut word, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(reading(error)),
        }
        let (count, length) = (number(&word[..8]), number(&word[8..]));
        if count == 0 || length > MOST {
            return Err(damaged(format!("snapshot {count} of {length} bytes")));
        }
        (self.count, self.snapshot, self.records) = (count, length, 0);
        let bytes = self.bytes(place(count), length)?;
        let mut book: Book = regrow_codec::versioned::decode(VERSION, &bytes).map_err(damaged)?;
        while let Some(record) = self.next()? {
            // What it asked for is done, or said again once init has told what it knows.
            book.enter(record);
        }
        Ok(Some(book))
    }

    fn bytes(&self, at: u64, length: u64) -> Result<Vec<u8>, MemoryError> {
        let mut bytes = vec![0; usize::try_from(length).map_err(damaged)?];
        self.file.read_exact_at(&mut bytes, at).map_err(reading)?;
        Ok(bytes)
    }

    /// The record behind the last one read; `None` at the end, and at one that was cut short.
    fn next(&mut self) -> Result<Option<Record>, MemoryError> {
        let mut head = [0; HEAD];
        let at = RECORDS + self.records;
        if self.file.read_exact_at(&mut head, at).is_err() {
            return Ok(None);
        }
        let (count, length) = (number(&head[..8]), u64::from(half(&head[8..12])));
        if count != self.count || length > MOST {
            return Ok(None);
        }
        let Ok(bytes) = self.bytes(at + HEAD as u64, length) else { return Ok(None) };
        if crc32c::crc32c(&bytes) != half(&head[12..]) {
            return Ok(None);
        }
        self.records += HEAD as u64 + length;
        regrow_codec::versioned::decode(VERSION, &bytes).map(Some).map_err(damaged)
    }

    /// Keeps a record that is about to be entered.
    ///
    /// # Errors
    /// It cannot be written: memory is short.
    pub fn keep(&mut self, record: &Record) -> Result<(), MemoryError> {
        let bytes = regrow_codec::versioned::encode(VERSION, record).map_err(damaged)?;
        let mut entry = Vec::with_capacity(HEAD + bytes.len());
        entry.extend(self.count.to_le_bytes());
        entry.extend(u32::try_from(bytes.len()).map_err(damaged)?.to_le_bytes());
        entry.extend(crc32c::crc32c(&bytes).to_le_bytes());
        entry.extend(bytes);
        self.file.write_all_at(&entry, RECORDS + self.records).map_err(writing)?;
        self.records += entry.len() as u64;
        Ok(())
    }

    /// Whether there are so many records that a snapshot is due.
    pub fn is_full(&self) -> bool {
        self.count == 0 || self.records > ENOUGH.max(self.snapshot)
    }

    /// Keeps the whole book instead of everything before.
    ///
    /// # Errors
    /// It cannot be written: memory is short.
    pub fn snapshot(&mut self, book: &Book) -> Result<(), MemoryError> {
        let bytes = regrow_codec::versioned::encode(VERSION, book).map_err(damaged)?;
        let count = self.count + 1;
        self.file.write_all_at(&bytes, place(count)).map_err(writing)?;
        let mut word = [0; WORD];
        word[..8].copy_from_slice(&count.to_le_bytes());
        word[8..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.file.write_all_at(&word, 0).map_err(writing)?;
        (self.count, self.snapshot, self.records) = (count, bytes.len() as u64, 0);
        Ok(())
    }
}

fn place(count: u64) -> u64 {
    PLACES[usize::from(count % 2 == 1)]
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn half(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Input, Moment};
    use std::time::Duration;

    const CONFIG: &str = "{discovery: 'none', jobs: [
        {name: 'a', exec: 'a', restarts: 'unlimited'}, {name: 'b', exec: 'b', when: {interval: 5}}]}";

    fn book() -> Book {
        super::super::book::tests::book(CONFIG)
    }

    fn reopened(file: &File) -> Memory {
        Memory::new(file.try_clone().expect("a second descriptor").into())
    }

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    fn same(one: &Book, other: &Book) {
        let bytes = |book| regrow_codec::versioned::encode(VERSION, book).expect("encodable");
        assert_eq!(bytes(one), bytes(other));
    }

    #[test]
    fn nothing_was_kept_in_new_memory() {
        let file = tempfile::tempfile().expect("a file");
        assert!(reopened(&file).load().expect("readable").is_none());
    }

    #[test]
    fn the_next_worker_has_the_same_book_after_each_record() {
        let file = tempfile::tempfile().expect("a file");
        let (mut memory, mut book) = (reopened(&file), book());
        memory.snapshot(&book).expect("written");
        let records = (0..50).map(|second| match second {
            0 => Record::Happened(Input::Begin, at(0)),
            1 => Record::Set([("A".to_owned(), "b=c".to_owned())].into()),
            second if second % 7 == 0 => Record::Drained(regrow_init::ProcessId(second)),
            second => Record::Happened(Input::Tick, at(second)),
        });
        for (turn, record) in records.enumerate() {
            if turn == 30 {
                memory.snapshot(&book).expect("written");
            }
            memory.keep(&record).expect("written");
            book.enter(record);
            same(&book, &reopened(&file).load().expect("readable").expect("a book"));
        }
    }

    #[test]
    fn a_record_that_was_cut_short_never_happened() {
        let file = tempfile::tempfile().expect("a file");
        let (mut memory, mut book) = (reopened(&file), book());
        memory.snapshot(&book).expect("written");
        let begin = Record::Happened(Input::Begin, at(0));
        memory.keep(&begin).expect("written");
        book.enter(begin);
        let whole = memory.records;
        memory.keep(&Record::Happened(Input::Tick, at(9))).expect("written");
        let end = RECORDS + memory.records;
        for cut in whole..memory.records {
            file.set_len(RECORDS + cut).expect("cut");
            file.set_len(end).expect("filled with zeros");
            same(&book, &reopened(&file).load().expect("readable").expect("a book"));
        }
    }

    #[test]
    fn what_no_worker_wrote_is_refused() {
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(&[7; WORD], 0).expect("written");
        let refused = reopened(&file).load().expect_err("damage");
        assert!(refused.to_string().contains("started again"), "{refused}");
    }

    #[test]
    fn a_snapshot_of_another_version_or_cut_off_is_refused() {
        let file = tempfile::tempfile().expect("a file");
        let mut memory = reopened(&file);
        memory.snapshot(&book()).expect("written");
        let (at, length) = (place(memory.count), memory.snapshot);
        file.write_all_at(&[VERSION + 1], at).expect("written");
        assert!(reopened(&file).load().is_err());
        file.write_all_at(&[VERSION], at).expect("written");
        assert!(reopened(&file).load().is_ok());
        file.write_all_at(&(length - 1).to_le_bytes(), 8).expect("written");
        assert!(reopened(&file).load().is_err());
    }
}
