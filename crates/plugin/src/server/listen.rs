use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::ServeError;
use super::accept::Stream;
use super::claim::{Claim, Site};
use super::limits::LISTEN_BACKLOG;
use crate::discovery::{Directory, Endpoint};

/// Where to serve a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// On the unix socket `directory/NAME`.
    Unix {
        /// The discovery directory; made if missing.
        directory: PathBuf,
    },
    /// On a TCP port, with a file `directory/NAME.listen` that says so.
    Tcp {
        /// `host:port` to bind; port 0 takes any.
        address: String,
        /// `host:port` that others shall use; the bound address if absent.
        advertise: Option<String>,
        /// The discovery directory; made if missing.
        directory: PathBuf,
    },
}

impl Listen {
    /// On a unix socket in a directory.
    pub fn unix(directory: impl Into<PathBuf>) -> Self {
        Self::Unix { directory: directory.into() }
    }

    /// On a TCP port, made known in a directory.
    pub fn tcp(address: impl Into<String>, directory: impl Into<PathBuf>) -> Self {
        Self::Tcp { address: address.into(), advertise: None, directory: directory.into() }
    }

    /// As the environment says: in the discovery directory, on a unix socket, or on the TCP address
    /// `REGROW_PLUGIN_LISTEN` (advertised as `REGROW_PLUGIN_ADVERTISE`).
    ///
    /// # Errors
    /// The environment names no directory and the user has no home.
    pub fn from_env() -> Result<Self, ServeError> {
        let directory =
            Directory::from_env().map_err(|error| ServeError::Environment(error.to_string()))?;
        let directory = directory.path().to_owned();
        let var = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        Ok(match var("REGROW_PLUGIN_LISTEN") {
            None => Self::Unix { directory },
            Some(address) => {
                let address = address.trim_start_matches("tcp://").to_owned();
                Self::Tcp { address, advertise: var("REGROW_PLUGIN_ADVERTISE"), directory }
            }
        })
    }

    pub(super) async fn open(self, name: &str) -> Result<(Listener, Claim, Endpoint), ServeError> {
        let name = name.to_owned();
        let enter = |directory: PathBuf, name: String| {
            // Looks at files and may wait for the lock.
            tokio::task::spawn_blocking(move || Site::enter(&directory, &name))
        };
        match self {
            Self::Unix { directory } => {
                let site = joined(enter(directory, name).await)?;
                let path = site.checked_socket_path()?;
                let listener = listen_unix(&path).map_err(|source| ServeError::Listen {
                    name: site.name.clone(),
                    place: path.display().to_string(),
                    source,
                })?;
                let claim = site.claim_socket()?;
                Ok((Listener::Unix(listener), claim, Endpoint::Unix(path)))
            }
            Self::Tcp { address, advertise, directory } => {
                let site = joined(enter(directory, name).await)?;
                let failed = |source| ServeError::Listen {
                    name: site.name.clone(),
                    place: address.clone(),
                    source,
                };
                let listener = listen_tcp(&address).await.map_err(failed)?;
                let bound = listener.local_addr().map_err(failed)?;
                let advertised = advertise.unwrap_or_else(|| {
                    if bound.ip().is_unspecified() {
                        format!("localhost:{}", bound.port())
                    } else {
                        bound.to_string()
                    }
                });
                let claim = site.claim_port(&format!("tcp://{advertised}"))?;
                Ok((Listener::Tcp(listener), claim, Endpoint::Tcp(advertised)))
            }
        }
    }
}

/// The blocking part panics only if the program has a bug; its message is then in the log.
fn joined(
    ended: Result<Result<Site, ServeError>, tokio::task::JoinError>,
) -> Result<Site, ServeError> {
    ended.unwrap_or_else(|error| Err(ServeError::Environment(format!("claim the name: {error}"))))
}

/// A socket that accepts.
pub(super) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Unix(listener) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
            Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| Stream::Tcp(stream)),
        }
    }
}

/// Binds by hand: the standard way has a queue for 128 connections and leaves the permissions to
/// the user's mask. They are set between bind and listen, when nobody can connect yet.
fn listen_unix(path: &Path) -> io::Result<UnixListener> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    rustix::net::listen(&socket, LISTEN_BACKLOG)?;
    UnixListener::from_std(std::os::unix::net::UnixListener::from(socket))
}

async fn listen_tcp(address: &str) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in tokio::net::lookup_host(address).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        match socket.bind(address).and_then(|()| socket.listen(LISTEN_BACKLOG.unsigned_abs())) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}
