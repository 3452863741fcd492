use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use regrow_codec::record::{self, Record, RecordError};
use regrow_ids::StepKey;
use serde::{Deserialize, Serialize};

use super::{Intent, IntentError, IntentLog};

/// Epoch numbers are reserved on disk in blocks of this size, so that drawing one costs no write.
const EPOCHS_PER_RESERVATION: u64 = 10_000;
/// The file is rewritten once it holds this many records more than it needs.
const MAX_DEAD_RECORDS: usize = 20_000;

/// One record of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Entry {
    /// First record of a file.
    Begin {
        lineage: u64,
    },
    /// Epoch numbers below this one may have been handed out.
    Reserved {
        below: u64,
    },
    Open(Intent),
    Closed(Vec<StepKey>),
}

impl Record for Entry {
    const KIND: u16 = 1;
    const VERSION: u16 = 1;
}

/// Intents in an append-only file, synchronised before a step runs.
///
/// A torn tail, as a crash leaves it, is cut off: a record that was not whole was never promised.
/// Any other damage refuses the file. A failed write halts the log for good (what is on disk
/// is unknown then). One process at a time, by an advisory lock on the file.
///
/// Clones share the file.
#[derive(Clone, Debug)]
pub struct FileIntents {
    path: Arc<Path>,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    lineage: u64,
    epochs: u64,
    reserved: u64,
    open: BTreeMap<StepKey, Intent>,
    records: usize,
    halted: bool,
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
        let mut inner = Inner {
            file,
            lineage,
            epochs: 0,
            reserved: 0,
            open: BTreeMap::new(),
            records: 0,
            halted: false,
        };
        let whole = inner.replay(&bytes).map_err(|(offset, source)| IntentError::Damaged {
            path: path.to_owned(),
            offset,
            source,
        })?;
        if whole < bytes.len() {
            tracing::warn!(path = %path.display(), at = whole, "cut off a torn tail of the intent log");
            inner.file.set_len(whole as u64).map_err(io("cut the torn tail of"))?;
        }
        inner.epochs = inner.reserved;
        if inner.records == 0 {
            inner.append(&[Entry::Begin { lineage }]).map_err(io("write"))?;
            sync_folder(path).map_err(io("synchronise the folder of"))?;
        }
        Ok(Self { path: path.into(), inner: Arc::new(Mutex::new(inner)) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes entries and takes them in, or halts the log. Taken in before the file is rewritten:
    /// a rewrite keeps only what is known to be open.
    fn write(&self, inner: &mut Inner, entries: Vec<Entry>, sync: bool) -> Result<(), IntentError> {
        if inner.halted {
            return Err(IntentError::Halted { path: self.path.to_path_buf() });
        }
        let written = if sync { inner.append(&entries) } else { inner.append_unsynced(&entries) };
        let written = written.and_then(|()| {
            entries.into_iter().for_each(|entry| inner.take(entry));
            inner.compact_when_due(&self.path)
        });
        written.map_err(|source| {
            inner.halted = true;
            IntentError::Io { action: "write", path: self.path.to_path_buf(), source }
        })
    }
}

impl Inner {
    /// Rebuilds the state from the file's bytes; returns how many of them are whole records.
    fn replay(&mut self, bytes: &[u8]) -> Result<usize, (usize, RecordError)> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match record::decode::<Entry>(rest) {
                Ok((entry, length)) => {
                    self.records += 1;
                    self.take(entry);
                    at += length;
                }
                Err(RecordError::Torn { .. } | RecordError::Damaged { .. })
                    if record::is_torn_tail(rest) =>
                {
                    break;
                }
                // Cutting here would drop intents that were promised.
                Err(RecordError::Torn { .. }) => {
                    let what = "the length reaches beyond what follows";
                    return Err((at, RecordError::Damaged { what }));
                }
                Err(fault) => return Err((at, fault)),
            }
        }
        Ok(at)
    }

    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Begin { lineage } => self.lineage = lineage,
            Entry::Reserved { below } => self.reserved = self.reserved.max(below),
            Entry::Open(intent) => {
                self.open.insert(intent.key.clone(), intent);
            }
            Entry::Closed(keys) => {
                for key in keys {
                    self.open.remove(&key);
                }
            }
        }
    }

    fn append_unsynced(&mut self, entries: &[Entry]) -> io::Result<()> {
        self.records += entries.len();
        self.file.write_all(&encode(entries)?)
    }

    fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        self.append_unsynced(entries)?;
        self.file.sync_data()
    }

    /// Replaces the file by one that holds only what is needed, once that is worth it.
    fn compact_when_due(&mut self, path: &Path) -> io::Result<()> {
        if self.records < self.open.len() + MAX_DEAD_RECORDS {
            return Ok(());
        }
        let mut entries =
            vec![Entry::Begin { lineage: self.lineage }, Entry::Reserved { below: self.reserved }];
        entries.extend(self.open.values().cloned().map(Entry::Open));
        let fresh_path = path.with_extension("new");
        let mut fresh =
            OpenOptions::new().read(true).append(true).create(true).open(&fresh_path)?;
        fresh.set_len(0)?;
        fresh.lock()?;
        fresh.write_all(&encode(&entries)?)?;
        fresh.sync_data()?;
        fs::rename(&fresh_path, path)?;
        sync_folder(path)?;
        self.file = fresh;
        self.records = entries.len();
        Ok(())
    }
}

