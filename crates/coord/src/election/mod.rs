//! Elections with a fence, made of keys and leases: the same on every backend.
//!
//! A candidate makes a key under the name of the election that goes away with its lease. The key
//! with the lowest creation revision leads; the others queue in the order in which they came, each
//! watching the one before it. No two keys have the same creation revision, and whoever comes later
//! has a higher one: so the creation revision of the leader's key is the fence, and it only grows.

mod candidacy;
mod leading;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, stream};
use regrow_consensus::Consistency;
use regrow_ids::{Fence, Revision};

use crate::coordinator::Coordinator;
use crate::entry::{Entry, Query};
use crate::error::{CoordError, Invalid};
use crate::keeper::HeldLease;
use crate::key::{Key, Prefix, Span};
use crate::retry::Retry;
use crate::txn::{Compare, Txn};
use crate::watch::Change;

pub use candidacy::{Candidacy, Standing};
pub use leading::Leading;

/// Where elections keep their keys.
const FOLDER: &str = "elections/";

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Its key.
    pub key: Key,
    /// What it said of itself.
    pub value: Bytes,
    /// Its fence.
    pub fence: Fence,
}

impl Leader {
    fn of(entry: Entry) -> Self {
        Self { key: entry.key, value: entry.value, fence: Fence::new(entry.created.get()) }
    }
}

/// An election: one of many who want to lead under one name.
#[derive(Clone)]
pub struct Election {
    coordinator: Arc<dyn Coordinator>,
    candidates: Prefix,
}

/// How the way to leadership goes, for those who show it.
pub type Report<'r> = &'r (dyn Fn(Result<(), &CoordError>) + Send + Sync);

impl Election {
    /// The election of this name. The name is a part of a key without a slash.
    ///
    /// # Errors
    /// It is not.
    pub fn new(coordinator: Arc<dyn Coordinator>, name: &str) -> Result<Self, Invalid> {
        if name.is_empty() || name.contains('/') {
            let reason = "the name of an election is not empty and has no slash";
            return Err(Invalid::Key { key: name.chars().take(64).collect(), reason });
        }
        Ok(Self { coordinator, candidates: Prefix::new(format!("{FOLDER}{name}/"))? })
    }

    /// Queues until this candidate leads. Outages are waited out, in the queue if the lease lasts
    /// and at its end otherwise. Dropping the future leaves the queue.
    ///
    /// `value` is what the leader says of itself; `ttl` the time of its lease, after which the next
    /// one leads where this one falls silent.
    ///
    /// # Errors
    /// The value or the time is invalid, or the backend refuses for good.
    pub async fn campaign(
        &self,
        value: impl Into<Bytes> + Send,
        ttl: Duration,
    ) -> Result<Leading, CoordError> {
        self.campaign_telling(value.into(), ttl, &|_| ()).await
    }

    /// As [`campaign`](Self::campaign), and tells how it goes: `Ok` when it queues behind another,
    /// `Err` each time when the backend could not be asked.
    ///
    /// # Errors
    /// The value or the time is invalid, or the backend refuses for good.
    pub async fn campaign_telling(
        &self,
        value: Bytes,
        ttl: Duration,
        report: Report<'_>,
    ) -> Result<Leading, CoordError> {
        let mut retry = Retry::default();
        loop {
            let result = match HeldLease::grant(self.coordinator.clone(), ttl).await {
                Ok(held) => self.queue(held, &value, report).await,
                Err(error) => Err(error),
            };
            match result {
                Ok(Some(leading)) => return Ok(leading),
                Ok(None) => tracing::debug!(election = %self.candidates, "lease lost in the queue"),
                Err(error) if error.may_pass() => report(Err(&error)),
                Err(error) => return Err(error),
            }
            retry.wait().await;
        }
    }

    /// Goes on with the leadership of a candidate that died with its process, under the same fence:
    /// the leader's value is `value`. Others that died in the queue with that value leave it. `None`
    /// when the leader is somebody else.
    ///
    /// The value must be that of one candidate alone, and that one must be dead: two that go on with
    /// one leadership both lead.
    ///
    /// # Errors
    /// The backend cannot be asked, or does not answer.
    pub async fn resume(&self, value: &[u8]) -> Result<Option<Leading>, CoordError> {
        let listing = self.coordinator.range(&Query::of(self.candidates.clone())).await?;
        let first = listing.entries.iter().map(|entry| entry.created).min();
        let mut resumed = None;
        for own in listing.entries.into_iter().filter(|entry| entry.value == value) {
            let Some(lease) = own.lease else { continue };
            if Some(own.created) != first {
                self.coordinator.revoke(lease).await?;
                continue;
            }
            resumed = match HeldLease::adopt(self.coordinator.clone(), lease).await {
                Ok(held) => Some(Leading::new(self.coordinator.clone(), own, held)),
                Err(CoordError::UnknownLease { .. }) => None,
                Err(error) => return Err(error),
            };
        }
        Ok(resumed)
    }

