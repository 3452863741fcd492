//! One member of a Raft group on this node.
//!
//! A command goes to the leader, which stamps it with the cluster's clock and gives it a place in
//! the log; it is acknowledged when a majority has it on disk and the leader has applied it. A read
//! asks the leader for the index that it must see and waits until the tables here show it.
//!
//! What can go wrong, and what the caller then knows: nobody leads, or the leader is not reached (not
//! executed, tried again until the deadline); the leader is lost after it took the command (unknown);
//! the disk fails (this member stops for ever, the others go on).

mod answers;
mod clock;
mod leading;
mod members;
mod options;
mod reads;
mod shorten;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use openraft::RaftState;
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::{ClientWriteError, Fatal, RaftError};
use regrow_journal::Stream;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::machine::Machines;
use crate::offline;
use crate::raft::{Command, Engine, ImageReader, Log, Network, Store, Types};
use crate::replica::{
    Consistency, Leadership, Outcome, ProposeError, ReadError, Replica, Snapshot, Status,
};
use crate::tables::Tables;
use crate::ticks;
use crate::transport::{Ask, Chunks, Peer, Transport, TransportError};

pub use answers::AnswerError;
pub use members::{MemberChange, MemberStatus, MembersError};
pub use options::GroupOptions;

use answers::ProposeReply;
use clock::Clock;
use reads::Reads;

/// Wait between looks for a leader, unless one is heard of earlier.
const AGAIN: Duration = Duration::from_millis(50);
/// More than what an entry has beside its command.
const ENTRY_HEAD: usize = 64;
/// How long a leader that took a command may still answer when another one leads.
const LAST_WORD: Duration = Duration::from_millis(500);

/// Why a member cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The options contradict one another.
    #[error("start group {group}: {reason}")]
    Options {
        /// The group.
        group: u32,
        /// What does not fit.
        reason: String,
    },
    /// What is stored cannot be used.
    #[error("start group {group}: {reason}")]
    Storage {
        /// The group.
        group: u32,
        /// What was found.
        reason: String,
    },
    /// The group exists already.
    #[error("bootstrap group {group}: {reason}")]
    Bootstrap {
        /// The group.
        group: u32,
        /// What was found.
        reason: String,
    },
}

/// Where a member keeps its log and its tables.
pub struct Storage {
    /// The journal's stream of this group.
    pub log: Stream,
    /// The tables.
    pub tables: Tables,
    /// Folder in which another member's image arrives; in memory where there is none.
    pub spool: Option<std::path::PathBuf>,
}

