//! Tags with a meaning (InfraKit specification §3.5), and ours.

/// Group that an instance belongs to; membership is decided by this tag alone.
pub const GROUP: &str = "infrakit.group";
/// Hash of the configuration that made the instance.
pub const CONFIG_HASH: &str = "infrakit.config.hash";
/// Value of [`CONFIG_HASH`] that asks the group to adopt the instance as it is.
pub const BOOTSTRAP: &str = "bootstrap";
/// Stable identity of the member.
pub const LOGICAL_ID: &str = "infrakit.logical_id";
/// Ours: idempotency key of the call that made the instance.
pub const STEP_KEY: &str = "regrow.key";
/// Ours: fence of the leader that had the instance made, when it had one. For people and for later
/// inspection; nobody decides by it.
pub const FENCE: &str = "regrow.fence";
