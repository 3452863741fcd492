//! All that a journal asks of a disk: one flat folder of files with fixed sizes.
//!
//! Two implementations: [`real`] (a folder of the operating system) and [`memory`] (a model with
//! faults, and the disk of journals that are volatile on purpose).

pub mod memory;
pub mod real;

use std::io;
use std::sync::Arc;

/// Unit that a disk writes wholly or not at all, in bytes.
pub const SECTOR: usize = 512;
/// Unit and memory alignment of every write, in bytes. Fits `O_DIRECT` on all common disks.
pub const BLOCK: usize = 4096;

/// A folder that belongs to one journal.
pub trait Disk: Send + Sync + 'static {
    /// Names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file. What it reads afterwards is what the medium holds: data of a flush that failed
    /// in an earlier process is not shown.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a file of `bytes` bytes, all of them allocated, and opens it. Its content is
    /// unspecified. `ENOSPC` leaves nothing behind.
    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file, replacing what had the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync(&self) -> io::Result<()>;
    /// Writes a small text file, as durably as a failing disk lets it.
    fn note(&self, name: &str, text: &str) -> io::Result<()>;
    /// Reads a small text file; `None` when there is none.
    fn read_note(&self, name: &str) -> io::Result<Option<String>>;
    /// 16 bytes that no other disk gives.
    fn nonce(&self) -> io::Result<[u8; 16]>;
    /// The time for evidence files, in text. Decides nothing.
    fn now(&self) -> String;
}

/// A file of fixed size. Usable from several threads; one of them writes.
pub trait DiskFile: Send + Sync {
    /// Size in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Fills `buffer` from `offset`; an end of file before that is an error.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes `bytes` at `offset` and returns how many were written. Offset, length and address are
    /// multiples of [`BLOCK`]. Durable after [`DiskFile::sync`].
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Makes everything written to this file durable.
    fn sync(&self) -> io::Result<()>;
}
