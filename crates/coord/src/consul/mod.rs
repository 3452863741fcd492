//! The backend on Consul's HTTP API: Consul itself from 1.9 on, or our own catalog.
//!
//! What Consul cannot do, and what follows from it:
//! - *Changes between two looks are not kept.* Watches are blocking queries, so they are
//!   [`Events::Coalesced`]. One goes on from behind a listing or a batch that this coordinator has
//!   shown lately; any other from the past is compacted at once.
//! - *A deletion has no revision of its own in an answer.* The revision of a transaction that only
//!   deletes is one not before it, so a watch from behind it may leave out what others did in
//!   between; a watch from behind a list does not.
//! - *Transactions have no second branch and compare less.* They are read, decided here, and sent
//!   with checks that nothing changed; see [`plan`]. Under contention they are tried again until the
//!   deadline.
//! - *Sessions last 10 s at least and end up to twice their time late.*
//!
//! Leases are sessions with behaviour `delete`, without checks and without lock-delay: holders give
//! up by their own clock, and what must be safe compares the fence. The fence is the creation index
//! of the leader's key, as on the other backends; Consul's `LockIndex` is not used, since it counts
//! for one key only and restarts with it.

mod place;
mod plan;
mod requests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use regrow_consensus::Consistency;
use regrow_ids::Revision;
use tokio::time::Instant;

use crate::consul::place::{Place, Shown};
use crate::consul::plan::{Fate, Names, Seen};
use crate::consul::requests::Requests;
use crate::coordinator::{Capabilities, Coordinator, Events, Limits};
use crate::entry::{Entry, Listing, Query};
use crate::error::{CoordError, Invalid, WatchError};
use crate::key::{Key, Prefix, Span};
use crate::lease::{Lease, LeaseId};
use crate::retry::Retry;
use crate::txn::{Txn, TxnReply};
use crate::watch::Watch;

/// What Consul accepts: transactions of 64 operations, of which each of ours may need three, in
/// bodies of 512 KiB, in which values grow by a third.
const LIMITS: Limits = Limits {
    value_bytes: 256 << 10,
    transaction_bytes: 320 << 10,
    operations: 20,
    shortest_ttl: Duration::from_secs(10),
    longest_ttl: Duration::from_secs(24 * 60 * 60),
};

const DOING: &str = "execute transaction";

/// How long Consul holds a question whose answer has not changed.
const WAIT: Duration = Duration::from_secs(60);

/// What a Consul backend needs to know.
#[derive(Clone, Debug)]
pub struct ConsulSettings {
    /// Base URLs of agents, as `http://127.0.0.1:8500`, which are tried in turn; or one socket, as
    /// `unix:///run/consul.sock`.
    pub endpoints: Vec<String>,
    /// What all keys begin with in Consul.
    pub prefix: Prefix,
    /// The ACL token, where one is needed.
    pub token: Option<String>,
    /// User and password of HTTP basic authentication, where something before Consul asks for it.
    pub login: Option<(String, String)>,
    /// How long a call may take.
    pub deadline: Duration,
    /// Whom to trust and as whom to come, for `https` agents.
    pub tls: Option<rustls::ClientConfig>,
}

/// A coordinator on Consul.
pub struct Consul {
    requests: Arc<Requests>,
    deadline: Duration,
    shown: Shown,
}

impl Consul {
    /// A coordinator on the cluster of some agents. Sends nothing yet.
    ///
    /// # Errors
    /// The settings are wrong.
    pub fn new(settings: ConsulSettings) -> Result<Self, Invalid> {
        let deadline = settings.deadline;
        let requests = Arc::new(Requests::new(settings)?);
        Ok(Self { requests, deadline, shown: Shown::default() })
    }

    fn names(&self) -> &Names {
        self.requests.names()
    }

    /// Reads the keys that a transaction looks at.
    async fn look(&self, txn: &Txn, until: Instant) -> Result<Seen, CoordError> {
        let look = async |key: Key| {
            let (span, mode) = (Span::One(key.clone()), Consistency::Linearizable);
            let state = self.requests.read(&span, mode, None, left(until)).await?;
            Ok::<_, CoordError>((key, state.entries.into_iter().next()))
        };
        // Few at a time: an agent bounds the connections of a client.
        stream::iter(plan::looked_at(txn))
            .map(look)
            .buffered(4)
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect()
    }

