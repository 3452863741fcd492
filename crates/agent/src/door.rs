//! The local door of an agent: a unix socket in its state folder, for commands on the same machine.
//!
//! One request a connection: a line of JSON ([`Request`]), answered by a line of JSON (a [`Reply`], or
//! `{"error": …}`). A backup follows its line as raw bytes until the end of the connection. Only root
//! and the agent's own user get in.

mod asking;
mod views;

use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::StreamExt as _;
use regrow_consensus::Consistency;
use regrow_pki::{NodeNumber, Role, TokenId, TokenRecord};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use crate::agent::Agent;
use crate::error::AgentError;
use crate::folder::Folder;
use crate::nodes::{Command, NodeRecord};

pub use asking::{Answer, ask};

/// Name of the socket in the state folder.
pub const SOCKET: &str = "agent.sock";
/// Longest line, in bytes.
const LINE_LIMIT: u64 = 1 << 20;
/// Longest time for a request to arrive.
const ARRIVE_WITHIN: Duration = Duration::from_secs(10);

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How this node and its control group stand.
    Status,
    /// The nodes of the cluster.
    Nodes,
    /// A new join token.
    CreateToken {
        /// What it gives.
        role: Role,
        /// Seconds for which it lives; by the role where it is not given.
        ttl_seconds: Option<u64>,
        /// How many nodes may join; by the role where it is not given.
        uses: Option<u32>,
    },
    /// Forgets a join token.
    RevokeToken {
        /// Its public id, 8 hexadecimal digits.
        id: String,
    },
    /// Join tokens, without their secrets.
    Tokens,
    /// Removes a node for ever.
    Remove {
        /// Its name or number.
        node: String,
    },
    /// Empties a node, or uses it again.
    Drain {
        /// Its name or number.
        node: String,
        /// Whether it is emptied.
        on: bool,
    },
    /// Lets a node be a server.
    Promote {
        /// Its name or number.
        node: String,
    },
    /// Lets a node be a worker.
    Demote {
        /// Its name or number.
        node: String,
    },
    /// Begins a rotation of the authority.
    RotateAuthority,
    /// A backup of the control state.
    Backup,
}

/// How a node stands, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its number.
    pub number: u64,
    /// Its name.
    pub name: String,
    /// `server` or `worker`.
    pub role: String,
    /// `alive`, `dead`, `draining` or `removed`.
    pub state: String,
    /// It has a vote.
    pub voter: bool,
    /// It leads.
    pub leader: bool,
    /// Where it answers.
    pub address: String,
}

/// A join token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    /// Its public id.
    pub id: String,
    /// `server` or `worker`.
    pub role: String,
    /// Milliseconds since 1970 at which it ends.
    pub expires_ms: u64,
    /// How many nodes may still join with it.
    pub uses_left: u32,
}

/// How a node and its control group stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// The cluster's id.
    pub cluster: String,
    /// This node's number.
    pub number: u64,
    /// Its name.
    pub name: String,
    /// Where it answers.
    pub address: String,
    /// Number of the node that leads, if any. `None` too on a leader that lost its majority.
    pub leader: Option<u64>,
    /// Milliseconds since the leader was last heard of, or a majority on the node that led; zero on a
    /// leader, `None` when never.
    #[serde(default)]
    pub last_contact_ms: Option<u64>,
    /// Election term.
    pub term: u64,
    /// Newest command that this node shows.
    pub applied: u64,
    /// Numbers of the voters.
    pub voters: Vec<u64>,
    /// State of the authority: `steady`, `cross-signed`, `new-issuing`, or unknown to workers.
    pub authority: Option<String>,
    /// Why the control group stopped on this node, if it did.
    pub halted: Option<String>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// It was done.
    Done,
    /// How this node stands.
    Status(Box<StatusView>),
    /// The nodes.
    Nodes(Vec<NodeView>),
    /// The nodes as this one last knew them, as nobody leads.
    OldNodes {
        /// The nodes.
        nodes: Vec<NodeView>,
        /// Why they may be old, and what to do.
        reason: String,
    },
    /// A new token, shown once.
    Token(String),
    /// The tokens.
    Tokens(Vec<TokenView>),
    /// A backup follows.
    Backup,
    /// It was not done.
    Error(String),
}

/// Opens the door.
///
/// # Errors
/// The socket cannot be made.
pub(crate) fn open(folder: &Folder) -> Result<UnixListener, AgentError> {
    let path = folder.file(SOCKET);
    let fault = |source| AgentError::File { doing: "open door", path: path.clone(), source };
    // The folder's lock says that nobody else serves it.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fault(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(fault)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(fault)?;
    Ok(listener)
}

