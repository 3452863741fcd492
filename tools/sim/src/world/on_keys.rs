//! What clients ask, done with the product's coordination keys: each wish becomes the call of
//! [`Quorum`] that a domain would make.
//!
//! Keys: `key-N` are the clients'; `did/REQUEST` says that a request was executed, in the transaction
//! that did it; `lock/N` goes with the lease of its holder; `act/N` is written by who holds the lock.

use std::time::Duration;

use bytes::Bytes;
use regrow_coord::{
    Batch, Compare as Holds, Consistency, CoordError, Coordinator as _, Entry, Key, LeaseId,
    Prefix, Query, Quorum, Span, Txn, Watch, WatchError,
};
use regrow_ids::Revision;
use tokio::time::{Instant, timeout_at};

use super::clients::{Outcome, Spotted};
use super::machine::{Told, What};
use crate::models::store::{Compare, Found, StoreOp, StoreReply};

/// What the clients' keys begin with.
const OWN: &str = "key-";
/// How long a watch waits for more before it says what it has.
const WATCHES_FOR: Duration = Duration::from_millis(1_500);
/// Batches after which it says so at once.
const BATCHES: usize = 40;

/// The coordination keys on one node.
pub struct OnKeys {
    /// The product's own client.
    pub quorum: Quorum,
    /// How new reads are.
    pub reads: Consistency,
}

fn key(text: &str) -> Result<Key, CoordError> {
    Ok(Key::new(text)?)
}

/// A number as it is stored under a key.
fn text(value: &impl ToString) -> Bytes {
    value.to_string().into()
}

/// The number that is stored under a key.
pub fn number_of<N: std::str::FromStr>(value: &[u8]) -> Option<N> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn found(entry: &Entry) -> Found {
    let value = number_of(&entry.value).unwrap_or_default();
    Found { value, revision: Some(entry.modified.get()) }
}

fn holds(compare: &Compare) -> Result<Holds, CoordError> {
    Ok(match compare {
        Compare::Value(name, None) | Compare::Revision(name, 0) => Holds::Absent(key(name)?),
        Compare::Value(name, Some(value)) => Holds::Value(key(name)?, text(value)),
        Compare::Revision(name, revision) => Holds::Modified(key(name)?, Revision::new(*revision)),
    })
}

/// The outcome of a call that failed.
fn failed(error: &CoordError) -> Outcome {
    let reason = error.to_string();
    if error.certainly_not_executed() { Outcome::Not(reason) } else { Outcome::Unknown(reason) }
}

impl OnKeys {
    /// Does a command of the request `id`.
    pub async fn execute(&self, id: u64, what: What) -> Outcome {
        let done = match what {
            What::Store(op) => self.store(id, &op).await,
            What::Renew { ttl, create: true, .. } => self.grant(ttl).await,
            What::Renew { session, .. } => self.renew(session).await,
            What::Lock { lock, session } => self.lock(lock, session).await,
            What::Intent { lock, fence } => self.intent(lock, fence).await,
            What::Expire => return Outcome::Not("the leader alone does that".into()),
        };
        done.unwrap_or_else(|error| failed(&error))
    }

    async fn store(&self, id: u64, op: &StoreOp) -> Result<Outcome, CoordError> {
        let txn = Txn::new().put(key(&format!("did/{id}"))?, "");
        let (txn, many) = match op {
            StoreOp::Put { key: name, value } => (txn.put(key(name)?, text(value)), 1),
            StoreOp::Delete { key: name } => {
                (txn.when(Holds::Present(key(name)?)).delete(key(name)?), 1)
            }
            StoreOp::Txn { when, then, otherwise } => {
                (transaction(txn, when, then, otherwise)?, then.len())
            }
            StoreOp::Get { .. } | StoreOp::Range { .. } => return Ok(self.read(op).await),
        };
        let mut reply = self.quorum.transact(&txn).await?;
        let done = reply.succeeded;
        let told = match op {
            StoreOp::Put { .. } => StoreReply::Put,
            StoreOp::Delete { .. } => StoreReply::Delete(done),
            _ if done => StoreReply::Txn(true, vec![StoreReply::Put; many]),
            _ => {
                let found =
                    reply.found.drain(..).map(|entry| StoreReply::Get(entry.as_ref().map(found)));
                StoreReply::Txn(false, found.collect())
            }
        };
        Ok(Outcome::Done(Told::Store(told, done), reply.revision.get()))
    }

    /// Reads, as new as this world's clients ask for.
    pub async fn read(&self, op: &StoreOp) -> Outcome {
        self.look(op).await.unwrap_or_else(|error| failed(&error))
    }

