//! Trees of values with paths, for everything that offers metadata (InfraKit specification §2.4).
//!
//! What it is: [`Path`] and the functions on it are pure; [`Tree`] is an immutable tree that knows
//! the protocol of changes; [`ReadOnlyTree`] and [`UpdatableTree`] put a tree behind the interfaces
//! [`Metadata`] and [`Updatable`].
//!
//! What it must never do: store anything, or read a clock or an environment.
//!
//! Where to start reading: [`Path`] for how values are addressed, [`Tree::propose`] and
//! [`Tree::accept`] for how they change.

mod ops;
mod path;
#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use md5::{Digest, Md5};
use regrow_codec::{Any, gojson};
use serde_json::{Map, Value};

pub use ops::{depth, get, keys, merge, set};
pub use path::{MAX_PATH_BYTES, Path, Step};

use crate::PluginError;
use crate::spi::{Change, Metadata, Proposal, Result as SpiResult, Updatable};

/// Most levels of a tree. JSON readers stop at 128; this leaves room for what is around the tree.
pub const MAX_DEPTH: usize = 100;
/// Largest tree in bytes of JSON text. It is copied, hashed and sent whole at every change, and the
/// stores behind a manager take little more.
pub const MAX_TREE_BYTES: usize = 8 << 20;

/// Why a tree cannot be read or changed as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The path's text is too long.
    #[error("read path: it has {bytes} bytes, at most {MAX_PATH_BYTES} are allowed")]
    PathTooLong {
        /// Length of the text.
        bytes: usize,
    },
    /// A key was given where the tree has a list.
    #[error(
        "set {path}: {list:?} is a list; address an item as name[0] or name[key=value], \
         or set the whole list"
    )]
    KeyOfList {
        /// The path to set.
        path: String,
        /// Where the list is.
        list: String,
    },
    /// An item was meant that the list does not have.
    #[error(
        "set {path}: no such item in {list:?}, which has {items}; set the whole list to add one"
    )]
    NoItem {
        /// The path to set.
        path: String,
        /// Where the list is.
        list: String,
        /// How many items it has.
        items: usize,
    },
    /// An item was meant where there is no list.
    #[error("set {path}: {at:?} is not a list; set the whole list first")]
    NotAList {
        /// The path to set.
        path: String,
        /// Where a list was expected.
        at: String,
    },
    /// The whole tree was to become something else than a map.
    #[error("set the whole tree: expected a map, found {found}; give a path to set a single value")]
    NotAMap {
        /// Kind of value found.
        found: &'static str,
    },
    /// The tree would become too deep.
    #[error("set the tree: it would have more than {MAX_DEPTH} levels; use shorter paths")]
    TooDeep,
    /// The tree would become too large.
    #[error("set the tree: it would have {bytes} bytes, at most {MAX_TREE_BYTES} are allowed")]
    TooLarge {
        /// Size of its JSON text.
        bytes: usize,
    },
    /// A value is not JSON, or too deep for its reader.
    #[error("read value for {path:?}: {reason}")]
    NotJson {
        /// The path to set.
        path: String,
        /// What the reader says.
        reason: String,
    },
    /// The tree has changed since the proposal was made. The text is InfraKit's.
    #[error("cas mismatch")]
    CasMismatch,
    /// The tree cannot be changed. The text is InfraKit's.
    #[error("readonly")]
    ReadOnly,
}

impl From<TreeError> for PluginError {
    fn from(fault: TreeError) -> Self {
        Self::refused(fault.to_string())
    }
}

/// A tree of values whose root is a map. Immutable and cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree(Arc<Value>);

impl Default for Tree {
    fn default() -> Self {
        Self(Arc::new(Value::Object(Map::new())))
    }
}

impl Tree {
    /// A tree with these values.
    ///
    /// # Errors
    /// The value is not a map, or beyond the limits.
    pub fn new(root: Value) -> Result<Self, TreeError> {
        if !root.is_object() {
            return Err(TreeError::NotAMap { found: kind(&root) });
        }
        if depth(&root) > MAX_DEPTH {
            return Err(TreeError::TooDeep);
        }
        let bytes = gojson::compact(&root).len();
        if bytes > MAX_TREE_BYTES {
            return Err(TreeError::TooLarge { bytes });
        }
        Ok(Self(Arc::new(root)))
    }

    /// The whole tree as JSON.
    pub fn root(&self) -> &Value {
        &self.0
    }

    /// The value at a path.
    pub fn get(&self, path: &Path) -> Option<&Value> {
        get(&self.0, path)
    }

    /// Names of the children below a path, sorted (see [`keys`]).
    pub fn keys(&self, path: &Path) -> Vec<String> {
        keys(&self.0, path)
    }

