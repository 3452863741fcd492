//! The agent: everything that runs on a node, put together.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use regrow_consensus::wired::{Admit, Groups, WireTransport};
use regrow_consensus::{Group, GroupOptions, Machine, Replica, Scope, Scoped};
use regrow_journal::Journal;
use regrow_pki::{Clock, DEFAULT_LIFE, JoinToken, Member, NodeNumber, Papers, Role, Validity};
use regrow_wire::{Caller, Client, Fault, Keys, Method, Router, Server};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admit::{Admission, Admitting};
use crate::error::AgentError;
use crate::folder::{Folder, Identity};
use crate::heartbeat::{self, Heard};
use crate::messages::BeatReply;
use crate::nodes::{self, NodeRecord, Nodes, SCOPE};
use crate::others::Noted;
use crate::plan::{Seen, Wishes};
use crate::proposals::{self, WorkerScope};
use crate::refill::{Beginning, Opened};
use crate::starting::{self, identify, listen, together, with_port};
use crate::{door, founding, lead, renew};

/// Number of the control group.
pub const CONTROL: u32 = 1;

/// How a node without an identity gets one. A node that has one goes on with it.
pub enum Start {
    /// It does not.
    Resume,
    /// It founds a cluster.
    Bootstrap,
    /// It joins one.
    Join {
        /// The token.
        token: JoinToken,
        /// A server, `HOST:PORT`.
        server: String,
    },
}

/// Told by the leader how the nodes are, each time that one changed and every few seconds.
#[async_trait]
pub trait Observer: Send + Sync + 'static {
    /// Which nodes there are, removed ones too. May be told the same again.
    async fn nodes(&self, nodes: &[NodeRecord]);
}

/// How an agent runs.
pub struct AgentOptions {
    /// Its state folder.
    pub state: PathBuf,
    /// How it gets an identity.
    pub start: Start,
    /// Its name in the cluster.
    pub name: String,
    /// The name was asked for and is no default: a node that has another one is not started.
    pub named: bool,
    /// Where it listens, `HOST:PORT`; port 0 takes a free one.
    pub listen: String,
    /// Where the others reach it, `HOST:PORT`; found out where it is not given.
    pub advertise: Option<String>,
    /// How many voters there should be, and when a lost one is replaced.
    pub wishes: Wishes,
    /// Life of the certificates that this node signs. Default 24 h.
    pub life: Duration,
    /// The time by which certificates and tokens are judged. Default the system's.
    pub clock: Clock,
    /// Machines that share the control group with the nodes, each under its scope.
    pub machines: Vec<(Scope, Arc<dyn Machine>)>,
    /// Scopes to which workers may send commands; servers may to all.
    pub worker_scopes: Vec<WorkerScope>,
    /// Told how the nodes are.
    pub observer: Option<Arc<dyn Observer>>,
}

impl AgentOptions {
    /// The defaults for a folder and a name: goes on with what the folder holds, on port 7400.
    pub fn new(state: PathBuf, name: String) -> Self {
        Self {
            state,
            start: Start::Resume,
            name,
            named: false,
            listen: "0.0.0.0:7400".into(),
            advertise: None,
            wishes: Wishes::default(),
            life: DEFAULT_LIFE,
            clock: Clock::new(SystemTime::now),
            machines: Vec::new(),
            worker_scopes: Vec::new(),
            observer: None,
        }
    }
}

/// What the node shows its peers.
struct Shown {
    role: Role,
    validity: Validity,
    edition: u64,
}

impl Shown {
    fn of(papers: &Papers) -> Self {
        let Papers { credential, edition, .. } = papers;
        let role = credential.identity().role;
        Self { role, validity: credential.validity(), edition: *edition }
    }
}

/// A node of the cluster, running.
pub struct Agent {
    identity: Identity,
    address: String,
    folder: Folder,
    keys: Keys,
    shown: Mutex<Shown>,
    wanted: Mutex<Option<BeatReply>>,
    client: Client,
    group: Arc<Group>,
    nodes: Nodes,
    admission: Admitting,
    heard: Heard,
    told: Mutex<(Vec<NodeRecord>, Instant)>,
    noted: Noted,
    removed: nodes::Removed,
    wishes: Wishes,
    clock: Clock,
    observer: Option<Arc<dyn Observer>>,
    stop: CancellationToken,
    tasks: TaskTracker,
    _journal: Journal,
}

