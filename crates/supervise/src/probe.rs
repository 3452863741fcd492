//! Checks without a process: somebody is asked over HTTP, TCP or gRPC.

use std::time::Duration;

use async_trait::async_trait;

use crate::config::Probe;

/// Asks probes. Who runs the supervisor brings it along, since the ways to ask are those of the
/// catalog's own checks.
#[async_trait]
pub trait Prober: Send + Sync + 'static {
    /// Asks, and takes no longer than `timeout`.
    ///
    /// # Errors
    /// Why not, in one line that is shown to people.
    async fn probe(&self, probe: &Probe, timeout: Duration) -> Result<(), String>;
}
