//! The handle to a catalog.

use std::sync::Arc;

use regrow_consensus::Replica;

use crate::agent::{Agent, AgentOptions, FileError};
use crate::machine::{Command, Reply};
use crate::query::{Client, ExecuteError, Hub};

/// Why a catalog does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What this node registered before cannot be read.
    #[error("start catalog: {0}")]
    Registrations(#[from] FileError),
}

/// The catalog as one node has it: its agent, and reads and commands through its replica. Cheap to
/// clone; the agent ends with the last clone.
#[derive(Clone)]
pub struct Catalog {
    client: Client,
    agent: Agent,
}

impl Catalog {
    /// Starts the catalog of a node: enters the node and what was registered on it before.
    ///
    /// `replica` is the catalog machine's part of a replica (`regrow_consensus::Scoped`), `hub` the
    /// hub of the machine that runs in that replica.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        replica: Arc<dyn Replica>,
        hub: Hub,
        options: AgentOptions,
    ) -> Result<Self, StartError> {
        let client = Client::new(replica, hub);
        let agent = Agent::start(client.clone(), options).await?;
        Ok(Self { client, agent })
    }

    /// For reads and commands.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What this node registered.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Says whether the agent of a node is alive, as the failure detector found: the node's
    /// `serfHealth` check. A new node is alive; after that only this changes it, so who runs
    /// without a detector and keeps its tables says at every start that its own node is alive.
    ///
    /// # Errors
    /// The node is not entered, or the catalog did not take it.
    pub async fn node_alive(&self, node: &str, alive: bool) -> Result<Reply, ExecuteError> {
        self.client.execute(&Command::NodeAlive { node: node.to_owned(), alive }).await
    }
}
