//! The files of a directory, read once and kept right.
//!
//! Every look first takes what the kernel reported since the last one and reads those files again.
//! Where that does not suffice (no inotify, lost events, a directory that changed without an event)
//! all names are looked at, and those files are read whose size, times or number changed. Links, and
//! files with a second name, are read at every look: they change from elsewhere. (A file that gets a
//! second name elsewhere after it was read, and is then written through that one, is noticed only
//! when all names are looked at.)

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use regrow_ids::InstanceId;
use regrow_plugin::spi::tags;

use super::changes::{Changes, Drained};
use super::format::Stored;
use super::{FileError, NAME_PREFIX};
use crate::disk::DiskError;
use crate::hints::Happened;
use crate::row::Row;

/// Largest file that is read as an instance.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// A file that changed so shortly before it was read may change again without its times changing.
const RACY: Duration = Duration::from_secs(2);

/// What tells two contents of a file apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    number: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            number: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// True when the file changed long enough ago for its times to be trusted.
    fn has_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let changed = Duration::from_secs(u64::try_from(self.changed.0).unwrap_or(0));
        now.saturating_sub(changed) > RACY
    }
}

/// True for a link, and for a file that has a name elsewhere.
fn is_linked(metadata: &Metadata) -> bool {
    metadata.is_symlink() || metadata.is_file() && metadata.nlink() > 1
}

struct Entry {
    stamp: Stamp,
    settled: bool,
    /// `None` for a file that is no instance.
    row: Option<Row>,
}

/// One file as it is now.
enum Found {
    Gone,
    Foreign(Stamp),
    Instance(Stamp, Row),
}

pub(super) struct Cache {
    dir: PathBuf,
    entries: BTreeMap<String, Entry>,
    keys: HashMap<String, String>,
    notify: bool,
    changes: Option<Changes>,
    /// Counts the watches that were started, so that one who waits on a handle sees that it is old.
    watch_number: u64,
    dir_stamp: Option<Stamp>,
    /// Names that must be read at the next look.
    dirty: BTreeSet<String>,
    /// Names of links: what they lead to changes without a word from this directory, and its times
    /// may be set back.
    linked: BTreeSet<String>,
    /// False when all names must be looked at.
    complete: bool,
}

impl Cache {
    pub(super) fn new(dir: PathBuf, notify: bool) -> Self {
        Self {
            dir,
            entries: BTreeMap::new(),
            keys: HashMap::new(),
            notify,
            changes: None,
            watch_number: 0,
            dir_stamp: None,
            dirty: BTreeSet::new(),
            linked: BTreeSet::new(),
            complete: false,
        }
    }

