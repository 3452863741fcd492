//! Intents in a file: what is asked for goes into the ledger at once, and to the disk in batches.

mod ledger;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use regrow_ids::StepKey;
use tokio::sync::oneshot;

use super::{Intent, IntentError, IntentLog};
use ledger::{Entry, Job, Ledger, encode};

/// Intents in an append-only file, synchronised before a step runs.
///
/// A torn tail, as a crash leaves it, is cut off: a record that was not whole was never promised.
/// Any other damage refuses the file. A failed write halts the log for good (what is on disk
/// is unknown then); a rewrite that fails leaves the old file, which goes on. One process at a time,
/// by an advisory lock on the file.
///
/// What is asked for while the disk works is written and synchronised together. Clones share the
/// file.
#[derive(Clone, Debug)]
pub struct FileIntents(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: Box<Path>,
    /// Never held while the disk is waited for.
    ledger: Mutex<Ledger>,
    /// Held by whoever writes.
    file: Mutex<File>,
}

impl FileIntents {
    /// Opens a log, or makes one in an existing folder. `lineage` is used for a new one only and
    /// should be random.
    ///
    /// # Errors
    /// The file cannot be used, is in use, or is damaged.
    pub fn open_or_create(path: &Path, lineage: u64) -> Result<Self, IntentError> {
        let io = |action| move |source| IntentError::Io { action, path: path.to_owned(), source };
        let mut file = lock_current(path, open_file(path).map_err(io("open"))?)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io("read"))?;
        let mut ledger = Ledger { lineage, ..Ledger::default() };
        let whole = ledger.replay(&bytes).map_err(|(offset, source)| IntentError::Damaged {
            path: path.to_owned(),
            offset,
            source,
        })?;
        if whole < bytes.len() {
            tracing::warn!(path = %path.display(), at = whole, "cut off a torn tail of the intent log");
            file.set_len(whole as u64).map_err(io("cut the torn tail of"))?;
        }
        ledger.reserved = ledger.reserving;
        ledger.epochs = ledger.reserved;
        if ledger.records == 0 {
            let begin = encode(&[Entry::Begin { lineage }]).map_err(io("write"))?;
            file.write_all(&begin).and_then(|()| file.sync_data()).map_err(io("write"))?;
            sync_folder(path).map_err(io("synchronise the folder of"))?;
            ledger.records = 1;
        }
        let (ledger, file) = (Mutex::new(ledger), Mutex::new(file));
        Ok(Self(Arc::new(Shared { path: path.into(), ledger, file })))
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes entries in and queues them; true for the caller who has to empty the queue.
    fn queue(
        &self,
        entries: Vec<Entry>,
        waiting: Option<oneshot::Sender<Result<(), IntentError>>>,
    ) -> Result<bool, IntentError> {
        let path = || self.0.path.to_path_buf();
        let bytes = encode(&entries);
        let bytes = bytes.map_err(|source| IntentError::Io {
            action: "encode for",
            path: path(),
            source,
        })?;
        let mut ledger = self.ledger();
        if ledger.halted {
            return Err(IntentError::Halted { path: path() });
        }
        let records = entries.len();
        entries.into_iter().for_each(|entry| ledger.take(entry));
        ledger.queue.push(Job { bytes, records, waiting });
        Ok(!std::mem::replace(&mut ledger.flushing, true))
    }

    /// Writes what is queued until nothing is. Waits for the disk.
    fn flush(self) {
        loop {
            let (batch, halted) = {
                let mut ledger = self.ledger();
                (std::mem::take(&mut ledger.queue), ledger.halted)
            };
            let written = if halted { Err(None) } else { self.write(&batch).map_err(Some) };
            if let Err(Some(fault)) = &written {
                tracing::error!(path = %self.0.path.display(), %fault, "the intent log is halted");
            }
            let more = {
                let mut ledger = self.ledger();
                ledger.halted |= written.is_err();
                ledger.flushing = !ledger.queue.is_empty();
                ledger.flushing
            };
            let path = self.0.path.clone();
            let answer = move || {
                for waiting in batch.into_iter().filter_map(|job| job.waiting) {
                    let told = written.as_ref().copied();
                    // Who waited may have gone away.
                    let _ = waiting.send(told.map_err(|fault| fault_of(&path, fault.as_ref())));
                }
            };
            if more {
                answer();
            } else {
                // Closed before anybody is told: whoever has the last answer may open it anew.
                drop(self);
                return answer();
            }
        }
    }

    fn write(&self, batch: &[Job]) -> io::Result<()> {
        let mut file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<_> = batch.iter().flat_map(|job| job.bytes.iter().copied()).collect();
        file.write_all(&bytes)?;
        if batch.iter().any(|job| job.waiting.is_some()) {
            file.sync_data()?;
        }
        self.rewrite_when_due(&mut file, batch.iter().map(|job| job.records).sum())
    }

    /// Replaces the file by one that holds only what is needed, once that is worth it. The old one
    /// goes on where that does not work.
    fn rewrite_when_due(&self, file: &mut File, added: usize) -> io::Result<()> {
        let needed = {
            let mut ledger = self.ledger();
            ledger.records += added;
            if !ledger.is_rewrite_due() {
                return Ok(());
            }
            ledger.needed()
        };
        let path = &self.0.path;
        let fresh_path = path.with_extension("new");
        let fresh = write_anew(&fresh_path, &needed)
            .and_then(|fresh| fs::rename(&fresh_path, path).map(|()| fresh));
        let mut ledger = self.ledger();
        match fresh {
            Ok(fresh) => {
                *file = fresh;
                (ledger.records, ledger.rewrite_at) = (needed.len(), 0);
                drop(ledger);
                // Else a crash may bring the old file back, without what is written from now on.
                sync_folder(path)
            }
            Err(fault) => {
                tracing::warn!(path = %path.display(), %fault, "cannot rewrite the intent log, it grows");
                ledger.rewrite_later();
                drop(ledger);
                let _ = fs::remove_file(&fresh_path); // it may hold the last of the space
                Ok(())
            }
        }
    }
}

