//! Keeps this node's certificate fresh: before it ends, when the cluster's roots change, and when the
//! node's role does.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use regrow_pki::{Certificates, Credential, NodeKey, Renewal, Role, Secret};
use regrow_wire::Method;
use tokio::time::Instant;

use crate::agent::Agent;
use crate::error::AgentError;
use crate::messages::{RenewReply, RenewRequest, decode, encode};
use crate::seal::SealKey;

/// How often it is looked whether something is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longest time for one server to answer.
const WITHIN: Duration = Duration::from_secs(10);
/// Wait after no server gave a certificate.
const AGAIN: Duration = Duration::from_secs(5);

/// Runs until the agent is gone.
pub(crate) async fn run(agent: Weak<Agent>) {
    let mut renewal = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(agent) = agent.upgrade() else { return };
        let (validity, role) = agent.certificate();
        let due = renewal.get_or_insert_with(|| Renewal::new(validity, rand::random()));
        let stale = agent
            .wanted()
            .is_some_and(|wanted| wanted.edition > agent.trusts() || wanted.role != role);
        let lacks_key = role == Role::Server && !agent.has_seal();
        if !stale && !lacks_key && !due.is_due(agent.clock().now()) {
            continue;
        }
        match agent.renew().await {
            Ok(()) => renewal = None,
            Err(error) => {
                tracing::warn!(%error, "renew this node's certificate; trying again");
                drop(agent);
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

impl Agent {
    /// Gets the next certificate from any server, and takes it into use.
    pub(crate) async fn renew(self: &Arc<Self>) -> Result<(), AgentError> {
        let doing = "renew the certificate";
        let key = NodeKey::generate().map_err(|error| AgentError::keys(doing, error))?;
        let request = key.request().map_err(|error| AgentError::keys(doing, error))?;
        let body = encode(&RenewRequest { request }).map_err(|f| AgentError::keys(doing, f))?;
        let mut last = "no server is known".to_owned();
        for peer in self.servers() {
            let deadline = Instant::now() + WITHIN;
            match self.client().call(&peer, Method::Renew, body.clone(), deadline).await {
                Ok(reply) => {
                    let reply: RenewReply =
                        decode(&reply).map_err(|fault| AgentError::keys(doing, fault))?;
                    return self.take_papers(key, &reply);
                }
                Err(error) => last = error.to_string(),
            }
        }
        Err(AgentError::control(doing, last))
    }

    fn take_papers(self: &Arc<Self>, key: NodeKey, reply: &RenewReply) -> Result<(), AgentError> {
        let doing = "take the new certificate into use";
        let pem = |text: &str| {
            Certificates::from_pem(text).map_err(|error| AgentError::keys(doing, error))
        };
        let (chain, roots) = (pem(&reply.papers.chain)?, pem(&reply.papers.roots)?);
        let text = key.pem();
        let credential =
            Credential::new(key, chain.clone()).map_err(|error| AgentError::keys(doing, error))?;
        if let Some(seal) = &reply.seal {
            let seal = SealKey::parse(seal).map_err(|error| AgentError::keys(doing, error))?;
            self.folder().set_seal_key(&seal)?;
            *self.admission().seal.write().unwrap_or_else(PoisonError::into_inner) = Some(seal);
        }
        // Key and chain are two files: a crash between them is mended by a second look at start.
        self.folder().set_key(
            &NodeKey::from_pem(&Secret::new(text.expose().clone()))
                .map_err(|error| AgentError::keys(doing, error))?,
        )?;
        self.folder().set_certificates(&chain, &roots)?;
        self.use_papers(credential, roots, reply.papers.edition)
    }
}
