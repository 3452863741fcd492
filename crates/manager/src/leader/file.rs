use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use regrow_ids::Fence;
use regrow_plugin::spi::LeaderLocation;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::watching::Watching;
use super::{Leader, LeaderError, LeaderSource, Leadership, parse_location, print_location};
use crate::store::{DiskError, read_bounded, write_atomic};

/// Largest leader, location or fence file. They hold a name, a URL, a number.
const MAX_FILE_BYTES: u64 = 4096;
/// How long an empty leader file may be on its way to a new content.
const REWRITE_GRACE: Duration = Duration::from_millis(20);
/// Shortest pause between two reads: without one a setting of 0 would keep a processor busy.
const LEAST_POLL_INTERVAL: Duration = Duration::from_millis(10);
/// A read that takes longer (a file server that is gone) makes the leadership unknown.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of [`FileLeader`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLeaderSettings {
    /// File whose trimmed content is the id of the replica that leads.
    pub leader_file: PathBuf,
    /// Id of this replica.
    pub id: String,
    /// How often the file is read although nothing said that it changed; at least 10 ms.
    pub poll_interval: Duration,
}

/// Leadership by a file that an outside party writes, as InfraKit's file backend has it.
///
/// A change is seen by inotify at once, and by polling where that does not work (a network file
/// system, a symbolic link). The location of the leader is in `<LeaderFile>.loc`.
///
/// Fences come from a counter in `<LeaderFile>.fence`, one more for each time that this replica
/// begins to lead. They are as good as the file: this source cannot notice a leader that died, and
/// it cannot exclude that two replicas lead for a moment while a new content spreads, nor for longer
/// when they have files of their own with their own counters. Who needs that takes a source with
/// leases.
pub struct FileLeader {
    leadership: watch::Receiver<Leadership>,
    lineage: u64,
    path: PathBuf,
    id: String,
    _watching: DropGuard,
}

impl FileLeader {
    /// Reads the file once and goes on watching it.
    ///
    /// # Errors
    /// The file is not there or cannot be read, or the id is empty.
    pub async fn start(settings: FileLeaderSettings) -> Result<Self, LeaderError> {
        let FileLeaderSettings { leader_file: path, id, poll_interval } = settings;
        let id = id.trim().to_owned();
        if id.is_empty() {
            return Err(LeaderError::NoId);
        }
        if let Err(fault) = tokio::fs::metadata(&path).await {
            let (path, reason) = (path.display().to_string(), fault.to_string());
            return Err(LeaderError::NoLeaderFile { path, reason });
        }
        let mut watcher = Watcher {
            file: LeaderFile { path: path.clone(), id: id.clone() },
            reading: None,
            told: watch::Sender::new(Leadership::Following),
        };
        let leadership = watcher.told.subscribe();
        let poll_interval = poll_interval.max(LEAST_POLL_INTERVAL);
        let stop = CancellationToken::new();
        // Before the first read: a change between the two must wake us.
        let watching = watch_or_warn(&path);
        watcher.look().await;
        tokio::spawn(stop.clone().run_until_cancelled_owned(watcher.run(watching, poll_interval)));
        let lineage = lineage(&path).await;
        Ok(Self { leadership, lineage, path, id, _watching: stop.drop_guard() })
    }

    fn location_file(&self) -> PathBuf {
        beside(&self.path, ".loc")
    }
}

