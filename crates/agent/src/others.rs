//! Whom a node asks, and where the other voters answer: known while it runs, and noted in its folder
//! (`voters.json`, a list of `HOST:PORT`) for a start at which neither log nor tables tell.

use std::sync::{Mutex, PoisonError};

use regrow_consensus::Replica as _;
use regrow_pki::NodeNumber;
use regrow_wire::Peer;

use crate::agent::Agent;
use crate::error::AgentError;
use crate::folder::{Folder, Identity};

const FILE: &str = "voters.json";

/// What was noted last.
#[derive(Debug, Default)]
pub(crate) struct Noted(Mutex<Option<Vec<String>>>);

/// Where other voters answer, as the folder tells: as noted last, or as told when the node joined. Empty
/// when it was the only one. `own` is this node's address.
pub(crate) fn known(
    folder: &Folder,
    identity: &Identity,
    own: &str,
) -> Result<Vec<String>, AgentError> {
    let mut others = match folder.get(FILE)? {
        None => identity.servers.clone(),
        Some(text) => serde_json::from_str(text.expose()).map_err(|error| AgentError::Folder {
            path: folder.file(FILE),
            reason: format!("{error}; write [\"HOST:PORT\", …] of the other servers there"),
        })?,
    };
    others.retain(|address| address != own && *address != identity.address);
    Ok(others)
}

/// Notes where other voters answer.
pub(crate) fn note(folder: &Folder, others: &[String]) -> Result<(), AgentError> {
    let text = serde_json::to_string(others);
    folder.set(FILE, &text.map_err(|error| AgentError::keys("note the other voters", error))?)
}

impl Agent {
    /// Whom to ask, the leader first: the voters as this node knows them, then the servers that it
    /// was told of when it joined.
    pub(crate) fn servers(&self) -> Vec<Peer> {
        let leader = self.group().leadership().borrow().leader;
        let mut members = self.group().members();
        members.retain(|member| member.voter);
        members.sort_by_key(|member| Some(member.node) != leader);
        let mut peers: Vec<Peer> = members
            .into_iter()
            .map(|member| Peer::server(member.address, NodeNumber::new(member.node)))
            .collect();
        let known =
            |address: &str, peers: &[Peer]| peers.iter().any(|peer| peer.address() == address);
        for server in &self.identity().servers {
            if !known(server, &peers) {
                peers.push(Peer::any_server(server.as_str()));
            }
        }
        peers
    }

    /// Notes in the folder where the other voters answer, when that changed. Before the node knows of
    /// any voter, what it was told when it joined stays.
    pub(crate) fn note_others(&self) {
        let members = self.group().members();
        if !members.iter().any(|member| member.voter) {
            return;
        }
        let others = members
            .into_iter()
            .filter(|member| member.voter && member.node != self.number().get())
            .map(|member| member.address);
        let others: Vec<String> = others.collect();
        let mut noted = self.noted().0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.as_ref() == Some(&others) {
            return;
        }
        match note(self.folder(), &others) {
            Ok(()) => *noted = Some(others),
            Err(error) => tracing::debug!(%error, "note the other voters; trying again"),
        }
    }
}
