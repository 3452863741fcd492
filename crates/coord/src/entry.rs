//! What is kept, and how it is asked for.

use bytes::Bytes;
use regrow_consensus::Consistency;
use regrow_ids::Revision;
use serde::{Deserialize, Serialize};

use crate::error::Invalid;
use crate::key::{Key, Span};
use crate::lease::LeaseId;

/// A key with what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value, any bytes, also none.
    pub value: Bytes,
    /// Revision that made the key, after its last deletion. No two lives of a key share it.
    pub created: Revision,
    /// Revision that wrote it last.
    pub modified: Revision,
    /// The lease with which the key goes away.
    pub lease: Option<LeaseId>,
}

/// A question for a range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Which keys.
    pub span: Span,
    /// Only keys behind this one: the last key of the page before.
    pub after: Option<Key>,
    /// Most entries in the answer, at least 1.
    pub limit: usize,
    /// How new the answer must be.
    pub consistency: Consistency,
}

impl Query {
    /// All keys of a span, linearizable.
    pub fn of(span: impl Into<Span>) -> Self {
        let consistency = Consistency::Linearizable;
        Self { span: span.into(), after: None, limit: usize::MAX, consistency }
    }

    /// With a limit.
    #[must_use]
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Only keys behind this one.
    #[must_use]
    pub fn after(mut self, key: Key) -> Self {
        self.after = Some(key);
        self
    }

    /// As new as said.
    #[must_use]
    pub const fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    pub(crate) const fn check(&self) -> Result<(), Invalid> {
        if self.limit == 0 { Err(Invalid::NoLimit) } else { Ok(()) }
    }
}

/// The answer to a [`Query`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The entries in the order of their keys.
    pub entries: Vec<Entry>,
    /// There are more behind the last one.
    pub more: bool,
    /// The answer shows every change of the span up to this revision and none after it: a watch
    /// from the next revision misses nothing.
    pub revision: Revision,
}

/// The answer to a question for one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// The entry, `None` when there is no such key.
    pub entry: Option<Entry>,
    /// As in [`Listing`].
    pub revision: Revision,
}
