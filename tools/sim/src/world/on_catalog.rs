//! What clients ask, done with the product's catalog: each wish becomes the command or the look that
//! the HTTP side would make.
//!
//! Keys: `key-N` are the clients'; `did/REQUEST` says that a request was executed, in the transaction
//! that did it; `lock/N` is locked by the session of its holder; `act/N` is written by who holds it.

use std::pin::pin;
use std::time::Duration;

use regrow_catalog::machine::command::{
    self, Command, KvOp, KvVerb, NodePart, Registration, Reply,
};
use regrow_catalog::machine::{Denial, Refusal};
use regrow_catalog::model::{Behavior, KeyEntry, Node, Session, SessionId};
use regrow_catalog::query::{Client, Read, ReadOptions, kv, sessions};
use regrow_consensus::{Consistency, ProposeError};
use tokio::time::timeout;

use super::clients::{Blocked, Outcome, Subject};
use super::machine::{Told, What};
use super::on_keys::number_of;
use crate::models::store::{Compare, Found, StoreOp, StoreReply};

/// The node that all sessions live on.
const HOME: &str = "home";
/// How long a blocked question waits.
const WAITS: Duration = Duration::from_millis(2_500);
/// Who was woken has answered by then.
const WAKES: Duration = Duration::from_millis(500);
/// The catalog's own wait, longer than that: its end is drawn by chance.
const NEVER: Duration = Duration::from_secs(600);
/// What is added to the time of a session, in percent: what the HTTP side adds where nothing is said.
pub const GRACE_PERCENT: u64 = 10;

/// The catalog on one node.
pub struct OnCatalog {
    /// The product's own client.
    pub client: Client,
    /// How new reads are.
    pub reads: Consistency,
}

/// A command without an outcome of its own.
enum Failed {
    Proposal(ProposeError),
    Reply(String),
}

impl From<Failed> for Outcome {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Proposal(error @ ProposeError::Unknown { .. }) => {
                Self::Unknown(error.to_string())
            }
            Failed::Proposal(error) => Self::Not(error.to_string()),
            Failed::Reply(reason) => Self::Unknown(reason),
        }
    }
}

/// How long nobody gets a lock after the session that held it ended, by the session's number.
fn lock_delay(session: u64) -> Duration {
    Duration::from_secs(session % 3 * 2)
}

fn session(number: u64, ttl: u64) -> Session {
    Session {
        id: SessionId(number.into()),
        name: format!("session {number}"),
        node: HOME.into(),
        lock_delay: lock_delay(number),
        behavior: if number.is_multiple_of(2) { Behavior::Release } else { Behavior::Delete },
        ttl: Some(Duration::from_millis(ttl)),
        ttl_text: format!("{ttl}ms"),
        grace_percent: GRACE_PERCENT as u8,
        node_checks: Vec::new(),
        service_checks: Vec::new(),
    }
}

fn found(entry: &KeyEntry) -> Found {
    let value = number_of(&entry.value).unwrap_or_default();
    Found { value, revision: Some(entry.indexes.modified) }
}

fn set(key: &str, value: &impl ToString) -> KvOp {
    KvOp::new(KvVerb::Set, key).value(value.to_string())
}

/// A transaction of the store as deeds on keys. Every other one compares with `cas`.
fn deeds(id: u64, when: &[Compare], then: &[StoreOp]) -> Vec<KvOp> {
    let mut deeds: Vec<KvOp> = then
        .iter()
        .filter_map(|op| match op {
            StoreOp::Put { key, value } => Some(set(key, value)),
            _ => None,
        })
        .collect();
    for compare in when {
        let Compare::Revision(key, index) = compare else { continue };
        match deeds.first_mut().filter(|deed| deed.key == *key && id.is_multiple_of(2)) {
            Some(deed) => (deed.verb, deed.index) = (KvVerb::Cas, *index),
            None if *index == 0 => deeds.insert(0, KvOp::new(KvVerb::CheckNotExists, key)),
            None => deeds.insert(0, KvOp::new(KvVerb::CheckIndex, key).index(*index)),
        }
    }
    deeds
}

