//! Opening the socket: nobody's live socket is taken away, nobody's file is removed.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::{Ask, ControlError, Counted, serve};

/// How often opening is tried.
const ATTEMPTS: u32 = 10;
/// Pause between attempts.
const ATTEMPT_PAUSE: Duration = Duration::from_secs(1);
/// Connections that wait until they are accepted.
const BACKLOG: i32 = 128;

/// The open socket. Dropping it, or the future of [`Control::run`], closes it and removes its file;
/// requests that came before are answered all the same.
pub struct Control {
    // Dropped first: while the socket is open nobody takes its file for a stale one.
    file: SocketFile,
    listener: UnixListener,
    counted: Option<Counted>,
}

impl Control {
    /// Opens the socket; a stale file at its place is removed. Where it cannot be opened, tries ten
    /// times, one second apart.
    ///
    /// To move to another path while running, open the new one first and then drop the old one.
    ///
    /// # Errors
    /// Somebody listens there, something that is no socket is there, or the system says no.
    pub async fn bind(path: &Path) -> Result<Self, ControlError> {
        let mut left = ATTEMPTS;
        loop {
            left -= 1;
            // Whoever keeps the lock of the folder for ten seconds does not open a socket.
            match Self::open(path, left == 0).await {
                Err(error) if left > 0 && may_change(&error) => {
                    tokio::time::sleep(ATTEMPT_PAUSE).await;
                }
                opened => return opened.map_err(|source| failed(path, source)),
            }
        }
    }

    /// As [`Control::bind`], trying once: for a reload, which is better refused than late.
    ///
    /// # Errors
    /// As there.
    pub async fn try_bind(path: &Path) -> Result<Self, ControlError> {
        Self::open(path, false).await.map_err(|source| failed(path, source))
    }

    /// Tells `counted` of every answer.
    #[must_use]
    pub fn counted(self, counted: Counted) -> Self {
        Self { counted: Some(counted), ..self }
    }

    /// Path of the socket.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Serves until nobody takes questions any more.
    pub async fn run(self, asks: mpsc::Sender<Ask>) {
        let Self { file, listener, counted } = self;
        serve::run(&listener, &asks, counted).await;
        drop(file);
    }

    async fn open(path: &Path, unlocked: bool) -> io::Result<Self> {
        let _lock = if unlocked { None } else { Some(lock_folder(path)?) };
        remove_stale(path).await?;
        let listener = listen(path)?;
        let file = SocketFile::at(path)?;
        Ok(Self { file, listener, counted: None })
    }
}

fn failed(path: &Path, source: io::Error) -> ControlError {
    ControlError { path: path.to_owned(), source }
}

/// Waiting mends everything but a wrong path.
fn may_change(error: &io::Error) -> bool {
    !matches!(error.kind(), ErrorKind::InvalidFilename | ErrorKind::InvalidInput)
}

/// Two that find the same stale file must not both remove it: the second would remove the socket of
/// the first.
fn lock_folder(path: &Path) -> io::Result<File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new(".")))?;
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(folder),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(io::Error::other("somebody else opens a socket in this folder; try again"))
        }
        Err(error) => Err(error.into()),
    }
}

async fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() {
        let text = "a file that is no socket is there; remove it or choose another path";
        return Err(io::Error::new(ErrorKind::InvalidInput, text));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        // A full queue is somebody, too.
        Ok(_) => Err(listens_already()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(listens_already()),
        Err(error) => Err(error),
    }
}

fn listens_already() -> io::Error {
    let text = "another supervisor listens there; stop it or choose another path";
    io::Error::new(ErrorKind::AddrInUse, text)
}

/// By hand, to set the permissions between bind and listen, when nobody can connect yet.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    rustix::net::listen(&socket, BACKLOG)?;
    UnixListener::from_std(std::os::unix::net::UnixListener::from(socket))
}

/// The file of an open socket, removed in the end unless somebody replaced it.
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: found.dev(), inode: found.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode)) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
