use async_trait::async_trait;
use regrow_codec::Any;
use serde::{Deserialize, Serialize};

use super::{Allocation, Description, Index, InstanceSpec, Result};

/// Health of a member, as its flavor sees it. On the wire a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub enum Health {
    /// The flavor cannot tell (0).
    #[default]
    Unknown,
    /// It works (1).
    Healthy,
    /// It does not (2).
    Unhealthy,
}

impl From<u8> for Health {
    fn from(number: u8) -> Self {
        match number {
            1 => Self::Healthy,
            2 => Self::Unhealthy,
            _ => Self::Unknown,
        }
    }
}

impl From<Health> for u8 {
    fn from(health: Health) -> Self {
        match health {
            Health::Unknown => 0,
            Health::Healthy => 1,
            Health::Unhealthy => 2,
        }
    }
}

/// Turns a generic instance into a member of a workload: `Flavor/0.1.1`.
#[async_trait]
pub trait Flavor: Send + Sync {
    /// Checks settings together with the group's allocation.
    ///
    /// # Errors
    /// The settings cannot work; the text says why.
    async fn validate(&self, properties: &Any, allocation: &Allocation) -> Result<()>;

    /// Completes the spec of an instance: script, tags, attachments.
    ///
    /// # Errors
    /// The spec cannot be completed.
    async fn prepare(
        &self,
        properties: &Any,
        spec: InstanceSpec,
        allocation: &Allocation,
        index: &Index,
    ) -> Result<InstanceSpec>;

    /// Tells whether a member works.
    ///
    /// # Errors
    /// The flavor could not find out; callers treat it as [`Health::Unknown`].
    async fn healthy(&self, properties: &Any, instance: &Description) -> Result<Health>;

    /// Takes the workload off a member before it is destroyed. Returns when it is off.
    ///
    /// # Errors
    /// The workload may still be there.
    async fn drain(&self, properties: &Any, instance: &Description) -> Result<()>;
}
