use regrow_ids::{GoDuration, LogicalId};
use serde::{Deserialize, Serialize};

/// Calls of one group that run at the same time when nothing else is said. InfraKit has no limit
/// and overflows the sockets of its plugins.
const DEFAULT_PARALLEL: usize = 64;

/// Options of the group controller (InfraKit specification §4.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Options {
    /// Time between looks when no event asks for one. `INFRAKIT_GROUP_POLL_INTERVAL`, default 10 s.
    pub poll_interval: GoDuration,
    /// Calls of one group at the same time; 0 is 64. `INFRAKIT_GROUP_MAX_PARALLEL_NUM`, default 0.
    pub max_parallel_num: usize,
    /// Logical id of the instance that the controller runs on. `INFRAKIT_GROUP_SELF_LOGICAL_ID`.
    #[serde(rename = "Self")]
    pub own: Option<String>,
    /// Age of the metadata snapshot. Ours is taken at each question; accepted for compatibility.
    pub poll_interval_group_spec: GoDuration,
    /// As above.
    pub poll_interval_group_detail: GoDuration,
}

impl Default for Options {
    fn default() -> Self {
        let poll = GoDuration::from_secs(10);
        Self {
            poll_interval: poll,
            max_parallel_num: 0,
            own: None,
            poll_interval_group_spec: poll,
            poll_interval_group_detail: poll,
        }
    }
}

impl Options {
    /// The defaults, changed by the environment as `variable` reads it.
    ///
    /// # Errors
    /// A variable is set to something else than what it stands for; the text names it.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let mut options = Self::default();
        if let Some(text) = variable("INFRAKIT_GROUP_POLL_INTERVAL") {
            options.poll_interval =
                text.parse().map_err(|e| format!("INFRAKIT_GROUP_POLL_INTERVAL: {e}"))?;
        }
        if let Some(text) = variable("INFRAKIT_GROUP_MAX_PARALLEL_NUM") {
            options.max_parallel_num = text
                .parse()
                .map_err(|e| format!("INFRAKIT_GROUP_MAX_PARALLEL_NUM: {text:?}: {e}"))?;
        }
        options.own = variable("INFRAKIT_GROUP_SELF_LOGICAL_ID");
        Ok(options)
    }

    pub(super) fn max_parallel(&self) -> usize {
        if self.max_parallel_num == 0 { DEFAULT_PARALLEL } else { self.max_parallel_num }
    }

    pub(super) fn own_logical_id(&self) -> Option<LogicalId> {
        self.own.as_deref().filter(|id| !id.is_empty()).map(LogicalId::from)
    }
}