    async fn look(&self, op: &StoreOp) -> Result<Outcome, CoordError> {
        let (reply, revision) = match op {
            StoreOp::Get { key: name } => {
                let got = self.quorum.get(&key(name)?, self.reads).await?;
                (StoreReply::Get(got.entry.as_ref().map(found)), got.revision)
            }
            StoreOp::Range { from, to } => {
                let query = Query::of(Prefix::new(OWN)?).consistency(self.reads);
                let listing = self.quorum.range(&query).await?;
                let entries = listing.entries.into_iter();
                let pairs = entries
                    .map(|entry| (entry.key.to_string(), found(&entry).value))
                    .filter(|(key, _)| key >= from && key < to);
                (StoreReply::Range(pairs.collect()), listing.revision)
            }
            _ => return Ok(Outcome::Not("it is no read".into())),
        };
        Ok(Outcome::Done(Told::Store(reply, false), revision.get()))
    }

    async fn grant(&self, ttl: u64) -> Result<Outcome, CoordError> {
        let lease = self.quorum.grant(Duration::from_millis(ttl)).await?;
        let id = u64::try_from(lease.id.get()).unwrap_or(u64::MAX);
        Ok(Outcome::Done(Told::Granted(id), 0))
    }

    async fn renew(&self, session: u64) -> Result<Outcome, CoordError> {
        let alive = match self.quorum.keep_alive(LeaseId::new(session.into())).await {
            Ok(_) => true,
            Err(CoordError::UnknownLease { .. }) => false,
            Err(error) => return Err(error),
        };
        Ok(Outcome::Done(Told::Renewed(alive), 0))
    }

    async fn lock(&self, lock: u64, session: u64) -> Result<Outcome, CoordError> {
        let lock = key(&format!("lock/{lock}"))?;
        let lease = LeaseId::new(session.into());
        let txn =
            Txn::new().when(Holds::Absent(lock.clone())).put_leased(lock, text(&session), lease);
        let told = match self.quorum.transact(&txn).await {
            Ok(reply) => reply.succeeded.then_some(reply.revision.get()),
            Err(CoordError::UnknownLease { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Outcome::Done(Told::Locked(told), told.unwrap_or_default()))
    }

    async fn intent(&self, lock: u64, fence: u64) -> Result<Outcome, CoordError> {
        let (held, act) = (key(&format!("lock/{lock}"))?, key(&format!("act/{lock}"))?);
        let txn =
            Txn::new().when(Holds::Created(held, Revision::new(fence))).put(act, text(&fence));
        let reply = self.quorum.transact(&txn).await?;
        Ok(Outcome::Done(Told::Intended(reply.succeeded), reply.revision.get()))
    }

    /// Watches all keys from a revision on, for a moment.
    pub async fn watch(&self, from: u64) -> Outcome {
        match self.quorum.watch(&Span::all(), Revision::new(from)).await {
            Ok(mut watch) => Outcome::Watched(spot(&mut watch, WATCHES_FOR).await),
            Err(error) => Outcome::Not(error.to_string()),
        }
    }
}

/// What a watch delivers within some time.
pub async fn spot(watch: &mut Watch, within: Duration) -> Spotted {
    let until = Instant::now() + within;
    let mut spotted = Spotted::default();
    while spotted.batches.len() < BATCHES {
        match timeout_at(until, watch.next()).await {
            Ok(Ok(batch)) => spotted.batches.push(sorted(batch)),
            Ok(Err(WatchError::Compacted { oldest })) => {
                spotted.compacted = Some(oldest.get());
                break;
            }
            Ok(Err(WatchError::Lost { .. })) | Err(_) => break,
        }
    }
    spotted
}

/// A batch with its changes in the order of their keys: they come in no promised one.
fn sorted(mut batch: Batch) -> Batch {
    batch.changes.sort_by(|left, right| left.key().cmp(right.key()));
    batch
}

fn transaction(
    mut txn: Txn,
    when: &[Compare],
    then: &[StoreOp],
    otherwise: &[StoreOp],
) -> Result<Txn, CoordError> {
    for compare in when {
        txn = txn.when(holds(compare)?);
    }
    for (at, op) in then.iter().enumerate() {
        // No key is written twice: the last write stands.
        let StoreOp::Put { key: name, value } = op else { continue };
        let again = |later: &StoreOp| matches!(later, StoreOp::Put { key, .. } if key == name);
        if !then[at + 1..].iter().any(again) {
            txn = txn.put(key(name)?, text(value));
        }
    }
    for op in otherwise {
        if let StoreOp::Get { key: name } = op {
            txn = txn.or_read(key(name)?);
        }
    }
    Ok(txn)
}
