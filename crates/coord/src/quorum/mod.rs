//! The backend on our own consensus, on any replica; alone in memory it is the model of the others.

mod history;
mod machine;
mod records;
mod tables;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use regrow_consensus::{
    LocalReplica, Machines, ProposeError, ReadError, Replica, Scope, Scoped, TableError, View,
};
use regrow_ids::Revision;

use crate::coordinator::{Capabilities, Coordinator, Events, Limits};
use crate::entry::{Listing, Query};
use crate::error::{CoordError, Invalid};
use crate::key::Span;
use crate::lease::{Lease, LeaseId};
use crate::quorum::history::History;
use crate::quorum::records::{Command, Reply};
use crate::txn::{Txn, TxnReply};
use crate::watch::Watch;

pub use history::Bounds;
pub use machine::KeyMachine;

/// How long a call may take where nothing else is said: an election and a slow disk.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// A coordinator on one replica of our own consensus.
///
/// Watches are served by this replica from memory, so any replica will do; linearizable reads and
/// all writes involve the leader.
#[derive(Clone)]
pub struct Quorum {
    replica: Arc<dyn Replica>,
    history: Arc<History>,
    deadline: Duration,
    name: &'static str,
}

impl Quorum {
    /// A coordinator on the part of a replica that runs `machine`. Each call ends within `deadline`.
    pub fn new(replica: Scoped, machine: &KeyMachine, deadline: Duration) -> Self {
        let history = machine.history().clone();
        Self { replica: Arc::new(replica), history, deadline, name: "quorum" }
    }

    /// The same with another deadline.
    #[must_use]
    pub fn within(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// A coordinator alone in this process and gone with it: for development and tests. Time is
    /// tokio's, so it can be paused.
    ///
    /// # Errors
    /// There is no memory for its tables.
    pub fn memory(bounds: Bounds) -> Result<Self, TableError> {
        const ALONE: Option<Scope> = Scope::new(1);
        let refused = |reason: String| TableError::Store { doing: "make machine", reason };
        let scope = ALONE.ok_or_else(|| refused("no scope".into()))?;
        let machine = Arc::new(KeyMachine::new(bounds));
        let machines = Machines::new()
            .with(scope, machine.clone())
            .map_err(|error| refused(error.to_string()))?;
        let replica = LocalReplica::start(machines)?;
        let alone = Self::new(Scoped::new(replica, scope), &machine, DEADLINE);
        Ok(Self { name: "memory", ..alone })
    }

    async fn propose(&self, doing: &'static str, command: &Command) -> Result<Reply, CoordError> {
        let bytes = records::encode("command", command)
            .map_err(|error| CoordError::Refused { doing, reason: error.to_string() })?;
        let proposed = tokio::time::timeout(self.deadline, self.replica.propose(bytes)).await;
        let unknown = |reason| CoordError::Unknown { doing, reason };
        let outcome = proposed
            .map_err(|_| unknown(format!("no answer within {:?}", self.deadline)))?
            .map_err(|error| refusal(doing, error))?;
        match records::decode(&outcome.reply) {
            Ok(Reply::NoLease(lease)) => Err(CoordError::UnknownLease { doing, lease }),
            Ok(Reply::Malformed(reason)) => Err(CoordError::Refused { doing, reason }),
            Ok(reply) => Ok(reply),
            Err(error) => Err(unknown(records::damaged("reply")(error).to_string())),
        }
    }

    async fn lease(&self, doing: &'static str, command: &Command) -> Result<Lease, CoordError> {
        match self.propose(doing, command).await? {
            Reply::Leased(lease) => Ok(lease),
            other => Err(unexpected(doing, &other)),
        }
    }
}

fn unexpected(doing: &'static str, reply: &Reply) -> CoordError {
    CoordError::Unknown { doing, reason: format!("the machine answered {reply:?}") }
}

fn refusal(doing: &'static str, error: ProposeError) -> CoordError {
    match error {
        ProposeError::NoLeader => {
            CoordError::Unavailable { doing, reason: "there is no leader".into() }
        }
        ProposeError::Unknown { reason } => CoordError::Unknown { doing, reason },
        ProposeError::TooLarge { bytes, limit } => {
            Invalid::Transaction { what: "bytes", count: bytes, limit }.into()
        }
        ProposeError::Halted { reason } => CoordError::Unavailable { doing, reason },
    }
}

fn unread(error: &ReadError) -> CoordError {
    CoordError::Unavailable { doing: "read keys", reason: error.to_string() }
}

fn list(view: &dyn View, query: &Query) -> Result<Listing, TableError> {
    let revision = tables::revision(view)?;
    let bytes = tables::bytes_of(&query.span, query.after.as_ref());
    let mut found = view.list(&bytes, query.limit.saturating_add(1))?;
    let more = found.len() > query.limit;
    found.truncate(query.limit);
    let entry = |(key, value): (Vec<u8>, Vec<u8>)| {
        let key = tables::key_of(&key)?;
        Some(key.and_then(|key| Ok(tables::stored_of(&value)?.entry(key))))
    };
    let entries = found.into_iter().filter_map(entry).collect::<Result<_, _>>()?;
    Ok(Listing { entries, more, revision })
}

#[async_trait]
impl Coordinator for Quorum {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: self.name,
            limits: Limits::LARGEST,
            events: Events::Every,
            lease_tenths: 12,
        }
    }

    async fn range(&self, query: &Query) -> Result<Listing, CoordError> {
        query.check()?;
        let read = tokio::time::timeout(self.deadline, self.replica.read(query.consistency)).await;
        let late = format!("no answer within {:?}", self.deadline);
        let snapshot = read
            .map_err(|_| CoordError::Unavailable { doing: "read keys", reason: late })?
            .map_err(|error| unread(&error))?;
        list(snapshot.view(), query).map_err(|error| unread(&error.into()))
    }

    async fn transact(&self, txn: &Txn) -> Result<TxnReply, CoordError> {
        const DOING: &str = "execute transaction";
        txn.check(&Limits::LARGEST)?;
        match self.propose(DOING, &Command::Transact(txn.clone())).await? {
            Reply::Transacted(reply) => Ok(reply),
            other => Err(unexpected(DOING, &other)),
        }
    }

    async fn watch(&self, span: &Span, from: Revision) -> Result<Watch, CoordError> {
        Ok(Watch::new(self.history.watch(span.clone(), from).boxed()))
    }

    async fn grant(&self, ttl: Duration) -> Result<Lease, CoordError> {
        Limits::LARGEST.check_ttl(ttl)?;
        let millis = ttl.as_nanos().div_ceil(1_000_000);
        let command = Command::Grant(u64::try_from(millis).unwrap_or(u64::MAX));
        self.lease("grant lease", &command).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<Lease, CoordError> {
        self.lease("renew lease", &Command::KeepAlive(lease)).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), CoordError> {
        match self.propose("revoke lease", &Command::Revoke(lease)).await {
            Ok(_) | Err(CoordError::UnknownLease { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
