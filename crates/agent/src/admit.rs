//! The server's side of joining and renewing: who gets a certificate.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use regrow_consensus::Consistency;
use regrow_pki::{
    Clock, JoinToken, NodeIdentity, NodeNumber, Role, Rotation, Secret, TokenFault, key_hash_of,
    secret_hash,
};
use regrow_wire::{Caller, Fault, FaultCode};

use crate::error::AgentError;
use crate::messages::{
    JoinReply, JoinRequest, Papers, RenewReply, RenewRequest, ReplaceRequest, decode, encode,
};
use crate::nodes::{ClusterRecord, Command, Nodes, NodesError, Refusal, Reply, millis};
use crate::own::{self, AUTHORITY};
use crate::seal::SealKey;

/// What a server needs to let nodes in.
pub(crate) struct Admission {
    pub(crate) nodes: Nodes,
    /// Empty on workers, which let nobody in.
    pub(crate) seal: RwLock<Option<SealKey>>,
    pub(crate) clock: Clock,
    pub(crate) life: Duration,
}

#[expect(clippy::needless_pass_by_value, reason = "goes into map_err as it is")]
fn unavailable(text: impl ToString) -> Fault {
    Fault::new(FaultCode::Unavailable, text.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "goes into map_err as it is")]
fn refused(text: impl ToString) -> Fault {
    Fault::new(FaultCode::Forbidden, text.to_string())
}

