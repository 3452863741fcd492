//! Leases: time that somebody holds, and keys that go away with it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Name of a lease. Never given twice by one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseId(u128);

impl LeaseId {
    /// Wraps the backend's own number.
    pub const fn new(raw: u128) -> Self {
        Self(raw)
    }

    /// The backend's own number.
    pub const fn get(self) -> u128 {
        self.0
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A lease as it was granted.
///
/// It never ends before `ttl` has passed since its last renewal was asked for, by the clock of the
/// backend's leader. Under one leader it ends at most a fifth of `ttl` later where the backend keeps
/// time closely (see [`Capabilities`](crate::Capabilities)); a change of leader makes it later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Its name.
    pub id: LeaseId,
    /// How long it lasts without renewal: what was asked for, or longer.
    pub ttl: Duration,
}
