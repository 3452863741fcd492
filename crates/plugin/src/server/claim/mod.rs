//! Who owns a plugin's name in the directory.
//!
//! A name is claimed under a lock on the directory itself, so that of two starters one wins and no
//! lock file is left behind. A socket belongs to whoever answers a connect: the system refuses it
//! when the last listener is gone, so a leftover of a dead process cannot be mistaken for a live
//! one. The pid file is only asked when nothing answers: an owner that still runs may be about to
//! listen, and its place must not be taken.

mod directory;
mod lock;
mod process;

use std::fs;
use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::ServeError;
use super::error::Owner;
use lock::DirectoryLock;

/// Longest path of a unix socket, without the final zero byte.
const SOCKET_PATH_BYTES: usize = 107;

/// How long the owner of a `.listen` file has to accept a connection.
const TCP_PROBE: Duration = Duration::from_secs(1);

/// A claimed name: the files that stand for it.
#[derive(Debug)]
pub(super) struct Claim {
    directory: PathBuf,
    /// The socket or `.listen` file, with its identity: a successor's file must not be removed.
    main: (PathBuf, FileId),
    pid: PathBuf,
    released: AtomicBool,
}

type FileId = (u64, u64);

/// The place of a plugin while its name is being claimed.
pub(super) struct Site {
    pub(super) name: String,
    directory: PathBuf,
    _lock: DirectoryLock,
}

impl Site {
    /// Locks the directory and makes sure that the name is free, removing what a dead owner left.
    pub(super) fn enter(directory: &Path, name: &str) -> Result<Self, ServeError> {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
            return Err(ServeError::Name(name.to_owned()));
        }
        directory::prepare(directory)?;
        let lock = DirectoryLock::take(directory)?;
        let site = Self { name: name.to_owned(), directory: directory.to_owned(), _lock: lock };
        let socket_owner = site.probe_socket()?;
        let port_owner = site.probe_port()?;
        if let Some((owner, place)) = socket_owner.or(port_owner) {
            return Err(ServeError::Taken { name: site.name, owner, place });
        }
        let path = site.pid_path();
        if let Some(owner) = process::live_writer(&path) {
            return Err(ServeError::Silent { name: site.name, owner, path });
        }
        for leftover in [site.socket_path(), site.listen_path(), path] {
            match fs::remove_file(&leftover) {
                Ok(()) => {
                    tracing::info!(file = %leftover.display(), "removed what a dead owner left");
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(site.file_error(&leftover, error)),
            }
        }
        Ok(site)
    }

    pub(super) fn socket_path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    fn listen_path(&self) -> PathBuf {
        self.directory.join(format!("{}.listen", self.name))
    }

    fn pid_path(&self) -> PathBuf {
        self.directory.join(format!("{}.pid", self.name))
    }

    /// Path of the socket, if the system takes it.
    pub(super) fn checked_socket_path(&self) -> Result<PathBuf, ServeError> {
        let path = self.socket_path();
        let bytes = path.as_os_str().len();
        if bytes > SOCKET_PATH_BYTES {
            let (name, limit) = (self.name.clone(), SOCKET_PATH_BYTES);
            return Err(ServeError::TooLong { name, path, bytes, limit });
        }
        Ok(path)
    }

    /// The process that answers at the socket.
    fn probe_socket(&self) -> Result<Option<(Owner, String)>, ServeError> {
        let path = self.socket_path();
        let meta = match fs::symlink_metadata(&path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.file_error(&path, error)),
        };
        if !meta.file_type().is_socket() {
            return Err(ServeError::NotASocket { name: self.name.clone(), path });
        }
        match connect(&path) {
            Ok(pid) => {
                let owner = pid.or_else(|| process::recorded(&self.pid_path()));
                Ok(Some((process::owner(owner), path.display().to_string())))
            }
            Err(rustix::io::Errno::CONNREFUSED | rustix::io::Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.file_error(&path, errno.into())),
        }
    }

    /// The process that answers at the address in the `.listen` file.
    fn probe_port(&self) -> Result<Option<(Owner, String)>, ServeError> {
        let path = self.listen_path();
        let url = match fs::read_to_string(&path) {
            Ok(url) => url,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.file_error(&path, error)),
        };
        let address = url.trim().trim_start_matches("tcp://").trim_end_matches('/');
        let Ok(mut found) = address.to_socket_addrs() else { return Ok(None) };
        let answers = found.any(|address| TcpStream::connect_timeout(&address, TCP_PROBE).is_ok());
        // Whoever has the port now need not be the plugin, so its process must live as well.
        Ok(process::live_writer(&self.pid_path())
            .filter(|_| answers)
            .map(|owner| (owner, url.trim().to_owned())))
    }

    /// Records a unix socket that listens as ours.
    pub(super) fn claim_socket(self) -> Result<Claim, ServeError> {
        let path = self.socket_path();
        self.claim(path)
    }

    /// Records a TCP port that listens as ours.
    pub(super) fn claim_port(self, url: &str) -> Result<Claim, ServeError> {
        let path = self.listen_path();
        self.write(&path, url)?;
        self.claim(path)
    }

    fn claim(self, main: PathBuf) -> Result<Claim, ServeError> {
        let id = file_id(&main).map_err(|error| self.file_error(&main, error))?;
        let pid = self.pid_path();
        self.write(&pid, &std::process::id().to_string())?;
        Ok(Claim {
            directory: self.directory.clone(),
            main: (main, id),
            pid,
            released: AtomicBool::new(false),
        })
    }

    /// Writes a file whole or not at all: others read it without a lock.
    fn write(&self, path: &Path, text: &str) -> Result<(), ServeError> {
        // A name that nobody can have guessed, and that must not exist: whatever lies there was put
        // there for us to write through.
        let number: u64 = rand::random();
        let draft = self.directory.join(format!(".{}.{number:016x}.draft", self.name));
        let written = fill(&draft, text).and_then(|()| fs::rename(&draft, path));
        written.map_err(|error| {
            if error.kind() != io::ErrorKind::AlreadyExists {
                let _ = fs::remove_file(&draft);
            }
            self.file_error(path, error)
        })
    }

    fn file_error(&self, path: &Path, source: io::Error) -> ServeError {
        ServeError::File { name: self.name.clone(), path: path.to_owned(), source }
    }
}

impl Claim {
    /// Removes the files, unless they are a successor's already. Does so once.
    pub(super) fn release(&self) {
        if self.released.swap(true, Ordering::Relaxed) {
            return;
        }
        // Without the lock the worst is that a starter waits for a moment.
        let _lock = DirectoryLock::take(&self.directory);
        let (main, id) = &self.main;
        if file_id(main).is_ok_and(|found| found == *id) {
            for path in [main, &self.pid] {
                if let Err(error) = fs::remove_file(path) {
                    tracing::debug!(file = %path.display(), %error, "remove at stop");
                }
            }
        }
    }
}

/// Makes a file; neither one that exists nor a link at its place is followed.
fn fill(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    // The user's mask does not count: every reader of the directory may know who serves a name.
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

fn file_id(path: &Path) -> io::Result<FileId> {
    fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()))
}

/// Tries a connection without waiting; the peer's pid where the system knows it.
fn connect(path: &Path) -> Result<Option<i32>, rustix::io::Errno> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
        Ok(()) => {}
        // The queue of a listener is full: somebody is there.
        Err(rustix::io::Errno::AGAIN) => return Ok(None),
        Err(errno) => return Err(errno),
    }
    let peer = rustix::net::sockopt::socket_peercred(&socket)?;
    Ok(Some(peer.pid.as_raw_nonzero().get()))
}
