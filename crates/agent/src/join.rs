//! The newcomer's side of joining.

use std::time::Duration;

use regrow_pki::{Certificates, Clock, Credential, JoinToken, NodeIdentity, NodeKey, Papers};
use regrow_wire::{Client, Method, Peer};
use tokio::time::Instant;

use crate::error::AgentError;
use crate::folder::{Folder, Identity};
use crate::messages::{JoinReply, JoinRequest, decode, encode};
use crate::others;
use crate::seal::SealKey;

/// The key of a node that joins or gets another number, until it has it.
pub(crate) const KEY: &str = "joining.key";
/// Longest time for one try.
const WITHIN: Duration = Duration::from_secs(20);

/// Joins by way of `server` and writes into the folder who this node is from now on.
///
/// The server is verified by the token's digest before the secret is sent. The key is written first and
/// the identity last: a crash or a lost answer in between leaves a folder that joins again with the
/// same key, and so gets the number that it was given, as long as the token lives.
pub(crate) async fn join(
    folder: &Folder,
    token: &JoinToken,
    server: &str,
    name: &str,
    address: &str,
    clock: &Clock,
) -> Result<Identity, AgentError> {
    let refused = |reason: String| AgentError::Join { server: server.to_owned(), reason };
    let key = key(folder)?;
    let request =
        key.request().map_err(|error| AgentError::keys("ask for a certificate", error))?;
    let asked = JoinRequest {
        token: token.id,
        secret: *token.secret.expose(),
        request,
        name: name.to_owned(),
        address: address.to_owned(),
    };
    let body = encode(&asked).map_err(|fault| refused(fault.text))?;
    let client = Client::joiner(token.root, clock).map_err(|e| AgentError::keys("join", e))?;
    let peer = Peer::any_server(server);
    let called = client.call(&peer, Method::Join, body, Instant::now() + WITHIN).await;
    let reply = called.map_err(|error| match error.fault() {
        Some(fault) => refused(fault.text.clone()),
        None => refused(error.to_string()),
    })?;
    let reply: JoinReply = decode(&reply).map_err(|fault| refused(fault.text))?;
    let papers = papers(key, &reply, server)?;
    if reply.role != token.role {
        return Err(refused(OTHERS.into()));
    }
    folder.set_papers(&papers)?;
    keep_seal(folder, &reply, server)?;
    let mut servers = reply.servers;
    if !servers.iter().any(|known| known == server) {
        servers.push(server.to_owned());
    }
    let identity =
        Identity::new(reply.cluster, reply.number, name.to_owned(), address.to_owned(), servers);
    folder.set_identity(&identity)?;
    folder.forget(KEY)?;
    Ok(identity)
}

/// Said of papers that are not for this node.
const OTHERS: &str = "it sent papers of another node; nothing was kept";

/// The papers in a reply, for who it says.
fn papers(key: NodeKey, reply: &JoinReply, server: &str) -> Result<Papers, AgentError> {
    let refused = |reason: String| AgentError::Join { server: server.to_owned(), reason };
    let pem = |text: &str| Certificates::from_pem(text).map_err(|error| refused(error.to_string()));
    let (chain, roots) = (pem(&reply.papers.chain)?, pem(&reply.papers.roots)?);
    let credential = Credential::new(key, chain).map_err(|error| refused(error.to_string()))?;
    let expected = NodeIdentity { cluster: reply.cluster, role: reply.role, node: reply.number };
    if *credential.identity() != expected {
        return Err(refused(OTHERS.into()));
    }
    Ok(Papers { credential, roots, edition: reply.papers.edition })
}

fn keep_seal(folder: &Folder, reply: &JoinReply, server: &str) -> Result<(), AgentError> {
    let Some(text) = &reply.seal else { return Ok(()) };
    let refused = |reason: String| AgentError::Join { server: server.to_owned(), reason };
    let seal = SealKey::parse(text).map_err(|error| refused(error.to_string()))?;
    folder.set_seal_key(&seal)
}

/// Keeps what a node was given that asked for another number than `was` has; the papers last, which
/// say that it was given.
pub(crate) fn keep_papers(
    folder: &Folder,
    key: NodeKey,
    reply: &JoinReply,
    was: &Identity,
    server: &str,
) -> Result<(), AgentError> {
    let papers = papers(key, reply, server)?;
    if reply.cluster != was.cluster || reply.number == was.number {
        let reason = OTHERS.to_owned();
        return Err(AgentError::Join { server: server.to_owned(), reason });
    }
    keep_seal(folder, reply, server)?;
    others::note(folder, &reply.servers)?;
    folder.set_papers(&papers)
}

/// The key to join with: that of an earlier try, or a new one.
pub(crate) fn key(folder: &Folder) -> Result<NodeKey, AgentError> {
    let failed = |error| AgentError::keys("make a key", error);
    if let Some(text) = folder.get(KEY)? {
        return NodeKey::from_pem(&text).map_err(failed);
    }
    let key = NodeKey::generate().map_err(failed)?;
    folder.set(KEY, key.pem().expose())?;
    Ok(key)
}