/// What one of several who waited for a write is told; `None` for a log that was halted before it.
fn fault_of(path: &Path, fault: Option<&io::Error>) -> IntentError {
    let path = path.to_owned();
    let Some(fault) = fault else { return IntentError::Halted { path } };
    let source = match fault.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(fault.kind(), fault.to_string()),
    };
    IntentError::Io { action: "write", path, source }
}

/// The same as the functions of [`IntentLog`], on the thread of the caller, which waits.
impl FileIntents {
    fn write_here(&self, entries: Vec<Entry>) -> Result<(), IntentError> {
        let (waiting, mut answer) = oneshot::channel();
        if self.queue(entries, Some(waiting))? {
            self.clone().flush();
        }
        match answer.try_recv() {
            Ok(told) => told,
            Err(_) => answer.blocking_recv().unwrap_or_else(|_| Err(no_answer())),
        }
    }

    /// See [`IntentLog::lineage`].
    pub fn lineage(&self) -> u64 {
        self.ledger().lineage
    }

    /// See [`IntentLog::next_epoch`].
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn next_epoch(&self) -> Result<u64, IntentError> {
        let (epoch, reserve) = self.ledger().draw();
        if let Some(below) = reserve {
            self.write_here(vec![Entry::Reserved { below }])?;
            self.ledger().reserved(below);
        }
        Ok(epoch)
    }

    /// See [`IntentLog::record`].
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn record(&self, intents: &[Intent]) -> Result<(), IntentError> {
        self.write_here(intents.iter().cloned().map(Entry::Open).collect())
    }

    /// See [`IntentLog::close`]. Not synchronised to disk, so it is quick.
    ///
    /// # Errors
    /// The log is halted.
    pub fn close(&self, keys: &[StepKey]) -> Result<(), IntentError> {
        if self.queue(vec![Entry::Closed(keys.to_vec())], None)? {
            self.clone().flush();
        }
        Ok(())
    }

    /// See [`IntentLog::open`].
    pub fn open(&self, owner: &str) -> Vec<Intent> {
        self.ledger().open.values().filter(|intent| intent.owner == owner).cloned().collect()
    }
}

/// The same for async threads: what waits for the disk is done on another.
impl FileIntents {
    fn flush_elsewhere(&self) {
        let log = self.clone();
        tokio::task::spawn_blocking(move || log.flush());
    }

    async fn write_elsewhere(&self, entries: Vec<Entry>) -> Result<(), IntentError> {
        let (waiting, answer) = oneshot::channel();
        if self.queue(entries, Some(waiting))? {
            self.flush_elsewhere();
        }
        answer.await.unwrap_or_else(|_| Err(no_answer()))
    }
}

fn no_answer() -> IntentError {
    let reason = "the writer ended; restart".to_owned();
    IntentError::Outside { doing: "write intent log", reason }
}

#[async_trait]
impl IntentLog for FileIntents {
    fn lineage(&self) -> u64 {
        Self::lineage(self)
    }

    async fn next_epoch(&self) -> Result<u64, IntentError> {
        let (epoch, reserve) = self.ledger().draw();
        if let Some(below) = reserve {
            self.write_elsewhere(vec![Entry::Reserved { below }]).await?;
            self.ledger().reserved(below);
        }
        Ok(epoch)
    }

    async fn record(&self, intents: &[Intent]) -> Result<(), IntentError> {
        self.write_elsewhere(intents.iter().cloned().map(Entry::Open).collect()).await
    }

    async fn close(&self, _owner: &str, keys: &[StepKey]) -> Result<(), IntentError> {
        if self.queue(vec![Entry::Closed(keys.to_vec())], None)? {
            self.flush_elsewhere();
        }
        Ok(())
    }

    async fn open(&self, owner: &str) -> Result<Vec<Intent>, IntentError> {
        Ok(Self::open(self, owner))
    }
}

/// Writes a log with these entries, synchronised and locked.
fn write_anew(path: &Path, entries: &[Entry]) -> io::Result<File> {
    let mut fresh = open_file(path)?;
    fresh.set_len(0)?;
    fresh.lock()?;
    fresh.write_all(&encode(entries)?)?;
    fresh.sync_data()?;
    Ok(fresh)
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).open(path)
}

/// Locks an opened file and makes sure that it still is the one at the path: its user may have
/// rewritten it, and left, between opening and locking. What was locked then is opened by nobody
/// else, and what is written to it is lost.
pub(super) fn lock_current(path: &Path, mut file: File) -> Result<File, IntentError> {
    let io = |action| move |source| IntentError::Io { action, path: path.to_owned(), source };
    loop {
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(IntentError::Taken { path: path.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(io("lock")(source)),
        }
        let ours = file.metadata().map_err(io("examine"))?;
        match fs::metadata(path) {
            Ok(named) if (named.dev(), named.ino()) == (ours.dev(), ours.ino()) => return Ok(file),
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(io("examine")(source));
            }
            _ => file = open_file(path).map_err(io("open"))?,
        }
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
