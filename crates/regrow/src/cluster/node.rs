//! `regrow node`: the nodes of the cluster.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use regrow_agent::door::{NodeView, Reply, Request};

use super::ask::{ask, said, strange, tell};
use crate::output::{OutputArgs, confirm, print, table};
use crate::places::Places;
use crate::plan::{Plan, confirmed};

/// Verbs of `node`.
#[derive(Subcommand, Debug)]
pub enum NodeCommand {
    /// List the nodes
    Ls(OutputArgs),
    /// Remove a node for ever; it is refused from then on
    Rm(SureArgs),
    /// Empty a node: nothing new is put on it, and its vote goes to another
    Drain(NodeArgs),
    /// Use a node again
    Undrain(NodeArgs),
    /// Let a node be a server
    Promote(NodeArgs),
    /// Let a server be a worker
    Demote(SureArgs),
    /// Offline: let this node alone go on after the majority of the servers was lost for good
    Recover(RecoverArgs),
}

/// A node.
#[derive(Args, Debug)]
pub struct NodeArgs {
    /// Its name or number
    #[arg(value_name = "NODE")]
    node: String,
}

/// A node, and whether to ask.
#[derive(Args, Debug)]
pub struct SureArgs {
    /// Its name or number
    #[arg(value_name = "NODE")]
    node: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Arguments of `node recover`.
#[derive(Args, Debug)]
#[command(
    after_help = "Stop the agent first, on this node and on every other one that still runs. \
    What only the lost servers had is lost with them. They must never come back: remove them \
    afterwards with `regrow node rm`. Where one of them can still be repaired, repair it instead."
)]
pub struct RecoverArgs {
    /// The other servers are lost for good: do not ask
    #[arg(long)]
    i_lost_the_others: bool,
}

impl NodeCommand {
    /// Does it.
    pub async fn run(self, places: &Places) -> Result<()> {
        match self {
            Self::Ls(output) => list(output, places).await,
            Self::Rm(args) => {
                args.agreed(places, removal).await?;
                tell(places, &Request::Remove { node: args.node }).await
            }
            Self::Drain(NodeArgs { node }) => {
                tell(places, &Request::Drain { node, on: true }).await
            }
            Self::Undrain(NodeArgs { node }) => {
                tell(places, &Request::Drain { node, on: false }).await
            }
            Self::Promote(NodeArgs { node }) => tell(places, &Request::Promote { node }).await,
            Self::Demote(args) => {
                args.agreed(places, demotion).await?;
                tell(places, &Request::Demote { node: args.node }).await
            }
            Self::Recover(args) => args.run(places).await,
        }
    }
}

impl SureArgs {
    /// Shows what will happen and asks, and looks again after the answer.
    async fn agreed(
        &self,
        places: &Places,
        plan: fn(&[NodeView], &NodeView) -> String,
    ) -> Result<()> {
        confirmed(self.yes, || async {
            let nodes = nodes(places).await?;
            let node = find(&nodes, &self.node)?;
            Ok(Plan::new(plan(&nodes, node)))
        })
        .await
    }
}

impl RecoverArgs {
    async fn run(self, places: &Places) -> Result<()> {
        let state = places.state();
        let plan = format!(
            "make the node with state in {} the only server of its cluster; what only the other \
             servers had is lost, and they must never come back",
            state.display()
        );
        if !self.i_lost_the_others {
            if !std::io::stdin().is_terminal() {
                bail!("{plan}: not confirmed; add --i-lost-the-others once it is so");
            }
            confirm(&plan, false)?;
        }
        let (identity, kept) = regrow_agent::recover(&state).await.map_err(said)?;
        print(&format!(
            "node {} ({}) is the only server of cluster {} now; everything up to index {kept} was kept\n",
            identity.number, identity.name, identity.cluster
        ))?;
        eprintln!(
            "start it with `regrow agent`, remove the lost ones with `regrow node rm`, and let new ones join"
        );
        Ok(())
    }
}

