//! The provider's directory: who owns it, what is in it, what is kept of the dead.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use regrow_ids::InstanceId;

use super::ProcessError;
use super::lock;
use super::record::RECORD_FILE;
use crate::disk::{DiskError, TEMP_PREFIX};

/// Directory of the dead, below the provider's.
const DEAD_DIR: &str = ".dead";
/// Beginning of every instance's name.
const ID_PREFIX: &str = "process-";
/// Hexadecimal digits behind it.
const ID_DIGITS: usize = 16;
/// Digits of the time in the name of a grave.
const GRAVE_TIME_DIGITS: usize = 20;
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
        lock::check_owner(&dir)?;
        lock::check_ours(&dir)?;
        let lock = lock::lock(&dir)?;
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

    /// A name that no instance has.
    pub(super) fn new_id() -> InstanceId {
        InstanceId::from(format!("{ID_PREFIX}{:0ID_DIGITS$x}", rand::random::<u64>()))
    }

    /// Ids of the instances that have a directory. Whatever else lies there is left alone.
    pub(super) fn ids(&self) -> Result<Vec<InstanceId>, DiskError> {
        let fault = |e| DiskError::new("list directory", &self.dir, e);
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            let name = entry.file_name();
            // The type of the entry itself: a link leads to something that we did not make.
            let is_dir = entry.file_type().map_err(fault)?.is_dir();
            match name.to_str() {
                Some(name) if is_dir && is_id(name) => ids.push(InstanceId::from(name)),
                Some(name) if name.starts_with('.') => {}
                _ => tracing::warn!(path = %entry.path().display(), "not ours; left alone"),
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

    /// Removes what an instance left when it never ran. Only for directories of our own making.
    pub(super) fn remove(&self, id: &InstanceId) -> Result<(), DiskError> {
        let dir = self.of(id);
        fs::remove_dir_all(&dir).map_err(|e| DiskError::new("remove directory", &dir, e))
    }

    /// Removes a directory without a record if it holds nothing but what we put there before the
    /// record; false when there is more.
    ///
    /// Nothing is removed with its contents, so even what appears meanwhile is safe.
    pub(super) fn remove_unused(&self, id: &InstanceId) -> Result<bool, DiskError> {
        let dir = self.of(id);
        let fault = |e| DiskError::new("look at directory", &dir, e);
        let mut files = Vec::new();
        for entry in fs::read_dir(&dir).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            let (path, name) = (entry.path(), entry.file_name());
            let metadata = fs::symlink_metadata(&path).map_err(fault)?;
            let is_empty = metadata.is_file() && metadata.len() == 0;
            match name.to_str() {
                Some(WORK_DIR) if metadata.is_dir() => {}
                Some(STDOUT_FILE | STDERR_FILE) if is_empty => files.push(path),
                // A record that was still being written.
                Some(name) if name.starts_with(TEMP_PREFIX) && metadata.is_file() => {
                    files.push(path);
                }
                _ => return Ok(false),
            }
        }
        match fs::remove_dir(dir.join(WORK_DIR)) {
            Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(false),
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(fault(e)),
            _ => {}
        }
        for path in files {
            fs::remove_file(&path).map_err(|e| DiskError::new("remove file", &path, e))?;
        }
        fs::remove_dir(&dir).map_err(|e| DiskError::new("remove directory", &dir, e))?;
        Ok(true)
    }

    /// Moves an instance to the dead: record and ends of the logs stay, the work is removed.
    pub(super) fn bury(&self, id: &InstanceId) -> Result<(), DiskError> {
        let dir = self.of(id);
        let work = dir.join(WORK_DIR);
        match remove_tree(&work) {
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
        let grave = self.dir.join(DEAD_DIR).join(format!("{now:0GRAVE_TIME_DIGITS$}-{id}"));
        fs::rename(&dir, &grave).map_err(|e| DiskError::new("move directory to", &grave, e))?;
        self.forget_oldest()
    }

    fn forget_oldest(&self) -> Result<(), DiskError> {
        let dead = self.dir.join(DEAD_DIR);
        let fault = |e| DiskError::new("list directory", &dead, e);
        let mut graves = Vec::new();
        for entry in fs::read_dir(&dead).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            if entry.file_name().to_str().is_some_and(is_grave) {
                graves.push(entry.path());
            }
        }
        graves.sort_unstable(); // names begin with the time
        let surplus = graves.len().saturating_sub(self.keep_dead);
        for grave in graves.iter().take(surplus) {
            // One that cannot be removed must not keep the others; it is tried again each time.
            if let Err(e) = remove_tree(grave) {
                tracing::warn!(path = %grave.display(), error = %e, "cannot remove a dead instance");
            }
        }
        Ok(())
    }
}

