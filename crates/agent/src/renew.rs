//! Keeps this node's certificate fresh: before it ends, when the cluster's roots change, and when the
//! node's role does.
//!
//! Any server gives the next one, also to a node whose last one has expired. A server to which nobody
//! gives one signs its own.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use regrow_consensus::Consistency;
use regrow_pki::{Certificates, Credential, NodeKey, Papers, Renewal, Role};
use regrow_wire::Method;
use tokio::time::Instant;

use crate::agent::Agent;
use crate::error::AgentError;
use crate::messages::{RenewReply, RenewRequest, decode, encode};
use crate::nodes::SCOPE;
use crate::own;
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
        let mut renewed = agent.renew().await;
        if renewed.is_err() && due.is_due(agent.clock().now()) && agent.has_seal() {
            renewed = agent.renew_alone().await;
        }
        match renewed {
            Ok(()) => renewal = None,
            Err(error) => {
                tracing::warn!(%error, "no new certificate; trying again");
                drop(agent);
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

impl Agent {
    /// Gets the next certificate from any server, and takes it into use. It is done when it is due;
    /// nobody else need ask for it.
    ///
    /// # Errors
    /// No server gave one, or it could not be kept.
    pub async fn renew(self: &Arc<Self>) -> Result<(), AgentError> {
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
        let credential =
            Credential::new(key, chain).map_err(|error| AgentError::keys(doing, error))?;
        if let Some(seal) = &reply.seal {
            let seal = SealKey::parse(seal).map_err(|error| AgentError::keys(doing, error))?;
            self.folder().set_seal_key(&seal)?;
            *self.admission().seal.write().unwrap_or_else(PoisonError::into_inner) = Some(seal);
        }
        self.keep(Papers { credential, roots, edition: reply.papers.edition })
    }

    fn keep(&self, papers: Papers) -> Result<(), AgentError> {
        self.folder().set_papers(&papers)?;
        self.use_papers(papers)
    }

    /// A server that nobody gives a certificate signs its own.
    async fn renew_alone(&self) -> Result<(), AgentError> {
        let doing = "sign for itself";
        let seal = self.admission().seal_key();
        let seal = seal.ok_or_else(|| AgentError::keys(doing, "this node is no server"))?;
        let shown = self.scoped(SCOPE).read(Consistency::Stale).await;
        let shown = shown.map_err(|error| AgentError::control(doing, error))?;
        let (now, life) = (self.clock().now(), self.life());
        self.keep(own::renewed(shown.view(), &seal, self.number(), now, life)?)
    }
}
