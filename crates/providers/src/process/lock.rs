//! Whether a directory may be used at all, and the lock on it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags};

use super::ProcessError;
use super::home::FILE_MODE;
use crate::disk::DiskError;

/// File that the owner of the directory holds a lock on. A directory that holds it is ours.
pub(super) const LOCK_FILE: &str = ".lock";
/// Permission of others to make and remove names.
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// Longest text of ours in the lock file: a process number and the end of the line.
const LOCK_TEXT_BYTES: u64 = 24;

/// Refuses a directory in which others could put things: what is stored there says what is killed
/// and removed.
pub(super) fn check_owner(dir: &Path) -> Result<(), ProcessError> {
    let metadata = fs::metadata(dir).map_err(|e| DiskError::new("look at directory", dir, e))?;
    let unsafe_for = |reason: String| {
        Err(ProcessError::UnsafeDirectory { dir: dir.display().to_string(), reason })
    };
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != own {
        return unsafe_for(format!("it belongs to user {}, we are user {own}", metadata.uid()));
    }
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        let mode = metadata.mode() & 0o7777;
        return unsafe_for(format!("others may write there (mode {mode:o}, at most 755)"));
    }
    Ok(())
}

/// Refuses a directory that somebody else uses for something else: we remove things in ours.
pub(super) fn check_ours(dir: &Path) -> Result<(), ProcessError> {
    let is_marked = || fs::symlink_metadata(dir.join(LOCK_FILE)).is_ok();
    if is_marked() {
        return Ok(());
    }
    let fault = |e| DiskError::new("list directory", dir, e);
    let Some(entry) = fs::read_dir(dir).map_err(fault)?.next() else { return Ok(()) };
    let found = entry.map_err(fault)?.file_name().to_string_lossy().into_owned();
    // Looked at again: another provider may just have begun here.
    if is_marked() {
        return Ok(());
    }
    Err(ProcessError::ForeignDirectory { dir: dir.display().to_string(), found })
}

/// Takes the lock for as long as the file is open.
pub(super) fn lock(dir: &Path) -> Result<File, ProcessError> {
    let path = dir.join(LOCK_FILE);
    let fault = |e| DiskError::new("lock file", &path, e);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    // A link would make us empty a file that is somewhere else.
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let mut file = options.custom_flags(flags).open(&path).map_err(fault)?;
    let foreign = || ProcessError::ForeignDirectory {
        dir: dir.display().to_string(),
        found: LOCK_FILE.to_owned(),
    };
    let metadata = file.metadata().map_err(fault)?;
    if !metadata.is_file() || metadata.len() > LOCK_TEXT_BYTES {
        return Err(foreign());
    }
    let mut owner = String::new();
    (&file).take(LOCK_TEXT_BYTES).read_to_string(&mut owner).map_err(fault)?;
    let owner = owner.trim().to_owned();
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        // The text is for people only; the lock decides.
        Err(rustix::io::Errno::WOULDBLOCK) => {
            return Err(ProcessError::Locked { dir: dir.display().to_string(), owner });
        }
        Err(e) => return Err(fault(e.into()).into()),
    }
    if !owner.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(foreign());
    }
    file.set_len(0).map_err(fault)?;
    file.rewind().map_err(fault)?;
    writeln!(file, "{}", std::process::id()).map_err(fault)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::{LOCK_FILE, check_ours, check_owner, lock};
    use crate::process::ProcessError;

    #[test]
    fn a_directory_of_others_is_refused() {
        let dir = tempfile::tempdir().expect("directory");
        check_owner(dir.path()).expect("ours");
        for mode in [0o777, 0o1777, 0o770, 0o702] {
            fs::set_permissions(dir.path(), Permissions::from_mode(mode)).expect("mode");
            let fault = check_owner(dir.path()).expect_err("writable").to_string();
            assert!(fault.contains(&format!("mode {mode:o}")), "{fault}");
            assert!(fault.contains(&*dir.path().to_string_lossy()), "{fault}");
        }
        if rustix::process::geteuid().is_root() {
            fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).expect("mode");
            std::os::unix::fs::chown(dir.path(), Some(12_345), None).expect("owner");
            let fault = check_owner(dir.path()).expect_err("another's").to_string();
            assert!(fault.contains("belongs to user 12345"), "{fault}");
        }
    }

    #[test]
    fn a_full_directory_without_our_mark_is_refused() {
        let dir = tempfile::tempdir().expect("directory");
        check_ours(dir.path()).expect("empty");
        fs::create_dir(dir.path().join("photos")).expect("directory");
        let fault = check_ours(dir.path()).expect_err("not ours");
        assert!(
            matches!(&fault, ProcessError::ForeignDirectory { found, .. } if found == "photos")
        );
        assert!(fault.to_string().contains(&*dir.path().to_string_lossy()), "{fault}");
        fs::write(dir.path().join(LOCK_FILE), "17\n").expect("mark");
        check_ours(dir.path()).expect("ours");
    }

    #[test]
    fn no_other_file_is_taken_for_the_lock() {
        let dir = tempfile::tempdir().expect("directory");
        let (path, other) = (dir.path().join(LOCK_FILE), dir.path().join("other"));
        fs::write(&other, "17").expect("write");
        symlink(&other, &path).expect("link");
        lock(dir.path()).expect_err("a link");
        assert_eq!(fs::read(&other).expect("read"), b"17");
        fs::remove_file(&path).expect("remove");
        for text in ["somebody else's", "somebody else's, and much longer than a number"] {
            fs::write(&path, text).expect("write");
            lock(dir.path()).expect_err("not our text");
            assert_eq!(fs::read(&path).expect("read"), text.as_bytes());
        }
        fs::write(&path, "17\n").expect("write");
        lock(dir.path()).expect("ours");
        assert_eq!(fs::read_to_string(&path).expect("read"), format!("{}\n", std::process::id()));
    }
}
