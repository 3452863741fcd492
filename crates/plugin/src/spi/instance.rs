use std::sync::Arc;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_ids::InstanceId;
use serde::{Deserialize, Serialize};

use super::{Description, EventStream, InstanceSpec, Result, Tags, World};

/// Why an instance is destroyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DestroyReason {
    /// It is no longer wanted.
    #[default]
    #[serde(rename = "terminate")]
    Terminate,
    /// It makes room for one with a newer configuration.
    #[serde(rename = "rolling_update")]
    RollingUpdate,
    /// Anything that a peer may say beyond the two.
    #[serde(other, rename = "other")]
    Other,
}

/// Creates, lists and destroys instances: `Instance/0.6.1`.
#[async_trait]
pub trait Instance: Send + Sync {
    /// Checks settings without looking at the world and without side effects.
    ///
    /// # Errors
    /// The settings cannot work; the text says why.
    async fn validate(&self, properties: &Any) -> Result<()>;

    /// Makes an instance. It is in the next list once this returns.
    ///
    /// A plugin that finds an instance with the same tag [`super::tags::STEP_KEY`] returns that
    /// one instead of making a second.
    ///
    /// # Errors
    /// Nothing usable was made. After a time-out nobody knows.
    async fn provision(&self, spec: &InstanceSpec) -> Result<InstanceId>;

    /// Adds tags to an instance and overwrites those of the same name.
    ///
    /// # Errors
    /// The instance is unknown or the plugin cannot change tags.
    async fn label(&self, instance: &InstanceId, labels: &Tags) -> Result<()>;

    /// Destroys an instance.
    ///
    /// # Errors
    /// The instance is unknown or could not be destroyed.
    async fn destroy(&self, instance: &InstanceId, reason: DestroyReason) -> Result<()>;

    /// Lists the instances that carry all the given tags; all of them for no tags.
    ///
    /// # Errors
    /// The list would not be complete.
    async fn describe_instances(
        &self,
        tags: &Tags,
        properties: bool,
    ) -> Result<Vec<Arc<Description>>>;

    /// The worlds that its lists cover, several for a plugin that stands before others. None when the
    /// plugin does not say; over a socket no plugin says, because the protocol has no word for it.
    ///
    /// # Errors
    /// A plugin behind this one cannot be asked.
    async fn worlds(&self) -> Result<Vec<World>> {
        Ok(Vec::new())
    }

    /// True when a provision that is repeated under the same [`super::tags::STEP_KEY`], even while the
    /// first one runs, never makes a second instance. A caller that lost an answer then asks again
    /// at once; otherwise it must wait until the first call cannot come to anything any more.
    fn remembers_keys(&self) -> bool {
        false
    }

    /// A stream of hints that something changed, where the plugin can tell. Hints only wake the
    /// reader: the truth is the next list.
    fn watch(&self) -> Option<EventStream> {
        None
    }

    /// An example of settings, for `/info/api.json`.
    fn example_properties(&self) -> Any {
        Any::default()
    }
}
