//! A file in memory under tables: a model of a real one, whose power can be cut.
//!
//! What was written and not flushed is kept apart, sector by sector; of those any subset survives
//! [`MemoryFile::cut`].

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// Unit that is written wholly or not at all, in bytes.
const SECTOR: usize = 512;

/// A file in memory. Clones are the same file.
#[derive(Clone, Debug, Default)]
pub struct MemoryFile {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// As readers see it.
    bytes: Vec<u8>,
    /// What the medium holds where it differs, by sector.
    durable: BTreeMap<usize, [u8; SECTOR]>,
    /// Length on the medium.
    durable_len: usize,
    /// Grows with each cut; users of an earlier life get errors.
    life: u64,
}

impl Inner {
    fn sector(&self, at: usize) -> [u8; SECTOR] {
        let mut sector = [0; SECTOR];
        let from = (at * SECTOR).min(self.bytes.len());
        let part = &self.bytes[from..(from + SECTOR).min(self.bytes.len())];
        sector[..part.len()].copy_from_slice(part);
        sector
    }

    /// Remembers what the medium holds before sectors are changed.
    fn keep(&mut self, from: usize, to: usize) {
        for at in from / SECTOR..to.div_ceil(SECTOR) {
            if !self.durable.contains_key(&at) {
                let sector = self.sector(at);
                self.durable.insert(at, sector);
            }
        }
    }

    fn resize(&mut self, len: usize) {
        if len < self.bytes.len() {
            self.keep(len, self.bytes.len());
        }
        self.bytes.resize(len, 0);
    }
}

impl MemoryFile {
    /// An empty file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts the power and gives it back: `survives` is asked for each sector that was written and
    /// not flushed. Tables that are open on the file can neither read nor write any more.
    pub fn cut(&self, mut survives: impl FnMut() -> bool) {
        let mut inner = self.lock();
        inner.life += 1;
        let len = inner.durable_len;
        inner.bytes.resize(len, 0);
        for (at, sector) in std::mem::take(&mut inner.durable) {
            let from = at * SECTOR;
            if from < len && !survives() {
                let to = (from + SECTOR).min(len);
                inner.bytes[from..to].copy_from_slice(&sector[..to - from]);
            }
        }
    }

    /// The file for one user, until the next cut.
    pub(super) fn user(&self) -> impl StorageBackend {
        User { file: self.clone(), life: self.lock().life }
    }
}

#[derive(Debug)]
struct User {
    file: MemoryFile,
    life: u64,
}

impl User {
    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> io::Result<T>) -> io::Result<T> {
        let mut inner = self.file.lock();
        if inner.life != self.life {
            return Err(io::Error::other("the power was cut"));
        }
        act(&mut inner)
    }
}

fn place(offset: u64, len: usize) -> io::Result<(usize, usize)> {
    let from = usize::try_from(offset).map_err(io::Error::other)?;
    let to = from.checked_add(len).ok_or(io::ErrorKind::InvalidInput)?;
    Ok((from, to))
}

impl StorageBackend for User {
    fn len(&self) -> io::Result<u64> {
        self.with(|inner| Ok(inner.bytes.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (from, to) = place(offset, out.len())?;
        self.with(|inner| {
            let part = inner.bytes.get(from..to).ok_or(io::ErrorKind::UnexpectedEof)?;
            out.copy_from_slice(part);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let (_, len) = place(0, usize::try_from(len).map_err(io::Error::other)?)?;
        self.with(|inner| {
            inner.resize(len);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|inner| {
            inner.durable.clear();
            inner.durable_len = inner.bytes.len();
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (from, to) = place(offset, data.len())?;
        self.with(|inner| {
            if to > inner.bytes.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            inner.keep(from, to);
            inner.bytes[from..to].copy_from_slice(data);
            Ok(())
        })
    }
}
