//! What was taken from a pipe and is not in the log yet, in a file in memory that outlives a worker.
//!
//! Bytes leave the pipe by one `splice` into the file and by no other way, so there is no instant at
//! which they are in neither. The end of what was taken is the length of the file; the beginning of
//! what is still to be written is in the header. Both only grow: pages that were written out are
//! given back by punching a hole, so a spool takes no more memory than what it holds, and a page or
//! sixteen.
//!
//! The header, little endian, at offset 0:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | `RGSP` |
//! | 4..6 | version, 1 |
//! | 6..8 | 0 |
//! | 8..16 | *written*: all before this offset of the file is in the log |
//! | 16..24 | *mark*: 0, or 1 + the length of the log's file before a write that was begun and whose end is not recorded |
//!
//! The bytes of the stream begin at offset 4096. A file of length 0 is a spool nobody used yet.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FallocateFlags, fallocate, fstat};
use rustix::pipe::{SpliceFlags, splice};

/// Where the bytes of the stream begin: one page, so that the header is never in a page that is
/// given back.
pub const DATA: u64 = 4096;
const PAGE: u64 = 4096;
const MAGIC: &[u8; 4] = b"RGSP";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 24;
/// Pages are given back when this many bytes were written out: one system call for many small lines.
const GIVE_BACK_BYTES: u64 = 64 << 10;

/// A spool that cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The file cannot be used.
    #[error("use the spool of a stream")]
    File(#[source] io::Error),
    /// Its header is of another version or is none.
    #[error("read the header of a spool, found {found}")]
    Header {
        /// What was found instead.
        found: String,
    },
}

/// The header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// All before this offset is in the log.
    pub written: u64,
    /// Length of the log's file before a write whose end is not recorded.
    pub mark: Option<u64>,
}

impl Header {
    /// Its bytes.
    pub fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.written.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.mark.map_or(0, |length| length + 1).to_le_bytes());
        bytes
    }

    /// The header that these bytes are, in a file of `length` bytes.
    pub fn decode(bytes: &[u8; HEADER_BYTES], length: u64) -> Result<Self, SpoolError> {
        let number =
            |at: usize| bytes[at..at + 8].iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
        let version = u16::from_le_bytes([bytes[4], bytes[5]]);
        let (written, mark) = (number(8), number(16).checked_sub(1));
        let found = if &bytes[..4] != MAGIC {
            "no header".to_owned()
        } else if version != VERSION {
            format!("version {version}")
        } else if written < DATA || written > length.max(DATA) {
            format!("position {written} in a file of {length} bytes")
        } else {
            return Ok(Self { written, mark });
        };
        Err(SpoolError::Header { found })
    }
}

/// The spool of one stream.
#[derive(Debug)]
pub struct Spool {
    file: OwnedFd,
    /// Offset of the first byte that is not in the log.
    begin: u64,
    /// Offset behind the last byte that was taken.
    end: u64,
    /// Offset up to which pages were given back.
    given_back: u64,
}

impl Spool {
    /// Goes on with a spool, or begins it. The second value is the mark of a write that a
    /// predecessor did not see the end of.
    pub fn open(file: OwnedFd) -> Result<(Self, Option<u64>), SpoolError> {
        let length = fstat(&file).map_err(|e| SpoolError::File(e.into()))?.st_size.unsigned_abs();
        let mut header = Header { written: DATA, mark: None };
        if length > 0 {
            let mut bytes = [0; HEADER_BYTES];
            rustix::io::pread(&file, &mut bytes, 0).map_err(|e| SpoolError::File(e.into()))?;
            header = Header::decode(&bytes, length)?;
        }
        let spool = Self { file, begin: header.written, end: length.max(DATA), given_back: DATA };
        if length == 0 {
            spool.store(None).map_err(SpoolError::File)?;
        }
        Ok((spool, header.mark))
    }

    /// Begins anew in a file whose content cannot be read: it is passed over.
    pub fn pass_over(file: OwnedFd) -> io::Result<Self> {
        let length = fstat(&file)?.st_size.unsigned_abs().max(DATA);
        let spool = Self { file, begin: length, end: length, given_back: DATA };
        spool.store(None)?;
        Ok(spool)
    }

    /// Takes up to `most` bytes from the pipe without waiting. 0: the pipe has ended.
    pub fn take(&mut self, pipe: impl AsFd, most: usize) -> io::Result<usize> {
        let mut end = self.end;
        let taken = splice(pipe, None, &self.file, Some(&mut end), most, SpliceFlags::NONBLOCK)?;
        self.end += taken as u64;
        Ok(taken)
    }

    /// Offset of the first byte that is not in the log.
    pub fn begin(&self) -> u64 {
        self.begin
    }

    /// Offset behind the last byte that was taken.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Replaces the content of `buffer` by the bytes from `from` on.
    pub fn read(&self, from: u64, buffer: &mut Vec<u8>) -> io::Result<()> {
        let wanted = usize::try_from(self.end - from).map_err(io::Error::other)?;
        buffer.resize(wanted, 0);
        let mut read = 0;
        while read < wanted {
            match rustix::io::pread(&self.file, &mut buffer[read..], from + read as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => read += n,
            }
        }
        Ok(())
    }

    /// Records that a write of what begins here is begun and could be torn.
    pub fn mark(&self, length: u64) -> io::Result<()> {
        self.store(Some(length))
    }

    /// Records that all before `to` is in the log.
    pub fn written(&mut self, to: u64) -> io::Result<()> {
        self.begin = to;
        self.store(None)?;
        let whole_pages = to / PAGE * PAGE;
        if whole_pages - self.given_back >= GIVE_BACK_BYTES {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(&self.file, flags, self.given_back, whole_pages - self.given_back)?;
            self.given_back = whole_pages;
        }
        Ok(())
    }

    fn store(&self, mark: Option<u64>) -> io::Result<()> {
        rustix::io::pwrite(&self.file, &Header { written: self.begin, mark }.encode(), 0)?;
        Ok(())
    }
}
