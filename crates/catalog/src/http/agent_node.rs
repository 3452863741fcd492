//! `/v1/agent/…`: the node itself and the others.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::agent_services::enable;
use super::call::Call;
use super::reply::{HttpError, Outcome, Reply};
use crate::model::{Access, Indexed, Node, SERF_HEALTH, Status};
use crate::query::registry;

/// The version of Consul that this interface is like.
const VERSION: &str = "1.9.17";
/// Port of the gossip of the original; nothing listens there.
const SERF_PORT: u16 = 8301;
const ALIVE: u8 = 1;
const FAILED: u8 = 4;

fn member(node: &Node, server: bool, alive: bool) -> Value {
    json!({
        "Name": node.name,
        "Addr": node.address,
        "Port": SERF_PORT,
        "Tags": {
            "dc": node.datacenter,
            "id": node.id,
            "role": if server { "consul" } else { "node" },
            "build": VERSION,
        },
        "Status": if alive { ALIVE } else { FAILED },
        "ProtocolMin": 1,
        "ProtocolMax": 5,
        "ProtocolCur": 2,
        "DelegateMin": 2,
        "DelegateMax": 5,
        "DelegateCur": 4,
    })
}

pub(super) async fn own(call: &Call) -> Outcome {
    call.allow_agent(Access::Read).await?;
    let options = call.agent().options();
    let status = call.client().replica().status();
    let server = options.server_port.is_some();
    let config = json!({
        "Datacenter": options.datacenter,
        "NodeName": options.node_name,
        "NodeID": options.node_id,
        "Revision": "",
        "Server": server,
        "Version": VERSION,
    });
    let stats = json!({
        "consul": { "server": server.to_string(), "leader": status.leadership.leading.to_string() },
        "raft": {
            "applied_index": status.applied.index.to_string(),
            "term": status.leadership.term.to_string(),
        },
    });
    call.json(&json!({
        "Config": config,
        "DebugConfig": config,
        "Coord": { "Vec": [0, 0, 0, 0, 0, 0, 0, 0], "Error": 1.5, "Adjustment": 0, "Height": 1e-5 },
        "Member": member(&options.node(), server, true),
        "Stats": stats,
        "Meta": options.meta,
    }))
}

/// Nodes with an agent, and whether it is alive. What has none was entered by hand.
async fn agents(call: &Call) -> Result<BTreeMap<String, bool>, HttpError> {
    let checks = call.ask_locally(&registry::checks(None)).await?;
    let agents = checks.into_iter().map(|check| check.value).filter(|c| c.id == SERF_HEALTH);
    Ok(agents.map(|check| (check.node, check.status == Status::Passing)).collect())
}

pub(super) async fn members(call: &Call) -> Outcome {
    call.allow_agent(Access::Read).await?;
    let nodes: Vec<Indexed<Node>> = call.ask_locally(&registry::nodes()).await?;
    let servers = call.ask_locally(&registry::instances("consul")).await?;
    let alive = agents(call).await?;
    let members = nodes.iter().filter_map(|node| {
        let name = node.value.name.as_str();
        let server = servers.iter().any(|server| server.node.value.name == name);
        Some(member(&node.value, server, *alive.get(name)?))
    });
    call.json(&members.collect::<Vec<_>>())
}

pub(super) async fn maintenance(call: &Call) -> Outcome {
    let enable = enable(call)?;
    let node = &call.agent().options().node_name;
    call.allow(crate::model::Resource::Node, node, Access::Write).await?;
    call.agent().maintenance("", enable, call.params.get("reason")).await?;
    Ok(Reply::empty())
}

/// The host of `HOST`, `HOST:PORT`, `[HOST]:PORT`.
fn host(address: &str) -> &str {
    match (address.strip_prefix('['), address.split_once(':')) {
        (Some(rest), _) => rest.split_once(']').map_or(rest, |(host, _)| host),
        // Two colons and no brackets: an IPv6 address alone.
        (None, Some((host, port))) if !port.contains(':') => host,
        _ => address,
    }
}

/// Nodes join with a token and a certificate, not by their address. Who asks to join a member of the
/// cluster that this node is in already is told that it is so.
pub(super) async fn join(call: &Call) -> Outcome {
    call.allow_agent(Access::Write).await?;
    let wanted = host(call.named(HttpError::bad("Missing address"))?);
    let agents = agents(call).await?;
    let nodes = call.ask_locally(&registry::nodes()).await?;
    let is_member = |node: &Indexed<Node>| {
        agents.contains_key(&node.value.name)
            && (node.value.address == wanted || node.value.name == wanted)
    };
    if nodes.iter().any(is_member) {
        return Ok(Reply::empty());
    }
    Err(HttpError::not_done(
        "join is not carried out here: nodes join with a token; run `regrow agent --join \
         TOKEN@HOST:PORT` on the node",
    ))
}

pub(super) async fn leave(call: &Call) -> Outcome {
    call.allow_agent(Access::Write).await?;
    Err(HttpError::not_done(
        "leave is not carried out here: run `regrow node rm NAME`, or stop the agent",
    ))
}

/// Takes a node that is gone out of the catalog; one that is alive stays.
pub(super) async fn force_leave(call: &Call) -> Outcome {
    use crate::machine::{Command, Removal};
    call.allow(crate::model::Resource::Operator, "", Access::Write).await?;
    let name = call.named(HttpError::bad("Missing node name"))?;
    let entry = call.ask_locally(&registry::node_entry(name)).await?;
    let Some(check) = entry.checks.get(SERF_HEALTH) else {
        return Err(HttpError::internal(format!("agent: No node found with name '{name}'")));
    };
    if check.status != Status::Passing {
        let removal = Removal::Node { node: name.to_owned() };
        call.client().execute(&Command::Remove(removal)).await?;
    }
    Ok(Reply::empty())
}

/// There is no file of settings that could have changed: what is set is set.
pub(super) async fn reload(call: &Call) -> Outcome {
    call.allow_agent(Access::Write).await?;
    Ok(Reply::empty())
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn an_address_has_a_host_with_and_without_a_port() {
        let cases = [
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1:8301", "10.0.0.1"),
            ("n1:8301", "n1"),
            ("[::1]:8301", "::1"),
            ("[::1", "::1"),
            ("fd00::1", "fd00::1"),
            ("", ""),
        ];
        for (address, expected) in cases {
            assert_eq!(host(address), expected, "{address}");
        }
    }
}
