use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use crate::server::ServeError;

/// How long a start waits for others that start or stop in the same directory.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(5);

/// The exclusive right to change which plugins a directory has. Ends with the value, and with the
/// process.
pub(super) struct DirectoryLock {
    _directory: File,
}

impl DirectoryLock {
    pub(super) fn take(path: &Path) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Directory { path: path.to_owned(), source };
        let directory = File::open(path).map_err(failed)?;
        let start = Instant::now();
        loop {
            match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _directory: directory }),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(failed(errno.into())),
            }
            if start.elapsed() > PATIENCE {
                let (path, seconds) = (path.to_owned(), PATIENCE.as_secs());
                return Err(ServeError::Locked { path, seconds });
            }
            std::thread::sleep(PAUSE);
        }
    }
}
