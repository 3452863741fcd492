use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_ids::Fence;
use sha2::{Digest as _, Sha256};

use super::disk::{self, DiskError};
use super::{Document, MAX_DOCUMENT_BYTES, SpecStore, StoreError, Stored, Version, layout};

/// Earlier versions kept of each document, the newest with the suffix `.1`.
pub const HISTORY_FILES: u32 = 3;

/// How long a save waits for the lock of the folder. Saves take milliseconds.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// Pause between two attempts to get the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Documents as files in one folder, with the names and the layout of InfraKit's file backend:
/// `global.config` and `<metadata>.vars`.
///
/// Writers of several processes exclude one another by a lock on the file `.lock`. Fences are not
/// compared: replicas that share the folder may each have a leader file of their own, and the
/// numbers of different files say nothing about one another.
///
/// Nor are owners of groups kept. Managers that share the folder share its document, in which each
/// name stands once: they are replicas, and what one commits takes the place of what the other had.
/// Managers with folders of their own know nothing of one another: nothing keeps them from owning the
/// same group, and who wants that refused keeps specs on a coordinator.
#[derive(Clone, Debug)]
pub struct FileStore {
    dir: PathBuf,
}

impl FileStore {
    /// A store in this folder, which is made at the first save.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    fn path(&self, document: &Document) -> PathBuf {
        self.dir.join(match document {
            Document::Specs => "global.config".to_owned(),
            // A name with a slash must not leave the folder.
            Document::Metadata(name) => format!("{}.vars", name.replace('/', "-")),
        })
    }
}

#[async_trait]
impl SpecStore for FileStore {
    fn place(&self, document: &Document) -> String {
        self.path(document).display().to_string()
    }

    async fn load(&self, document: &Document) -> Result<Stored, StoreError> {
        let path = self.path(document);
        off_thread(&self.place(document), move || load(&path)).await
    }

    async fn save(
        &self,
        document: &Document,
        contents: &Any,
        expected: &Version,
        _: Fence,
    ) -> Result<Version, StoreError> {
        let path = self.path(document);
        let place = self.place(document);
        let text = layout::indented(contents.as_text());
        if text.len() as u64 > MAX_DOCUMENT_BYTES {
            let (bytes, most) = (text.len() as u64, MAX_DOCUMENT_BYTES);
            return Err(StoreError::TooLarge { place, bytes, most });
        }
        let (dir, expected) = (self.dir.clone(), expected.clone());
        off_thread(&place, move || {
            let _lock = lock(&dir, &path)?;
            save(&path, text.as_bytes(), &expected)
        })
        .await
    }
}

/// Files are read and written off the threads that serve calls: a sync may take long.
async fn off_thread<T: Send + 'static>(
    place: &str,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // Nobody here cancels the work: the runtime is being taken down, and whoever waits with
        // it. An error would only be told of by a process that is leaving.
        Err(fault) if fault.is_cancelled() => std::future::pending().await,
        Err(fault) => {
            let reason = fault.to_string();
            Err(StoreError::Outside { doing: "use", place: place.to_owned(), reason })
        }
    }
}

fn load(path: &Path) -> Result<Stored, StoreError> {
    let Some(bytes) = disk::read_bounded(path, MAX_DOCUMENT_BYTES)? else {
        return Ok(Stored::default());
    };
    let damaged =
        |reason: String| StoreError::Damaged { place: path.display().to_string(), reason };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(damaged("it is empty, as a crash in the middle of a write leaves it".into()));
    }
    let version = version(&bytes);
    let text = String::from_utf8(bytes).map_err(|fault| damaged(fault.to_string()))?;
    let contents = Any::from_text(text).map_err(|fault| damaged(fault.to_string()))?;
    let contents = Any::from_text(layout::compact(contents.as_text())).unwrap_or(contents);
    Ok(Stored { contents: Some(contents), version })
}

fn save(path: &Path, bytes: &[u8], expected: &Version) -> Result<Version, StoreError> {
    let now = disk::read_bounded(path, MAX_DOCUMENT_BYTES)?;
    let found = now.as_deref().map_or(Version::ABSENT, version);
    if found != *expected {
        return Err(StoreError::Conflict { place: path.display().to_string() });
    }
    if now.as_deref() != Some(bytes) {
        let temp = disk::write_temp(path, bytes)?;
        if now.is_some() {
            keep_history(path)?;
        }
        disk::put_in_place(&temp, path)?;
        disk::sync_dir_of(path).map_err(|source| {
            let (place, version) = (path.display().to_string(), version(bytes));
            StoreError::NotDurable { place, version, source }
        })?;
    }
    Ok(version(bytes))
}

/// Moves earlier versions one number up and gives the present file a second name, `.1`. The present
/// name is never absent: a crash here leaves one version under two names.
fn keep_history(path: &Path) -> Result<(), DiskError> {
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    for number in (1..HISTORY_FILES).rev() {
        let (from, to) = (numbered(number), numbered(number + 1));
        match fs::rename(&from, &to) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(DiskError::new("keep an earlier version as", &to, e));
            }
            _ => {}
        }
    }
    let newest = numbered(1);
    // Some file systems have no second names; a copy does as well there.
    fs::hard_link(path, &newest)
        .or_else(|_| fs::copy(path, &newest).map(drop))
        .map_err(|e| DiskError::new("keep an earlier version as", &newest, e))
}

fn version(bytes: &[u8]) -> Version {
    let digest = Sha256::digest(bytes);
    Version::new(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Takes the lock of the folder; it is free again when the file is closed, also by a crash.
fn lock(dir: &Path, path: &Path) -> Result<File, StoreError> {
    fs::create_dir_all(dir).map_err(|e| DiskError::new("create directory", dir, e))?;
    let name = dir.join(".lock");
    let fault = |e| StoreError::from(DiskError::new("lock", &name, e));
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).open(&name).map_err(fault)?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(e)) => return Err(fault(e)),
            Err(TryLockError::WouldBlock) if start.elapsed() >= LOCK_WAIT => {
                let (place, seconds) = (path.display().to_string(), LOCK_WAIT.as_secs());
                return Err(StoreError::Busy { place, seconds });
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
        }
    }
}
