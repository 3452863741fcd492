//! Instances that are groups of local processes. Needs no privileges.
//!
//! Each instance has a directory `<Dir>/<id>/` with its record, `stdout.log`, `stderr.log` and
//! `work/`, which it runs in. Its first process leads a process group; when that process ends, the
//! instance has ended, and whatever is left of the group is killed. The end is noticed at once and
//! told to those who watch. Programs must therefore stay in the foreground.
//!
//! Instances outlive the provider. The next one on the same directory finds them by pid, start time
//! and the kernel's boot id, checked through a pidfd, and goes on with them. The record of an
//! instance is on disk before its process exists, so a crash in between leaves one instance or
//! none, never two: a process whose start was not recorded any more is found by its environment, or
//! by the logs that it writes to. One case is left: we die between the start of a process and its
//! record (about a millisecond), and before the next run looks, the program has both cleared its
//! environment and sent both outputs elsewhere, or we are not root and it has become another user.
//! Then it runs on unknown, beside a second one. A shell that waits for our word before it becomes
//! the program would close that; but it drops variables whose names it cannot hold, changes others,
//! and hides why a program cannot be started.
//!
//! The kernel tells how a process ended to its parent only. Of an instance that an earlier run
//! started we learn that it ended, at once, but not how: its hint and its record say `exit status
//! unknown`.
//!
//! An instance whose record cannot be read is set aside: the others go on, but every list fails and
//! names it, because nobody knows whether it runs. It is dealt with once its directory is gone.
//!
//! Logs are plain files that the processes write themselves; they are not rotated while an instance
//! lives. Of the last dead instances the ends of the logs stay in `<Dir>/.dead/`.
//!
//! An instance gets a small part of our environment (`PATH`, `HOME` and the like), then
//! `REGROW_INSTANCE_ID`, `REGROW_GROUP`, `REGROW_LOGICAL_ID`, `REGROW_PROVIDER_DIR`, one
//! `REGROW_TAG_<NAME>` for each tag, and `Env` of its [`Properties`].

mod ending;
mod home;
mod launch;
mod leader;
mod lock;
mod members;
mod options;
mod proc;
mod properties;
mod provider;
mod record;
mod recovery;

use regrow_ids::InstanceId;
use regrow_plugin::{FixedObjects, Plugin};

pub use options::Options;
pub use properties::{Properties, StopSignal};
pub use provider::Processes;

use crate::disk::DiskError;

/// What can go wrong with process instances.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// Settings that cannot work.
    #[error("read process properties: {0}")]
    Properties(#[source] regrow_codec::decode::DecodeError),
    /// Neither a command nor a script.
    #[error(
        "start instance: there is nothing to run; give Command in Properties, or a script as Init"
    )]
    NothingToRun,
    /// The program could not be started.
    #[error(
        "start program {program:?} as instance {id}: {source}; check that it exists and may be executed"
    )]
    Start {
        /// Path or name of the program.
        program: String,
        /// The instance that it would have been.
        id: InstanceId,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The directory to run in is not there.
    #[error("start instance: WorkDir {path:?} is not a directory; create it first")]
    WorkDir {
        /// The directory.
        path: String,
    },
    /// The process was started but cannot be watched; it was killed again.
    #[error("watch process {pid} of instance {id}: {source}; raise the limit of open files")]
    Watch {
        /// Its number.
        pid: i32,
        /// The instance.
        id: InstanceId,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file or directory of the provider could not be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A stored record is not readable.
    #[error("read record {path}: {source}; without it the instance cannot be told from a stranger")]
    Record {
        /// The file.
        path: String,
        /// What is wrong.
        #[source]
        source: regrow_codec::record::RecordError,
    },
    /// Another provider uses the directory.
    #[error(
        "open directory {dir}: it is in use by process {owner}; stop that one or set option Dir"
    )]
    Locked {
        /// The directory.
        dir: String,
        /// Pid of the owner.
        owner: String,
    },
    /// The directory was not made for instances, and we would remove things in it.
    #[error(
        "open directory {dir}: it holds {found:?} and was not made by this provider; set option Dir to an empty directory"
    )]
    ForeignDirectory {
        /// The directory.
        dir: String,
        /// One of the things in it.
        found: String,
    },
    /// Others could put things into the directory.
    #[error("open directory {dir}: {reason}; make it ours alone, or set option Dir")]
    UnsafeDirectory {
        /// The directory.
        dir: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing says where instances are kept.
    #[error(
        "find the directory of instances: neither XDG_STATE_HOME nor HOME is set; set option Dir (REGROW_PROCESS_DIR)"
    )]
    NoDirectory,
    /// No such instance.
    #[error("{doing} instance {id}: not found; it may have ended already")]
    Unknown {
        /// What was asked.
        doing: &'static str,
        /// The instance.
        id: InstanceId,
    },
    /// An instance that cannot be told from a stranger: nobody knows whether it runs.
    #[error(
        "know instance {id}: {reason}; once no process of it runs, move {dir} away, until then no list is complete"
    )]
    SetAside {
        /// The instance.
        id: InstanceId,
        /// Its directory.
        dir: String,
        /// Why.
        reason: String,
    },
    /// Processes that do not even die when killed.
    #[error("stop instance {id}: it did not end although it was killed; the system may be blocked")]
    StillThere {
        /// The instance.
        id: InstanceId,
    },
    /// `/proc` is not what it should be.
    #[error("look for processes in /proc: {0}; check that it is mounted")]
    Proc(#[source] std::io::Error),
    /// A part of the program failed.
    #[error("internal task: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// The provider as a plugin; it also publishes events. Goes on with the instances that an earlier
/// run left.
///
/// # Errors
/// The directory cannot be used or belongs to a running provider.
pub async fn plugin(name: impl Into<String>, options: &Options) -> Result<Plugin, ProcessError> {
    let processes = Processes::open(options).await?;
    let events = FixedObjects::single(processes.events());
    Ok(Plugin::instance(name, processes).with_events(events))
}

#[cfg(test)]
mod adopted_tests;
#[cfg(test)]
mod tests;
