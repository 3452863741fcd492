//! Instances that are files. Deleting a file kills the instance, which makes healing easy to see.
//!
//! The files are those of InfraKit, byte for byte: `<Dir>/instance-<number>` holds a JSON object
//! with `ID`, `LogicalID`, `Tags` and `Spec`. Either program can go on with the files of the other.
//! The name of a file is the id of the instance.
//!
//! A list says what is in the directory at the time of the call. It does not read every file each
//! time: what the kernel reports about changes says which ones to read again.
//!
//! A file that is called `instance-…`, or was an instance before, and cannot be read makes the list
//! fail with an error that names it; a list without it would look complete, and the controller would
//! make a second one. Other files that are not JSON objects are somebody else's and left out, as are
//! names that begin with a dot. Files are written beside their place and renamed, so that nobody
//! reads half of one.

mod cache;
mod changes;
mod format;
mod provider;

use std::path::PathBuf;

use regrow_ids::InstanceId;
use regrow_plugin::Plugin;
use serde::{Deserialize, Serialize};

pub use provider::Files;

use crate::disk::DiskError;
use crate::settings::{self, EnvOption};

/// Beginning of the names of the files that we write.
const NAME_PREFIX: &str = "instance-";

/// Options of the file provider, with the names that InfraKit uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Options {
    /// Where the files are (`INFRAKIT_INSTANCE_FILE_DIR`); made when absent. Default: the system's
    /// directory for temporary files, as in InfraKit.
    pub dir: Option<PathBuf>,
    /// Whether what the kernel reports (inotify) is believed. Default true; false looks at all files
    /// for each list. On network file systems all files are looked at in any case.
    pub notify: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { dir: None, notify: true }
    }
}

impl settings::Options for Options {
    const ENV: &'static [EnvOption] =
        &[EnvOption { variable: "INFRAKIT_INSTANCE_FILE_DIR", field: "Dir", list: false }];
}

/// What can go wrong with file instances.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A file or directory could not be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// An instance file that cannot be understood.
    #[error(
        "list instances: file {path}: {reason}; repair it, or remove it to give the instance up"
    )]
    Unreadable {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Settings that are no JSON object.
    #[error("check properties: expected a JSON object, found {found}")]
    Properties {
        /// What they are.
        found: String,
    },
    /// An id that is not the name of an instance file.
    #[error("{doing} instance {id:?}: there is no such instance in {dir}")]
    Unknown {
        /// What was asked.
        doing: &'static str,
        /// The id.
        id: InstanceId,
        /// The provider's directory.
        dir: String,
    },
    /// A part of the program failed.
    #[error("internal task: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// The provider as a plugin.
///
/// # Errors
/// The directory cannot be made.
pub fn plugin(name: impl Into<String>, options: &Options) -> Result<Plugin, FileError> {
    Ok(Plugin::instance(name, Files::open(options)?))
}
