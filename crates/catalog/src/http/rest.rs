//! What is small: status, coordinates, tokens; and what is not carried out, with the reason.

use hyper::StatusCode;
use serde_json::json;

use super::Acl;
use super::call::Call;
use super::reply::{HttpError, Outcome};
use crate::model::{Access, Resource};

/// Address of a server, by its node id in the replica.
fn server(call: &Call, id: u64) -> String {
    let options = call.agent().options();
    let own = || format!("{}:{}", options.address, options.server_port.unwrap_or(8300));
    let status = call.client().replica().status();
    match options.servers.now().remove(&id) {
        Some(address) => address,
        None if id == status.node => own(),
        None => String::new(),
    }
}

pub(super) async fn leader(call: &Call) -> Outcome {
    call.check_datacenter()?;
    let leader = call.client().replica().status().leadership.leader;
    call.json(&leader.map(|id| server(call, id)).unwrap_or_default())
}

pub(super) async fn peers(call: &Call) -> Outcome {
    call.check_datacenter()?;
    let voters = call.client().replica().status().voters;
    let peers: Vec<String> = voters.into_iter().map(|id| server(call, id)).collect();
    call.json(&peers)
}

pub(super) async fn raft_configuration(call: &Call) -> Outcome {
    call.allow(Resource::Operator, "", Access::Read).await?;
    let status = call.client().replica().status();
    let all = status.voters.iter().map(|id| (*id, true));
    let all = all.chain(status.learners.iter().map(|id| (*id, false)));
    let servers = all.map(|(id, voter)| {
        json!({
            "ID": id.to_string(),
            "Node": if id == status.node { call.agent().options().node_name.as_str() } else { "" },
            "Address": server(call, id),
            "Leader": status.leadership.leader == Some(id),
            "ProtocolVersion": "3",
            "Voter": voter,
        })
    });
    let servers: Vec<_> = servers.collect();
    call.json(&json!({ "Servers": servers, "Index": status.applied.index }))
}

/// Nobody measures distances here: no node has coordinates.
pub(super) async fn coordinates(call: &Call) -> Outcome {
    let none: [u8; 0] = [];
    call.json(&none)
}

/// This agent needs no token of its own.
pub(super) async fn agent_token(call: &Call) -> Outcome {
    match call.shared.options.acl {
        Acl::Off => Err(HttpError::new(StatusCode::UNAUTHORIZED, "ACL support disabled")),
        Acl::On { .. } => Err(HttpError::not_done("this agent uses no token of its own")),
    }
}

/// What this program does in another way, or not at all: the path, the reason, and what to do.
const NOT_DONE: &[(&str, &str)] = &[
    ("/v1/agent/host", "this agent does not describe its machine; look on the machine itself"),
    (
        "/v1/agent/metrics",
        "this agent keeps no metrics; /v1/agent/self has its index, its term and whether it leads",
    ),
    (
        "/v1/agent/monitor",
        "logs are not streamed; read what the agent writes to its standard error, under systemd \
         with `journalctl`",
    ),
    (
        "/v1/operator/autopilot/configuration",
        "the cluster decides by itself who votes; see `regrow node ls`, and change it with \
         `regrow node promote NAME` and `regrow node demote NAME`",
    ),
    (
        "/v1/operator/autopilot/health",
        "run `regrow node ls`, or read /v1/operator/raft/configuration and \
         /v1/health/service/consul",
    ),
    (
        "/v1/operator/keyring",
        "there is no gossip with a key of its own; nodes speak over TLS with certificates that \
         renew themselves",
    ),
    ("/v1/operator/raft/peer", "run `regrow node rm NAME`"),
    (
        "/v1/query",
        "there are no prepared queries; ask /v1/health/service/NAME?passing&tag=TAG, or DNS for \
         TAG.NAME.service.consul",
    ),
    (
        "/v1/snapshot",
        "run `regrow backup FILE` on a server, and `regrow restore FILE --advertise HOST:PORT` on a \
         new machine",
    ),
];

/// What is in [`NOT_DONE`].
pub(super) async fn not_done(call: &Call) -> Outcome {
    call.allow_agent(Access::Read).await?;
    let route = call.route.trim_end_matches('/');
    let reason = NOT_DONE.iter().find(|(path, _)| *path == route);
    let reason = reason.map_or("this program has nothing like it", |(_, reason)| reason);
    Err(HttpError::not_done(&format!("{route} is not carried out here: {reason}")))
}