    /// Waits for this candidate's turn; `None` when its lease ends before.
    async fn queue(
        &self,
        held: HeldLease,
        value: &Bytes,
        report: Report<'_>,
    ) -> Result<Option<Leading>, CoordError> {
        let turn = tokio::select! {
            () = held.lost() => return Ok(None),
            turn = self.wait_for_turn(&held, value, report) => turn?,
        };
        let Some(own) = turn else { return Ok(None) };
        let leading = Leading::new(self.coordinator.clone(), own, held);
        Ok(leading.holds().then_some(leading))
    }

    async fn wait_for_turn(
        &self,
        held: &HeldLease,
        value: &Bytes,
        report: Report<'_>,
    ) -> Result<Option<Entry>, CoordError> {
        let key = self.candidates.key(&held.id().to_string())?;
        let mut retry = Retry::default();
        let mut entered = false;
        loop {
            let step = match entered {
                false => self.enter(&key, value, held).await.map(|()| None),
                true => self.look(&key).await.map(Some),
            };
            match step {
                Ok(None) => entered = true,
                Ok(Some(Turn::Gone)) => return Ok(None),
                Ok(Some(Turn::Now(own))) => return Ok(Some(own)),
                Ok(Some(Turn::Behind(before, next))) => {
                    report(Ok(()));
                    if self.gone(before, next).await {
                        retry.reset();
                    } else {
                        retry.wait().await;
                    }
                }
                Err(CoordError::UnknownLease { .. }) => return Ok(None),
                Err(error) if error.may_pass() => {
                    report(Err(&error));
                    retry.wait().await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes the candidate's key. May be repeated: nobody else has this lease, so nobody else makes
    /// this key.
    async fn enter(&self, key: &Key, value: &Bytes, held: &HeldLease) -> Result<(), CoordError> {
        let txn = Txn::new().when(Compare::Absent(key.clone()));
        let txn = txn.put_leased(key.clone(), value.clone(), held.id());
        self.coordinator.transact(&txn).await.map(|_| ())
    }

    async fn look(&self, key: &Key) -> Result<Turn, CoordError> {
        let listing = self.coordinator.range(&Query::of(self.candidates.clone())).await?;
        let Some(own) = listing.entries.iter().find(|entry| entry.key == *key) else {
            return Ok(Turn::Gone);
        };
        let before = listing.entries.iter().filter(|entry| entry.created < own.created);
        Ok(match before.max_by_key(|entry| entry.created) {
            None => Turn::Now(own.clone()),
            Some(before) => Turn::Behind(before.key.clone(), listing.revision.next()),
        })
    }

    /// Waits until a key is gone; false when that cannot be seen.
    async fn gone(&self, key: Key, from: Revision) -> bool {
        let Ok(mut watch) = self.coordinator.watch(&Span::One(key), from).await else {
            return false;
        };
        while let Ok(batch) = watch.next().await {
            if batch.changes.iter().any(|change| matches!(change, Change::Delete(_))) {
                return true;
            }
        }
        false
    }

    /// Who leads.
    ///
    /// # Errors
    /// It cannot be read at that consistency.
    pub async fn leader(&self, consistency: Consistency) -> Result<Option<Leader>, CoordError> {
        Ok(self.first(consistency).await?.0)
    }

    async fn first(
        &self,
        consistency: Consistency,
    ) -> Result<(Option<Leader>, Revision), CoordError> {
        let query = Query::of(self.candidates.clone()).consistency(consistency);
        let listing = self.coordinator.range(&query).await?;
        let first = listing.entries.into_iter().min_by_key(|entry| entry.created);
        Ok((first.map(Leader::of), listing.revision))
    }

    /// Who leads, now and after each change of it. A leader that led for a moment between two looks
    /// may be missed, the newest one never. Outages are waited out.
    pub fn observe(&self) -> impl Stream<Item = Option<Leader>> + Send + use<> {
        let state = (self.clone(), None, None);
        stream::unfold(state, async |(election, mut told, mut behind)| {
            let mut retry = Retry::default();
            loop {
                if let Some(from) = behind.take()
                    && !election.changed(from).await
                {
                    retry.wait().await;
                }
                match election.first(Consistency::Linearizable).await {
                    Ok((leader, revision)) => {
                        behind = Some(revision.next());
                        if told.as_ref() != Some(&leader) {
                            told = Some(leader.clone());
                            return Some((leader, (election, told, behind)));
                        }
                    }
                    Err(error) => {
                        tracing::debug!(%error, "look for the leader again soon");
                        retry.wait().await;
                    }
                }
            }
        })
    }

    /// Waits until some candidate changes; false when that cannot be seen.
    async fn changed(&self, from: Revision) -> bool {
        let span = Span::Prefix(self.candidates.clone());
        let Ok(mut watch) = self.coordinator.watch(&span, from).await else { return false };
        while let Ok(batch) = watch.next().await {
            if !batch.changes.is_empty() {
                return true;
            }
        }
        false
    }
}

/// What a candidate finds.
enum Turn {
    /// Its own key is not there any more.
    Gone,
    /// Nobody is before it.
    Now(Entry),
    /// This key is the one before it; its removal is seen from this revision on.
    Behind(Key, Revision),
}
