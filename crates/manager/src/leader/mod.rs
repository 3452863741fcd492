//! Who leads, and where the leader answers.

mod authority;
mod coord;
mod file;
mod location;
mod memory;
mod watching;

use std::sync::Arc;

use async_trait::async_trait;
use regrow_ids::Fence;
use regrow_plugin::spi::LeaderLocation;
use tokio::sync::watch;

pub use authority::LeaderAuthority;
pub use coord::{CoordLeader, CoordLeaderSettings, Tenure};
pub(crate) use coord::{lineage, transact};
pub use file::{FileLeader, FileLeaderSettings};
pub use location::{parse_location, print_location};
pub use memory::MemoryLeader;

use crate::store::DiskError;

/// What a source of leadership says about this replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// This replica leads.
    Leading {
        /// Grows with every election that this replica wins.
        fence: Fence,
    },
    /// Another replica leads, or none.
    Following,
    /// The source cannot tell, and why. Nobody may act on this.
    Unknown(Arc<str>),
}

impl Leadership {
    /// An unknown leadership.
    pub fn unknown(why: impl Into<Arc<str>>) -> Self {
        Self::Unknown(why.into())
    }

    /// Word for people and status trees.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Leading { .. } => "leading",
            Self::Following => "following",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// Why a source of leadership did not do what it was asked for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LeaderError {
    /// The leader file is not there at the start.
    #[error(
        "find leader file {path}: {reason}; make it with the INFRAKIT_ID of the replica that is to \
         lead as its content, or set INFRAKIT_LEADER_FILE"
    )]
    NoLeaderFile {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// The replica has no identity.
    #[error("start the file leader: the replica's id is empty; set INFRAKIT_ID")]
    NoId,
    /// The location of the leader is not a URL.
    #[error("read leader location {text:?} from {place}: {reason}; expected http://HOST:PORT")]
    BadLocation {
        /// What was found.
        text: String,
        /// Where.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("{0}")]
    Disk(#[from] DiskError),
    /// The settings of a source will never do.
    #[error("{doing}: {reason}")]
    Settings {
        /// What was being done.
        doing: String,
        /// What is wrong with them.
        reason: String,
    },
    /// A source outside this process failed.
    #[error("{doing}: {reason}")]
    Outside {
        /// What was being done.
        doing: String,
        /// What the source said.
        reason: String,
    },
}

/// The replica that leads, for people who asked another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leader {
    /// Its id (`INFRAKIT_ID`), which need not be unique.
    pub id: String,
    /// The machine that it runs on, where its settings say so: the address of its agent.
    pub machine: Option<String>,
    /// Where it answers remote clients, if it does.
    pub location: Option<LeaderLocation>,
}

impl std::fmt::Display for Leader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "replica {:?} leads", self.id)?;
        if let Some(machine) = &self.machine {
            write!(f, " on machine {machine}")?;
        }
        match &self.location {
            None => f.write_str("; repeat the command on its machine"),
            Some(location) => {
                let at = print_location(location);
                write!(f, " and answers at {at}; repeat the command there (`regrow remote add`)")
            }
        }
    }
}

/// Tells whether this replica leads, and keeps the address of the one that does.
#[async_trait]
pub trait LeaderSource: Send + Sync {
    /// The leadership now and every change of it. A reader that is slow misses changes in between
    /// and never the last one; it delays nobody.
    fn watch(&self) -> watch::Receiver<Leadership>;

    /// The leadership at this moment. A source that keeps time asks the clock: what it last told may
    /// be over although the task that tells of it has not run yet. Asked right before each effect.
    fn now(&self) -> Leadership {
        let told = self.watch();
        // A source that died says nothing any more: its last word must not count for ever.
        match told.has_changed() {
            Ok(_) => told.borrow().clone(),
            Err(_) => Leadership::unknown("the source of leadership has ended; restart"),
        }
    }

    /// Which other fences those of this source can be compared with: all of the same lineage. A
    /// random number, drawn when the source was made.
    fn lineage(&self) -> u64;

    /// Where the leader answers; `None` when nobody said.
    ///
    /// # Errors
    /// The source cannot be asked, or holds something else than a URL.
    async fn location(&self) -> Result<Option<LeaderLocation>, LeaderError>;

    /// Which replica leads; `None` when none does, or the source knows no replicas by name.
    ///
    /// # Errors
    /// The source cannot be asked, or holds something that cannot be read.
    async fn leader(&self) -> Result<Option<Leader>, LeaderError> {
        Ok(None)
    }

    /// Says where the leader answers. Called by the leader only.
    ///
    /// # Errors
    /// The source cannot be asked.
    async fn set_location(&self, location: &LeaderLocation) -> Result<(), LeaderError>;
}
