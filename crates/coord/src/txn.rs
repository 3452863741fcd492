//! Transactions over several keys: compare, then one of two branches, all of it or nothing.
//!
//! These types are also what the quorum backend stores in its log: the order of their fields and
//! variants is a format, held by the samples in the tests.

use std::collections::BTreeSet;

use bytes::Bytes;
use regrow_ids::Revision;
use serde::{Deserialize, Serialize};

use crate::coordinator::Limits;
use crate::entry::Entry;
use crate::error::Invalid;
use crate::key::{Key, Prefix, Span};
use crate::lease::LeaseId;

/// Something that is true of a key or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compare {
    /// There is no such key.
    Absent(Key),
    /// There is such a key.
    Present(Key),
    /// The key is there and was made by this revision, which is not 0.
    Created(Key, Revision),
    /// The key is there and was last written by this revision, which is not 0.
    Modified(Key, Revision),
    /// The key is there and holds this.
    Value(Key, Bytes),
    /// The key is there and goes away with this lease, or with none.
    Lease(Key, Option<LeaseId>),
}

impl Compare {
    /// The key it looks at.
    pub const fn key(&self) -> &Key {
        match self {
            Self::Absent(key)
            | Self::Present(key)
            | Self::Created(key, _)
            | Self::Modified(key, _)
            | Self::Value(key, _)
            | Self::Lease(key, _) => key,
        }
    }

    /// Whether it is true of what its key holds.
    pub fn holds(&self, entry: Option<&Entry>) -> bool {
        let Some(entry) = entry else { return matches!(self, Self::Absent(_)) };
        match self {
            Self::Absent(_) => false,
            Self::Present(_) => true,
            Self::Created(_, revision) => entry.created == *revision,
            Self::Modified(_, revision) => entry.modified == *revision,
            Self::Value(_, value) => entry.value == *value,
            Self::Lease(_, lease) => entry.lease == *lease,
        }
    }

    /// What it counts towards [`Limits::transaction_bytes`].
    pub fn bytes(&self) -> usize {
        let value = if let Self::Value(_, value) = self { value.len() } else { 0 };
        self.key().as_str().len() + value
    }
}

/// A change that a transaction makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Write {
    /// Makes or replaces a key. The lease replaces the one before, `None` too.
    Put {
        /// The key.
        key: Key,
        /// What it holds then.
        value: Bytes,
        /// The lease with which it goes away.
        lease: Option<LeaseId>,
    },
    /// Removes a key if it is there.
    Delete(Key),
    /// Removes all keys that begin so.
    DeletePrefix(Prefix),
}

impl Write {
    /// The keys that it touches.
    pub fn span(&self) -> Span {
        match self {
            Self::Put { key, .. } | Self::Delete(key) => Span::One(key.clone()),
            Self::DeletePrefix(prefix) => Span::Prefix(prefix.clone()),
        }
    }

    /// What it counts towards [`Limits::transaction_bytes`].
    pub fn bytes(&self) -> usize {
        match self {
            Self::Put { key, value, .. } => key.as_str().len() + value.len(),
            Self::Delete(key) => key.as_str().len(),
            Self::DeletePrefix(prefix) => prefix.as_str().len(),
        }
    }
}

/// What one side of a transaction does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// Keys to read as they were before the writes.
    pub reads: Vec<Key>,
    /// Changes. No key is written twice.
    pub writes: Vec<Write>,
}

/// A transaction. Built by naming what must hold and what is done then:
///
/// ```
/// use regrow_coord::{Compare, Key, Txn};
///
/// let key = Key::new("leader")?;
/// let txn = Txn::new().when(Compare::Absent(key.clone())).put(key.clone(), "me").or_read(key);
/// assert_eq!(txn.compares.len(), 1);
/// # Ok::<(), regrow_coord::Invalid>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Txn {
    /// All of these must hold. None: they do.
    pub compares: Vec<Compare>,
    /// Done when they hold.
    pub then: Branch,
    /// Done when one does not.
    pub otherwise: Branch,
}

impl Txn {
    /// Does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only when this holds.
    #[must_use]
    pub fn when(mut self, compare: Compare) -> Self {
        self.compares.push(compare);
        self
    }

    /// Makes or replaces a key that stays.
    #[must_use]
    pub fn put(self, key: Key, value: impl Into<Bytes>) -> Self {
        self.write(Write::Put { key, value: value.into(), lease: None })
    }

    /// Makes or replaces a key that goes away with a lease.
    #[must_use]
    pub fn put_leased(self, key: Key, value: impl Into<Bytes>, lease: LeaseId) -> Self {
        self.write(Write::Put { key, value: value.into(), lease: Some(lease) })
    }

    /// Removes a key.
    #[must_use]
    pub fn delete(self, key: Key) -> Self {
        self.write(Write::Delete(key))
    }

