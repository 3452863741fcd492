//! Why the machine did not do what it was asked. The texts are those of Consul 1.9.

use serde::{Deserialize, Serialize};

use crate::model::SessionId;

/// Why a command was refused: nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    /// The bytes are no command of this build.
    #[error("rpc error: {bytes} bytes are no command that this program knows; update it")]
    Malformed {
        /// How many bytes there were.
        bytes: usize,
    },
    /// A name is empty, too long, or holds a zero byte.
    #[error("Invalid {what}: use 1 to {limit} bytes without a zero byte")]
    Name {
        /// What was named.
        what: String,
        /// Most bytes.
        limit: usize,
    },
    /// A value is larger than a value may be.
    #[error("Value for key {key:?} is too large ({bytes} > {limit} bytes)")]
    ValueTooLarge {
        /// The key.
        key: String,
        /// Its size.
        bytes: usize,
        /// Most bytes.
        limit: usize,
    },
    /// The node is not there.
    #[error("Missing node registration")]
    NoNode,
    /// The service of a check is not there.
    #[error("ServiceID {0:?} does not exist")]
    NoService(String),
    /// The check of a session is not there.
    #[error("Missing check '{0}' registration")]
    NoSessionCheck(String),
    /// The check of a session is critical.
    #[error("Check '{0}' is in critical state")]
    CriticalCheck(String),
    /// The check that is updated is not there.
    #[error("CheckID {0:?} does not have associated TTL")]
    NoCheck(String),
    /// The session that would lock is not there.
    #[error("invalid session {0:?}")]
    InvalidSession(String),
    /// No session was given to lock for.
    #[error("missing session")]
    MissingSession,
    /// A session of this id is there already.
    #[error("session {0} exists; create another")]
    SessionExists(SessionId),
}

/// Why a deed on a key was not done. To a single deed the answer is `false`; in a transaction it is
/// this text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Denial {
    /// The index to write over is not the key's.
    #[error("failed to set key {0:?}, index is stale")]
    StaleSet(String),
    /// The index to delete is not the key's.
    #[error("failed to delete key {0:?}, index is stale")]
    StaleDelete(String),
    /// Somebody else holds it.
    #[error("failed to lock key {0:?}, lock is already held")]
    Held(String),
    /// Its last holder's session ended a short while ago.
    #[error("failed to lock key {0:?} due to lock delay")]
    LockDelay(String),
    /// The session does not hold it.
    #[error("failed to unlock key {0:?}, lock isn't held, or is held by another session")]
    NotHeld(String),
    /// It is absent.
    #[error("key {0:?} doesn't exist")]
    Absent(String),
    /// It is present.
    #[error("key {0:?} exists")]
    Present(String),
    /// It is absent, and its index was asked for.
    #[error("failed to check index, key {0:?} doesn't exist")]
    NoIndex(String),
    /// Its index is another.
    #[error("failed index check for key {key:?}, current modify index {current} != {wanted}")]
    OtherIndex {
        /// The key.
        key: String,
        /// Its index.
        current: u64,
        /// The index asked for.
        wanted: u64,
    },
    /// It is absent, and its session was asked for.
    #[error("failed to check session, key {0:?} doesn't exist")]
    NoSession(String),
    /// Its session is another.
    #[error("failed session check for key {key:?}, current session {current:?} != {wanted:?}")]
    OtherSession {
        /// The key.
        key: String,
        /// Who holds it; empty for nobody.
        current: String,
        /// The session asked for.
        wanted: String,
    },
    /// The deed itself makes no sense.
    #[error("{0}")]
    Refused(Refusal),
    /// The index is not that of the node, the service or the check.
    #[error("failed to {doing} {entry}, index is stale")]
    StaleEntry {
        /// What was to be done.
        doing: String,
        /// With what.
        entry: String,
    },
    /// The node, the service or the check is absent.
    #[error("{0} doesn't exist")]
    NoEntry(String),
}