impl OnCatalog {
    /// Proposes a command as [`Client::execute`] does, and tells its index too.
    async fn propose(&self, command: &Command) -> Result<(Result<Reply, Refusal>, u64), Failed> {
        let proposed = self.client.replica().propose(command::encode(command)).await;
        let outcome = proposed.map_err(Failed::Proposal)?;
        Ok((command::decode_reply(&outcome.reply), outcome.index))
    }

    /// Several deeds; the entries that they show where all were done.
    async fn txn(&self, deeds: Vec<KvOp>) -> Result<(Option<Vec<KeyEntry>>, u64), Failed> {
        match self.propose(&Command::Txn(deeds)).await? {
            (Ok(Reply::Txn(Ok(entries))), index) => Ok((Some(entries), index)),
            (Ok(Reply::Txn(Err(denials))), index) if denials.iter().all(is_no) => Ok((None, index)),
            (other, _) => Err(Failed::Reply(format!("{other:?}"))),
        }
    }

    /// Does a command of the request `id`.
    pub async fn execute(&self, id: u64, what: What) -> Outcome {
        let done = match what {
            What::Store(op) => self.store(id, &op).await,
            What::Renew { session, ttl, create: true } => self.create(session, ttl).await,
            What::Renew { session, .. } => self.renew(session).await,
            What::Lock { lock, session } => self.lock(lock, session).await,
            What::Intent { lock, fence } => self.intent(lock, fence).await,
            What::Expire => return Outcome::Not("the leader alone does that".into()),
        };
        done.unwrap_or_else(Outcome::from)
    }

    async fn store(&self, id: u64, op: &StoreOp) -> Result<Outcome, Failed> {
        let mut deeds = match op {
            StoreOp::Put { key, value } => vec![set(key, value)],
            StoreOp::Delete { key } => {
                vec![KvOp::new(KvVerb::Get, key), KvOp::new(KvVerb::Delete, key)]
            }
            StoreOp::Txn { when, then, .. } => deeds(id, when, then),
            StoreOp::Get { .. } | StoreOp::Range { .. } => return Ok(self.read(op).await),
        };
        deeds.push(set(&format!("did/{id}"), &""));
        let (done, index) = self.txn(deeds).await?;
        let done = done.is_some();
        let told = match op {
            StoreOp::Delete { .. } => StoreReply::Delete(done),
            StoreOp::Txn { then, .. } if done => {
                StoreReply::Txn(true, vec![StoreReply::Put; then.len()])
            }
            StoreOp::Txn { .. } => StoreReply::Txn(false, Vec::new()),
            _ if done => StoreReply::Put,
            _ => return Err(Failed::Reply("a write without a condition was denied".into())),
        };
        Ok(Outcome::Done(Told::Store(told, done), index))
    }

    /// Reads, as new as this world's clients ask for.
    pub async fn read(&self, op: &StoreOp) -> Outcome {
        match op {
            StoreOp::Get { key } => {
                let read = kv::entry(key.as_str());
                self.look(read, |entry| StoreReply::Get(entry.as_ref().map(found))).await
            }
            StoreOp::Range { from, to } => {
                let inside = |entry: &&KeyEntry| entry.key >= *from && entry.key < *to;
                let pair = |entry: &KeyEntry| (entry.key.clone(), found(entry).value);
                let range = |entries: Vec<KeyEntry>| {
                    StoreReply::Range(entries.iter().filter(inside).map(pair).collect())
                };
                self.look(kv::under("key-"), range).await
            }
            _ => Outcome::Not("it is no read".into()),
        }
    }

    /// Looks as [`Client::ask`] does, and tells the index up to which everything was seen.
    async fn look<T>(&self, read: Read<T>, make: impl FnOnce(T) -> StoreReply) -> Outcome {
        let snapshot = match self.client.replica().read(self.reads).await {
            Ok(snapshot) => snapshot,
            Err(error) => return Outcome::Not(error.to_string()),
        };
        match read.look(snapshot.view()) {
            Ok(seen) => Outcome::Done(Told::Store(make(seen.value), false), snapshot.at.index),
            Err(error) => Outcome::Not(error.to_string()),
        }
    }