    /// Removes all keys that begin so.
    #[must_use]
    pub fn delete_prefix(self, prefix: Prefix) -> Self {
        self.write(Write::DeletePrefix(prefix))
    }

    /// One more change.
    #[must_use]
    pub fn write(mut self, write: Write) -> Self {
        self.then.writes.push(write);
        self
    }

    /// Reads a key as it was before the changes.
    #[must_use]
    pub fn read(mut self, key: Key) -> Self {
        self.then.reads.push(key);
        self
    }

    /// Reads a key when the compares do not hold.
    #[must_use]
    pub fn or_read(mut self, key: Key) -> Self {
        self.otherwise.reads.push(key);
        self
    }

    /// Makes a change when the compares do not hold.
    #[must_use]
    pub fn or_write(mut self, write: Write) -> Self {
        self.otherwise.writes.push(write);
        self
    }

    /// Checks the rules that all backends share, and the limits of one.
    ///
    /// # Errors
    /// It breaks one of them.
    pub fn check(&self, limits: &Limits) -> Result<(), Invalid> {
        let mut bytes: usize = self.compares.iter().map(Compare::bytes).sum();
        for compare in &self.compares {
            if let Compare::Created(key, revision) | Compare::Modified(key, revision) = compare
                && revision.get() == 0
            {
                return Err(Invalid::NoRevision { key: key.to_string() });
            }
        }
        for branch in [&self.then, &self.otherwise] {
            let count = self.compares.len() + branch.reads.len() + branch.writes.len();
            over("operations", count, limits.operations)?;
            branch.check(limits)?;
            bytes += branch.writes.iter().map(Write::bytes).sum::<usize>();
        }
        over("bytes", bytes, limits.transaction_bytes)
    }
}

const fn over(what: &'static str, count: usize, limit: usize) -> Result<(), Invalid> {
    if count > limit { Err(Invalid::Transaction { what, count, limit }) } else { Ok(()) }
}

impl Branch {
    fn check(&self, limits: &Limits) -> Result<(), Invalid> {
        let mut written = BTreeSet::new();
        for write in &self.writes {
            if let Write::Put { key, value, .. } = write
                && value.len() > limits.value_bytes
            {
                let (bytes, limit) = (value.len(), limits.value_bytes);
                return Err(Invalid::Value { key: key.to_string(), bytes, limit });
            }
            if let Write::Put { key, .. } | Write::Delete(key) = write
                && !written.insert(key)
            {
                return Err(Invalid::Twice { key: key.to_string() });
            }
        }
        for write in &self.writes {
            if let Write::DeletePrefix(_) = write
                && let Some(key) = written.iter().find(|key| write.span().contains(key))
            {
                return Err(Invalid::Twice { key: key.to_string() });
            }
        }
        Ok(())
    }
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxnReply {
    /// The compares held, and `then` was done; else `otherwise`.
    pub succeeded: bool,
    /// The revision of its changes, or of what it read when it changed nothing.
    pub revision: Revision,
    /// What the reads of the branch found, in their order.
    pub found: Vec<Option<Entry>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { operations: 3, transaction_bytes: 20, ..Limits::LARGEST };

    fn key(text: &str) -> Key {
        Key::new(text).expect("key")
    }

    #[test]
    fn a_key_is_written_once() {
        let put = |name: &str| Txn::new().put(key(name), "v");
        let prefix = Prefix::new("a/").expect("prefix");
        assert!(put("a/1").delete(key("a/2")).check(&LIMITS).is_ok());
        assert!(put("a/1").delete(key("a/1")).check(&LIMITS).is_err());
        assert!(put("a/1").delete_prefix(prefix.clone()).check(&LIMITS).is_err());
        assert!(put("b/1").delete_prefix(prefix).check(&LIMITS).is_ok());
    }

    #[test]
    fn limits_count_each_branch_with_the_compares_and_all_bytes() {
        let read = Txn::new().when(Compare::Absent(key("a"))).read(key("a")).read(key("b"));
        assert!(read.clone().or_read(key("a")).check(&LIMITS).is_ok());
        let error = read.read(key("c")).check(&LIMITS).expect_err("too many");
        assert!(error.to_string().contains("4 operations"), "{error}");
        let wide = Txn::new().put(key("a"), "123456789").or_write(Write::Delete(key("0123456789")));
        assert!(wide.check(&LIMITS).is_ok());
        assert!(wide.or_write(Write::Delete(key("b"))).check(&LIMITS).is_err());
    }

    #[test]
    fn no_key_has_revision_zero() {
        let zero = Txn::new().when(Compare::Modified(key("a"), Revision::new(0)));
        assert!(zero.check(&LIMITS).is_err());
    }
}
