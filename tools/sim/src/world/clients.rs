//! What clients ask, how a node answers them, and the clients themselves: plain state machines that the
//! world moves.

use std::sync::Arc;

use regrow_consensus::group::MemberChange;
use regrow_consensus::{Consistency, Group, ProposeError, Replica as _, Scoped};

use super::canary::Canary;
use super::machine::{self, Command, Told, What};
use super::node::SCOPE;
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
    /// It was done, at this index.
    Done(Told, u64),
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

/// A node serves a request.
pub async fn serve(group: &Arc<Group>, port: &Port, request: Request) -> Reply {
    let Request { id, wish } = request;
    let told = match wish {
        Wish::Do(what) => {
            let _turn = port.writing.lock().await;
            execute(group, Command { id, what }).await
        }
        Wish::Read(op) => read(group, port.canary, &op).await,
        Wish::Members(change) => {
            let _turn = port.writing.lock().await;
            match group.change_members(&change).await {
                Ok(()) => Outcome::Done(Told::Nothing, 0),
                Err(error) => Outcome::Unknown(error.to_string()),
            }
        }
    };
    Reply { id, told }
}

async fn execute(group: &Arc<Group>, command: Command) -> Outcome {
    let replica = Scoped::new(group.clone(), SCOPE);
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
    let replica = Scoped::new(group.clone(), SCOPE);
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
