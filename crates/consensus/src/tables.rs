//! Ordered tables of bytes, in which machines keep everything.
//!
//! One ordered map from bytes to bytes; machines make tables of it by prefixes. Readers see the
//! state after whole batches and never wait for the writer.

mod memory;
mod prefixed;
mod store;

use std::ops::ControlFlow;

pub use memory::MemoryFile;
pub use prefixed::{Prefixed, PrefixedEdit, PrefixedOwned};
pub use store::{Batch, Flush, Tables, TablesView};

/// Why tables cannot be used. The replica stops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The store below said no.
    #[error("{doing}: {reason}; free space or repair the disk, then restart")]
    Store {
        /// What was being done.
        doing: &'static str,
        /// What the store said.
        reason: String,
    },
    /// What is stored is not what this program writes.
    #[error("read {what}: {reason}; start the program that wrote it, or restore a backup")]
    Damaged {
        /// What was being read.
        what: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// A committed command is for a machine that this program does not have.
    #[error(
        "apply command {index}: this program has no machine {scope:?}; start the newer program that \
         wrote it"
    )]
    Command {
        /// Its position.
        index: u64,
        /// First byte of the command.
        scope: Option<u8>,
    },
}

/// A half-open range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// First key.
    pub from: Vec<u8>,
    /// First key behind it; `None` for no end.
    pub to: Option<Vec<u8>>,
}

impl Span {
    /// All keys.
    pub const fn all() -> Self {
        Self { from: Vec::new(), to: None }
    }

    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        Self { from: prefix.to_vec(), to: successor(prefix) }
    }

    /// Keys from `from` (inclusive) to `to` (exclusive).
    pub fn between(from: &[u8], to: &[u8]) -> Self {
        Self { from: from.to_vec(), to: Some(to.to_vec()) }
    }

    /// True for a key in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.from.as_slice() <= key && self.to.as_deref().is_none_or(|to| key < to)
    }
}

/// The first key behind all keys with this prefix; `None` when there is none.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut next = prefix.get(..=kept)?.to_vec();
    if let Some(last) = next.last_mut() {
        *last += 1;
    }
    Some(next)
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Called with each key and value; breaks to end the scan.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// Tables that can be read.
pub trait View: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// The store cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError>;

    /// Visits the keys of a range in ascending order.
    ///
    /// # Errors
    /// The store cannot be read.
    fn scan(&self, span: &Span, visit: Visit<'_>) -> Result<(), TableError>;

    /// Keys and values of a range, at most `limit` of them.
    ///
    /// # Errors
    /// The store cannot be read.
    fn list(&self, span: &Span, limit: usize) -> Result<Vec<Entry>, TableError> {
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        self.scan(span, &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(found)
    }

    /// The first key and value of a range.
    ///
    /// # Errors
    /// The store cannot be read.
    fn first(&self, span: &Span) -> Result<Option<Entry>, TableError> {
        Ok(self.list(span, 1)?.pop())
    }
}

/// Tables that can be changed.
pub trait Edit: View {
    /// Sets a key.
    ///
    /// # Errors
    /// The store cannot be written.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), TableError>;

    /// Removes a key; true when it was there.
    ///
    /// # Errors
    /// The store cannot be written.
    fn delete(&mut self, key: &[u8]) -> Result<bool, TableError>;
}
