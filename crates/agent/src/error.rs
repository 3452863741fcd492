//! Why an agent does not do what it was asked for.

use std::io;
use std::path::PathBuf;

use regrow_pki::ClusterId;

/// Why an agent does not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A file or folder cannot be used.
    #[error("{doing} {path}: {source}")]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The state folder is not what this program writes.
    #[error("read {path}: {reason}")]
    Folder {
        /// The file.
        path: PathBuf,
        /// What does not fit, and what to do.
        reason: String,
    },
    /// Another agent uses the state folder.
    #[error(
        "open state folder {path}: another agent uses it; stop that one or choose another with --state"
    )]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds no identity, and nobody said how to get one.
    #[error(
        "start the agent: {path} holds no identity; begin a cluster with --bootstrap, or join one with --join TOKEN@HOST:PORT"
    )]
    NoIdentity {
        /// The folder.
        path: PathBuf,
    },
    /// What the node keeps is damaged, and nobody is known who has it too.
    #[error(
        "start the agent: the log or the tables in {path} are damaged ({found}), and no other voter is \
         known that could refill them; every file was left as it is. Restore a backup into an empty \
         folder with `regrow restore`; if there are other servers, empty the folder and join anew"
    )]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// The node belongs to another cluster than the token's.
    #[error(
        "join: this node belongs to cluster {ours} already, and the token is another cluster's; choose another folder with --state, or remove this node there first"
    )]
    OtherCluster {
        /// The node's cluster.
        ours: ClusterId,
    },
    /// The node has another name than the one asked for.
    #[error(
        "start the agent: the node in {path} is named {ours:?} already, and --name asks for {asked:?}; start it without --name, or choose another folder with --state"
    )]
    OtherName {
        /// The folder.
        path: PathBuf,
        /// The node's name.
        ours: String,
        /// The name that was asked for.
        asked: String,
    },
    /// The join was refused or failed.
    #[error("join by way of {server}: {reason}")]
    Join {
        /// The server that was asked.
        server: String,
        /// What it said, and what to do.
        reason: String,
    },
    /// The port cannot be listened on.
    #[error("listen on {address}: {source}; choose another with --listen, or stop who uses it")]
    Listen {
        /// The address.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// Keys or certificates do not work.
    #[error("{doing}: {reason}")]
    Keys {
        /// What was being done.
        doing: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// The agent did not do what it was asked for.
    #[error("{reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
    /// The control group does not work.
    #[error("{doing}: {reason}")]
    Control {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        reason: String,
    },
}

impl AgentError {
    pub(crate) fn keys(doing: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Keys { doing, reason: reason.to_string() }
    }

    pub(crate) fn control(doing: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Control { doing, reason: reason.to_string() }
    }
}
