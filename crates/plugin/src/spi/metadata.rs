use async_trait::async_trait;
use regrow_codec::Any;
use serde::{Deserialize, Serialize};

use super::Result;

/// A readable tree of values: `Metadata/0.1.1`.
#[async_trait]
pub trait Metadata: Send + Sync {
    /// Names of the children below a path (`a/b/c`, empty for the root), sorted.
    ///
    /// # Errors
    /// The tree cannot be read. A path that is not there has no children.
    async fn keys(&self, path: &str) -> Result<Vec<String>>;

    /// Value at a path; `None` when there is nothing.
    ///
    /// # Errors
    /// The tree cannot be read.
    async fn get(&self, path: &str) -> Result<Option<Any>>;
}

/// A wish to set the value at a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Change {
    /// Where.
    pub path: String,
    /// What.
    pub value: Any,
}

/// What a set of changes would make of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Proposal {
    /// The tree now.
    pub original: Any,
    /// The tree with the changes.
    pub proposed: Any,
    /// Hash over both, to be given back with the commit.
    pub cas: String,
}

/// A tree that can be changed: `Updatable/0.1.1`.
#[async_trait]
pub trait Updatable: Metadata {
    /// Computes what changes would do, without storing anything.
    ///
    /// # Errors
    /// The tree is read-only (`readonly`) or a path cannot be set.
    async fn changes(&self, changes: &[Change]) -> Result<Proposal>;

    /// Stores a proposal.
    ///
    /// # Errors
    /// The tree has changed since (`cas mismatch`).
    async fn commit(&self, proposed: &Any, cas: &str) -> Result<()>;
}