#[async_trait]
impl LeaderSource for FileLeader {
    fn watch(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    fn lineage(&self) -> u64 {
        self.lineage
    }

    async fn location(&self) -> Result<Option<LeaderLocation>, LeaderError> {
        let path = self.location_file();
        let place = path.display().to_string();
        let Some(text) = off_thread(move || read_text(&path)).await? else { return Ok(None) };
        if text.trim().is_empty() {
            return Ok(None);
        }
        parse_location(text.trim(), &place).map(Some)
    }

    async fn leader(&self) -> Result<Option<Leader>, LeaderError> {
        let path = self.path.clone();
        let named = off_thread(move || read_text(&path)).await?.unwrap_or_default();
        let id = named.trim().to_owned();
        // Ours: this replica is about to lead.
        if id.is_empty() || id == self.id {
            return Ok(None);
        }
        Ok(Some(Leader { id, machine: None, location: self.location().await? }))
    }

    async fn set_location(&self, location: &LeaderLocation) -> Result<(), LeaderError> {
        let (path, text) = (self.location_file(), print_location(location));
        off_thread(move || write_atomic(&path, text.as_bytes())).await
    }
}

/// Fences of one file can be compared, and the file is known by its place: its path on this machine
/// since it was started. On another machine the same path may be another file.
async fn lineage(path: &Path) -> u64 {
    let boot = tokio::fs::read("/proc/sys/kernel/random/boot_id").await.unwrap_or_default();
    let place = tokio::fs::canonicalize(path).await.unwrap_or_else(|_| path.to_owned());
    let digest = Sha256::new().chain_update(boot).chain_update(place.as_os_str().as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest.finalize()[..8]);
    u64::from_be_bytes(first)
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DiskError> + Send + 'static,
) -> Result<T, LeaderError> {
    let work = tokio::time::timeout(READ_TIMEOUT, tokio::task::spawn_blocking(work));
    let outside =
        |reason: String| LeaderError::Outside { doing: "use the leader's files".into(), reason };
    match work.await {
        Ok(Ok(done)) => Ok(done?),
        Ok(Err(fault)) => Err(outside(fault.to_string())),
        Err(_) => Err(outside(format!("no answer within {} s", READ_TIMEOUT.as_secs()))),
    }
}

fn watch_or_warn(path: &Path) -> Option<Watching> {
    Watching::start(path)
        .inspect_err(|fault| {
            tracing::warn!(file = %path.display(), %fault, "cannot watch the leader file, polling it");
        })
        .ok()
}

struct Watcher {
    file: LeaderFile,
    /// A read that has not come back: there is never more than one.
    reading: Option<JoinHandle<Result<bool, String>>>,
    told: watch::Sender<Leadership>,
}

impl Watcher {
    async fn run(mut self, mut watching: Option<Watching>, poll_interval: Duration) {
        let mut next_poll = Instant::now() + poll_interval;
        loop {
            let woken = async {
                match &watching {
                    Some(watching) => watching.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                woken = woken => if woken.is_err() {
                    watching = None;
                },
                () = tokio::time::sleep_until(next_poll) => {
                    next_poll = Instant::now() + poll_interval;
                    if !watching.as_ref().is_some_and(Watching::is_current) {
                        watching = Watching::start(&self.file.path).ok();
                    }
                }
            }
            self.look().await;
        }
    }

    /// Reads the file and tells what it says. Losing the leadership is told at once; gaining it
    /// waits until the new fence is on disk.
    async fn look(&mut self) {
        let seen = self.read().await;
        let leads = matches!(*self.told.borrow(), Leadership::Leading { .. });
        let now = match seen {
            Ok(true) if leads => return,
            Ok(true) => match self.next_fence().await {
                Ok(fence) => Leadership::Leading { fence },
                Err(fault) => Leadership::unknown(fault.to_string()),
            },
            Ok(false) => Leadership::Following,
            Err(why) => Leadership::unknown(why),
        };
        self.told.send_if_modified(|told| {
            let changed = *told != now;
            if changed {
                let file = self.file.path.display();
                tracing::info!(%file, was = told.word(), now = ?now, "leadership changed");
                *told = now;
            }
            changed
        });
    }

    async fn read(&mut self) -> Result<bool, String> {
        let file = self.file.clone();
        let reading = self
            .reading
            .get_or_insert_with(|| tokio::task::spawn_blocking(move || file.names_us()));
        match tokio::time::timeout(READ_TIMEOUT, &mut *reading).await {
            Ok(done) => {
                self.reading = None;
                done.unwrap_or_else(|fault| Err(fault.to_string()))
            }
            Err(_) => Err(format!(
                "read leader file {}: no answer within {} s",
                self.file.path.display(),
                READ_TIMEOUT.as_secs()
            )),
        }
    }

    async fn next_fence(&self) -> Result<Fence, LeaderError> {
        let file = self.file.clone();
        off_thread(move || file.next_fence()).await
    }
}

#[derive(Clone)]
struct LeaderFile {
    path: PathBuf,
    id: String,
}

impl LeaderFile {
    fn names_us(&self) -> Result<bool, String> {
        let mut found = read_text(&self.path);
        if matches!(&found, Ok(Some(text)) if text.trim().is_empty()) {
            // Somebody may be in the middle of rewriting it.
            std::thread::sleep(REWRITE_GRACE);
            found = read_text(&self.path);
        }
        match found {
            Ok(Some(text)) => Ok(text.trim() == self.id),
            Ok(None) => Err(format!("read leader file {}: it is gone", self.path.display())),
            Err(fault) => Err(fault.to_string()),
        }
    }

    fn next_fence(&self) -> Result<Fence, DiskError> {
        let path = beside(&self.path, ".fence");
        let stored = match read_text(&path)? {
            None => 0,
            Some(text) => text.trim().parse().map_err(|fault| {
                let text = format!("{fault}; expected a number, remove the file to start anew");
                DiskError::new("read fence from", &path, std::io::Error::other(text))
            })?,
        };
        let fence = Fence::new(stored).next();
        write_atomic(&path, fence.to_string().as_bytes())?;
        Ok(fence)
    }
}

fn read_text(path: &Path) -> Result<Option<String>, DiskError> {
    let bytes = read_bounded(path, MAX_FILE_BYTES)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// `dir/leader` → `dir/leader.loc`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
