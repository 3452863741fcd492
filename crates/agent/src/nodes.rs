//! What the cluster knows of its nodes, as a state machine in the control group.
//!
//! | key | value |
//! |---|---|
//! | `cluster` | [`ClusterRecord`] |
//! | `next` | the next node number (u64, big-endian) |
//! | `node/` + number (u64, big-endian) | [`NodeRecord`] |
//! | `token/` + id (u32, big-endian) | a join token without its secret |
//! | `joined/` + SHA-256 of a public key | who joined with this key, by which token |
//! | `replaced/` + number (u64, big-endian) | which number stands in for this one, until it is heard of |
//!
//! Values are postcard behind one byte of version. A node's number is given once; a removed node's
//! record stays, marked, so that its number and its certificate stay refused. The last server is
//! neither removed nor made a worker. A command that only a newer program knows stops the replica.

mod command;
mod machine;
pub(crate) mod record;
mod replace;

use std::sync::Arc;
use std::time::SystemTime;

use regrow_consensus::{Consistency, ProposeError, ReadError, Replica, Scope, Snapshot};
use regrow_pki::{NodeNumber, Role, TokenId, TokenRecord};

pub use command::{Command, Refusal, Reply};
pub use machine::{Machine, Removed};
pub use record::{ClusterRecord, NodeRecord};

/// The scope of this machine in the control group.
pub const SCOPE: Scope = match Scope::new(3) {
    Some(scope) => scope,
    None => panic!("a scope is not zero"),
};

/// Why a change of the nodes was not made, or they could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodesError {
    /// The cluster refused it; nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The control group did not take it, or nobody knows.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// The control group cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What is stored cannot be read.
    #[error("read the nodes: {0}; start the program that wrote them")]
    Stored(String),
}

/// The nodes, as clients of the control group see them. Cheap to clone.
#[derive(Clone)]
pub struct Nodes {
    replica: Arc<dyn Replica>,
}

/// Refuses a name or an address that would be refused later.
pub(crate) fn check(name: &str, address: &str) -> Result<(), Refusal> {
    command::check_name(name)?;
    command::check_address(address)
}

/// Milliseconds since 1970.
pub(crate) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Nodes {
    /// By way of this machine's part of a replica.
    pub const fn new(replica: Arc<dyn Replica>) -> Self {
        Self { replica }
    }

    /// Executes a command.
    ///
    /// # Errors
    /// It is refused, or the control group did not take it.
    pub async fn change(&self, command: &Command) -> Result<Reply, NodesError> {
        let bytes = command.encode().map_err(NodesError::Stored)?;
        let outcome = self.replica.propose(bytes).await?;
        let reply = Reply::decode(&outcome.reply).map_err(NodesError::Stored)?;
        Ok(reply?)
    }

    async fn read(&self, consistency: Consistency) -> Result<Snapshot, NodesError> {
        Ok(self.replica.read(consistency).await?)
    }

    /// The cluster; `None` before it was founded.
    ///
    /// # Errors
    /// The control group cannot be read.
    pub async fn cluster(
        &self,
        consistency: Consistency,
    ) -> Result<Option<ClusterRecord>, NodesError> {
        let snapshot = self.read(consistency).await?;
        record::cluster(snapshot.view()).map_err(|error| NodesError::Stored(error.to_string()))
    }

    /// All nodes, removed ones too, by number.
    ///
    /// # Errors
    /// The control group cannot be read.
    pub async fn list(&self, consistency: Consistency) -> Result<Vec<NodeRecord>, NodesError> {
        let snapshot = self.read(consistency).await?;
        record::nodes(snapshot.view()).map_err(|error| NodesError::Stored(error.to_string()))
    }

    /// One node.
    ///
    /// # Errors
    /// The control group cannot be read.
    pub async fn find(
        &self,
        number: NodeNumber,
        consistency: Consistency,
    ) -> Result<Option<NodeRecord>, NodesError> {
        let snapshot = self.read(consistency).await?;
        record::node(snapshot.view(), number).map_err(|error| NodesError::Stored(error.to_string()))
    }

    /// A join token.
    ///
    /// # Errors
    /// The control group cannot be read.
    pub async fn token(&self, id: TokenId) -> Result<Option<TokenRecord>, NodesError> {
        let snapshot = self.read(Consistency::Linearizable).await?;
        record::token(snapshot.view(), id).map_err(|error| NodesError::Stored(error.to_string()))
    }

    /// All join tokens.
    ///
    /// # Errors
    /// The control group cannot be read.
    pub async fn tokens(&self, consistency: Consistency) -> Result<Vec<TokenRecord>, NodesError> {
        let snapshot = self.read(consistency).await?;
        record::tokens(snapshot.view()).map_err(|error| NodesError::Stored(error.to_string()))
    }

    /// Changes a node's role.
    ///
    /// # Errors
    /// As for [`change`](Self::change).
    pub async fn set_role(&self, number: NodeNumber, role: Role) -> Result<(), NodesError> {
        self.change(&Command::SetRole { number, role }).await.map(drop)
    }
}