/// One member of a Raft group. Stops when the last handle is dropped.
pub struct Group {
    options: GroupOptions,
    engine: Engine,
    log: Log,
    store: Store,
    transport: Arc<dyn Transport>,
    clock: Clock,
    leadership: watch::Sender<Leadership>,
    began: Instant,
    heard: Mutex<Option<Instant>>,
    reads: Reads,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Group {
    /// Starts the member with what its storage holds. A member without any history waits to be
    /// added by the others, or for [`bootstrap`](Self::bootstrap).
    ///
    /// # Errors
    /// The options contradict one another or the storage cannot be used.
    pub async fn start(
        mut options: GroupOptions,
        storage: Storage,
        machines: Machines,
        transport: Arc<dyn Transport>,
    ) -> Result<Arc<Self>, GroupError> {
        let group = options.group;
        let unusable = |reason: String| GroupError::Storage { group, reason };
        let config = options.engine().map_err(|reason| GroupError::Options { group, reason })?;
        if let Some(gap) = offline::gap(&storage).map_err(|error| unusable(error.to_string()))? {
            return Err(unusable(format!(
                "{gap}; remove this node, wipe its state and join again, so that the others refill \
                 it under a new id"
            )));
        }
        let Storage { log, tables, spool } = storage;
        let store = Store::open(tables, machines.clone(), spool)
            .map_err(|error| unusable(error.to_string()))?;
        let addresses = store.addresses.clone();
        let network = Network { transport: transport.clone(), group, addresses };
        // An entry that the journal refuses would stop the member.
        options.command_limit = options.command_limit.min(log.entry_limit() - ENTRY_HEAD);
        let log = Log::new(log);
        let started =
            Engine::new(options.node, Arc::new(config), network, log.clone(), store.clone());
        let engine = started.await.map_err(|error| unusable(error.to_string()))?;
        stand_if_alone(&engine, options.node).await.map_err(|error| unusable(error.to_string()))?;
        let this = Arc::new(Self {
            reads: Reads::start(&engine),
            clock: Clock::default(),
            leadership: watch::Sender::default(),
            began: Instant::now(),
            heard: Mutex::default(),
            tasks: Mutex::default(),
            options,
            engine,
            log,
            store,
            transport,
        });
        this.spawn(leading::follow(Arc::downgrade(&this)));
        this.spawn(shorten::run(Arc::downgrade(&this)));
        let now = |group: &Self| group.clock.now();
        this.spawn(ticks::run(Arc::downgrade(&this), machines, now));
        Ok(this)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let handle = tokio::spawn(task).abort_handle();
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
    }

    /// Makes this member the first and only voter of a new group.
    ///
    /// # Errors
    /// The group has members already, or the disk failed.
    pub async fn bootstrap(&self, address: &str) -> Result<(), GroupError> {
        let member = crate::raft::Member { address: address.to_owned() };
        let members = std::collections::BTreeMap::from([(self.options.node, member)]);
        let made = self.engine.initialize(members).await;
        made.map_err(|error| GroupError::Bootstrap {
            group: self.options.group,
            reason: error.to_string(),
        })
    }

    /// True when this member belongs to no group yet.
    ///
    /// # Errors
    /// It stopped.
    pub async fn is_blank(&self) -> Result<bool, GroupError> {
        let known = self.engine.is_initialized().await;
        known.map(|known| !known).map_err(|error| GroupError::Storage {
            group: self.options.group,
            reason: error.to_string(),
        })
    }

    /// Why this member stopped for good, if it did.
    pub fn halted(&self) -> Option<String> {
        let metrics = self.engine.metrics();
        let state = metrics.borrow_watched().running_state.clone();
        state.err().map(|fatal| fatal.to_string())
    }

    /// Makes everything applied durable and stops. Others see a member that is gone.
    pub async fn shutdown(&self) {
        if let Err(error) = self.engine.shutdown().await {
            tracing::warn!(%error, group = self.options.group, "stop group");
        }
        if let Err(error) = self.store.flush().await {
            tracing::warn!(%error, group = self.options.group, "flush tables");
        }
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
    }

    /// An image of everything acknowledged before the call, for a backup: chunks that
    /// [`offline::fill`] reads, one behind the other.
    ///
    /// # Errors
    /// Nobody leads.
    pub async fn image(&self) -> Result<Chunks, ReadError> {
        self.read(Consistency::Linearizable).await?;
        let (_, view) = self.store.view()?;
        Ok(ImageReader::new(Arc::new(view)).chunks())
    }

    /// This member, leading or not, executes a command if it leads.
    async fn propose_here(&self, command: Bytes, within: Duration) -> ProposeReply {
        if let Some(reason) = self.halted() {
            return ProposeReply::Halted(reason);
        }
        if !self.engine.is_leader() {
            return ProposeReply::NotLeader;
        }
        let time = self.clock.now().unwrap_or_else(|| self.store.applied().time);
        let command = Command { time, bytes: command };
        match timeout(within, self.engine.client_write(command)).await {
            Ok(Ok(done)) => ProposeReply::Done { index: done.log_id.index, reply: done.data },
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_)))) => {
                ProposeReply::NotLeader
            }
            Ok(Err(error)) => ProposeReply::Unknown(error.to_string()),
            Err(_) => ProposeReply::Unknown(format!("no majority answered within {within:?}")),
        }
    }

    /// The leader as this member knows it, unless it is itself.
    fn other_leader(&self) -> Option<Peer> {
        let leader = self.leadership.borrow().leader?;
        if leader == self.options.node {
            return None;
        }
        self.peer(leader)
    }

    fn peer(&self, node: u64) -> Option<Peer> {
        let metrics = self.engine.metrics();
        let metrics = metrics.borrow_watched();
        let member = metrics.membership_config.get_node(&node)?;
        Some(Peer { node, address: member.address.clone() })
    }

    async fn propose_once(&self, command: &Bytes, deadline: Instant) -> ProposeReply {
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(leader) = self.other_leader() else {
            return self.propose_here(command.clone(), left).await;
        };
        let group = self.options.group;
        let called = self.transport.call(&leader, group, Ask::Propose, command.clone(), left);
        let silent = async {
            self.led_by_another(leader.node).await;
            tokio::time::sleep(LAST_WORD).await;
        };
        let called = tokio::select! {
            called = called => called,
            // Its machine may have vanished, and then nobody says that the call is lost.
            () = silent => {
                let reason = format!("node {} led, and another one does now", leader.node);
                return ProposeReply::Unknown(reason);
            }
        };
        match called {
            Ok(reply) => ProposeReply::decode(&reply)
                .unwrap_or_else(|error| ProposeReply::Unknown(error.to_string())),
            Err(TransportError::NotSent { .. }) => ProposeReply::NotLeader,
            Err(error) => ProposeReply::Unknown(error.to_string()),
        }
    }

    /// Waits until another member than `node` leads.
    async fn led_by_another(&self, node: u64) {
        let mut changes = self.leadership.subscribe();
        let another = |now: &Leadership| now.leader.is_some_and(|leader| leader != node);
        // The sender lives as long as this does.
        let _ = changes.wait_for(another).await;
    }

    /// Waits a moment, or until another leader is heard of.
    async fn pause(&self, changes: &mut watch::Receiver<Leadership>) {
        // The sender lives as long as this does.
        let _ = timeout(AGAIN, changes.changed()).await;
    }
}