/// The same as the functions of [`IntentLog`], on the thread of the caller.
impl FileIntents {
    /// See [`IntentLog::lineage`].
    pub fn lineage(&self) -> u64 {
        self.lock().lineage
    }

    /// See [`IntentLog::next_epoch`].
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn next_epoch(&self) -> Result<u64, IntentError> {
        let mut inner = self.lock();
        inner.epochs += 1;
        if inner.epochs >= inner.reserved {
            inner.reserved = inner.epochs + EPOCHS_PER_RESERVATION;
            let entry = Entry::Reserved { below: inner.reserved };
            self.write(&mut inner, vec![entry], true)?;
        }
        Ok(inner.epochs)
    }

    /// See [`IntentLog::record`].
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn record(&self, intents: &[Intent]) -> Result<(), IntentError> {
        let mut inner = self.lock();
        let entries = intents.iter().cloned().map(Entry::Open).collect();
        self.write(&mut inner, entries, true)
    }

    /// See [`IntentLog::close`]. Not synchronised to disk, so it is quick.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn close(&self, keys: &[StepKey]) -> Result<(), IntentError> {
        let mut inner = self.lock();
        self.write(&mut inner, vec![Entry::Closed(keys.to_vec())], false)
    }

    /// See [`IntentLog::open`].
    pub fn open(&self, owner: &str) -> Vec<Intent> {
        self.lock().open.values().filter(|intent| intent.owner == owner).cloned().collect()
    }

    /// Does what waits for the disk on a thread that may wait.
    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, IntentError> + Send + 'static,
    ) -> Result<T, IntentError> {
        let log = self.clone();
        tokio::task::spawn_blocking(move || work(&log)).await.unwrap_or_else(|fault| {
            let reason = fault.to_string();
            Err(IntentError::Outside { doing: "write intent log", reason })
        })
    }
}

#[async_trait]
impl IntentLog for FileIntents {
    fn lineage(&self) -> u64 {
        Self::lineage(self)
    }

    async fn next_epoch(&self) -> Result<u64, IntentError> {
        self.off_thread(Self::next_epoch).await
    }

    async fn record(&self, intents: &[Intent]) -> Result<(), IntentError> {
        let intents = intents.to_vec();
        self.off_thread(move |log| log.record(&intents)).await
    }

    async fn close(&self, _owner: &str, keys: &[StepKey]) -> Result<(), IntentError> {
        Self::close(self, keys)
    }

    async fn open(&self, owner: &str) -> Result<Vec<Intent>, IntentError> {
        Ok(Self::open(self, owner))
    }
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

fn encode(entries: &[Entry]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in entries {
        record::encode_into(entry, &mut bytes).map_err(io::Error::other)?;
    }
    Ok(bytes)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