impl Agent {
    /// Starts the agent: with the identity in its folder, or with a new one. A node whose log or tables
    /// are damaged first gets another number from the others; it waits for them as long as it takes.
    ///
    /// # Errors
    /// The folder, the port, the keys, the join or the control group do not work, or the log is damaged
    /// and there is nobody who could refill it; what was begun is undone or is taken up by the next
    /// start.
    pub async fn start(options: AgentOptions) -> Result<Arc<Self>, AgentError> {
        let clock = options.clock.clone();
        let folder = Folder::open(&options.state)?;
        let (listener, listening) = listen(&options.listen).await?;
        let new = folder.identity()?.is_none();
        let identity = identify(&folder, &options, listening, &clock).await?;
        let address = match &options.advertise {
            Some(address) => address.clone(),
            None => with_port(&identity.address, listening.port()),
        };
        let beginning = Beginning { folder: &folder, address: &address, clock: &clock, new };
        let Opened { identity, journal, storage } = beginning.open().await?;
        let seal = folder.seal_key()?;
        let papers =
            starting::papers(&folder, &storage.tables, seal.as_ref(), &identity, &options)?;
        let removed = nodes::Removed::default();
        let shown = Shown::of(&papers);
        let member = member(papers, &removed, &clock);
        let keys = Keys::new(member).map_err(|error| AgentError::keys("use the keys", error))?;
        let client = Client::new(keys.clone());
        let machine = nodes::Machine::new(removed.clone());
        let machines = together(machine, &options.machines)?;
        let group_options = GroupOptions::new(CONTROL, identity.number.get());
        let transport = Arc::new(WireTransport::new(client.clone()));
        let group = Group::start(group_options, storage, machines, transport).await;
        let group = group.map_err(|error| AgentError::control("start the control group", error))?;
        let nodes = Nodes::new(Arc::new(Scoped::new(group.clone(), SCOPE)));
        let admission = Arc::new(Admission {
            nodes: nodes.clone(),
            seal: RwLock::new(seal),
            clock: clock.clone(),
            life: options.life,
        });
        let agent = Arc::new(Self {
            address,
            identity,
            folder,
            keys: keys.clone(),
            shown: Mutex::new(shown),
            wanted: Mutex::default(),
            client,
            group: group.clone(),
            nodes,
            admission,
            heard: Heard::default(),
            told: Mutex::new((Vec::new(), Instant::now())),
            noted: Noted::default(),
            removed,
            wishes: options.wishes,
            clock,
            observer: options.observer,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            _journal: journal,
        });
        agent.serve(listener, keys, &proposals::by_caller(options.worker_scopes));
        founding::finish(&agent).await?;
        agent.begin()?;
        Ok(agent)
    }

    fn serve(self: &Arc<Self>, listener: TcpListener, keys: Keys, admit: &Admit) {
        let groups = Groups::new();
        groups.insert(CONTROL, self.group.clone());
        let router = groups.route(Router::new(), admit);
        let admission = self.admission.clone();
        let router = router.on(Method::Join, move |caller: Caller, body: Bytes, _: Instant| {
            let admission = admission.clone();
            async move { admission.join(caller, body).await }
        });
        let admission = self.admission.clone();
        let router = router.on(Method::Replace, move |caller: Caller, body: Bytes, _: Instant| {
            let admission = admission.clone();
            async move { admission.replace(caller, body).await }
        });
        let admission = self.admission.clone();
        let router = router.on(Method::Renew, move |caller: Caller, body: Bytes, _: Instant| {
            let admission = admission.clone();
            async move { admission.renew(caller, body).await }
        });
        let agent = Arc::downgrade(self);
        let router =
            router.on(Method::Heartbeat, move |caller: Caller, body: Bytes, _: Instant| {
                let agent = agent.upgrade();
                async move {
                    match agent {
                        Some(agent) => agent.hear(caller, body).await,
                        None => Err(Fault::new(regrow_wire::FaultCode::Unavailable, "stopping")),
                    }
                }
            });
        let (server, stop) = (Server::new(keys, router), self.stop.clone());
        self.tasks.spawn(async move { server.serve(listener, stop).await });
    }