fn is_id(name: &str) -> bool {
    let digits = name.strip_prefix(ID_PREFIX).unwrap_or_default().as_bytes();
    digits.len() == ID_DIGITS && digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// True for the name of a directory of the dead that we made.
fn is_grave(name: &str) -> bool {
    name.split_once('-').is_some_and(|(time, id)| {
        time.len() == GRAVE_TIME_DIGITS && time.bytes().all(|b| b.is_ascii_digit()) && is_id(id)
    })
}

/// Removes a directory of ours with its contents, also where a program took the permission away.
fn remove_tree(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            open_up(dir);
            fs::remove_dir_all(dir)
        }
        removed => removed,
    }
}

/// Gives us access to a directory and all below. What fails shows when it is removed.
fn open_up(dir: &Path) {
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let _ = fs::set_permissions(&dir, Permissions::from_mode(DIR_MODE));
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
        // By the entry's own type: the mode of what a link leads to is not ours to change.
        let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        open.extend(dirs.map(|entry| entry.path()));
    }
}

fn make_dir(dir: &Path) -> Result<(), DiskError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(DIR_MODE);
    builder.create(dir).map_err(|e| DiskError::new("create directory", dir, e))
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
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use regrow_ids::InstanceId;

    use super::{DEAD_LOG_BYTES, Home, STDOUT_FILE, WORK_DIR, open_up};
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
            let id = InstanceId::from(format!("process-{number:016x}"));
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
        assert!(graves[1].to_string_lossy().ends_with("-process-0000000000000004"));
        assert!(!graves[1].join(WORK_DIR).exists());
        assert_eq!(fs::metadata(graves[1].join(STDOUT_FILE)).expect("log").len(), DEAD_LOG_BYTES);
        assert!(home.ids().expect("ids").is_empty());
    }

    #[test]
    fn a_grave_that_cannot_be_removed_keeps_no_other() {
        let dir = tempfile::tempdir().expect("directory");
        let home = Home::open(dir.path(), 2).expect("home");
        let dead = dir.path().join(".dead");
        // A file is called like a directory: that fails for every user. The other is no grave.
        let stuck = dead.join("00000000000000000001-process-0123456789abcdef");
        fs::write(&stuck, "").expect("write");
        fs::write(dead.join("notes"), "").expect("write");
        for _ in 0..5 {
            let id = Home::new_id();
            home.make(&id).expect("make");
            home.bury(&id).expect("bury");
        }
        assert!(stuck.exists() && dead.join("notes").exists());
        assert_eq!(fs::read_dir(&dead).expect("list").count(), 2 + 2);
    }

    #[test]
    fn access_is_regained_but_not_through_links() {
        let dir = tempfile::tempdir().expect("directory");
        let (tree, other) = (dir.path().join("tree"), dir.path().join("other"));
        fs::create_dir_all(tree.join("a/b")).expect("directories");
        fs::create_dir(&other).expect("directory");
        symlink(&other, tree.join("a/link")).expect("link");
        let mode = |path: &std::path::Path| {
            fs::symlink_metadata(path).expect("look").permissions().mode() & 0o777
        };
        for path in [&tree.join("a/b"), &tree.join("a"), &other] {
            fs::set_permissions(path, Permissions::from_mode(0o500)).expect("mode");
        }
        open_up(&tree);
        assert_eq!((mode(&tree.join("a/b")), mode(&other)), (0o700, 0o500));
    }

    #[test]
    fn only_what_we_made_is_an_instance() {
        let dir = tempfile::tempdir().expect("directory");
        let home = Home::open(dir.path(), 1).expect("home");
        let id = Home::new_id();
        home.make(&id).expect("make");
        let upper = "process-0123456789ABCDEF";
        for name in ["photos", "process-1", "process-0123456789abcdef0", upper] {
            fs::create_dir(dir.path().join(name)).expect("directory");
        }
        symlink(dir.path().join("photos"), dir.path().join("process-0123456789abcdef"))
            .expect("link");
        fs::write(dir.path().join("process-0123456789abcde0"), "").expect("file");
        assert_eq!(home.ids().expect("ids"), [id]);
    }

    #[test]
    fn only_what_is_empty_is_removed() {
        let dir = tempfile::tempdir().expect("directory");
        let home = Home::open(dir.path(), 1).expect("home");
        for (name, text, unused) in [
            ("stdout.log", "", true),
            (".regrow-tmp-1-0-00000000", "half a rec", true),
            ("stdout.log", "x", false),
            ("work/file", "", false),
            ("letter", "", false),
        ] {
            let id = Home::new_id();
            let made = home.make(&id).expect("make");
            fs::write(made.join(name), text).expect("write");
            assert_eq!(home.remove_unused(&id).expect("look"), unused, "{name}");
            assert_eq!(made.join(name).exists(), !unused, "{name}");
        }
    }
}