/// Nobody else can lead, so there is nobody to wait for.
async fn stand_if_alone(engine: &Engine, node: u64) -> Result<(), Fatal<Types>> {
    let alone = move |state: &RaftState<Types>| {
        state.membership_state.effective().voter_ids().eq(std::iter::once(node))
    };
    if engine.with_raft_state(alone).await? {
        engine.trigger().elect(false).await?;
    }
    Ok(())
}

impl Drop for Group {
    fn drop(&mut self) {
        for task in self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
    }
}

#[async_trait]
impl Replica for Group {
    async fn propose(&self, command: Vec<u8>) -> Result<Outcome, ProposeError> {
        let (bytes, limit) = (command.len(), self.options.command_limit);
        if bytes > limit {
            return Err(ProposeError::TooLarge { bytes, limit });
        }
        let command = Bytes::from(command);
        let deadline = Instant::now() + self.options.within;
        let mut changes = self.leadership.subscribe();
        while Instant::now() < deadline {
            match self.propose_once(&command, deadline).await {
                ProposeReply::Done { index, reply } => return Ok(Outcome { index, reply }),
                ProposeReply::Unknown(reason) => return Err(ProposeError::Unknown { reason }),
                ProposeReply::Halted(reason) => return Err(ProposeError::Halted { reason }),
                ProposeReply::NotLeader => self.pause(&mut changes).await,
            }
        }
        Err(ProposeError::NoLeader)
    }

    async fn read(&self, consistency: Consistency) -> Result<Snapshot, ReadError> {
        if let Some(reason) = self.halted() {
            return Err(ReadError::Halted { reason });
        }
        if consistency != Consistency::Stale {
            let deadline = Instant::now() + self.options.within;
            let index = self.read_index(consistency, deadline).await?;
            let mut applied = self.store.index();
            let seen = timeout_at(deadline, applied.wait_for(|applied| *applied >= index)).await;
            if !matches!(seen, Ok(Ok(_))) {
                let reason = format!("index {index} is not applied here yet");
                return Err(ReadError::Unavailable { reason });
            }
        }
        let (applied, view) = self.store.view()?;
        Ok(Snapshot::new(applied.at(), Box::new(view)))
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.store.index()
    }

    fn status(&self) -> Status {
        let metrics = self.engine.metrics();
        let members = metrics.borrow_watched().membership_config.clone();
        let (leadership, last_contact) = self.contact();
        Status {
            node: self.options.node,
            leadership,
            applied: self.store.applied().at(),
            last_contact,
            voters: members.voter_ids().collect(),
            learners: members.membership().learner_ids().collect(),
        }
    }
}