    fn begin(self: &Arc<Self>) -> Result<(), AgentError> {
        let until = |task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            let stop = self.stop.clone();
            self.tasks.spawn(async move {
                let _ = stop.run_until_cancelled(task).await;
            });
        };
        until(Box::pin(heartbeat::run(Arc::downgrade(self))));
        until(Box::pin(renew::run(Arc::downgrade(self))));
        until(Box::pin(lead::run(Arc::downgrade(self))));
        let door = door::open(&self.folder)?;
        until(Box::pin(door::serve(Arc::downgrade(self), door)));
        Ok(())
    }

    /// Runs a task until it ends or the agent stops.
    pub(crate) fn spawn(
        &self,
        task: impl Future<Output = Result<(), AgentError>> + Send + 'static,
    ) -> JoinHandle<Result<(), AgentError>> {
        let stop = self.stop.clone();
        self.tasks.spawn(async move { stop.run_until_cancelled(task).await.unwrap_or(Ok(())) })
    }

    /// Waits until the control group stopped on this node for good, and says why. A node that cannot
    /// write is of no use to the others: end the process.
    pub async fn halted(&self) -> String {
        loop {
            if let Some(reason) = self.group.halted() {
                return reason;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Stops: hands the lead over if it has it and somebody takes it within four seconds, answers nobody
    /// any more, and makes everything durable.
    pub async fn stop(&self) {
        self.hand_over().await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.group.shutdown().await;
    }

    /// Who this node is.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Its number.
    pub const fn number(&self) -> NodeNumber {
        self.identity.number
    }

    /// Where the others reach it, `HOST:PORT`.
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// Its state folder.
    pub const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The control group.
    pub const fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// The part of the control group that a machine given at the start has.
    pub fn scoped(&self, scope: Scope) -> Arc<dyn Replica> {
        Arc::new(Scoped::new(self.group.clone(), scope))
    }

    /// The nodes of the cluster.
    pub const fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// What the node may do, as its certificate says.
    pub fn role(&self) -> Role {
        self.lock_shown().role
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) const fn admission(&self) -> &Admitting {
        &self.admission
    }

    pub(crate) const fn heard(&self) -> &Heard {
        &self.heard
    }

    pub(crate) const fn noted(&self) -> &Noted {
        &self.noted
    }

    pub(crate) const fn wishes(&self) -> Wishes {
        self.wishes
    }

    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn life(&self) -> Duration {
        self.admission.life
    }

    pub(crate) fn has_seal(&self) -> bool {
        self.admission.seal.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn lock_shown(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn certificate(&self) -> (Validity, Role) {
        let shown = self.lock_shown();
        (shown.validity, shown.role)
    }

    /// Edition of the authority whose roots this node trusts; zero before it was told.
    pub(crate) fn trusts(&self) -> u64 {
        self.lock_shown().edition
    }

    pub(crate) fn use_papers(&self, papers: Papers) -> Result<(), AgentError> {
        let shown = Shown::of(&papers);
        self.keys
            .replace(member(papers, &self.removed, &self.clock))
            .map_err(|error| AgentError::keys("use the new certificate", error))?;
        let Shown { role, edition, .. } = shown;
        tracing::info!(%role, edition, "this node has a new certificate");
        *self.lock_shown() = shown;
        Ok(())
    }

    /// What the leader said of this node.
    pub(crate) fn want(&self, reply: BeatReply) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(reply);
    }

    pub(crate) fn wanted(&self) -> Option<BeatReply> {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the observer, when something changed or some time passed.
    pub(crate) async fn tell(&self, seen: &[Seen]) {
        let Some(observer) = &self.observer else { return };
        let nodes: Vec<NodeRecord> = seen.iter().map(|seen| seen.record.clone()).collect();
        {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.0 == nodes && told.1.elapsed() < TELL_EVERY {
                return;
            }
            *told = (nodes.clone(), Instant::now());
        }
        observer.nodes(&nodes).await;
    }
}

/// How often the observer is told although nothing changed.
const TELL_EVERY: Duration = Duration::from_secs(10);

fn member(papers: Papers, removed: &nodes::Removed, clock: &Clock) -> Member {
    let removed = removed.clone();
    let refused = Arc::new(move |number: NodeNumber| removed.contains(number));
    let Papers { credential, roots, .. } = papers;
    Member { credential, roots, refused, clock: clock.clone() }
}

/// Waits until `group` leads or somebody else does.
pub(crate) async fn led(group: &Group, within: Duration) -> Result<(), AgentError> {
    let mut leadership = group.leadership();
    let led = leadership.wait_for(|now| now.leading || now.leader.is_some());
    let led = tokio::time::timeout(within, led).await;
    match led {
        Ok(Ok(_)) => Ok(()),
        _ => Err(AgentError::control("wait for a leader", format!("none within {within:?}"))),
    }
}