    /// The instances as of the last [`Cache::refresh`], sorted by name.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.entries.values().filter_map(|entry| entry.row.as_ref())
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.row.is_some())
    }

    pub(super) fn by_key(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }

    /// A handle that becomes readable when the directory changes, and the number of the watch.
    pub(super) fn handle(&self) -> (u64, Option<OwnedFd>) {
        let handle = self.changes.as_ref().and_then(|changes| changes.handle().ok());
        (self.watch_number, handle)
    }

    /// Makes the cache say what the directory says now; adds what changed to `news`.
    ///
    /// # Errors
    /// The directory or an instance file cannot be read: then the cache is not the truth.
    pub(super) fn refresh(
        &mut self,
        news: &mut Vec<(Happened, InstanceId)>,
    ) -> Result<(), FileError> {
        self.take_events()?;
        let mut fault = None;
        let mut names = if self.complete && self.changes.is_some() {
            std::mem::take(&mut self.dirty)
        } else {
            self.dirty.clear();
            self.names_to_look_at()?
        };
        names.extend(std::mem::take(&mut self.linked)); // the look notes them again
        for name in names {
            if let Err(e) = self.look_at(&name, news) {
                self.dirty.insert(name); // until it can be read, no list is complete
                fault.get_or_insert(e);
            }
        }
        self.complete = true;
        fault.map_or(Ok(()), Err)
    }

    /// Learns which names may have changed, and whether that is all there is to learn.
    fn take_events(&mut self) -> Result<(), FileError> {
        let stamp = |dir: &Path| {
            let metadata = fs::metadata(dir).map_err(|e| DiskError::new("list directory", dir, e));
            metadata.map(|metadata| Stamp::of(&metadata))
        };
        let now = stamp(&self.dir)?;
        let same_dir = self
            .dir_stamp
            .is_some_and(|last| (last.device, last.number) == (now.device, now.number));
        let drained = self.changes.as_mut().filter(|_| same_dir).map(Changes::drain);
        match drained {
            Some(Drained::Names(names)) => {
                let after = stamp(&self.dir)?;
                // A changed directory without an event: somebody changed it in a way that this
                // kernel does not report.
                let unreported = names.is_empty() && Some(after) != self.dir_stamp;
                self.complete &= !unreported;
                self.dir_stamp = Some(after);
                // Names that are not text cannot be ids; they are no instances.
                self.dirty.extend(names.into_iter().filter_map(|name| name.into_string().ok()));
            }
            Some(Drained::Anything) | None => self.watch_anew(now),
        }
        Ok(())
    }

    fn watch_anew(&mut self, now: Stamp) {
        self.complete = false;
        self.dir_stamp = Some(now);
        let had_failed = self.changes.is_none() && self.watch_number > 0;
        if !self.notify {
            return;
        }
        self.changes = Changes::watch(&self.dir).unwrap_or_else(|fault| {
            if !had_failed {
                let dir = self.dir.display();
                tracing::warn!(%dir, error = %fault, "cannot watch the directory; every list looks at all files");
            }
            None
        });
        self.watch_number += 1;
    }

    /// All names of the directory whose files are not known to be unchanged, and known names.
    fn names_to_look_at(&self) -> Result<BTreeSet<String>, FileError> {
        let fault = |e| DiskError::new("list directory", &self.dir, e);
        let mut names: BTreeSet<_> = self.entries.keys().cloned().collect();
        for entry in fs::read_dir(&self.dir).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let is_known = self.entries.get(&name).is_some_and(|known| {
                known.settled
                    && fs::metadata(entry.path()).is_ok_and(|now| Stamp::of(&now) == known.stamp)
            });
            if is_known {
                names.remove(&name);
            } else {
                names.insert(name);
            }
        }
        Ok(names)
    }

    fn look_at(
        &mut self,
        name: &str,
        news: &mut Vec<(Happened, InstanceId)>,
    ) -> Result<(), FileError> {
        if name.starts_with('.') {
            return Ok(());
        }
        if fs::symlink_metadata(self.dir.join(name)).is_ok_and(|metadata| is_linked(&metadata)) {
            self.linked.insert(name.to_owned());
        }
        let found = self.read(name)?;
        let old = self.entries.remove(name).and_then(|entry| entry.row);
        if let Some(key) = old.as_ref().and_then(|row| row.tags().get(tags::STEP_KEY))
            && self.keys.get(key).is_some_and(|holder| holder == name)
        {
            self.keys.remove(key);
        }
        let happened = match (&old, &found) {
            (None, Found::Instance(..)) => Some(Happened::Created),
            (Some(_), Found::Gone | Found::Foreign(_)) => Some(Happened::Lost),
            (Some(old), Found::Instance(_, new)) => {
                (old.description(true) != new.description(true)).then_some(Happened::Changed)
            }
            (None, _) => None,
        };
        news.extend(happened.map(|happened| (happened, InstanceId::from(name))));
        let (stamp, row) = match found {
            Found::Gone => return Ok(()),
            Found::Foreign(stamp) => (stamp, None),
            Found::Instance(stamp, row) => {
                if let Some(key) = row.tags().get(tags::STEP_KEY) {
                    self.keys.insert(key.clone(), name.to_owned());
                }
                (stamp, Some(row))
            }
        };
        let settled = stamp.has_settled() && !self.linked.contains(name);
        let entry = Entry { stamp, settled, row };
        self.entries.insert(name.to_owned(), entry);
        Ok(())
    }

    fn read(&self, name: &str) -> Result<Found, FileError> {
        let path = self.dir.join(name);
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Gone),
            Err(e) => return Err(DiskError::new("read file", &path, e).into()),
        };
        let stamp = Stamp::of(&metadata);
        if !metadata.is_file() {
            return Ok(Found::Foreign(stamp));
        }
        // What cannot be read and was never an instance is somebody else's; what is called like an
        // instance, or was one, must not silently be missing.
        let must_be_read = name.starts_with(NAME_PREFIX) || self.contains(name);
        let not_an_instance = |fault: FileError| {
            if must_be_read { Err(fault) } else { Ok(Found::Foreign(stamp)) }
        };
        let unreadable =
            |reason: String| FileError::Unreadable { path: path.display().to_string(), reason };
        if metadata.len() > MAX_FILE_BYTES {
            let bytes = metadata.len();
            return not_an_instance(unreadable(format!(
                "it has {bytes} bytes, at most {MAX_FILE_BYTES} are read"
            )));
        }
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Gone),
            Err(e) => return not_an_instance(DiskError::new("read file", &path, e).into()),
        };
        match Stored::parse(&bytes) {
            Ok(stored) => Ok(Found::Instance(stamp, Row::new(stored.description(name)))),
            Err(fault) => not_an_instance(unreadable(fault.to_string())),
        }
    }
}
