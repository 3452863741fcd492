//! Why a call did not do what it was asked for, and whether it may have been executed.

use std::time::Duration;

use regrow_ids::Revision;

use crate::key::MAX_KEY_BYTES;
use crate::lease::LeaseId;

/// What is asked for breaks a rule or a limit. Nothing was sent, nothing was executed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A key without a character.
    #[error("check key: it is empty; a key has 1 to {MAX_KEY_BYTES} bytes")]
    EmptyKey,
    /// A key or prefix that is too long.
    #[error("check key {key:?}: {bytes} bytes, at most {MAX_KEY_BYTES} are allowed; shorten it")]
    LongKey {
        /// Its beginning.
        key: String,
        /// Its size.
        bytes: usize,
    },
    /// A key or prefix that not every backend could carry.
    #[error("check key {key:?}: {reason}; choose another key")]
    Key {
        /// Its beginning.
        key: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A value over the limit.
    #[error("check value of {key}: {bytes} bytes, at most {limit} are allowed; split it")]
    Value {
        /// The key.
        key: String,
        /// Its size.
        bytes: usize,
        /// Largest size.
        limit: usize,
    },
    /// A transaction over a limit.
    #[error("check transaction: {count} {what}, at most {limit} are allowed; split it")]
    Transaction {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        count: usize,
        /// How much may be.
        limit: usize,
    },
    /// A transaction that writes a key twice.
    #[error("check transaction: it writes {key} more than once; write each key once")]
    Twice {
        /// The key.
        key: String,
    },
    /// A comparison with revision 0, which no key has.
    #[error("check transaction: it compares {key} with revision 0; use `Absent` for no key")]
    NoRevision {
        /// The key.
        key: String,
    },
    /// A range of no keys.
    #[error("check range: its limit is 0; ask for at least one key")]
    NoLimit,
    /// A lease time that the backend does not offer.
    #[error(
        "check lease: {ttl:?} is not between {shortest:?} and {longest:?}; choose another time"
    )]
    Ttl {
        /// What was asked for.
        ttl: Duration,
        /// Shortest.
        shortest: Duration,
        /// Longest.
        longest: Duration,
    },
    /// The settings of a backend.
    #[error("check settings of {backend}: {reason}")]
    Settings {
        /// The backend.
        backend: String,
        /// What is wrong and what to do.
        reason: String,
    },
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoordError {
    /// It breaks a rule. It was not executed, and repeating it does not help.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// The lease ended, or never was. Nothing was executed.
    #[error("{doing}: lease {lease} has ended; grant a new one")]
    UnknownLease {
        /// What was being done.
        doing: &'static str,
        /// The lease.
        lease: LeaseId,
    },
    /// The backend cannot be used now. Nothing was executed, and nothing will be.
    #[error("{doing}: {reason}; nothing was executed, try again soon")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        reason: String,
    },
    /// The backend refuses for good: no right, no space. Nothing was executed.
    #[error("{doing}: refused: {reason}; nothing was executed")]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        reason: String,
    },
    /// It was sent, and what became of it is unknown. It may even be executed later.
    #[error("{doing}: {reason}; it may have been executed, look before you repeat it")]
    Unknown {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        reason: String,
    },
}

impl CoordError {
    /// True when nothing was executed and nothing will be.
    pub const fn certainly_not_executed(&self) -> bool {
        !matches!(self, Self::Unknown { .. })
    }

    /// True when the same call may succeed later.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Unknown { .. })
    }
}

/// Why a watch ended. It delivered nothing wrong before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// Changes that the watcher has not seen are no longer kept. List the keys and watch from the
    /// revision behind the list.
    #[error("watch: changes before revision {oldest} are gone; list the keys and watch from there")]
    Compacted {
        /// The oldest revision from which a watch can begin.
        oldest: Revision,
    },
    /// The connection or the replica is gone. Watch again from the revision behind the last one
    /// that was delivered: nothing is lost by that.
    #[error("watch: {reason}; watch again from the revision behind the last delivered one")]
    Lost {
        /// What went wrong.
        reason: String,
    },
}
