//! Where specs and metadata are kept: named JSON documents that two writers never silently
//! overwrite.

mod coord;
mod disk;
mod file;
mod layout;
mod memory;
mod owners;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_ids::Fence;
use regrow_plugin::spi::World;

pub use coord::CoordStore;
pub use disk::DiskError;
pub(crate) use disk::{read_bounded, write_atomic};
pub use file::FileStore;
pub use memory::MemoryStore;
pub use owners::{Claim, Claims};

/// Largest stored document in bytes: the limit of a plugin message, through which it must fit.
pub const MAX_DOCUMENT_BYTES: u64 = 64 << 20;

/// Which document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Document {
    /// All specs of the stack.
    Specs,
    /// The values of a metadata plugin, by its name.
    Metadata(String),
}

/// Names a state of a document: a save succeeds only on the state that was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    /// The version of a document that is not there.
    pub const ABSENT: Self = Self(String::new());

    /// Wraps the mark by which a store tells states apart: a hash, a revision. Not empty.
    pub fn new(mark: impl Into<String>) -> Self {
        Self(mark.into())
    }

    /// The mark.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A document as it was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The document, when there is one.
    pub contents: Option<Any>,
    /// Its state.
    pub version: Version,
}

/// Why a store did not do what it was asked for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// What is stored cannot be read. It is never overwritten.
    #[error(
        "read stored document {place}: {reason}; it is left as it is: put an earlier version back \
         ({place}.1 is the one before), or move it away to start without"
    )]
    Damaged {
        /// File or key.
        place: String,
        /// What is wrong, with its position.
        reason: String,
    },
    /// Somebody else saved in between.
    #[error(
        "save {place}: somebody else changed it meanwhile; repeat the command, and see that only \
         one manager writes there"
    )]
    Conflict {
        /// File or key.
        place: String,
    },
    /// A newer leader has written already.
    #[error("save {place}: fence {fence} is older than {newest}, so another replica leads now")]
    Stale {
        /// File or key.
        place: String,
        /// Fence of the writer.
        fence: Fence,
        /// Newest fence that the store has seen.
        newest: Fence,
    },
    /// The leadership is over, and nobody knows yet who leads now.
    #[error("save {place}: the leadership under fence {fence} is over; repeat the command")]
    Over {
        /// File or key.
        place: String,
        /// Fence of the writer.
        fence: Fence,
    },
    /// Another manager owns a group of that name in the same world.
    #[error(
        "own group {group:?} in {world}: manager {owner:?} owns it, and two managers would fight over \
         its instances; give this group another name, or destroy or free it there (a manager that is \
         gone is started anew under its name, REGROW_MANAGER_NAME)"
    )]
    Owned {
        /// The group.
        group: String,
        /// Where its instances are.
        world: World,
        /// Name of the manager that owns it.
        owner: String,
    },
    /// Another process holds the lock of the store.
    #[error("save {place}: another process has been writing for {seconds} s; see what holds it")]
    Busy {
        /// File or key.
        place: String,
        /// How long we waited.
        seconds: u64,
    },
    /// The document is larger than the store takes.
    #[error("save {place}: it has {bytes} bytes, at most {most} are allowed")]
    TooLarge {
        /// File or key.
        place: String,
        /// Its size.
        bytes: u64,
        /// Largest size.
        most: u64,
    },
    /// The document is in its place, but a crash of the system could still undo that.
    #[error("save {place}: it is saved, but a crash of the system may undo that: {source}")]
    NotDurable {
        /// File or key.
        place: String,
        /// The new state of the document.
        version: Version,
        /// Why not.
        #[source]
        source: DiskError,
    },
    /// The document may have been replaced, or not, and the store cannot be asked now.
    #[error(
        "save {place}: whether it is saved is not known: {reason}; the leader goes by what is stored \
         as soon as it can be read: look then, and repeat the command if need be"
    )]
    Unknown {
        /// Key or label.
        place: String,
        /// What the store said.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("{0}")]
    Disk(#[from] DiskError),
    /// A store outside this process failed.
    #[error("{doing} {place}: {reason}")]
    Outside {
        /// What was being done.
        doing: &'static str,
        /// Key or label.
        place: String,
        /// What the store said.
        reason: String,
    },
}

/// Keeps documents. Every implementation is atomic: a reader sees the old document or the new one,
/// and so does whoever comes after a crash.
#[async_trait]
pub trait SpecStore: Send + Sync {
    /// Where a document is, for people: a file, a key.
    fn place(&self, document: &Document) -> String;

    /// Loads a document; one that is not there is no error.
    ///
    /// # Errors
    /// The store cannot be asked, or what it holds is not JSON.
    async fn load(&self, document: &Document) -> Result<Stored, StoreError>;

    /// Replaces a document if its state is still `expected`; returns its new state.
    ///
    /// `fence` is that of the leader who saves. A store that can compare fences refuses a lower one
    /// than it has seen; one that cannot says so in its documentation.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when somebody else saved; nothing changed then or on any error but
    /// [`StoreError::NotDurable`], which saved, and [`StoreError::Unknown`], which may have.
    async fn save(
        &self,
        document: &Document,
        contents: &Any,
        expected: &Version,
        fence: Fence,
    ) -> Result<Version, StoreError>;

    /// True for a store that keeps which manager owns which group. In others a name is owned by whoever
    /// has it in the document: that keeps apart what shares the document, and nothing else.
    fn keeps_owners(&self) -> bool {
        false
    }

    /// As [`save`](Self::save), and takes and gives up groups in the same step, where owners are kept.
    ///
    /// # Errors
    /// As for `save`, and [`StoreError::Owned`] when another manager owns one; nothing changed then.
    async fn save_owning(
        &self,
        document: &Document,
        contents: &Any,
        expected: &Version,
        fence: Fence,
        _: &Claims,
    ) -> Result<Version, StoreError> {
        self.save(document, contents, expected, fence).await
    }

    /// Whether these groups could be taken now.
    ///
    /// # Errors
    /// [`StoreError::Owned`] when another manager owns one, or the store cannot be asked.
    async fn check_claims(&self, _: &Claims) -> Result<(), StoreError> {
        Ok(())
    }
}
