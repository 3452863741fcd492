use regrow_plugin::PluginError;

use crate::catalog::Key;
use crate::leader::{Leader, LeaderError};
use crate::store::StoreError;

/// What can go wrong in a call to the manager. The short texts are InfraKit's: its clients know them.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ManagerError {
    /// Another replica leads, or none.
    #[error("not a leader")]
    NotLeader,
    /// Another replica leads, and it is known which. A changing call goes to the leader: a replica has
    /// no way to call it in the name of the caller, as InfraKit's has none.
    #[error("not a leader; {0}")]
    LedElsewhere(Box<Leader>),
    /// The source of leadership cannot tell; the reason is in the log and under `status`.
    #[error("cannot determine leader")]
    LeaderUnknown,
    /// A spec of kind `group` whose name has no instance part.
    #[error("no group name")]
    NoGroupName,
    /// A spec for another group than the object that it was sent to.
    #[error("wrong group: this object stands for {expected:?}, the spec names {found:?}")]
    WrongGroup {
        /// Group of the object.
        expected: String,
        /// Group of the spec.
        found: String,
    },
    /// A spec that lacks what every spec must have, or stands twice in one list.
    #[error("read spec {name:?} of kind {kind:?}: {reason}")]
    BadSpec {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Several specs of one call failed.
    #[error("{doing} {} of {of} specs failed, {outcome}:\n{}", failed.len(), failed.join("\n"))]
    Several {
        /// What was being done.
        doing: &'static str,
        /// How many specs the call had.
        of: usize,
        /// What that means for the rest.
        outcome: &'static str,
        /// One line for each failed spec.
        failed: Vec<String>,
    },
    /// The outcome of a commit is unknown; the spec is stored and the leader goes on trying.
    #[error("commit {key}: {source}; the spec is stored and the leader will try it again")]
    Unsettled {
        /// The stored spec.
        key: Key,
        /// What the plugin, or the connection to it, said.
        #[source]
        source: Box<Self>,
    },
    /// A rejected spec could not be taken out of the store again.
    #[error("commit {key}: {rejected}; and taking it out of the stored specs failed: {source}")]
    NotUndone {
        /// The stored spec.
        key: Key,
        /// Why it was to be taken out.
        rejected: Box<Self>,
        /// Why it could not be.
        #[source]
        source: Box<Self>,
    },
    /// The outside effect happened but could not be recorded.
    #[error("{done}, but the stored specs do not show it: {source}; {next}")]
    NotRecorded {
        /// What happened.
        done: String,
        /// What to do.
        next: &'static str,
        /// Why it was not recorded.
        #[source]
        source: Box<Self>,
    },
    /// A group whose destruction began earlier and was never seen to end, and which its plugin does
    /// not destroy now.
    #[error(
        "destroy group {group:?}: {source}; an earlier destruction of it was not seen to end: free it \
         to forget it, or commit it again and destroy it then if instances are left"
    )]
    HalfDestroyed {
        /// The group.
        group: String,
        /// What the plugin said.
        #[source]
        source: Box<Self>,
    },
    /// A size was set where it cannot be.
    #[error("set size of group {group:?}: {reason}")]
    NoSize {
        /// The group.
        group: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// The stored metadata has not reached the metadata plugin yet.
    #[error("change {name:?}: what is stored has not been loaded yet ({why}); try again soon")]
    NotLoaded {
        /// Name of the metadata plugin.
        name: String,
        /// What the last attempt said.
        why: String,
    },
    /// The metadata plugin had lost the values that were last put there.
    #[error(
        "change {name:?}: the plugin had lost the stored values (was it restarted?) and has them \
         again now; read them and repeat the change"
    )]
    StaleMetadata {
        /// Name of the metadata plugin.
        name: String,
    },
    /// The store failed.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The source of leadership failed.
    #[error("{0}")]
    Leader(#[from] LeaderError),
    /// The plugin behind the manager said no, or did not answer.
    #[error("{0}")]
    Plugin(#[from] PluginError),
}

impl From<ManagerError> for PluginError {
    fn from(fault: ManagerError) -> Self {
        match fault {
            ManagerError::Plugin(fault) => fault,
            other => Self::refused(other.to_string()),
        }
    }
}
