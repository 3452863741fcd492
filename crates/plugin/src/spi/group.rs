use std::sync::Arc;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_ids::{GroupId, InstanceId};
use serde::{Deserialize, Serialize};

use super::{Description, GroupSpec, Result};

/// A group as its controller sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct GroupDescription {
    /// The members.
    pub instances: Vec<Arc<Description>>,
    /// True when nothing is left to do.
    pub converged: bool,
}

/// What a group controller notes in the document of a group that it rolled back by itself, as the
/// field `RolledBack` of the properties.
///
/// [`Group::inspect_groups`] then shows the document in force: its `Instance` and `Flavor` are those
/// of before, and this says what was committed in their place. Whoever keeps documents stores that
/// one, so that the next controller does not try again what failed. It is plain information when it
/// comes back in a commit. Ours; the original has neither the field nor rollbacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RolledBack {
    /// `Instance` as it was committed: plugin and properties.
    pub instance: Any,
    /// `Flavor` as it was committed: plugin and properties.
    pub flavor: Any,
    /// Replacements that failed with them.
    pub failures: u32,
}

/// Keeps sets of alike instances alive: `Group/0.1.1`.
#[async_trait]
pub trait Group: Send + Sync {
    /// Sets what a group should be and says what that takes; `pretend` only says it.
    ///
    /// # Errors
    /// The document is not valid; nothing changed.
    async fn commit_group(&self, spec: &GroupSpec, pretend: bool) -> Result<String>;

    /// Stops watching a group and leaves its members alone.
    ///
    /// # Errors
    /// The group is not watched.
    async fn free_group(&self, id: &GroupId) -> Result<()>;

    /// Lists the members of a group.
    ///
    /// # Errors
    /// The group is not watched or its plugin cannot be asked.
    async fn describe_group(&self, id: &GroupId) -> Result<GroupDescription>;

    /// Stops watching a group and destroys its members.
    ///
    /// # Errors
    /// The group is not watched.
    async fn destroy_group(&self, id: &GroupId) -> Result<()>;

    /// The documents of all watched groups, as they are in force; see [`RolledBack`].
    ///
    /// # Errors
    /// The controller cannot be asked.
    async fn inspect_groups(&self) -> Result<Vec<GroupSpec>>;

    /// Destroys some members and shrinks the group by their number.
    ///
    /// # Errors
    /// The group is not watched, or one of the ids is not a member: then nothing is done.
    async fn destroy_instances(&self, id: &GroupId, instances: &[InstanceId]) -> Result<()>;

    /// The wanted size.
    ///
    /// # Errors
    /// The group is not watched.
    async fn size(&self, id: &GroupId) -> Result<u32>;

    /// Changes the wanted size.
    ///
    /// # Errors
    /// The group is not watched or has logical ids.
    async fn set_size(&self, id: &GroupId, size: u32) -> Result<()>;
}
