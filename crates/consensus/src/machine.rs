//! What a deterministic state machine is, and how several share one replica.

mod many;

use crate::tables::{Edit, TableError, View};

pub use many::{Machines, MachinesError, Scope};

/// Milliseconds of cluster time: it passes only while somebody leads, and never goes back.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Time(u64);

impl Time {
    /// Wraps milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the cluster began.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This time and `wait` after it, in whole milliseconds, rounded up so that nothing ends early.
    #[must_use]
    pub fn after(self, wait: std::time::Duration) -> Self {
        let millis = wait.as_nanos().div_ceil(1_000_000);
        Self(self.0.saturating_add(u64::try_from(millis).unwrap_or(u64::MAX)))
    }

    /// How long from `earlier` to this time; zero where it is not earlier.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Where and when a command is applied. The same on every replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Position in the log, from 1. Strictly grows; not every position carries a command.
    pub index: u64,
    /// Cluster time. Never goes back.
    pub time: Time,
}

/// One changed key of a machine, as the machine names it (without its scope).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The command that changed it.
    pub index: u64,
    /// The key.
    pub key: Vec<u8>,
    /// What it holds now; `None` when it was deleted.
    pub value: Option<Vec<u8>>,
}

/// A deterministic state machine over ordered tables.
///
/// Every replica applies the same commands in the same order and must come to the same tables and
/// replies: no clock, no randomness, no maps with random order, nothing remembered outside the
/// tables that changes what `apply` does.
pub trait Machine: Send + Sync + 'static {
    /// Applies one command and returns its reply, both in the machine's own encoding.
    ///
    /// A command that is refused is a reply that says so and leaves the tables as they were: check
    /// first, write then. Bytes that are no command get such a reply too.
    ///
    /// # Errors
    /// The tables cannot be used; the replica stops.
    fn apply(&self, at: At, command: &[u8], tables: &mut dyn Edit) -> Result<Vec<u8>, TableError>;

    /// The earliest time at which something expires, or `None` when nothing does. Asked by the
    /// leader several times a second, so a look at one key is what it may cost.
    ///
    /// # Errors
    /// The tables cannot be read.
    fn deadline(&self, tables: &dyn View) -> Result<Option<Time>, TableError> {
        let _ = tables;
        Ok(None)
    }

    /// The command that makes everything expire whose time has come. The leader proposes it when
    /// [`deadline`](Self::deadline) has passed; `apply` decides by its own `at.time` what is due.
    fn expire(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Tells what a batch of commands changed, after readers can see it, in order. `last` is the
    /// newest command of the batch. For watchers; must return soon.
    fn committed(&self, last: At, changes: &[Change]) {
        let _ = (last, changes);
    }

    /// Tells that the tables were replaced as a whole: at the start and after a snapshot of another
    /// replica was taken over. Watchers that follow single changes have missed some.
    fn replaced(&self, last: At, tables: &dyn View) {
        let _ = (last, tables);
    }
}