impl Admission {
    pub(crate) fn seal_key(&self) -> Option<SealKey> {
        self.seal.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The cluster, and its authority opened.
    pub(crate) async fn authority(&self) -> Result<(ClusterRecord, Rotation), AgentError> {
        let doing = "read the authority";
        let cluster = self.nodes.cluster(Consistency::Linearizable).await;
        let cluster = cluster.map_err(|error| AgentError::control(doing, error))?;
        let cluster =
            cluster.ok_or_else(|| AgentError::control(doing, "the cluster is not founded yet"))?;
        let seal = self.seal_key().ok_or_else(|| {
            AgentError::keys(
                doing,
                "this node is no server, or lacks the servers' key; ask another",
            )
        })?;
        let rotation = own::open(&seal, &cluster)?;
        Ok((cluster, rotation))
    }

    fn papers(
        &self,
        cluster: &ClusterRecord,
        rotation: &Rotation,
        request: &[u8],
        identity: &NodeIdentity,
    ) -> Result<Papers, Fault> {
        let chain = rotation.issue(request, identity, self.clock.now(), self.life);
        let chain = chain.map_err(|error| Fault::new(FaultCode::BadRequest, error.to_string()))?;
        Ok(Papers {
            chain: chain.to_pem(),
            roots: rotation.roots().to_pem(),
            edition: cluster.edition,
        })
    }

    fn seal_for(&self, role: Role) -> Option<String> {
        let seal = self.seal_key().filter(|_| role == Role::Server)?;
        Some(seal.text().expose().clone())
    }

    /// Answers a newcomer.
    pub(crate) async fn join(&self, caller: Caller, body: Bytes) -> Result<Bytes, Fault> {
        let asked: JoinRequest = decode(&body)?;
        let secret = Secret::new(asked.secret);
        let now = self.clock.now();
        let record = self.nodes.token(asked.token).await.map_err(unavailable)?;
        // Looked at here first, so that guesses cost the cluster no writes. Who used the token up may
        // be the one that asks again.
        let record = record.ok_or_else(|| refused(TokenFault::Unknown))?;
        match record.check(record.role, &secret, now) {
            Ok(()) | Err(TokenFault::Used) => {}
            Err(fault) => return Err(refused(fault)),
        }
        let (cluster, rotation) = self.authority().await.map_err(unavailable)?;
        let identity = |number, role| NodeIdentity { cluster: cluster.id, role, node: number };
        // The request is tried before a number is given away for it.
        self.papers(&cluster, &rotation, &asked.request, &identity(PROBE, record.role))?;
        let key = key_hash_of(&asked.request);
        let command = Command::AdmitKey {
            token: asked.token,
            hash: secret_hash(&secret),
            key: key.map_err(|error| Fault::new(FaultCode::BadRequest, error.to_string()))?,
            name: asked.name.clone(),
            address: asked.address.clone(),
            now_ms: millis(now),
        };
        let (number, role) = self.number(&command).await?;
        tracing::info!(%caller, name = asked.name, %number, %role, token = %asked.token, "node joined");
        let papers = self.papers(&cluster, &rotation, &asked.request, &identity(number, role))?;
        let (cluster, servers, seal) = (cluster.id, self.servers().await?, self.seal_for(role));
        encode(&JoinReply { cluster, number, role, papers, servers, seal })
    }

    /// Executes a command that gives a number.
    async fn number(&self, command: &Command) -> Result<(NodeNumber, Role), Fault> {
        match self.nodes.change(command).await {
            Ok(Reply::Admitted { number, role }) => Ok((number, role)),
            Ok(Reply::Done) => Err(Fault::new(FaultCode::Failed, "no number was given")),
            Err(NodesError::Refused(refusal)) => Err(refused(refusal)),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Where servers answer.
    async fn servers(&self) -> Result<Vec<String>, Fault> {
        let nodes = self.nodes.list(Consistency::Stale).await.map_err(unavailable)?;
        let servers = nodes.into_iter().filter(|node| !node.removed && node.role == Role::Server);
        Ok(servers.map(|node| node.address).collect())
    }

    /// Answers a node that lost what it had acknowledged: it gets another number. It asks for itself
    /// alone, as its certificate says.
    pub(crate) async fn replace(&self, caller: Caller, body: Bytes) -> Result<Bytes, Fault> {
        let asked: ReplaceRequest = decode(&body)?;
        let known = caller.identity.ok_or_else(|| refused("only nodes are replaced"))?;
        let (cluster, rotation) = self.authority().await.map_err(unavailable)?;
        let identity = |node, role| NodeIdentity { cluster: cluster.id, role, node };
        self.papers(&cluster, &rotation, &asked.request, &identity(PROBE, known.role))?;
        let key = key_hash_of(&asked.request);
        let command = Command::Replace {
            number: known.node,
            key: key.map_err(|error| Fault::new(FaultCode::BadRequest, error.to_string()))?,
            address: asked.address,
        };
        let (number, role) = self.number(&command).await?;
        tracing::warn!(old = %known.node, %number, %role, "a node whose log is damaged gets another number");
        let papers = self.papers(&cluster, &rotation, &asked.request, &identity(number, role))?;
        let (cluster, servers, seal) =
            (cluster.id, self.servers().await?, self.seal_for(known.role));
        encode(&JoinReply { cluster, number, role, papers, servers, seal })
    }

    /// Answers a node that wants its next certificate, in the role that the cluster gives it.
    pub(crate) async fn renew(&self, caller: Caller, body: Bytes) -> Result<Bytes, Fault> {
        let asked: RenewRequest = decode(&body)?;
        let known = caller.identity.ok_or_else(|| refused("only nodes renew"))?;
        let node = self.nodes.find(known.node, Consistency::Linearizable).await;
        let node = node.map_err(unavailable)?.filter(|node| !node.removed);
        let node = node.ok_or_else(|| refused(Refusal::Removed(known.node)))?;
        let (cluster, rotation) = self.authority().await.map_err(unavailable)?;
        let identity = NodeIdentity { cluster: cluster.id, role: node.role, node: known.node };
        let papers = self.papers(&cluster, &rotation, &asked.request, &identity)?;
        // A worker that becomes a server asks again with its new certificate for the key.
        let seal = self.seal_for(known.role);
        encode(&RenewReply { papers, seal })
    }

    /// Makes a join token and keeps what is needed to recognise it.
    pub(crate) async fn create_token(
        &self,
        role: Role,
        life: Duration,
        uses: u32,
    ) -> Result<Secret<String>, AgentError> {
        let (_, rotation) = self.authority().await?;
        // While a rotation is under way some servers still show what the old authority signed, and
        // what the new one signed leads to the old root as well.
        let root = match &rotation {
            Rotation::Steady { authority } => authority,
            Rotation::CrossSigned { old, .. } | Rotation::NewIssuing { old, .. } => old,
        };
        let token = JoinToken::new(root.digest(), role);
        let record = regrow_pki::TokenRecord::new(&token, self.clock.now(), life, uses);
        let kept = self.nodes.change(&Command::PutToken(record)).await;
        kept.map_err(|error| AgentError::control("create a token", error))?;
        Ok(token.text())
    }

    /// Replaces the authority's record.
    pub(crate) async fn set_authority(
        &self,
        cluster: &ClusterRecord,
        rotation: &Rotation,
    ) -> Result<(), AgentError> {
        let doing = "change the authority";
        let seal =
            self.seal_key().ok_or_else(|| AgentError::keys(doing, "this node is no server"))?;
        let text = rotation.to_record().map_err(|error| AgentError::keys(doing, error))?;
        let authority =
            seal.seal(AUTHORITY, &text).map_err(|error| AgentError::keys(doing, error))?;
        let command = Command::SetAuthority { edition: cluster.edition, authority };
        let changed = self.nodes.change(&command).await;
        changed.map(drop).map_err(|error| AgentError::control(doing, error))
    }
}

/// Stands in while a request is tried.
const PROBE: NodeNumber = NodeNumber::new(u64::MAX);

/// Shared by the handlers.
pub(crate) type Admitting = Arc<Admission>;
