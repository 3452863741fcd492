//! Keys and their values.

use serde::{Deserialize, Serialize};

use super::{Indexes, SessionId};

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEntry {
    /// The key.
    pub key: String,
    /// Any bytes, at most 512 KiB.
    pub value: Vec<u8>,
    /// A number of the client's own.
    pub flags: u64,
    /// How often the key was locked. Grows with every acquisition by another session, so that
    /// (key, `lock_index`, session) fences what its holder does.
    pub lock_index: u64,
    /// The session that holds the lock.
    pub session: Option<SessionId>,
    /// Where it was made and changed.
    pub indexes: Indexes,
}
