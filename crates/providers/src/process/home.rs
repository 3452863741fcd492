//! The provider's directory: who owns it, what is in it, what is kept of the dead.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use regrow_ids::InstanceId;
use rustix::fs::FlockOperation;

use super::ProcessError;
use super::record::RECORD_FILE;
use crate::disk::DiskError;

/// Directory of the dead, below the provider's.
const DEAD_DIR: &str = ".dead";
/// File that the owner of the directory holds a lock on.
const LOCK_FILE: &str = ".lock";
/// Log of an instance's standard output.
pub(super) const STDOUT_FILE: &str = "stdout.log";
/// Log of an instance's standard error.
pub(super) const STDERR_FILE: &str = "stderr.log";
/// Directory that an instance runs in.
pub(super) const WORK_DIR: &str = "work";
/// Script of an instance.
pub(super) const SCRIPT_FILE: &str = "init.sh";
/// What is kept of each log of the dead: the end, which says why.
const DEAD_LOG_BYTES: u64 = 1 << 20;
/// Only the owner may look: environments and logs may hold anything.
const DIR_MODE: u32 = 0o700;
/// The same for files.
pub(super) const FILE_MODE: u32 = 0o600;

/// The provider's directory, locked for as long as this lives.
#[derive(Debug)]
pub(super) struct Home {
    dir: PathBuf,
    keep_dead: usize,
    /// Two at a time would remove the same graves.
    burials: Mutex<()>,
    _lock: File,
}

impl Home {
    /// Makes the directory if need be and takes the lock.
    pub(super) fn open(dir: &Path, keep_dead: usize) -> Result<Self, ProcessError> {
        make_dir(dir)?;
        // The path is written into environments and compared there.
        let dir = fs::canonicalize(dir).map_err(|e| DiskError::new("resolve directory", dir, e))?;
        let lock = lock(&dir)?;
        make_dir(&dir.join(DEAD_DIR))?;
        Ok(Self { dir, keep_dead, burials: Mutex::default(), _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.dir
    }

    /// Directory of an instance.
    pub(super) fn of(&self, id: &InstanceId) -> PathBuf {
        self.dir.join(id.as_str())
    }

    /// Ids of the instances that have a directory.
    pub(super) fn ids(&self) -> Result<Vec<InstanceId>, DiskError> {
        let fault = |e| DiskError::new("list directory", &self.dir, e);
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(fault)? {
            let name = entry.map_err(fault)?.file_name();
            match name.to_str() {
                Some(name) if !name.starts_with('.') => ids.push(InstanceId::from(name)),
                _ => {}
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// True when the instance's record was written.
    pub(super) fn has_record(&self, id: &InstanceId) -> bool {
        self.of(id).join(RECORD_FILE).exists()
    }

    /// Makes the directory of a new instance.
    pub(super) fn make(&self, id: &InstanceId) -> Result<PathBuf, DiskError> {
        let dir = self.of(id);
        for dir in [&dir, &dir.join(WORK_DIR)] {
            let fault = |e| DiskError::new("create directory", dir, e);
            DirBuilder::new().mode(DIR_MODE).create(dir).map_err(fault)?;
        }
        Ok(dir)
    }

    /// Removes what an instance left when it never ran.
    pub(super) fn remove(&self, id: &InstanceId) -> Result<(), DiskError> {
        let dir = self.of(id);
        fs::remove_dir_all(&dir).map_err(|e| DiskError::new("remove directory", &dir, e))
    }

    /// Moves an instance to the dead: record and ends of the logs stay, the work is removed.
    pub(super) fn bury(&self, id: &InstanceId) -> Result<(), DiskError> {
        let dir = self.of(id);
        let work = dir.join(WORK_DIR);
        match fs::remove_dir_all(&work) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                // What cannot be removed, such as a mount point, must not keep the instance alive.
                tracing::warn!(path = %work.display(), error = %e, "cannot remove work of the dead");
            }
            _ => {}
        }
        for log in [STDOUT_FILE, STDERR_FILE] {
            let path = dir.join(log);
            keep_end(&path).map_err(|e| DiskError::new("shorten log", &path, e))?;
        }
        let _turn = self.burials.lock().unwrap_or_else(PoisonError::into_inner);
        let now = jiff::Timestamp::now().as_nanosecond().max(0);
        let grave = self.dir.join(DEAD_DIR).join(format!("{now:020}-{id}"));
        fs::rename(&dir, &grave).map_err(|e| DiskError::new("move directory to", &grave, e))?;
        self.forget_oldest()
    }

    fn forget_oldest(&self) -> Result<(), DiskError> {
        let dead = self.dir.join(DEAD_DIR);
        let fault = |e| DiskError::new("list directory", &dead, e);
        let mut graves = Vec::new();
        for entry in fs::read_dir(&dead).map_err(fault)? {
            graves.push(entry.map_err(fault)?.path());
        }
        graves.sort_unstable(); // names begin with the time
        let surplus = graves.len().saturating_sub(self.keep_dead);
        for grave in graves.iter().take(surplus) {
            fs::remove_dir_all(grave).map_err(|e| DiskError::new("remove directory", grave, e))?;
        }
        Ok(())
    }
}

fn make_dir(dir: &Path) -> Result<(), DiskError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(DIR_MODE);
    builder.create(dir).map_err(|e| DiskError::new("create directory", dir, e))
}

fn lock(dir: &Path) -> Result<File, ProcessError> {
    let path = dir.join(LOCK_FILE);
    let fault = |e| DiskError::new("lock file", &path, e);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    let mut file = options.open(&path).map_err(fault)?;
    let mut owner = String::new();
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            // The text is for people only; the lock decides.
            let _ = file.read_to_string(&mut owner);
            let owner = owner.trim().to_owned();
            return Err(ProcessError::Locked { dir: dir.display().to_string(), owner });
        }
        Err(e) => return Err(fault(e.into()).into()),
    }
    file.set_len(0).map_err(fault)?;
    writeln!(file, "{}", std::process::id()).map_err(fault)?;
    Ok(file)
}