    /// One attempt; `None` when others changed a key meanwhile.
    async fn try_transact(
        &self,
        txn: &Txn,
        until: Instant,
    ) -> Result<Option<TxnReply>, CoordError> {
        let seen = self.look(txn, until).await?;
        if left(until).is_zero() {
            let reason = format!("its keys were not read within {:?}", self.deadline);
            return Err(CoordError::Unavailable { doing: DOING, reason });
        }
        let plan = plan::plan(self.names(), txn, &seen, rand::random());
        let answer = self.requests.transact(&plan, left(until)).await?;
        let revision = match plan::fate(&plan, answer) {
            Fate::Done(Some(revision)) => revision,
            Fate::Done(None) => self.after(plan.operations.len() > plan.checks, until).await?,
            Fate::Changed => return Ok(None),
            Fate::NoLease(lease) => return Err(CoordError::UnknownLease { doing: DOING, lease }),
            Fate::Refused(reason) => return Err(CoordError::Refused { doing: DOING, reason }),
        };
        Ok(Some(TxnReply { succeeded: plan.succeeded, revision, found: plan.found }))
    }

    /// The revision to tell where the answer has none. When that fails after a deletion, the
    /// deletion was executed all the same.
    async fn after(&self, wrote: bool, until: Instant) -> Result<Revision, CoordError> {
        let told = self.requests.revision(left(until)).await;
        told.map_err(|error| match wrote {
            true => CoordError::Unknown { doing: DOING, reason: error.to_string() },
            false => error,
        })
    }
}

#[async_trait]
impl Coordinator for Consul {
    fn capabilities(&self) -> Capabilities {
        Capabilities { name: "consul", limits: LIMITS, events: Events::Coalesced, lease_tenths: 20 }
    }

    async fn range(&self, query: &Query) -> Result<Listing, CoordError> {
        query.check()?;
        let (span, mode) = (&query.span, query.consistency);
        let state = self.requests.read(span, mode, None, self.deadline).await?;
        self.shown.note(span, &state);
        let behind = |entry: &Entry| query.after.as_ref().is_none_or(|after| entry.key > *after);
        let mut entries: Vec<_> = state.entries.into_iter().filter(behind).collect();
        let more = entries.len() > query.limit;
        entries.truncate(query.limit);
        Ok(Listing { entries, more, revision: state.revision })
    }

    async fn transact(&self, txn: &Txn) -> Result<TxnReply, CoordError> {
        txn.check(&LIMITS)?;
        let until = Instant::now() + self.deadline;
        let mut retry = Retry::default();
        loop {
            if let Some(reply) = self.try_transact(txn, until).await? {
                return Ok(reply);
            }
            if tokio::time::timeout_at(until, retry.wait()).await.is_err() {
                let reason = "others changed its keys again and again".into();
                return Err(CoordError::Unavailable { doing: DOING, reason });
            }
        }
    }

    async fn watch(&self, span: &Span, from: Revision) -> Result<Watch, CoordError> {
        let here = |at, known| Place {
            requests: self.requests.clone(),
            deadline: self.deadline,
            span: span.clone(),
            from,
            at,
            known,
            shown: self.shown.clone(),
        };
        let place = match self.shown.find(span, from) {
            Some((at, known)) => here(at, known),
            None => {
                let mode = Consistency::Linearizable;
                let state = self.requests.read(span, mode, None, self.deadline).await?;
                if from <= state.revision {
                    let oldest = state.revision.next();
                    let compacted = Err(WatchError::Compacted { oldest });
                    return Ok(Watch::new(stream::iter([compacted]).boxed()));
                }
                here(state.revision, state.known())
            }
        };
        let batches = stream::unfold(Some(place), async |place| {
            let mut place = place?;
            match place.next().await {
                Ok(batch) => Some((Ok(batch), Some(place))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(Watch::new(batches.boxed()))
    }

    async fn grant(&self, ttl: Duration) -> Result<Lease, CoordError> {
        LIMITS.check_ttl(ttl)?;
        // Consul keeps nanoseconds; whole milliseconds are what all backends keep.
        let millis = u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let ttl = Duration::from_millis(millis);
        let id = self.requests.create_session(ttl, self.deadline).await?;
        Ok(Lease { id, ttl })
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<Lease, CoordError> {
        let ttl = self.requests.renew_session(lease, self.deadline).await?;
        Ok(Lease { id: lease, ttl })
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), CoordError> {
        self.requests.destroy_session(lease, self.deadline).await
    }
}

/// The time until a moment.
fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}
