use std::time::Duration;

use regrow_codec::Any;
use regrow_ids::{GoDuration, LogicalId, PluginName};
use regrow_plugin::spi::RolledBack;
use serde::{Deserialize, Serialize};

use super::Quantity;

/// A plugin and the settings that only it understands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PluginSettings {
    /// Name of the plugin.
    pub plugin: PluginName,
    /// Its settings.
    pub properties: Any,
}

/// The properties of a group as they are written (InfraKit specification §3.8), with our optional
/// additions. Absent additions mean InfraKit's behaviour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Document {
    /// Where instances come from.
    pub instance: PluginSettings,
    /// What makes an instance a member.
    pub flavor: PluginSettings,
    /// How many members.
    pub allocation: AllocationDocument,
    /// When a new member counts as working during an update.
    pub updating: UpdatingDocument,
    /// How fast an update goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update: Option<UpdateDocument>,
    /// Whether unhealthy members are replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthDocument>,
    /// What is never exceeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsDocument>,
    /// How fast members that die early are replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace: Option<ReplaceDocument>,
    /// What was committed and taken back; written by the controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,
}

/// `Allocation`: exactly one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct AllocationDocument {
    /// Number of alike members. Zero is a size when it is written down.
    pub size: Option<u32>,
    /// Identities of members that each exist once.
    #[serde(rename = "LogicalIDs")]
    pub logical_ids: Option<Vec<LogicalId>>,
}

/// `Updating`: at most one of the first two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct UpdatingDocument {
    /// A new member works once it was healthy for that long.
    pub duration: GoDuration,
    /// A new member works once it was healthy in that many looks in a row.
    pub count: u32,
    /// `"drain"` leaves out draining before a member is destroyed by an update.
    pub skip_before_instance_destroy: Option<String>,
}

/// `Update`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct UpdateDocument {
    /// Members beyond the size while an update runs. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_surge: Option<Quantity>,
    /// Members below the size while an update runs. Default 1, or 0 with a surge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<Quantity>,
    /// Members that must work at any time of an update; the stricter of this and the former counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_healthy: Option<Quantity>,
    /// Holds an update where it is; dead members are still replaced.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pause: bool,
    /// Goes back to the former configuration after that many failed replacements. 0 is never. A
    /// controller that began in the middle of an update does not know the former configuration: it
    /// stops at the failures, and the user decides.
    #[serde(skip_serializing_if = "is_zero")]
    pub auto_rollback: u32,
}

/// `Health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HealthDocument {
    /// A member younger than this is not judged. Default 30 s.
    pub grace: GoDuration,
    /// Bad answers in a row until a member counts as broken. Default 3.
    pub failures: u32,
    /// With more broken members than this, none is replaced: the fault is likely elsewhere.
    /// Default 50 %.
    pub max_unhealthy: Quantity,
}

impl Default for HealthDocument {
    fn default() -> Self {
        Self { grace: GoDuration::from_secs(30), failures: 3, max_unhealthy: Quantity::Percent(50) }
    }
}

/// `Limits`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct LimitsDocument {
    /// Members that may exist at the same time, surge included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_instances: Option<u32>,
    /// Members that may be destroyed within a window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destroy_budget: Option<BudgetDocument>,
}

/// `Limits.DestroyBudget`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct BudgetDocument {
    /// So many, or such a share of the size (rounded up). Default 10 %.
    pub most: Quantity,
    /// Length of the window. Default 10 min.
    pub window: GoDuration,
}

impl Default for BudgetDocument {
    fn default() -> Self {
        Self { most: Quantity::Percent(10), window: GoDuration::from_secs(600) }
    }
}

/// `Replace`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ReplaceDocument {
    /// Delays between attempts for the same slot.
    pub backoff: BackoffDocument,
    /// A member that dies younger than this has failed; its slot waits longer each time.
    /// Default 1 min.
    pub flap_window: GoDuration,
}

impl Default for ReplaceDocument {
    fn default() -> Self {
        Self { backoff: BackoffDocument::default(), flap_window: GoDuration::from_secs(60) }
    }
}

/// `Replace.Backoff`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct BackoffDocument {
    /// Delay before the second attempt. Default 1 s.
    pub first: GoDuration,
    /// The longest delay. Default 5 min.
    pub most: GoDuration,
}

impl Default for BackoffDocument {
    fn default() -> Self {
        let regrow_reconcile::Backoff { first, most } = regrow_reconcile::Backoff::default();
        Self { first: GoDuration::new(first), most: GoDuration::new(most) }
    }
}

impl From<&BackoffDocument> for regrow_reconcile::Backoff {
    fn from(document: &BackoffDocument) -> Self {
        let first: Duration = document.first.into();
        Self { first, most: Duration::from(document.most).max(first) }
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
