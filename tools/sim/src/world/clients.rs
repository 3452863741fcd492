//! What clients ask, how a node answers them, and the clients themselves: plain state machines that the
//! world moves.

use std::sync::Arc;

use regrow_consensus::group::MemberChange;
use regrow_consensus::{Consistency, Group, ProposeError, Replica as _, Scoped};
use regrow_coord::Batch;

use super::canary::Canary;
use super::kind::Kind;
use super::machine::{self, Command, Told, What};
use super::on_catalog::OnCatalog;
use super::on_keys::OnKeys;
use super::port::Port;
use crate::models::store::{StoreOp, StoreReply};

/// What a client or the operator asks of a node.
#[derive(Clone, Debug)]
pub struct Request {
    /// Names it; no two have the same.
    pub id: u64,
    /// What.
    pub wish: Wish,
}

/// What is asked of a node.
#[derive(Clone, Debug)]
pub enum Wish {
    /// A command for the machine.
    Do(What),
    /// A linearizable read of the store.
    Read(StoreOp),
    /// A change of the members.
    Members(MemberChange),
    /// All changes of the coordination keys from a revision on, as far as they come in a moment.
    Watch {
        /// The revision.
        from: u64,
    },
    /// What the catalog has of a subject, once that is newer than an index.
    Block {
        /// What is asked for.
        subject: Subject,
        /// The index that the client has.
        index: u64,
        /// How new the first look is.
        consistency: Consistency,
    },
}

/// What sleepers ask the catalog for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// One key.
    Key,
    /// All keys of the clients.
    Keys,
    /// All sessions.
    Sessions,
}

/// What a watch of the coordination keys delivered.
#[derive(Clone, Debug, Default)]
pub struct Spotted {
    /// Batches in the order in which they came.
    pub batches: Vec<Batch>,
    /// The oldest revision that is still there, where the watch was told that it came too late.
    pub compacted: Option<u64>,
}

/// The answer to a question that blocks.
#[derive(Clone, Debug)]
pub struct Blocked {
    /// Its index.
    pub index: u64,
    /// What was found, as text.
    pub value: String,
    /// Whether the whole wait passed.
    pub waited: bool,
}

/// A node's answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The request.
    pub id: u64,
    /// What became of it.
    pub told: Outcome,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It was done, at this index or revision.
    Done(Told, u64),
    /// A watch delivered this.
    Watched(Spotted),
    /// A question that blocks was answered.
    Blocked(Blocked),
    /// It was not done, and never will be.
    Not(String),
    /// Nobody knows.
    Unknown(String),
}

impl Reply {
    /// The node does not run.
    pub fn not_reached(id: u64) -> Self {
        Self { id, told: Outcome::Not("connection refused".into()) }
    }
}

/// Who does what the clients of a node ask.
pub enum Server {
    /// The world's own store.
    Store,
    /// The coordination keys.
    Keys(OnKeys),
    /// The catalog.
    Catalog(OnCatalog),
}

/// A node serves a request.
pub async fn serve(group: &Arc<Group>, port: &Port, server: &Server, request: Request) -> Reply {
    let Request { id, wish } = request;
    let told = match (wish, server) {
        (Wish::Members(change), _) => {
            let _turn = port.writing.lock().await;
            match group.change_members(&change).await {
                Ok(()) => Outcome::Done(Told::Nothing, 0),
                Err(error) => Outcome::Unknown(error.to_string()),
            }
        }
        (Wish::Do(what), Server::Store) => {
            let _turn = port.writing.lock().await;
            execute(group, Command { id, what }).await
        }
        (Wish::Do(what), Server::Keys(keys)) => keys.execute(id, what).await,
        (Wish::Do(what), Server::Catalog(catalog)) => catalog.execute(id, what).await,
        (Wish::Read(op), Server::Store) => read(group, port.canary, &op).await,
        (Wish::Read(op), Server::Keys(keys)) => keys.read(&op).await,
        (Wish::Read(op), Server::Catalog(catalog)) => catalog.read(&op).await,
        (Wish::Watch { from }, Server::Keys(keys)) => keys.watch(from).await,
        (Wish::Block { subject, index, consistency }, Server::Catalog(catalog)) => {
            let unasked = port.canary == Some(Canary::StaleBlocking);
            let consistency = if unasked { Consistency::Stale } else { consistency };
            catalog.block(subject, index, consistency).await
        }
        (Wish::Watch { .. } | Wish::Block { .. }, _) => {
            Outcome::Not("this machine does not answer that".into())
        }
    };
    Reply { id, told }
}

async fn execute(group: &Arc<Group>, command: Command) -> Outcome {
    let replica = Scoped::new(group.clone(), Kind::Store.scope());
    match replica.propose(machine::encode(&command)).await {
        Ok(done) => match serde_json::from_slice(&done.reply) {
            Ok(told) => Outcome::Done(told, done.index),
            Err(error) => Outcome::Unknown(format!("reply: {error}")),
        },
        Err(error @ ProposeError::Unknown { .. }) => Outcome::Unknown(error.to_string()),
        Err(error) => Outcome::Not(error.to_string()),
    }
}

async fn read(group: &Arc<Group>, canary: Option<Canary>, op: &StoreOp) -> Outcome {
    let replica = Scoped::new(group.clone(), Kind::Store.scope());
    let consistency = match canary {
        Some(Canary::StaleRead) => Consistency::Stale,
        _ => Consistency::Linearizable,
    };
    let snapshot = match replica.read(consistency).await {
        Ok(snapshot) => snapshot,
        Err(error) => return Outcome::Not(error.to_string()),
    };
    match machine::read(snapshot.view(), op) {
        Ok(Some(reply)) => Outcome::Done(Told::Store(reply, false), snapshot.at.index),
        Ok(None) => Outcome::Not("it is no read".into()),
        Err(error) => Outcome::Not(error.to_string()),
    }
}

/// What came back from the store, where a reply is one.
pub fn store_reply(told: &Told) -> Option<&StoreReply> {
    match told {
        Told::Store(reply, _) => Some(reply),
        _ => None,
    }
}
