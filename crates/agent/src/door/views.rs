//! What the door shows of a node, of all nodes and of the tokens, and what it advises where nobody leads.

use std::time::Duration;

use regrow_consensus::{Consistency, Replica as _};
use regrow_pki::TokenRecord;

use crate::agent::Agent;
use crate::door::{NodeView, Reply, StatusView, TokenView};
use crate::nodes::NodeRecord;

impl Agent {
    /// The nodes; where nobody leads, as this one last knew them.
    pub(super) async fn node_views(&self) -> Result<Reply, String> {
        let reason = match self.list().await {
            Ok(nodes) => return Ok(Reply::Nodes(self.views(nodes))),
            Err(reason) => reason,
        };
        if self.group().status().leadership.leader.is_some() {
            return Err(reason);
        }
        let nodes = self.nodes().list(Consistency::Stale).await;
        let nodes = self.views(nodes.map_err(|error| error.to_string())?);
        Ok(Reply::OldNodes { nodes, reason: self.advised(reason).await })
    }

    fn views(&self, nodes: Vec<NodeRecord>) -> Vec<NodeView> {
        let members = self.group().members();
        let leader = self.group().status().leadership.leader;
        let view = |node: NodeRecord| NodeView {
            number: node.number.get(),
            voter: members.iter().any(|m| m.node == node.number.get() && m.voter),
            leader: leader == Some(node.number.get()),
            role: node.role.to_string(),
            state: state(&node).to_owned(),
            name: node.name,
            address: node.address,
        };
        nodes.into_iter().map(view).collect()
    }

    /// Why something was not done; where nobody leads, with what helps.
    pub(super) async fn advised(&self, reason: String) -> String {
        let status = self.group().status();
        if status.leadership.leader.is_some() || self.group().halted().is_some() {
            return reason;
        }
        let nodes = self.nodes().list(Consistency::Stale).await.unwrap_or_default();
        format!("{reason}{}", advice(&nodes, &status.voters, status.node))
    }

    pub(super) async fn token_views(&self) -> Result<Vec<TokenView>, String> {
        let tokens = self
            .nodes()
            .tokens(Consistency::Linearizable)
            .await
            .map_err(|error| error.to_string())?;
        let view = |token: TokenRecord| TokenView {
            id: token.id.to_string(),
            role: token.role.to_string(),
            expires_ms: token.expires_ms,
            uses_left: token.uses_left,
        };
        Ok(tokens.into_iter().map(view).collect())
    }

    pub(super) async fn status_view(&self) -> StatusView {
        let status = self.group().status();
        let led = status.leadership.leader.is_some();
        // Nobody could confirm it, and the wait for that is long.
        let authority = if led { self.admission().authority().await.ok() } else { None };
        let whole = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        StatusView {
            cluster: self.identity().cluster.to_string(),
            number: self.number().get(),
            name: self.identity().name.clone(),
            address: self.address(),
            leader: status.leadership.leader,
            last_contact_ms: status.last_contact.map(whole),
            term: status.leadership.term,
            applied: status.applied.index,
            voters: status.voters,
            authority: authority.map(|(_, rotation)| rotation.name().to_owned()),
            halted: self.group().halted(),
        }
    }
}

/// What helps a node to which no majority answers; nothing where it knows of no other voter.
fn advice(nodes: &[NodeRecord], voters: &[u64], own: u64) -> String {
    let others = nodes.iter().filter(|node| {
        let number = node.number.get();
        number != own && voters.contains(&number)
    });
    let others: Vec<_> = others.map(|node| format!("{} ({})", node.name, node.address)).collect();
    if others.is_empty() {
        return String::new();
    }
    format!(
        "; this node hears no majority of the servers: start those of {} that do not run, or look at the \
         network between them. Where a majority is lost for good, see `regrow node recover --help`",
        others.join(", ")
    )
}

const fn state(node: &NodeRecord) -> &'static str {
    match (node.removed, node.draining, node.alive) {
        (true, _, _) => "removed",
        (_, _, false) => "dead",
        (_, true, _) => "draining",
        _ => "alive",
    }
}

#[cfg(test)]
mod tests {
    use regrow_consensus::Time;
    use regrow_pki::{NodeNumber, Role};

    use super::*;

    fn node(number: u64) -> NodeRecord {
        NodeRecord {
            number: NodeNumber::new(number),
            name: format!("n{number}"),
            role: Role::Server,
            address: format!("10.0.0.{number}:7400"),
            alive: true,
            since: Time::default(),
            draining: false,
            removed: false,
            trusts: 1,
        }
    }

    #[test]
    fn advice_names_the_other_voters_and_nobody_else() {
        let nodes = [node(1), node(2), node(3), node(4)];
        let text = advice(&nodes, &[1, 2, 3], 1);
        assert!(text.contains("those of n2 (10.0.0.2:7400), n3 (10.0.0.3:7400) that"), "{text}");
        assert_eq!(advice(&nodes, &[1], 1), "", "nobody else need be started");
    }
}
