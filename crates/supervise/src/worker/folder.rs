//! The private folder of one supervisor: sockets for `sd_notify` and files with secrets. Below
//! `/run` where that may be written, so in memory and gone with the machine.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The folder could not be made.
#[derive(Debug, Error)]
#[error("make the private folder {}: {reason}; set XDG_RUNTIME_DIR to a folder of your own", path.display())]
pub struct FolderError {
    path: PathBuf,
    reason: String,
}

/// The folder, made when it is first needed.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder of the supervisor whose init has this process number. What an earlier program of
    /// the same number left there is removed when `fresh`.
    pub fn new(init: u32, fresh: bool) -> Self {
        let path = base().join(format!("regrow-supervise-{init}"));
        if fresh && is_ours(&path) {
            // Left over by a dead program; what cannot be removed is noticed when it is used.
            let _ = fs::remove_dir_all(&path);
        }
        Self { path }
    }

    /// A folder below it, private to this user.
    ///
    /// # Errors
    /// It cannot be made, or somebody else's is in its place.
    pub fn below(&self, name: &str) -> Result<PathBuf, FolderError> {
        let path = self.path.join(name);
        let failed = |path: &Path, reason: String| FolderError { path: path.to_owned(), reason };
        for part in [&self.path, &path] {
            match DirBuilder::new().mode(0o700).create(part) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(part, error.to_string())),
            }
            if !is_ours(part) {
                let reason = "it is there and belongs to somebody else, or others may write in it";
                return Err(failed(part, reason.to_owned()));
            }
        }
        Ok(path)
    }

    /// Removes everything, at the end of the program.
    pub fn remove(&self) {
        if is_ours(&self.path) {
            // The next start of a program with this number removes what stays.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn base() -> PathBuf {
    let run = Path::new("/run");
    if rustix::fs::access(run, rustix::fs::Access::WRITE_OK).is_ok() {
        return run.to_owned();
    }
    std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

fn is_ours(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(path)
        .is_ok_and(|found| found.is_dir() && found.uid() == own && found.mode() & 0o022 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn folder_in(base: &Path) -> Folder {
        Folder { path: base.join("own") }
    }

    #[test]
    fn folders_are_private() {
        let base = tempfile::tempdir().expect("a folder");
        let path = folder_in(base.path()).below("secrets").expect("made");
        let mode = fs::metadata(path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_link_or_an_open_folder_in_its_place_is_refused() {
        let base = tempfile::tempdir().expect("a folder");
        let elsewhere = base.path().join("elsewhere");
        fs::create_dir(&elsewhere).expect("made");
        std::os::unix::fs::symlink(&elsewhere, base.path().join("own")).expect("linked");
        assert!(folder_in(base.path()).below("secrets").is_err());
        fs::remove_file(base.path().join("own")).expect("removed");
        fs::create_dir(base.path().join("own")).expect("made");
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(base.path().join("own"), open).expect("opened");
        assert!(folder_in(base.path()).below("secrets").is_err());
    }
}
