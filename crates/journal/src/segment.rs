//! A segment file: its names, its header, its formatting.
//!
//! The header is the file's first block:
//!
//! | bytes | field |
//! |---|---|
//! | 0..8 | `RGJOURNL` |
//! | 8..12 | format version, 1 |
//! | 12..16 | number of the segment |
//! | 16..20 | size of the file |
//! | 20..24 | birth: the number that the file was made for, kept when it is reused |
//! | 24..40 | id of the journal |
//! | 40..4092 | 0 |
//! | 4092..4096 | CRC32C of all before it |
//!
//! Magic, version and checksum stay where they are in later versions.

use std::io;
use std::sync::Arc;

use crate::blocks::Blocks;
use crate::disk::{BLOCK, DiskFile, SECTOR};
use crate::sector::{self, Key, Place, u32_at};

const MAGIC: &[u8; 8] = b"RGJOURNL";
/// The format that this code writes, and the newest it reads.
pub(crate) const VERSION: u32 = 1;
const CRC_AT: usize = BLOCK - 4;

/// The header's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Number of the segment, from 1.
    pub(crate) segment: u32,
    /// Size of the file in bytes.
    pub(crate) bytes: u32,
    /// Number that the file was made for.
    pub(crate) birth: u32,
    /// Id of the journal.
    pub(crate) journal: [u8; 16],
}

/// Why a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// It is whole and newer.
    Version(u32),
    /// It is not whole.
    Damaged(&'static str),
}

impl Header {
    /// Key of the checksums of this file's sectors.
    pub(crate) fn key(&self) -> Key {
        Key::new(self.journal, self.birth)
    }

    fn encode(&self, out: &mut [u8]) {
        out[0..8].copy_from_slice(MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&self.segment.to_le_bytes());
        out[16..20].copy_from_slice(&self.bytes.to_le_bytes());
        out[20..24].copy_from_slice(&self.birth.to_le_bytes());
        out[24..40].copy_from_slice(&self.journal);
        let crc = crc32c::crc32c(&out[..CRC_AT]);
        out[CRC_AT..BLOCK].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads the header at the beginning of a file's bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Header, HeaderError> {
        if bytes.len() < BLOCK {
            return Err(HeaderError::Damaged("the file is cut"));
        }
        if crc32c::crc32c(&bytes[..CRC_AT]) != u32_at(bytes, CRC_AT) {
            return Err(HeaderError::Damaged("the header's checksum does not match"));
        }
        if &bytes[0..8] != MAGIC {
            return Err(HeaderError::Damaged("the header is not that of a segment"));
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        let mut journal = [0; 16];
        journal.copy_from_slice(&bytes[24..40]);
        let (segment, size, birth) = (u32_at(bytes, 12), u32_at(bytes, 16), u32_at(bytes, 20));
        Ok(Header { segment, bytes: size, birth, journal })
    }

    /// Writes the header to its file. Durable after a flush.
    pub(crate) fn write(&self, file: &dyn DiskFile, buffer: &mut Blocks) -> io::Result<()> {
        self.encode(buffer.reset(BLOCK));
        write_all(file, buffer.bytes(), 0)
    }
}

/// Writes all of `bytes`; a short write is an error and is not continued.
pub(crate) fn write_all(file: &dyn DiskFile, bytes: &[u8], offset: u64) -> io::Result<()> {
    let written = file.write_at(bytes, offset)?;
    if written == bytes.len() {
        return Ok(());
    }
    let text = format!("short write: {written} of {} bytes", bytes.len());
    Err(io::Error::new(io::ErrorKind::WriteZero, text))
}

/// Formats `sectors` sectors from sector `first` on, as if they had never been written.
pub(crate) fn format(
    file: &dyn DiskFile,
    key: Key,
    first: u32,
    sectors: u32,
    buffer: &mut Blocks,
) -> io::Result<()> {
    let out = buffer.reset(sectors as usize * SECTOR);
    for (bytes, at) in out.chunks_exact_mut(SECTOR).zip(first..) {
        sector::seal(bytes, key, Place { segment: 0, sector: at, group: 0 });
    }
    write_all(file, buffer.bytes(), u64::from(first) * SECTOR as u64)
}

/// A segment file that is open.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) header: Header,
}

/// What a file in the folder is by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// A segment of the log.
    Segment(u32),
    /// A purged segment that waits for reuse, by the number it had.
    Free(u32),
    /// A file that is being made.
    Making(u32),
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = match self {
            Name::Segment(_) => "segment",
            Name::Free(_) => "free",
            Name::Making(_) => "making",
        };
        write!(f, "{word}-{:010}", self.number())
    }
}

impl Name {
    /// The number in it.
    pub(crate) fn number(self) -> u32 {
        match self {
            Name::Segment(number) | Name::Free(number) | Name::Making(number) => number,
        }
    }

    /// Reads a name; `None` for a file that the journal does not know.
    pub(crate) fn parse(name: &str) -> Option<Name> {
        let (word, number) = name.split_once('-')?;
        let number: u32 = number.parse().ok()?;
        let parsed = match word {
            "segment" => Name::Segment(number),
            "free" => Name::Free(number),
            "making" => Name::Making(number),
            _ => return None,
        };
        (parsed.to_string() == name).then_some(parsed)
    }
}
