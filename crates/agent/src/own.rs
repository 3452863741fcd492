//! A node's papers by its own hand: who holds the authority's key needs nobody else for them.
//!
//! A cluster that was off for longer than its certificates live would otherwise never come back: its
//! nodes refuse one another, and there is nobody to renew them. So a server signs for itself, from
//! what its own tables show, when it starts and when nobody else does. A server that was removed
//! without knowing gains nothing: the others refuse it by its number.

use std::time::{Duration, SystemTime};

use regrow_consensus::View;
use regrow_pki::{NodeIdentity, NodeKey, NodeNumber, Papers, Role, Rotation};

use crate::error::AgentError;
use crate::nodes::{ClusterRecord, record};
use crate::seal::SealKey;

/// Under which name the authority's record is sealed.
pub(crate) const AUTHORITY: &str = "authority";

/// Opens the authority that the cluster's record holds.
pub(crate) fn open(seal: &SealKey, cluster: &ClusterRecord) -> Result<Rotation, AgentError> {
    let doing = "read the authority";
    let text = seal.open(AUTHORITY, &cluster.authority);
    let text = text.map_err(|error| AgentError::keys(doing, error))?;
    Rotation::from_record(&text).map_err(|error| AgentError::keys(doing, error))
}

/// A new key with its certificate, signed by the authority that this node holds.
pub(crate) fn papers(
    rotation: &Rotation,
    edition: u64,
    identity: &NodeIdentity,
    now: SystemTime,
    life: Duration,
) -> Result<Papers, AgentError> {
    let failed = |error: &dyn std::fmt::Display| AgentError::keys("sign for itself", error);
    let key = NodeKey::generate().map_err(|error| failed(&error))?;
    let request = key.request().map_err(|error| failed(&error))?;
    let chain = rotation.issue(&request, identity, now, life).map_err(|error| failed(&error))?;
    let credential = regrow_pki::Credential::new(key, chain).map_err(|error| failed(&error))?;
    Ok(Papers { credential, roots: rotation.roots(), edition })
}

/// New papers for this server, from what the nodes' tables show here.
pub(crate) fn renewed(
    view: &dyn View,
    seal: &SealKey,
    number: NodeNumber,
    now: SystemTime,
    life: Duration,
) -> Result<Papers, AgentError> {
    let doing = "sign for itself";
    let read = |error| AgentError::control(doing, error);
    let cluster = record::cluster(view).map_err(read)?;
    let cluster = cluster
        .ok_or_else(|| AgentError::control(doing, "the cluster is not in the tables here"))?;
    let node = record::node(view, number).map_err(read)?;
    if !node.is_some_and(|node| !node.removed && node.role == Role::Server) {
        return Err(AgentError::control(doing, "this node is no server of the cluster"));
    }
    let identity = NodeIdentity { cluster: cluster.id, role: Role::Server, node: number };
    papers(&open(seal, &cluster)?, cluster.edition, &identity, now, life)
}
