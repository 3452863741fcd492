use std::io;
use std::path::PathBuf;

/// Why a plugin is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The name cannot be that of a socket.
    #[error(
        "serve plugin {0:?}: the name becomes a file name; use one without '/' that does not start with '.'"
    )]
    Name(String),
    /// The directory is missing and cannot be made, or cannot be used.
    #[error("use plugin directory {path}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else could put a socket of his own in our place.
    #[error("use plugin directory {path}: {reason}")]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// Who could, and what to do about it.
        reason: String,
    },
    /// Too many plugins start or stop at once, or one of them hangs while it does.
    #[error(
        "use plugin directory {path}: another process has locked it for {seconds} s; see who hangs with `fuser {path}`"
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// How long we waited.
        seconds: u64,
    },
    /// A unix socket's path is limited by the system.
    #[error(
        "serve plugin {name} at {path}: the path has {bytes} bytes, the system takes {limit}; use a shorter directory"
    )]
    TooLong {
        /// Name of the plugin.
        name: String,
        /// Path of the socket.
        path: PathBuf,
        /// Its length.
        bytes: usize,
        /// What the system takes.
        limit: usize,
    },
    /// The name is taken by a process that answers.
    #[error(
        "serve plugin {name}: {owner} already serves it at {place}; stop it first (`regrow plugin stop {name}`) or use another name"
    )]
    Taken {
        /// Name of the plugin.
        name: String,
        /// Who serves it.
        owner: Owner,
        /// Path or address.
        place: String,
    },
    /// The process that left the files still runs, but does not answer.
    #[error(
        "serve plugin {name}: {owner} wrote {path} and still runs, but does not answer; stop it, or remove the file if it has nothing to do with this plugin"
    )]
    Silent {
        /// Name of the plugin.
        name: String,
        /// Who wrote the file.
        owner: Owner,
        /// The pid file.
        path: PathBuf,
    },
    /// Something that is no socket has the name.
    #[error(
        "serve plugin {name}: {path} exists and is not a socket; remove it or use another name"
    )]
    NotASocket {
        /// Name of the plugin.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// The place to listen at cannot be used.
    #[error("listen for plugin {name} at {place}: {source}")]
    Listen {
        /// Name of the plugin.
        name: String,
        /// Path or address.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file beside the socket cannot be written.
    #[error("write {path} for plugin {name}: {source}")]
    File {
        /// Name of the plugin.
        name: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The environment does not say where to listen.
    #[error("{0}")]
    Environment(String),
}

/// A process that owns a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Process id, where it is known.
    pub pid: Option<i32>,
    /// Name of its command, where it is known.
    pub command: Option<String>,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.pid, &self.command) {
            (Some(pid), Some(command)) => write!(f, "process {pid} ({command})"),
            (Some(pid), None) => write!(f, "process {pid}"),
            (None, _) => f.write_str("another process"),
        }
    }
}
