//! What changes in the cluster while an agent runs, one plain line each.

use std::time::Duration;

use anyhow::{Result, bail};
use regrow_agent::{Agent, NodeRecord};
use regrow_consensus::{Consistency, Leadership, Replica as _};
use regrow_pki::NodeNumber;

use crate::output::print;

/// Shortest time between two looks at the nodes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Prints changes until the control group stops on this node.
///
/// # Errors
/// The control group stopped, or nobody reads what is printed.
pub async fn changes(agent: &Agent) -> Result<()> {
    let mut leadership = agent.group().leadership();
    let mut known = nodes(agent).await;
    let mut seen = agent.group().status().leadership;
    say(&leader_line(seen, &known))?;
    loop {
        tokio::select! {
            changed = leadership.changed() => changed?,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if let Some(reason) = agent.group().halted() {
            bail!(
                "the control group stopped on this node: {reason}; repair the node and start the agent again"
            );
        }
        let now = nodes(agent).await;
        for line in lines(&known, &now) {
            say(&line)?;
        }
        known = now;
        // Not what was told: a leader that lost its majority is told of nothing.
        let leads = agent.group().status().leadership;
        if (leads.leader, leads.term) != (seen.leader, seen.term) {
            say(&leader_line(leads, &known))?;
            seen = leads;
        }
    }
}

/// Prints one line.
pub fn say(line: &str) -> Result<()> {
    print(&format!("{line}\n"))
}

/// The nodes as far as this one knows them.
async fn nodes(agent: &Agent) -> Vec<NodeRecord> {
    agent.nodes().list(Consistency::Stale).await.unwrap_or_default()
}

fn leader_line(leadership: Leadership, nodes: &[NodeRecord]) -> String {
    let Leadership { leader, term, .. } = leadership;
    let Some(leader) = leader else { return "nobody leads".to_owned() };
    let name = nodes.iter().find(|node| node.number == NodeNumber::new(leader));
    let name = name.map_or_else(String::new, |node| format!(" ({})", node.name));
    format!("node {leader}{name} leads in term {term}")
}

/// What is different, node by node.
fn lines(before: &[NodeRecord], now: &[NodeRecord]) -> Vec<String> {
    let mut lines = Vec::new();
    for node in now {
        let about = format!("node {} ({})", node.number, node.name);
        let Some(was) = before.iter().find(|was| was.number == node.number) else {
            if !node.removed {
                lines.push(format!("{about} is in, a {} at {}", node.role, node.address));
            }
            continue;
        };
        if was.removed != node.removed {
            lines.push(format!("{about} was removed"));
            continue;
        }
        if was.role != node.role {
            lines.push(format!("{about} is a {} now", node.role));
        }
        if was.address != node.address {
            lines.push(format!("{about} answers at {} now", node.address));
        }
        if was.draining != node.draining {
            let word = if node.draining { "is being emptied" } else { "is used again" };
            lines.push(format!("{about} {word}"));
        }
        if was.alive != node.alive {
            let word = if node.alive { "is alive" } else { "is dead" };
            lines.push(format!("{about} {word}"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use regrow_consensus::Time;
    use regrow_pki::Role;

    use super::*;

    fn node(number: u64) -> NodeRecord {
        NodeRecord {
            number: NodeNumber::new(number),
            name: format!("n{number}"),
            role: Role::Worker,
            address: "10.0.0.1:7400".into(),
            alive: true,
            since: Time::default(),
            draining: false,
            removed: false,
            trusts: 1,
        }
    }

    #[test]
    fn each_change_is_one_line() {
        let before = [node(1), node(2), node(3)];
        let mut now = [node(1), node(2), node(3), node(4)];
        (now[0].alive, now[0].draining) = (false, true);
        now[1].role = Role::Server;
        now[2].removed = true;
        assert_eq!(
            lines(&before, &now),
            [
                "node 1 (n1) is being emptied",
                "node 1 (n1) is dead",
                "node 2 (n2) is a server now",
                "node 3 (n3) was removed",
                "node 4 (n4) is in, a worker at 10.0.0.1:7400",
            ]
        );
        assert!(lines(&now, &now).is_empty());
    }

    #[test]
    fn a_leader_is_named_if_it_is_known() {
        let leads = |leader| Leadership { leader, term: 4, leading: false };
        assert_eq!(leader_line(leads(Some(2)), &[node(2)]), "node 2 (n2) leads in term 4");
        assert_eq!(leader_line(leads(Some(2)), &[]), "node 2 leads in term 4");
        assert_eq!(leader_line(leads(None), &[]), "nobody leads");
    }
}