/// Serves the door until the agent is gone.
pub(crate) async fn serve(agent: Weak<Agent>, listener: UnixListener) {
    loop {
        let accepted = listener.accept().await;
        let Some(agent) = agent.upgrade() else { return };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(async move {
                    if let Err(error) = answer(&agent, stream).await {
                        tracing::debug!(%error, "door");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept at the door; trying again");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Answers everything with what is told now: for an agent that does not run yet.
pub(crate) async fn say_only(listener: UnixListener, told: watch::Receiver<String>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let told = told.clone();
        tokio::spawn(async move {
            if let Ok(Some((_, mut writing))) = hear(stream).await {
                let text = told.borrow().clone();
                // Who hung up does not want to know.
                let _ = say(&mut writing, &Reply::Error(text)).await;
            }
        });
    }
}

/// The line that somebody sends who may, and where it is answered.
async fn hear(stream: UnixStream) -> std::io::Result<Option<(String, OwnedWriteHalf)>> {
    let own = rustix::process::geteuid().as_raw();
    let peer = stream.peer_cred()?.uid();
    if peer != own && peer != 0 {
        return Ok(None);
    }
    let (reading, writing) = stream.into_split();
    let mut line = String::new();
    let mut reading = BufReader::new(reading.take(LINE_LIMIT));
    tokio::time::timeout(ARRIVE_WITHIN, reading.read_line(&mut line)).await??;
    Ok(Some((line, writing)))
}

async fn answer(agent: &Arc<Agent>, stream: UnixStream) -> std::io::Result<()> {
    let Some((line, mut writing)) = hear(stream).await? else { return Ok(()) };
    let request = serde_json::from_str::<Request>(&line);
    let reply = match request {
        Ok(Request::Backup) => return backup(agent, &mut writing).await,
        Ok(request) => match agent.answer(request).await {
            Ok(reply) => reply,
            Err(reason) => Reply::Error(agent.advised(reason).await),
        },
        Err(error) => Reply::Error(format!("read the request: {error}")),
    };
    say(&mut writing, &reply).await
}

async fn say<W: tokio::io::AsyncWrite + Unpin>(to: &mut W, reply: &Reply) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    to.write_all(&line).await
}

async fn backup<W: tokio::io::AsyncWrite + Unpin>(
    agent: &Arc<Agent>,
    to: &mut W,
) -> std::io::Result<()> {
    let mut bytes = match agent.backup().await {
        Ok(bytes) => Box::pin(bytes),
        Err(error) => return say(to, &Reply::Error(agent.advised(error.to_string()).await)).await,
    };
    say(to, &Reply::Backup).await?;
    while let Some(chunk) = bytes.next().await {
        to.write_all(&chunk?).await?;
    }
    Ok(())
}

impl Agent {
    /// Answers at the local door.
    async fn answer(self: &Arc<Self>, request: Request) -> Result<Reply, String> {
        match request {
            Request::Status => Ok(Reply::Status(Box::new(self.status_view().await))),
            Request::Nodes => self.node_views().await,
            Request::CreateToken { role, ttl_seconds, uses } => {
                let life = ttl_seconds
                    .map_or_else(|| TokenRecord::default_life(role), Duration::from_secs);
                let uses = uses.unwrap_or_else(|| TokenRecord::default_uses(role));
                if life.is_zero() || uses == 0 {
                    return Err(
                        "a token lives for a second at least and is used once at least".into()
                    );
                }
                let token = self.admission().create_token(role, life, uses).await;
                token.map(|text| Reply::Token(text.expose().clone())).map_err(|e| e.to_string())
            }
            Request::RevokeToken { id } => {
                let raw = u32::from_str_radix(&id, 16).map_err(|_| {
                    format!("token id {id:?}: expected 8 hexadecimal digits; see `regrow token ls`")
                })?;
                self.do_to(Command::RevokeToken(TokenId::new(raw))).await
            }
            Request::Tokens => self.token_views().await.map(Reply::Tokens),
            Request::Remove { node } => {
                let number = self.find(&node).await?;
                self.do_to(Command::Remove { number }).await
            }
            Request::Drain { node, on } => {
                let number = self.find(&node).await?;
                self.do_to(Command::SetDraining { number, draining: on }).await
            }
            Request::Promote { node } => self.set_role(&node, Role::Server).await,
            Request::Demote { node } => self.set_role(&node, Role::Worker).await,
            Request::RotateAuthority => self.rotate().await,
            Request::Backup => Err("a backup is a stream".into()),
        }
    }

    async fn do_to(&self, command: Command) -> Result<Reply, String> {
        self.nodes().change(&command).await.map(|_| Reply::Done).map_err(|error| error.to_string())
    }

    async fn set_role(&self, node: &str, role: Role) -> Result<Reply, String> {
        let number = self.find(node).await?;
        self.do_to(Command::SetRole { number, role }).await
    }

    async fn rotate(&self) -> Result<Reply, String> {
        let (cluster, rotation) = self.admission().authority().await.map_err(|e| e.to_string())?;
        let next = rotation.begin(self.clock().now()).map_err(|error| error.to_string())?;
        let set = self.admission().set_authority(&cluster, &next).await;
        set.map(|()| Reply::Done).map_err(|error| error.to_string())
    }

    async fn list(&self) -> Result<Vec<NodeRecord>, String> {
        self.nodes().list(Consistency::Linearizable).await.map_err(|error| error.to_string())
    }

    /// The node that a name or number means. A removed node's name means nobody.
    async fn find(&self, node: &str) -> Result<NodeNumber, String> {
        let nodes = self.list().await?;
        let by_number = node.parse::<u64>().ok();
        // The newest of this name: a node that is replaced has its old number for a moment more.
        let found = nodes
            .iter()
            .rfind(|known| !known.removed && known.name == node)
            .or_else(|| nodes.iter().find(|known| by_number == Some(known.number.get())));
        found
            .map(|node| node.number)
            .ok_or_else(|| format!("node {node:?} is not known; see `regrow node ls`"))
    }
}
