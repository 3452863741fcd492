//! Promises to do a step, remembered before the step is done.
//!
//! A crash between an outside effect and its record would otherwise make a second instance or
//! lose the first. After a restart the open intents tell what may have happened.

mod file;
mod memory;

use std::io;
use std::path::PathBuf;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_codec::record::RecordError;
use regrow_ids::{Fence, StepKey};
use serde::{Deserialize, Serialize};

pub use file::FileIntents;
pub use memory::MemoryIntents;

use crate::Class;

/// A promise to do one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Key of the step, stamped on what it makes.
    pub key: StepKey,
    /// The object that it is for.
    pub owner: String,
    /// Whether it makes, changes or destroys.
    pub class: StepClass,
    /// What the controller needs to recognise the result.
    pub body: Any,
    /// The fence under which it was granted.
    pub fence: Fence,
}

/// Stored form of [`Class`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepClass {
    /// Makes something.
    Create,
    /// Changes something.
    Change,
    /// Removes something.
    Destroy,
}

impl From<Class> for StepClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Create => Self::Create,
            Class::Change => Self::Change,
            Class::Destroy => Self::Destroy,
        }
    }
}

/// Why an intent log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IntentError {
    /// The file system said no.
    #[error("{action} intent log {path}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process uses the log.
    #[error(
        "open intent log {path}: another process uses it; stop that one or choose another state folder"
    )]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// The file is not what was written.
    #[error("read intent log {path} at byte {offset}: {source}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damage begins.
        offset: usize,
        /// What does not fit.
        source: RecordError,
    },
    /// Another leader was elected, or this one's lease ended: nothing may be promised any more.
    #[error("record intents under fence {fence}: that leadership is over")]
    Stale {
        /// Fence of the intents.
        fence: Fence,
    },
    /// A log outside this process failed.
    #[error("{doing}: {reason}")]
    Outside {
        /// What was being done.
        doing: &'static str,
        /// What the log said, and what to do.
        reason: String,
    },
    /// An earlier write failed; what is on disk is unknown, so nothing may be promised any more.
    #[error(
        "write intent log {path}: an earlier write failed; free space or repair the disk, then restart"
    )]
    Halted {
        /// The file.
        path: PathBuf,
    },
}

/// Where intents are kept. One log serves all objects of a loop.
#[async_trait]
pub trait IntentLog: Send + Sync {
    /// A random number drawn when the log was made; part of each step key, so that two logs
    /// never make the same key.
    fn lineage(&self) -> u64;

    /// Hands out a number that was never handed out before, in this run or an earlier one. A
    /// controller draws one for each object that it takes on and builds its step keys on it.
    ///
    /// # Errors
    /// The log cannot be written.
    async fn next_epoch(&self) -> Result<u64, IntentError>;

    /// Remembers intents, which all have the same owner and fence. When this returns they survive a
    /// crash.
    ///
    /// # Errors
    /// They may not; the steps must not be done. [`IntentError::Stale`] when the log knows that
    /// their fence is over.
    async fn record(&self, intents: &[Intent]) -> Result<(), IntentError>;

    /// Forgets intents of an object. May be undone by a crash, or done some time later.
    ///
    /// # Errors
    /// The log cannot be written.
    async fn close(&self, owner: &str, keys: &[StepKey]) -> Result<(), IntentError>;

    /// The intents that are open for an object, whoever recorded them.
    ///
    /// # Errors
    /// The log cannot be read.
    async fn open(&self, owner: &str) -> Result<Vec<Intent>, IntentError>;
}

#[cfg(test)]
mod tests;
