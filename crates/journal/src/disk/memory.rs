//! A disk in memory: a model of a real one with its faults, and the disk of journals that are
//! volatile on purpose.
//!
//! What was written and not flushed is kept apart, sector by sector. [`MemoryDisk::crash`] cuts the
//! power: of those sectors any subset survives, of the changes of names the first few. A flush that
//! failed is never made up for: its sectors can be read until the crash and are gone then, as with
//! the page cache of Linux.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::{Disk, DiskFile, SECTOR};

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    inner: Arc<Mutex<Inner>>,
}

/// What goes wrong, and when. Counts are over the whole life of the disk, from 1; see
/// [`MemoryDisk::counts`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// This write fails with `EIO`; nothing of it is written.
    pub fail_write: Option<u64>,
    /// Of this write only the first half is written, and reported as such.
    pub short_write: Option<u64>,
    /// This flush of a file or of the folder fails with `EIO`.
    pub fail_sync: Option<u64>,
    /// The power goes when this operation (write, flush, creation, rename or removal) begins: it
    /// and all later ones fail with `EIO` until [`MemoryDisk::crash`].
    pub cut_at: Option<u64>,
    /// Bytes that all files together may have; beyond it creation fails with `ENOSPC`.
    pub capacity: Option<u64>,
}

/// How much was done on a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Writes.
    pub writes: u64,
    /// Flushes of files and of the folder.
    pub syncs: u64,
    /// All operations that change something: writes, flushes, creations, renames, removals.
    pub operations: u64,
}

#[derive(Debug, Default)]
struct Inner {
    files: BTreeMap<u64, Content>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// Name tables after each change that was not flushed, oldest first.
    renamings: Vec<BTreeMap<String, u64>>,
    notes: BTreeMap<String, String>,
    faults: Faults,
    counts: Counts,
    nonces: u64,
    made: u64,
    /// Grows with each crash; handles of an earlier life fail.
    life: u64,
}

#[derive(Clone, Debug, Default)]
struct Content {
    durable: Vec<u8>,
    /// Sectors that were written and not flushed.
    pending: BTreeMap<usize, [u8; SECTOR]>,
    /// Sectors whose flush failed: readable, and lost.
    ghosts: BTreeMap<usize, [u8; SECTOR]>,
}

impl Content {
    fn read(&self, buffer: &mut [u8], offset: usize) -> io::Result<()> {
        let end = offset + buffer.len();
        if end > self.durable.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.copy_from_slice(&self.durable[offset..end]);
        for at in offset / SECTOR..end.div_ceil(SECTOR) {
            let Some(sector) = self.pending.get(&at).or_else(|| self.ghosts.get(&at)) else {
                continue;
            };
            let (from, to) = (offset.max(at * SECTOR), end.min((at + 1) * SECTOR));
            let part = &sector[from - at * SECTOR..to - at * SECTOR];
            buffer[from - offset..to - offset].copy_from_slice(part);
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], offset: usize) {
        for (sector, at) in bytes.chunks_exact(SECTOR).zip(offset / SECTOR..) {
            let mut content = [0; SECTOR];
            content.copy_from_slice(sector);
            self.ghosts.remove(&at);
            self.pending.insert(at, content);
        }
    }

    fn settle(&mut self, mut keep: impl FnMut() -> bool) {
        self.ghosts.clear();
        for (at, sector) in std::mem::take(&mut self.pending) {
            if keep() {
                self.durable[at * SECTOR..(at + 1) * SECTOR].copy_from_slice(&sector);
            }
        }
    }
}

impl Inner {
    /// Counts an operation; fails when the power is gone.
    fn operation(&mut self) -> io::Result<()> {
        self.counts.operations += 1;
        match self.faults.cut_at {
            Some(at) if self.counts.operations >= at => Err(Errno::IO.into()),
            _ => Ok(()),
        }
    }

    /// Counts a flush and tells whether it works; fails when the power is gone.
    fn syncing(&mut self) -> io::Result<bool> {
        self.operation()?;
        self.counts.syncs += 1;
        Ok(self.faults.fail_sync != Some(self.counts.syncs))
    }

    fn renamed(
        &mut self,
        change: impl FnOnce(&mut BTreeMap<String, u64>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.operation()?;
        change(&mut self.names)?;
        self.renamings.push(self.names.clone());
        Ok(())
    }

    fn content(&mut self, name: &str) -> io::Result<&mut Content> {
        let id = self.names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        self.files.get_mut(&id).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Frees files that have no name.
    fn sweep(&mut self) {
        let Inner { files, names, durable_names, renamings, .. } = self;
        let tables = || [&*names, &*durable_names].into_iter().chain(renamings.iter());
        files.retain(|id, _| tables().any(|table| table.values().any(|other| other == id)));
    }
}

impl MemoryDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// How much was done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Cuts the power and gives it back. Of each file's unflushed sectors a subset that `seed`
    /// decides survives, of the unflushed changes of names the first few; files that are open fail
    /// from now on; faults are taken away. Seed 0 keeps nothing, seed `u64::MAX` everything.
    pub fn crash(&self, seed: u64) {
        let mut inner = self.lock();
        let mut state = seed;
        let mut chance = move || match seed {
            0 => 0,
            u64::MAX => u64::MAX,
            _ => split_mix(&mut state),
        };
        let tables = std::mem::take(&mut inner.renamings);
        let bound = tables.len() as u64;
        let kept = if seed == u64::MAX { bound } else { chance() % (bound + 1) };
        if let Some(table) = kept
            .checked_sub(1)
            .and_then(|at| tables.into_iter().nth(usize::try_from(at).unwrap_or(0)))
        {
            inner.durable_names = table;
        }
        inner.names = inner.durable_names.clone();
        for content in inner.files.values_mut() {
            content.settle(|| chance() >> 63 == 1);
        }
        inner.sweep();
        inner.faults = Faults::default();
        inner.life += 1;
    }

    /// Changes the bytes of a file behind everybody's back, as a failing disk does: flips, swaps,
    /// cuts. Does nothing when there is no such file.
    pub fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        if let Ok(content) = self.lock().content(name) {
            content.settle(|| true);
            edit(&mut content.durable);
        }
    }

