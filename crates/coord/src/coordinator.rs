//! The trait that every backend implements, and how backends differ.

use std::time::Duration;

use async_trait::async_trait;
use regrow_consensus::Consistency;
use regrow_ids::Revision;

use crate::entry::{Got, Listing, Query};
use crate::error::{CoordError, Invalid};
use crate::key::{Key, Span};
use crate::lease::{Lease, LeaseId};
use crate::txn::{Txn, TxnReply};
use crate::watch::Watch;

/// What a backend accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest value in bytes.
    pub value_bytes: usize,
    /// Most bytes of keys and values in a transaction, both branches together.
    pub transaction_bytes: usize,
    /// Most compares, reads and writes in a transaction, counted for each branch.
    pub operations: usize,
    /// Shortest time of a lease.
    pub shortest_ttl: Duration,
    /// Longest time of a lease.
    pub longest_ttl: Duration,
}

impl Limits {
    /// What the backends that limit least accept.
    pub const LARGEST: Self = Self {
        value_bytes: 512 << 10,
        transaction_bytes: 1 << 20,
        operations: 128,
        shortest_ttl: Duration::from_secs(1),
        longest_ttl: Duration::from_secs(24 * 60 * 60),
    };

    pub(crate) fn check_ttl(&self, ttl: Duration) -> Result<(), Invalid> {
        let (shortest, longest) = (self.shortest_ttl, self.longest_ttl);
        if (shortest..=longest).contains(&ttl) {
            return Ok(());
        }
        Err(Invalid::Ttl { ttl, shortest, longest })
    }
}

/// What a watch delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Events {
    /// Every change, in batches of one revision each.
    Every,
    /// The newest state of each changed key; changes that followed closely on one another are shown
    /// as one, and a watch from the past is `Compacted` at once.
    Coalesced,
}

/// How a backend differs from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Its name.
    pub name: &'static str,
    /// What it accepts.
    pub limits: Limits,
    /// What its watches deliver.
    pub events: Events,
    /// Under a steady leader, a lease ends after at most this many tenths of its time.
    pub lease_tenths: u32,
}

/// Ordered keys with revisions, transactions, watches and leases.
///
/// Every change has a revision, and revisions grow. Every call ends within the deadline that its
/// backend was built with; dropping the future of a call that writes leaves unknown whether it was
/// executed. [`CoordError`] tells what was certainly not executed from what may have been.
#[async_trait]
pub trait Coordinator: Send + Sync + 'static {
    /// How this backend differs from others.
    fn capabilities(&self) -> Capabilities;

    /// The entries of a range of keys.
    ///
    /// # Errors
    /// The query is invalid, or cannot be answered at that consistency.
    async fn range(&self, query: &Query) -> Result<Listing, CoordError>;

    /// The entry of one key.
    ///
    /// # Errors
    /// It cannot be read at that consistency.
    async fn get(&self, key: &Key, consistency: Consistency) -> Result<Got, CoordError> {
        let query = Query::of(key.clone()).limit(1).consistency(consistency);
        let mut listing = self.range(&query).await?;
        Ok(Got { entry: listing.entries.pop(), revision: listing.revision })
    }

    /// Executes a transaction: all of one branch, or nothing.
    ///
    /// # Errors
    /// It was not executed, or nobody knows.
    async fn transact(&self, txn: &Txn) -> Result<TxnReply, CoordError>;

    /// Every change of a span from a revision on: each once, in order, none from before. A revision
    /// that is not reached yet is waited for; 0 and 1 are the beginning.
    ///
    /// # Errors
    /// The watch cannot be set up. What goes wrong later, [`Watch::next`] says.
    async fn watch(&self, span: &Span, from: Revision) -> Result<Watch, CoordError>;

    /// Makes a lease of at least this time.
    ///
    /// # Errors
    /// No such time is offered, or the backend does not answer. A lease of which nobody knows ends
    /// by itself.
    async fn grant(&self, ttl: Duration) -> Result<Lease, CoordError>;

    /// Renews a lease: its time begins anew.
    ///
    /// # Errors
    /// [`CoordError::UnknownLease`] when it ended.
    async fn keep_alive(&self, lease: LeaseId) -> Result<Lease, CoordError>;

    /// Ends a lease: its keys go away. One that ended already is no error.
    ///
    /// # Errors
    /// The backend does not answer.
    async fn revoke(&self, lease: LeaseId) -> Result<(), CoordError>;
}
