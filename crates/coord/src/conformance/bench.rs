//! What checks work with: two clients, keys of their own, and ways to say what is wrong.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::Consistency;
use crate::coordinator::{Capabilities, Coordinator};
use crate::entry::{Entry, Listing, Query};
use crate::error::{CoordError, Invalid, WatchError};
use crate::key::{Key, Prefix, Span};
use crate::txn::{Txn, TxnReply};
use crate::watch::{Batch, Watch};

/// Why a check failed.
#[derive(Debug)]
pub(super) struct Failed(pub(super) String);

pub(super) type Checked<T = ()> = Result<T, Failed>;

macro_rules! from_error {
    ($($error:ty),+) => {
        $(impl From<$error> for Failed {
            fn from(error: $error) -> Self {
                Self(format!("unexpected error: {error}"))
            }
        })+
    };
}

from_error!(CoordError, Invalid, WatchError);

/// Fails with a reason unless something holds.
pub(super) fn ensure(holds: bool, reason: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Failed(reason())) }
}

/// Fails unless two things are equal.
#[expect(clippy::needless_pass_by_value, reason = "what is compared is made for the comparison")]
pub(super) fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Checked {
    ensure(found == expected, || format!("{what}: found {found:?}, expected {expected:?}"))
}

/// How long to wait for what must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often to look where nothing tells.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Waits for what must happen soon.
pub(super) async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> Checked<T> {
    let late = |_| Failed(format!("{what}: not within {PATIENCE:?}"));
    tokio::time::timeout(PATIENCE, wait).await.map_err(late)
}

/// Two clients of the service, and keys of its own.
pub(super) struct Bench {
    pub(super) a: Arc<dyn Coordinator>,
    pub(super) b: Arc<dyn Coordinator>,
    /// A name that no other check or run uses.
    pub(super) name: String,
}

impl Bench {
    pub(super) fn new(a: Arc<dyn Coordinator>, b: Arc<dyn Coordinator>, check: &str) -> Self {
        Self { a, b, name: format!("{check}-{}", Uuid::new_v4().simple()) }
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.a.capabilities()
    }

    /// The shortest lease.
    pub(super) fn ttl(&self) -> Duration {
        self.capabilities().limits.shortest_ttl
    }

    /// A key of this check.
    pub(super) fn key(&self, rest: &str) -> Checked<Key> {
        Ok(Key::new(format!("{}/{rest}", self.name))?)
    }

    /// A prefix of keys of this check.
    pub(super) fn prefix(&self, rest: &str) -> Checked<Prefix> {
        Ok(Prefix::new(format!("{}/{rest}", self.name))?)
    }

    /// All keys of this check.
    pub(super) fn span(&self) -> Checked<Span> {
        Ok(Span::Prefix(self.prefix("")?))
    }

    pub(super) async fn put(&self, rest: &str, value: &str) -> Checked<TxnReply> {
        let txn = Txn::new().put(self.key(rest)?, value.to_owned());
        Ok(self.a.transact(&txn).await?)
    }

    pub(super) async fn delete(&self, rest: &str) -> Checked<TxnReply> {
        Ok(self.a.transact(&Txn::new().delete(self.key(rest)?)).await?)
    }

    pub(super) async fn entry(&self, rest: &str) -> Checked<Option<Entry>> {
        Ok(self.a.get(&self.key(rest)?, Consistency::Linearizable).await?.entry)
    }

    /// The entry of a key that must be there.
    pub(super) async fn there(&self, rest: &str) -> Checked<Entry> {
        self.entry(rest).await?.ok_or_else(|| Failed(format!("{rest} is not there")))
    }

    pub(super) async fn value(&self, rest: &str) -> Checked<Option<Bytes>> {
        Ok(self.entry(rest).await?.map(|entry| entry.value))
    }

    pub(super) async fn list(&self) -> Checked<Listing> {
        Ok(self.a.range(&Query::of(self.span()?)).await?)
    }

    /// The last parts of the keys of a listing.
    pub(super) fn names(&self, listing: &Listing) -> Vec<String> {
        let lead = format!("{}/", self.name);
        let rest = |entry: &Entry| entry.key.as_str().trim_start_matches(&lead).to_owned();
        listing.entries.iter().map(rest).collect()
    }

    /// A watch of all keys of this check, of what comes after now.
    pub(super) async fn watch(&self) -> Checked<Watch> {
        let from = self.list().await?.revision.next();
        Ok(self.a.watch(&self.span()?, from).await?)
    }

    /// Waits until a key is gone.
    pub(super) async fn gone(&self, rest: &str) -> Checked {
        let look = async {
            while self.entry(rest).await?.is_some() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Ok(())
        };
        soon("the key goes away", look).await?
    }

    /// Waits until this many keys begin with a prefix.
    pub(super) async fn until_count(&self, prefix: &Prefix, count: usize) -> Checked {
        let look = async {
            while self.a.range(&Query::of(prefix.clone())).await?.entries.len() != count {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Ok(())
        };
        soon("so many keys are there", look).await?
    }
}

/// The next batch that changes something.
pub(super) async fn next_change(watch: &mut Watch) -> Checked<Batch> {
    let next = async {
        loop {
            let batch = watch.next().await?;
            if !batch.changes.is_empty() {
                return Ok(batch);
            }
        }
    };
    soon("a change arrives", next).await?
}

/// The value of a large or small number as text.
pub(super) fn text(number: usize) -> String {
    number.to_string()
}
