//! A place to which commands go and from which their results are read.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::machine::{At, Scope};
use crate::tables::{PrefixedOwned, TableError, View};

/// How new the data of a read is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// Everything that was acknowledged to anybody before the read began: a majority confirms the
    /// leader first.
    #[default]
    Linearizable,
    /// What the leader has, trusting that its lease holds: no round trip to the others, and wrong
    /// for a moment where a leader's clock stood still while another was elected.
    Lease,
    /// What this replica has, however old.
    Stale,
}

/// Who leads, as this replica knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// Node id of the leader, if there is one.
    pub leader: Option<u64>,
    /// Election term: grows with every election, one leader a term at most.
    pub term: u64,
    /// This replica leads and has applied everything that earlier leaders committed.
    pub leading: bool,
}

/// How a replica stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This node.
    pub node: u64,
    /// Who leads. Nobody, once the leader was silent for so long, or a majority silent on the leader,
    /// that the others may have elected another.
    pub leadership: Leadership,
    /// Last command that readers of this replica can see.
    pub applied: At,
    /// Time since the leader was last heard of, or, on a member that led, since a majority last
    /// answered; zero on a leader that is confirmed, `None` when never.
    pub last_contact: Option<Duration>,
    /// Node ids of the voters.
    pub voters: Vec<u64>,
    /// Node ids of the members without a vote.
    pub learners: Vec<u64>,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its position in the log.
    pub index: u64,
    /// The machine's reply.
    pub reply: Vec<u8>,
}

/// Why a command has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Nobody leads. The command was not executed and never will be.
    #[error("propose command: no leader; it was not executed, try again soon")]
    NoLeader,
    /// It was sent, and what became of it is unknown.
    #[error("propose command: {reason}; it may have been executed, look before you repeat it")]
    Unknown {
        /// What went wrong.
        reason: String,
    },
    /// Larger than a command may be. It was not executed.
    #[error("propose command: {bytes} bytes, more than {limit}; split it")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// Largest size.
        limit: usize,
    },
    /// This replica stopped for good; its log tells why. The command was not executed.
    #[error("propose command: this replica is halted: {reason}; repair the node and restart it")]
    Halted {
        /// Why it stopped.
        reason: String,
    },
}

/// Why there is nothing to read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nobody leads, or the leader cannot reach a majority.
    #[error("read: no leader; try again soon")]
    NoLeader,
    /// The leader did not answer in time.
    #[error("read: {reason}; try again")]
    Unavailable {
        /// What went wrong.
        reason: String,
    },
    /// This replica stopped for good.
    #[error("read: this replica is halted: {reason}; repair the node and restart it")]
    Halted {
        /// Why it stopped.
        reason: String,
    },
    /// The tables cannot be used.
    #[error("read: {0}")]
    Tables(#[from] TableError),
}

/// The tables at one moment. Holds old pages in place while it lives: keep it for moments.
pub struct Snapshot {
    /// The newest command that it shows.
    pub at: At,
    view: Box<dyn View>,
}

impl Snapshot {
    /// The tables as they were at `at`.
    pub fn new(at: At, view: Box<dyn View>) -> Self {
        Self { at, view }
    }

    /// The tables.
    pub fn view(&self) -> &dyn View {
        &*self.view
    }
}

/// One replica of the machines: takes commands, shows tables.
#[async_trait]
pub trait Replica: Send + Sync + 'static {
    /// Executes a command: gives it a place in the order of all commands, makes it durable, applies
    /// it, and returns the machine's reply. Works on any replica: the leader is found and asked.
    ///
    /// Dropping the future does not take the command back.
    ///
    /// # Errors
    /// It was not executed, or nobody knows; the error says which.
    async fn propose(&self, command: Vec<u8>) -> Result<Outcome, ProposeError>;

    /// The tables, as new as asked for.
    ///
    /// # Errors
    /// They cannot be had at that consistency.
    async fn read(&self, consistency: Consistency) -> Result<Snapshot, ReadError>;

    /// Who leads now, and every change of it. A leader that lost its majority stays here until another is
    /// heard of; [`status`](Self::status) tells.
    fn leadership(&self) -> watch::Receiver<Leadership>;

    /// Index of the newest command that readers of this replica can see, and every change of it.
    fn applied(&self) -> watch::Receiver<u64>;

    /// How this replica stands.
    fn status(&self) -> Status;
}

/// One machine's part of a replica.
#[derive(Clone)]
pub struct Scoped {
    inner: Arc<dyn Replica>,
    scope: Scope,
}

impl Scoped {
    /// The part of `inner` that `scope` names.
    pub fn new(inner: Arc<dyn Replica>, scope: Scope) -> Self {
        Self { inner, scope }
    }
}

#[async_trait]
impl Replica for Scoped {
    async fn propose(&self, command: Vec<u8>) -> Result<Outcome, ProposeError> {
        self.inner.propose(self.scope.prefix(&command)).await
    }

    async fn read(&self, consistency: Consistency) -> Result<Snapshot, ReadError> {
        let Snapshot { at, view } = self.inner.read(consistency).await?;
        Ok(Snapshot::new(at, Box::new(PrefixedOwned::new(view, &[self.scope.byte()]))))
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership()
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.inner.applied()
    }

    fn status(&self) -> Status {
        self.inner.status()
    }
}
