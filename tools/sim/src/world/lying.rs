//! A disk that says it flushed, and did not: the canary of an acknowledgement before its flush.

use std::io;
use std::sync::Arc;

use regrow_journal::disk::memory::MemoryDisk;
use regrow_journal::disk::{Disk, DiskFile};

/// Tells the truth about everything but the flushes of the files that are written to.
pub struct LyingDisk(pub MemoryDisk);

struct LyingFile(Arc<dyn DiskFile>);

impl Disk for LyingDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(LyingFile(self.0.open(name)?)))
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(LyingFile(self.0.create(name, bytes)?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn note(&self, name: &str, text: &str) -> io::Result<()> {
        self.0.note(name, text)
    }

    fn read_note(&self, name: &str) -> io::Result<Option<String>> {
        self.0.read_note(name)
    }

    fn nonce(&self) -> io::Result<[u8; 16]> {
        self.0.nonce()
    }

    fn now(&self) -> String {
        self.0.now()
    }
}

impl DiskFile for LyingFile {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
