//! What this node registered: the source of truth, kept in memory and, where a state folder is
//! given, in a file.
//!
//! The catalog can lose everything (a development catalog restarts, a backup is restored): the
//! agent compares what it owns with what the catalog has, whenever its node's entry changes, the
//! leader changes, the tables are replaced, and once a minute, and enters again what is missing.
//! What it did not register itself it leaves alone.
//!
//! Start reading at [`Agent`].

mod file;
mod local;
mod registry;
mod sync;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::{Mutex, watch};

use crate::machine::{Command, NodePart, Registration};
use crate::model::{Node, Service, Status};
use crate::query::{AskError, Client, ExecuteError};

pub use file::FileError;
pub use local::{Leaving, Local, LocalCheck};

type Addresses = dyn Fn() -> BTreeMap<u64, String> + Send + Sync;

/// Where the servers are, asked anew each time: they change.
#[derive(Clone)]
pub struct Servers(Arc<Addresses>);

impl Servers {
    /// From what tells addresses, as `HOST:PORT`, by node id of the replica.
    pub fn new(addresses: impl Fn() -> BTreeMap<u64, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(addresses))
    }

    /// The addresses now.
    pub fn now(&self) -> BTreeMap<u64, String> {
        (self.0)()
    }
}

impl Default for Servers {
    fn default() -> Self {
        Self::new(BTreeMap::new)
    }
}

impl std::fmt::Debug for Servers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Servers").field(&self.now()).finish()
    }
}

/// Who this agent is.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// Name of the node.
    pub node_name: String,
    /// UUID of the node; may be empty.
    pub node_id: String,
    /// Address of the node, which services without their own are shown with.
    pub address: String,
    /// Name of the data center.
    pub datacenter: String,
    /// Free text by key.
    pub meta: BTreeMap<String, String>,
    /// Port of the servers, when this node is one: it is entered as an instance of `consul`.
    pub server_port: Option<u16>,
    /// Addresses of the servers. Default none: those of other nodes are not known.
    pub servers: Servers,
    /// Folder in which registrations are kept; in memory only where there is none.
    pub state: Option<PathBuf>,
}

impl AgentOptions {
    /// A node of this name at 127.0.0.1 in `dc1`, in memory, a server at port 8300.
    pub fn new(node_name: impl Into<String>) -> Self {
        Self {
            node_name: node_name.into(),
            node_id: String::new(),
            address: "127.0.0.1".to_owned(),
            datacenter: "dc1".to_owned(),
            meta: BTreeMap::new(),
            server_port: Some(8300),
            servers: Servers::default(),
            state: None,
        }
    }

    /// The node as the catalog enters it.
    pub fn node(&self) -> Node {
        let tagged = ["lan", "lan_ipv4", "wan", "wan_ipv4"];
        Node {
            id: self.node_id.clone(),
            name: self.node_name.clone(),
            address: self.address.clone(),
            datacenter: self.datacenter.clone(),
            tagged_addresses: tagged
                .iter()
                .map(|tag| ((*tag).to_owned(), self.address.clone()))
                .collect(),
            meta: self.meta.clone(),
        }
    }

    /// The instance of `consul` that a server is.
    fn server(&self) -> Option<Service> {
        self.server_port.map(|port| Service {
            id: "consul".to_owned(),
            name: "consul".to_owned(),
            port,
            ..Service::default()
        })
    }
}

/// Why the agent did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No service of this id was registered here.
    #[error("No service registered with ID {0:?}")]
    UnknownService(String),
    /// A check is for a service that was not registered here.
    #[error("ServiceID {0:?} does not exist")]
    NoService(String),
    /// No TTL check of this id was registered here.
    #[error("CheckID {0:?} does not have associated TTL")]
    NotTtl(String),
    /// No check of this id was registered here.
    #[error("check {0:?} is not registered here; register it first")]
    UnknownCheck(String),
    /// The registration could not be written down.
    #[error("{0}")]
    File(#[from] FileError),
    /// The catalog did not take it. The agent keeps it and tries again by itself, unless the error
    /// says that it was refused.
    #[error("{0}")]
    Execute(#[from] ExecuteError),
    /// The catalog could not be read.
    #[error("{0}")]
    Ask(#[from] AskError),
}

/// The registrations of this node. Cheap to clone.
#[derive(Clone)]
pub struct Agent {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    options: AgentOptions,
    /// Held while a registration is decided, written down and carried to the catalog, so that these
    /// happen in one order.
    changing: Mutex<()>,
    local: watch::Sender<Arc<Local>>,
    /// What checks were last said to be, by id: for a catalog that lost it.
    found: std::sync::Mutex<BTreeMap<String, (Status, String)>>,
}

impl Agent {
    /// Reads what was registered before, enters the node and all of it, and goes on comparing until
    /// the last handle is dropped.
    ///
    /// # Errors
    /// The file of registrations cannot be read. A catalog without a leader is no error: what is
    /// missing is entered when there is one.
    pub(crate) async fn start(client: Client, options: AgentOptions) -> Result<Self, FileError> {
        let local = match &options.state {
            Some(folder) => file::load(folder).await?,
            None => Local::default(),
        };
        let local = watch::Sender::new(Arc::new(local));
        let inner =
            Inner { client, options, changing: Mutex::new(()), local, found: Default::default() };
        let agent = Self { inner: Arc::new(inner) };
        // Listening begins before the first look: what is lost after it is noticed.
        let signals = sync::Signals::of(&agent.inner);
        let entered = agent.converge().await;
        if let Err(error) = &entered {
            tracing::info!(%error, "enter this node: tried again soon");
        }
        tokio::spawn(sync::run(Arc::downgrade(&agent.inner), signals, entered.is_ok()));
        Ok(agent)
    }

    /// Who this agent is.
    pub fn options(&self) -> &AgentOptions {
        &self.inner.options
    }

    /// What is registered now.
    pub fn local(&self) -> Arc<Local> {
        self.inner.local.borrow().clone()
    }

    /// What is registered now, and every change of it: for the runner of checks.
    pub fn watch(&self) -> watch::Receiver<Arc<Local>> {
        self.inner.local.subscribe()
    }

    /// Takes what a check of any type found; starts its TTL anew.
    ///
    /// # Errors
    /// The check is not registered here, or the catalog did not take it.
    pub async fn report(&self, id: &str, status: Status, output: &str) -> Result<(), AgentError> {
        if !self.local().checks.contains_key(id) {
            return Err(AgentError::UnknownCheck(id.to_owned()));
        }
        self.found().insert(id.to_owned(), (status, output.to_owned()));
        let update = Command::UpdateCheck {
            node: self.inner.options.node_name.clone(),
            id: id.to_owned(),
            status,
            output: output.to_owned(),
        };
        match self.inner.client.execute(&update).await {
            // The catalog lost it: what is entered again has this status.
            Err(ExecuteError::Refused(_)) => self.enter_check(id).await,
            outcome => Ok(outcome.map(drop)?),
        }
    }

    fn found(&self) -> MutexGuard<'_, BTreeMap<String, (Status, String)>> {
        self.inner.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A registration of the node itself, to be filled.
    fn registration(&self) -> Registration {
        Registration {
            node: NodePart::Set(self.inner.options.node()),
            service: None,
            checks: Vec::new(),
            replace_checks: false,
        }
    }
}