/// Lists the nodes, also where nobody leads: whoever has to find out which to start needs the list.
async fn list(output: OutputArgs, places: &Places) -> Result<()> {
    let nodes = match ask(places, &Request::Nodes).await?.reply {
        Reply::Nodes(nodes) => nodes,
        Reply::OldNodes { nodes, reason } => {
            eprintln!("nobody leads, so this is what this node last knew: {reason}");
            nodes
        }
        other => bail!("{}", strange(&other)),
    };
    output.print(&nodes, || shown(&nodes))
}

/// The nodes as the leader knows them.
async fn nodes(places: &Places) -> Result<Vec<NodeView>> {
    match ask(places, &Request::Nodes).await?.reply {
        Reply::Nodes(nodes) => Ok(nodes),
        Reply::OldNodes { reason, .. } => bail!("{reason}"),
        other => bail!("{}", strange(&other)),
    }
}

/// The node that a name or number means, as the agent understands it.
fn find<'n>(nodes: &'n [NodeView], node: &str) -> Result<&'n NodeView> {
    let by_name = nodes.iter().find(|known| known.name == node && known.state != "removed");
    let found = by_name.or_else(|| nodes.iter().find(|known| known.number.to_string() == node));
    found.with_context(|| format!("node {node:?} is not known; see `regrow node ls`"))
}

/// How many servers have a vote now and without this node.
fn votes(nodes: &[NodeView], node: &NodeView) -> String {
    let now = nodes.iter().filter(|node| node.voter).count();
    if node.voter {
        format!("voters: {now}, then {}", now - 1)
    } else {
        format!("voters stay: {now}")
    }
}

fn removal(nodes: &[NodeView], node: &NodeView) -> String {
    format!(
        "remove node {} ({}), a {} that is {}, for ever; {}",
        node.number,
        node.name,
        node.role,
        node.state,
        votes(nodes, node)
    )
}

fn demotion(nodes: &[NodeView], node: &NodeView) -> String {
    let (number, name, votes) = (node.number, &node.name, votes(nodes, node));
    format!("make node {number} ({name}) a worker; {votes}")
}

fn shown(nodes: &[NodeView]) -> String {
    let row = |node: &NodeView| {
        let vote = match (node.leader, node.voter) {
            (true, _) => "leader",
            (false, true) => "voter",
            (false, false) => "-",
        };
        vec![
            node.number.to_string(),
            node.name.clone(),
            node.role.clone(),
            node.state.clone(),
            vote.to_owned(),
            node.address.clone(),
        ]
    };
    let rows: Vec<_> = nodes.iter().map(row).collect();
    table(&["NODE", "NAME", "ROLE", "STATE", "VOTE", "ADDRESS"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u64, name: &str, state: &str, voter: bool) -> NodeView {
        NodeView {
            number,
            name: name.into(),
            role: "server".into(),
            state: state.into(),
            voter,
            leader: number == 1,
            address: "10.0.0.1:7400".into(),
        }
    }

    #[test]
    fn a_name_of_a_living_node_comes_before_a_number() {
        let nodes = [
            node(1, "2", "alive", true),
            node(2, "b", "removed", false),
            node(3, "b", "alive", true),
        ];
        assert_eq!(find(&nodes, "2").expect("found").number, 1);
        assert_eq!(find(&nodes, "b").expect("found").number, 3);
        assert_eq!(find(&nodes, "3").expect("found").number, 3);
        assert!(find(&nodes, "c").is_err());
    }

    #[test]
    fn a_plan_says_what_becomes_of_votes() {
        let nodes = [node(1, "a", "alive", true), node(2, "b", "dead", true)];
        assert_eq!(
            removal(&nodes, &nodes[1]),
            "remove node 2 (b), a server that is dead, for ever; voters: 2, then 1"
        );
        let nodes = [node(1, "a", "alive", true), node(2, "b", "dead", false)];
        assert_eq!(demotion(&nodes, &nodes[1]), "make node 2 (b) a worker; voters stay: 1");
    }
}
