//! What shares the control group with the nodes: the coordination keys and the catalog, and how both
//! are reached on this node.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use regrow_agent::Agent;
use regrow_catalog::Catalog;
use regrow_catalog::agent::{AgentOptions as CatalogOptions, Servers};
use regrow_catalog::machine::CatalogMachine;
use regrow_catalog::query::Hub;
use regrow_consensus::{Machine, Scope, Scoped};
use regrow_coord::{Bounds, DEADLINE, KeyMachine, Quorum};
use regrow_pki::{ClusterId, NodeNumber, Role};
use sha2::{Digest as _, Sha256};

use crate::places::make_private;

/// Folder of the catalog's registrations below the state folder.
const FOLDER: &str = "catalog";

/// Scope of the coordination keys. Stored in every log: never changed, never given to another. The
/// nodes have 3.
const KEYS: u8 = 1;
/// Scope of the catalog.
const CATALOG: u8 = 2;

/// The machines of a node.
pub struct Parts {
    hub: Hub,
    keys: Arc<KeyMachine>,
    machines: Vec<(Scope, Arc<dyn Machine>)>,
}

fn scope(byte: u8) -> Result<Scope> {
    Scope::new(byte).ok_or_else(|| anyhow!("scope {byte} belongs to the control group itself"))
}

/// The scope of the catalog.
pub fn catalog_scope() -> Result<Scope> {
    scope(CATALOG)
}

impl Parts {
    /// New machines; they get their tables from the control group.
    pub fn new() -> Result<Self> {
        let catalog = CatalogMachine::new();
        let hub = catalog.hub();
        let keys = Arc::new(KeyMachine::new(Bounds::default()));
        let machines: Vec<(Scope, Arc<dyn Machine>)> =
            vec![(scope(KEYS)?, keys.clone()), (catalog_scope()?, Arc::new(catalog))];
        Ok(Self { hub, keys, machines })
    }

    /// For the agent.
    pub fn machines(&self) -> Vec<(Scope, Arc<dyn Machine>)> {
        self.machines.clone()
    }

    /// The coordination keys on the agent's replica. Only servers may change them.
    ///
    /// # Errors
    /// None of ours: the scope is a constant.
    pub fn quorum(&self, agent: &Agent) -> Result<Quorum> {
        let replica = Scoped::new(agent.group().clone(), scope(KEYS)?);
        Ok(Quorum::new(replica, &self.keys, DEADLINE))
    }

    /// Starts the catalog on the agent's replica.
    ///
    /// # Errors
    /// What was registered here before cannot be read.
    pub async fn catalog(self, agent: &Agent) -> Result<Catalog> {
        let folder = agent.folder().file(FOLDER);
        make_private(&folder).with_context(|| format!("make folder {}", folder.display()))?;
        let options = options(agent, &folder);
        Ok(Catalog::start(agent.scoped(catalog_scope()?), self.hub, options).await?)
    }
}

fn options(agent: &Agent, folder: &Path) -> CatalogOptions {
    let address = agent.address();
    let (host, port) = split(&address);
    let identity = agent.identity();
    let group = agent.group().clone();
    let servers = move || {
        let members = group.members().into_iter();
        members.map(|member| (member.node, member.address)).collect()
    };
    CatalogOptions {
        node_id: node_id(identity.cluster, identity.number),
        address: host.to_owned(),
        server_port: (agent.role() == Role::Server).then_some(port),
        servers: Servers::new(servers),
        state: Some(folder.to_owned()),
        ..CatalogOptions::new(identity.name.clone())
    }
}

fn split(address: &str) -> (&str, u16) {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    (host.trim_start_matches('[').trim_end_matches(']'), port.parse().unwrap_or_default())
}

/// The id of a node in the catalog: the same for the same number of the same cluster, another for
/// every other one.
pub fn node_id(cluster: ClusterId, number: NodeNumber) -> String {
    let mut hash = Sha256::new();
    hash.update(cluster.as_bytes());
    hash.update(number.get().to_be_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash.finalize()).for_each(|(byte, digest)| *byte = digest);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_one_id_and_no_other_node_has_it() {
        let cluster = ClusterId::from_bytes([7; 16]);
        let id = |cluster, number| node_id(cluster, NodeNumber::new(number));
        // Stored in catalogs: it must stay what it is.
        assert_eq!(id(cluster, 1), "6b7ee887-56f2-8ada-87a5-222710f3568f");
        assert_ne!(id(cluster, 1), id(cluster, 2));
        assert_ne!(id(cluster, 1), id(ClusterId::from_bytes([8; 16]), 1));
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        assert_eq!(split("10.0.0.1:7400"), ("10.0.0.1", 7400));
        assert_eq!(split("[::1]:7400"), ("::1", 7400));
    }
}