    /// The tree with a value merged in at a path (see [`set`]).
    ///
    /// # Errors
    /// The path cannot be set, or the result is beyond the limits.
    pub fn with(&self, path: &Path, value: Value) -> Result<Self, TreeError> {
        let mut root = Value::clone(&self.0);
        set(&mut root, path, value)?;
        Self::new(root)
    }

    /// What these changes, one after the other, would make of the tree. A value `null` removes.
    ///
    /// # Errors
    /// A change cannot be made, or the result is beyond the limits.
    pub fn propose(&self, changes: &[Change]) -> Result<Proposal, TreeError> {
        let mut root = Value::clone(&self.0);
        for Change { path, value } in changes {
            let value = parse(value, path)?;
            set(&mut root, &Path::parse(path)?, value)?;
        }
        let proposed = Self::new(root)?;
        Ok(Proposal {
            original: self.into(),
            proposed: (&proposed).into(),
            cas: self.cas(&proposed),
        })
    }

    /// The tree that a proposal makes, provided that the proposal was made for this one.
    ///
    /// Unlike the original, which merges a proposal into what it has, the proposal replaces the
    /// tree: this is what lets keys disappear.
    ///
    /// # Errors
    /// [`TreeError::CasMismatch`], or the proposal is not a tree.
    pub fn accept(&self, proposed: &Any, hash: &str) -> Result<Self, TreeError> {
        let proposed = Self::new(parse(proposed, "")?)?;
        if self.cas(&proposed) == hash { Ok(proposed) } else { Err(TreeError::CasMismatch) }
    }

    /// Lower-case hex MD5 over both documents as Go prints them. Its purpose is to notice changes,
    /// not to keep anybody out.
    ///
    /// The original hashes the bytes that it sent and got back; printing both anew gives the same
    /// hash and does not depend on how a client re-encodes the proposal.
    fn cas(&self, proposed: &Self) -> String {
        let mut hash = Md5::new();
        for tree in [self, proposed] {
            hash.update(gojson::compact(&tree.0).replace("\": \"", "\":\""));
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl From<&Tree> for Any {
    fn from(tree: &Tree) -> Self {
        tree.root().into()
    }
}

fn parse(value: &Any, path: &str) -> Result<Value, TreeError> {
    serde_json::from_str(value.as_text())
        .map_err(|fault| TreeError::NotJson { path: path.to_owned(), reason: fault.to_string() })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// A tree that somebody else keeps, behind both interfaces; changes are refused with `readonly`.
#[derive(Clone)]
pub struct ReadOnlyTree(Arc<dyn Fn() -> Arc<Value> + Send + Sync>);

impl ReadOnlyTree {
    /// A tree whose values `snapshot` gives at every call. It should be quick: it runs on the
    /// caller's task.
    pub fn new(snapshot: impl Fn() -> Arc<Value> + Send + Sync + 'static) -> Self {
        Self(Arc::new(snapshot))
    }
}

#[async_trait]
impl Metadata for ReadOnlyTree {
    async fn keys(&self, path: &str) -> SpiResult<Vec<String>> {
        Ok(keys(&(self.0)(), &Path::parse(path)?))
    }

    async fn get(&self, path: &str) -> SpiResult<Option<Any>> {
        Ok(get(&(self.0)(), &Path::parse(path)?).map(Any::from))
    }
}

#[async_trait]
impl Updatable for ReadOnlyTree {
    async fn changes(&self, _: &[Change]) -> SpiResult<Proposal> {
        Err(TreeError::ReadOnly.into())
    }

    async fn commit(&self, _: &Any, _: &str) -> SpiResult<()> {
        Err(TreeError::ReadOnly.into())
    }
}

/// A tree kept in memory that can be changed, behind both interfaces. Clones share the tree.
#[derive(Clone, Default)]
pub struct UpdatableTree(Arc<RwLock<Tree>>);

impl UpdatableTree {
    /// Starts with a tree.
    pub fn new(tree: Tree) -> Self {
        Self(Arc::new(RwLock::new(tree)))
    }

    /// The tree now.
    pub fn tree(&self) -> Tree {
        // A poisoned lock only says that another thread panicked: the tree is replaced whole.
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Metadata for UpdatableTree {
    async fn keys(&self, path: &str) -> SpiResult<Vec<String>> {
        Ok(self.tree().keys(&Path::parse(path)?))
    }

    async fn get(&self, path: &str) -> SpiResult<Option<Any>> {
        Ok(self.tree().get(&Path::parse(path)?).map(Any::from))
    }
}

#[async_trait]
impl Updatable for UpdatableTree {
    async fn changes(&self, changes: &[Change]) -> SpiResult<Proposal> {
        Ok(self.tree().propose(changes)?)
    }

    async fn commit(&self, proposed: &Any, cas: &str) -> SpiResult<()> {
        let mut tree = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Compared and replaced under one lock: of two commits on the same tree one fails.
        let accepted = tree.accept(proposed, cas)?;
        *tree = accepted;
        Ok(())
    }
}
