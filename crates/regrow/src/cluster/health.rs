//! What the leader hears of nodes, carried into the catalog: the `serfHealth` check of each node, and
//! the end of nodes that were removed.

use std::sync::OnceLock;

use async_trait::async_trait;
use regrow_agent::{NodeRecord, Observer};
use regrow_catalog::Catalog;
use regrow_catalog::machine::{Command, Removal};
use regrow_catalog::model::{SERF_HEALTH, Status};
use regrow_catalog::query::{ReadOptions, registry};
use regrow_pki::ClusterId;

use super::parts::node_id;

/// Tells the catalog. It does nothing before the catalog runs: the leader tells again and again.
#[derive(Default)]
pub struct NodeHealth {
    catalog: OnceLock<(ClusterId, Catalog)>,
}

impl NodeHealth {
    /// From now on, tells this catalog.
    pub fn tell(&self, cluster: ClusterId, catalog: Catalog) {
        // A second catalog in one process there is not.
        let _ = self.catalog.set((cluster, catalog));
    }
}

/// What the catalog should do about a node; `None` when it is as it should be.
fn due(
    node: &NodeRecord,
    id: &str,
    entered: Option<&str>,
    health: Option<Status>,
) -> Option<Command> {
    // A node of this name that is another one, entered by hand or of a later number, is not ours.
    if entered != Some(id) {
        return None;
    }
    let name = node.name.clone();
    if node.removed {
        return Some(Command::Remove(Removal::Node { node: name }));
    }
    let wanted = if node.alive { Status::Passing } else { Status::Critical };
    (health != Some(wanted)).then_some(Command::NodeAlive { node: name, alive: node.alive })
}

async fn adjust(catalog: &Catalog, cluster: ClusterId, node: &NodeRecord) -> anyhow::Result<()> {
    let read = registry::node_entry(node.name.as_str());
    let entry = catalog.client().ask(&read, &ReadOptions::stale()).await?.value;
    let health = entry.checks.get(SERF_HEALTH).map(|check| check.status);
    let entered = entry.node.as_ref().map(|node| node.id.as_str());
    if let Some(command) = due(node, &node_id(cluster, node.number), entered, health) {
        catalog.client().execute(&command).await?;
    }
    Ok(())
}

#[async_trait]
impl Observer for NodeHealth {
    async fn nodes(&self, nodes: &[NodeRecord]) {
        let Some((cluster, catalog)) = self.catalog.get() else { return };
        for node in nodes {
            if let Err(error) = adjust(catalog, *cluster, node).await {
                tracing::warn!(%error, node = node.name, "tell the catalog how a node is");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use regrow_consensus::Time;
    use regrow_pki::{NodeNumber, Role};

    use super::*;

    fn node(alive: bool, removed: bool) -> NodeRecord {
        NodeRecord {
            number: NodeNumber::new(2),
            name: "b".into(),
            role: Role::Worker,
            address: "10.0.0.2:7400".into(),
            alive,
            since: Time::default(),
            draining: false,
            removed,
            trusts: 1,
        }
    }

    #[test]
    fn a_check_follows_what_the_leader_hears() {
        let (dead, alive) = (node(false, false), node(true, false));
        let turns = |alive| Some(Command::NodeAlive { node: "b".into(), alive });
        assert_eq!(due(&dead, "2", Some("2"), Some(Status::Passing)), turns(false));
        assert_eq!(due(&dead, "2", Some("2"), Some(Status::Critical)), None);
        assert_eq!(due(&alive, "2", Some("2"), Some(Status::Critical)), turns(true));
        assert_eq!(due(&alive, "2", Some("2"), None), turns(true));
        assert_eq!(due(&alive, "2", Some("2"), Some(Status::Passing)), None);
    }

    #[test]
    fn only_the_removed_node_itself_leaves_the_catalog() {
        let gone = node(false, true);
        let removal = Command::Remove(Removal::Node { node: "b".into() });
        assert_eq!(due(&gone, "2", Some("2"), Some(Status::Critical)), Some(removal));
        assert_eq!(due(&gone, "2", Some("7"), Some(Status::Passing)), None);
        assert_eq!(due(&gone, "2", None, None), None);
    }
}