    /// A disk with the same content and no faults, which goes its own way.
    #[must_use]
    pub fn copy(&self) -> MemoryDisk {
        let inner = self.lock();
        let copy = Inner {
            files: inner.files.clone(),
            names: inner.names.clone(),
            durable_names: inner.durable_names.clone(),
            renamings: inner.renamings.clone(),
            notes: inner.notes.clone(),
            nonces: inner.nonces,
            made: inner.made,
            ..Inner::default()
        };
        MemoryDisk { inner: Arc::new(Mutex::new(copy)) }
    }
}

/// The next number of the `SplitMix64` sequence (Steele, Lea, Flood 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Disk for MemoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.lock();
        inner.content(name)?.settle(|| true);
        let id = inner.names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(MemoryFile { disk: self.clone(), id, life: inner.life }))
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.lock();
        let used: usize = inner
            .names
            .values()
            .filter_map(|id| inner.files.get(id))
            .map(|file| file.durable.len())
            .sum();
        if inner.faults.capacity.is_some_and(|capacity| used as u64 + bytes > capacity) {
            return Err(Errno::NOSPC.into());
        }
        inner.made += 1;
        let id = inner.made;
        inner.renamed(|names| {
            if names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            names.insert(name.to_owned(), id);
            Ok(())
        })?;
        let size = usize::try_from(bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
        inner.files.insert(id, Content { durable: vec![0; size], ..Content::default() });
        Ok(Arc::new(MemoryFile { disk: self.clone(), id, life: inner.life }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.renamed(|names| {
            let id = names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            names.insert(to.to_owned(), id);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let gone = |names: &mut BTreeMap<String, u64>| match names.remove(name) {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        self.lock().renamed(gone)
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.lock();
        if !inner.syncing()? {
            return Err(Errno::IO.into());
        }
        inner.durable_names = inner.names.clone();
        inner.renamings.clear();
        inner.sweep();
        Ok(())
    }

    fn note(&self, name: &str, text: &str) -> io::Result<()> {
        self.lock().notes.insert(name.to_owned(), text.to_owned());
        Ok(())
    }

    fn read_note(&self, name: &str) -> io::Result<Option<String>> {
        Ok(self.lock().notes.get(name).cloned())
    }

    fn nonce(&self) -> io::Result<[u8; 16]> {
        let mut inner = self.lock();
        inner.nonces += 1;
        Ok((0x6A6F_7572_6E61_6C00_u128 + u128::from(inner.nonces)).to_le_bytes())
    }

    fn now(&self) -> String {
        format!("after {} operations", self.lock().counts.operations)
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    id: u64,
    life: u64,
}

impl MemoryFile {
    fn with<T>(&self, act: impl FnOnce(&mut Inner, u64) -> io::Result<T>) -> io::Result<T> {
        let mut inner = self.disk.lock();
        if inner.life != self.life {
            return Err(Errno::IO.into());
        }
        act(&mut inner, self.id)
    }
}

/// The file, which stays while it is open or named.
fn content(inner: &mut Inner, id: u64) -> io::Result<&mut Content> {
    inner.files.get_mut(&id).ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl DiskFile for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        self.with(|inner, id| Ok(content(inner, id)?.durable.len() as u64))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        self.with(|inner, id| content(inner, id)?.read(buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.with(|inner, id| {
            // A write under which the power goes may have reached the disk in part.
            let cut = inner.operation();
            if inner.faults.cut_at.is_some_and(|at| inner.counts.operations > at) {
                return cut.map(|()| 0);
            }
            inner.counts.writes += 1;
            let (faults, writes) = (inner.faults, inner.counts.writes);
            if faults.fail_write == Some(writes) {
                return Err(Errno::IO.into());
            }
            let short = faults.short_write == Some(writes);
            let len = if short { bytes.len() / 2 / SECTOR * SECTOR } else { bytes.len() };
            let content = content(inner, id)?;
            if offset + len > content.durable.len() || !offset.is_multiple_of(SECTOR) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            content.write(&bytes[..len], offset);
            cut.map(|()| len)
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|inner, id| {
            let works = inner.syncing()?;
            let content = content(inner, id)?;
            if works {
                content.settle(|| true);
                return Ok(());
            }
            content.ghosts.append(&mut content.pending);
            Err(Errno::IO.into())
        })
    }
}