    async fn create(&self, number: u64, ttl: u64) -> Result<Outcome, Failed> {
        let create = Command::CreateSession(session(number, ttl));
        let mut reply = self.propose(&create).await?.0;
        if reply == Err(Refusal::NoNode) {
            let node = NodePart::Set(Node { name: HOME.into(), ..Node::default() });
            let registration =
                Registration { node, service: None, checks: Vec::new(), replace_checks: false };
            // Somebody else may have entered it meanwhile, which is as good.
            let _ = self.propose(&Command::Register(registration)).await?;
            reply = self.propose(&create).await?.0;
        }
        match reply {
            Ok(Reply::Session(Some(_))) => Ok(Outcome::Done(Told::Renewed(true), 0)),
            other => Err(Failed::Reply(format!("{other:?}"))),
        }
    }

    async fn renew(&self, number: u64) -> Result<Outcome, Failed> {
        match self.propose(&Command::RenewSession(SessionId(number.into()))).await?.0 {
            Ok(Reply::Session(row)) => Ok(Outcome::Done(Told::Renewed(row.is_some()), 0)),
            other => Err(Failed::Reply(format!("{other:?}"))),
        }
    }

    async fn lock(&self, lock: u64, number: u64) -> Result<Outcome, Failed> {
        let deed = KvOp::new(KvVerb::Lock, format!("lock/{lock}"));
        let deed = deed.value(number.to_string()).session(SessionId(number.into()));
        let (entries, index) = self.txn(vec![deed]).await?;
        // The index of the entry is that of the acquisition: the fence.
        let fence = entries.and_then(|entries| Some(entries.first()?.indexes.modified));
        Ok(Outcome::Done(Told::Locked(fence), index))
    }

    async fn intent(&self, lock: u64, fence: u64) -> Result<Outcome, Failed> {
        let held = KvOp::new(KvVerb::CheckIndex, format!("lock/{lock}")).index(fence);
        let (done, index) = self.txn(vec![held, set(&format!("act/{lock}"), &fence)]).await?;
        Ok(Outcome::Done(Told::Intended(done.is_some()), index))
    }

    /// Asks for what is newer than `index`, and waits for it.
    pub async fn block(&self, subject: Subject, index: u64, consistency: Consistency) -> Outcome {
        match subject {
            Subject::Key => self.wait_for(kv::entry("key-0"), index, consistency).await,
            Subject::Keys => self.wait_for(kv::under("key-"), index, consistency).await,
            Subject::Sessions => self.wait_for(sessions::all(), index, consistency).await,
        }
    }

    async fn wait_for<T: std::fmt::Debug>(
        &self,
        read: Read<T>,
        index: u64,
        consistency: Consistency,
    ) -> Outcome {
        let how = ReadOptions { consistency, index, wait: NEVER };
        let mut asked = pin!(self.client.ask(&read, &how));
        let (answer, waited) = match timeout(WAITS, &mut asked).await {
            Ok(answer) => (answer, false),
            Err(_) => {
                // What is to be found now must wake who waits: at once, but the change may have come
                // with the end of the wait.
                let now = self.client.ask(&read, &ReadOptions::stale()).await;
                match timeout(WAKES, asked).await {
                    Ok(answer) => (answer, false),
                    Err(_) => (now, true),
                }
            }
        };
        match answer {
            Ok(answer) => {
                let value = format!("{:?}", answer.value);
                Outcome::Blocked(Blocked { index: answer.index, value, waited })
            }
            Err(error) => Outcome::Not(error.to_string()),
        }
    }
}

/// Whether a deed was denied because something does not hold, or the session is gone.
fn is_no((_, denial): &(usize, Denial)) -> bool {
    match denial {
        Denial::Refused(refusal) => matches!(refusal, Refusal::InvalidSession(_)),
        _ => true,
    }
}
