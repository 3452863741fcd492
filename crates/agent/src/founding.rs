//! Founding a cluster: the first node makes the authority, signs its own certificate, and writes both
//! into the control group of which it is the only voter.
//!
//! What is to be written is kept in `founding.json` until it is there, so that a crash at any point is
//! taken up by the next start.

use std::time::Duration;

use regrow_consensus::Consistency;
use regrow_pki::{Authority, Clock, ClusterId, NodeIdentity, NodeNumber, Role, Rotation};

use crate::agent::{Agent, led};
use crate::error::AgentError;
use crate::folder::{Folder, Identity};
use crate::nodes::{ClusterRecord, Command, NodesError, Refusal, millis};
use crate::own::{self, AUTHORITY};
use crate::seal::SealKey;

const FILE: &str = "founding.json";
/// As `founding.json`, after a backup was taken over.
const RESTORED: &str = "restored.json";
/// The first node's number.
const FIRST: NodeNumber = NodeNumber::new(1);
/// Edition of its first authority.
const FIRST_EDITION: u64 = 1;
/// Longest time for the only voter to lead.
const WITHIN: Duration = Duration::from_secs(30);

/// Makes the cluster's keys and this node's identity in the folder.
pub(crate) fn begin(
    folder: &Folder,
    name: &str,
    address: &str,
    clock: &Clock,
    life: Duration,
) -> Result<Identity, AgentError> {
    let doing = "found a cluster";
    let failed = |error: &dyn std::fmt::Display| AgentError::keys(doing, error);
    crate::nodes::check(name, address).map_err(|refusal| failed(&refusal))?;
    let (cluster, now) = (ClusterId::random(), clock.now());
    let authority = Authority::new(cluster, now).map_err(|error| failed(&error))?;
    let rotation = Rotation::steady(authority);
    let identity = NodeIdentity { cluster, role: Role::Server, node: FIRST };
    let papers = own::papers(&rotation, FIRST_EDITION, &identity, now, life)?;
    let record = rotation.to_record().map_err(|error| failed(&error))?;
    let seal = SealKey::generate();
    let sealed = seal.seal(AUTHORITY, &record).map_err(|error| failed(&error))?;
    let record = ClusterRecord {
        id: cluster,
        founded_ms: millis(now),
        authority: sealed,
        edition: FIRST_EDITION,
    };
    folder.set_seal_key(&seal)?;
    folder.set_papers(&papers)?;
    let text = serde_json::to_string(&record).map_err(|error| failed(&error))?;
    folder.set(FILE, &text)?;
    let identity = Identity::new(cluster, FIRST, name.into(), address.into(), Vec::new());
    folder.set_identity(&identity)?;
    Ok(identity)
}

/// Whether the cluster, or this node in a restored one, is still to be written.
pub(crate) fn is_under_way(folder: &Folder) -> Result<bool, AgentError> {
    Ok(folder.get(FILE)?.is_some() || folder.get(RESTORED)?.is_some())
}

/// Remembers that this node took a backup over.
pub(crate) fn begin_restored(folder: &Folder, identity: &Identity) -> Result<(), AgentError> {
    let text = serde_json::to_string(identity);
    let text = text.map_err(|error| AgentError::keys("restore a backup", error))?;
    folder.set(RESTORED, &text)
}

/// Writes the cluster into its control group, or this node into a restored one, if that is still to
/// be done.
pub(crate) async fn finish(agent: &Agent) -> Result<(), AgentError> {
    finish_restored(agent).await?;
    finish_founding(agent).await
}

async fn finish_restored(agent: &Agent) -> Result<(), AgentError> {
    if agent.folder().get(RESTORED)?.is_none() {
        return Ok(());
    }
    led(agent.group(), WITHIN).await?;
    let Identity { number, name, .. } = agent.identity().clone();
    let restored = Command::Restored { number, name, address: agent.address() };
    let written = agent.nodes().change(&restored).await;
    written.map_err(|error| AgentError::control("restore the cluster", error))?;
    agent.folder().forget(RESTORED)
}

async fn finish_founding(agent: &Agent) -> Result<(), AgentError> {
    let doing = "found the cluster";
    let Some(text) = agent.folder().get(FILE)? else { return Ok(()) };
    let cluster: ClusterRecord =
        serde_json::from_str(text.expose()).map_err(|error| AgentError::keys(doing, error))?;
    let group = agent.group();
    let blank = group.is_blank().await.map_err(|error| AgentError::control(doing, error))?;
    if blank {
        let made = group.bootstrap(&agent.address()).await;
        made.map_err(|error| AgentError::control(doing, error))?;
    }
    led(group, WITHIN).await?;
    let (name, address) = (agent.identity().name.clone(), agent.address());
    match agent.nodes().change(&Command::Found { cluster, name, address }).await {
        Ok(_) | Err(NodesError::Refused(Refusal::Founded)) => {}
        Err(error) => return Err(AgentError::control(doing, error)),
    }
    let known = agent.nodes().cluster(Consistency::Linearizable).await;
    match known.map_err(|error| AgentError::control(doing, error))? {
        Some(known) if known.id == agent.identity().cluster => agent.folder().forget(FILE),
        _ => Err(AgentError::control(doing, "the control group holds another cluster")),
    }
}
