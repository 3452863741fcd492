//! What can go wrong between the supervisor and the catalog.

use std::path::PathBuf;
use std::time::Duration;

/// Why the catalog cannot be used as it is configured. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The address.
    #[error(
        "use the catalog at {url:?}: {reason}; expected http://HOST:PORT, https://HOST:PORT or unix:///PATH"
    )]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The token or the login holds what no header can carry.
    #[error("send {what} to the catalog: it has characters that no header can carry; correct it")]
    Header {
        /// Which of them.
        what: &'static str,
    },
    /// A file with certificates or a key.
    #[error("read {what} from {}: {reason}", path.display())]
    File {
        /// What was looked for.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it is not there.
        reason: String,
    },
    /// The settings of TLS do not go together.
    #[error("prepare TLS to the catalog: {0}")]
    Tls(String),
    /// A lock that cannot be had.
    #[error("compete for the lock {name:?}: {reason}")]
    Lock {
        /// Its name.
        name: String,
        /// Why not.
        reason: String,
    },
}

/// Why a call brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nobody takes connections there: nothing was executed.
    #[error("connect to {address}: {reason}")]
    Connect {
        /// Where.
        address: String,
        /// Why not.
        reason: String,
    },
    /// The connection broke: it may have been executed.
    #[error("{address} gave no answer: {reason}")]
    Broken {
        /// Who.
        address: String,
        /// What happened.
        reason: String,
    },
    /// It is silent: it may have been executed, or may be later.
    #[error("{address} gave no answer within {within:?}")]
    Late {
        /// Who.
        address: String,
        /// How long it had.
        within: Duration,
    },
    /// It said no. The words are those of ContainerPilot, which people look for in logs.
    #[error("Unexpected response code: {status} ({body})")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// Its text, cut.
        body: String,
    },
    /// It answered something that is not of a catalog.
    #[error("{address} is no catalog: {reason}")]
    Foreign {
        /// Who.
        address: String,
        /// What was wrong.
        reason: String,
    },
}

impl CallError {
    /// True when nothing was executed and nothing will be.
    pub const fn certainly_not_executed(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Refused { .. })
    }

    /// The agent says that it does not know the service or its check. Consul before 1.10 answers 500
    /// with a text, later ones 404.
    pub(super) fn says_unknown(&self) -> bool {
        let Self::Refused { status, body } = self else { return false };
        let body = body.to_ascii_lowercase();
        *status == 404
            || body.contains("does not have associated ttl")
            || body.contains("unknown check")
            || body.contains("unknown service")
    }

    /// A coarse kind: failures of one kind are one complaint, whatever their texts say.
    pub(super) const fn kind(&self) -> u16 {
        match self {
            Self::Connect { .. } => 1,
            Self::Broken { .. } => 2,
            Self::Late { .. } => 3,
            Self::Foreign { .. } => 4,
            Self::Refused { status, .. } => *status,
        }
    }
}