/// Cuts the beginning off a file that is too long.
fn keep_end(path: &Path) -> io::Result<()> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let length = file.metadata()?.len();
    if length <= DEAD_LOG_BYTES {
        return Ok(());
    }
    let mut end = Vec::new();
    file.seek(SeekFrom::Start(length - DEAD_LOG_BYTES))?;
    (&file).take(DEAD_LOG_BYTES).read_to_end(&mut end)?;
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&end)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use regrow_ids::InstanceId;

    use super::{DEAD_LOG_BYTES, Home, STDOUT_FILE, WORK_DIR};
    use crate::process::ProcessError;

    #[test]
    fn the_second_owner_is_refused_and_told_of_the_first() {
        let dir = tempfile::tempdir().expect("directory");
        let first = Home::open(dir.path(), 1).expect("first");
        let fault = Home::open(dir.path(), 1).expect_err("second");
        let own = std::process::id().to_string();
        assert!(matches!(&fault, ProcessError::Locked { owner, .. } if *owner == own), "{fault}");
        drop(first);
        Home::open(dir.path(), 1).expect("third");
    }

    #[test]
    fn the_dead_are_few_and_small() {
        let dir = tempfile::tempdir().expect("directory");
        let home = Home::open(dir.path(), 2).expect("home");
        for number in 0..5u64 {
            let id = InstanceId::from(format!("i{number}"));
            let made = home.make(&id).expect("make");
            fs::write(made.join(WORK_DIR).join("file"), "x").expect("write");
            let log = vec![b'0' + number as u8; (DEAD_LOG_BYTES + number) as usize];
            fs::write(made.join(STDOUT_FILE), log).expect("write");
            assert_eq!(home.ids().expect("ids"), std::slice::from_ref(&id));
            home.bury(&id).expect("bury");
        }
        let mut graves: Vec<_> = fs::read_dir(dir.path().join(".dead"))
            .expect("list")
            .map(|entry| entry.expect("entry").path())
            .collect();
        graves.sort();
        assert_eq!(graves.len(), 2);
        assert!(graves[1].to_string_lossy().ends_with("-i4"));
        assert!(!graves[1].join(WORK_DIR).exists());
        assert_eq!(fs::metadata(graves[1].join(STDOUT_FILE)).expect("log").len(), DEAD_LOG_BYTES);
        assert!(home.ids().expect("ids").is_empty());
    }
}
