//! Calls to the plugins behind the manager: bounded in time, and a panic is an answer.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use regrow_ids::{Fence, PluginName};
use regrow_plugin::spi::{Controller, Group, Instance, Result, Updatable};
use regrow_plugin::{InForce, Mandate, PluginError};

use super::Core;
use crate::ManagerError;
use crate::leader::Leadership;

/// How long a plugin may take for anything but destruction. Clients over sockets give up earlier.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a plugin may take to drain and destroy what a spec describes.
pub(crate) const DESTROY_TIMEOUT: Duration = Duration::from_secs(600);

/// How long it may take to find a plugin: a lookup may ask a socket whose owner hangs.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(30);

impl Core {
    /// Finds the groups of a plugin.
    pub(crate) async fn find_group(&self, plugin: &PluginName) -> Result<Arc<dyn Group>> {
        found(plugin, self.lookup.group(plugin)).await
    }

    /// Finds a controller.
    pub(crate) async fn find_controller(&self, plugin: &PluginName) -> Result<Arc<dyn Controller>> {
        found(plugin, self.lookup.controller(plugin)).await
    }

    /// Finds an instance plugin.
    pub(crate) async fn find_instance(&self, plugin: &PluginName) -> Result<Arc<dyn Instance>> {
        found(plugin, self.lookup.instance(plugin)).await
    }

    /// Finds a metadata plugin.
    pub(crate) async fn find_updatable(&self, plugin: &PluginName) -> Result<Arc<dyn Updatable>> {
        found(plugin, self.lookup.updatable(plugin)).await
    }
}

impl Core {
    /// Calls a plugin as the leader: asks for the leadership right before, and sends the fence along,
    /// by which the plugin refuses what comes after a newer leader.
    pub(crate) async fn lead_in<T>(
        &self,
        fence: Fence,
        plugin: &PluginName,
        method: &str,
        after: Duration,
        call: impl Future<Output = Result<T>>,
    ) -> std::result::Result<T, ManagerError> {
        self.still(fence)?;
        let mandate = Mandate { fence, lineage: self.source.lineage() };
        let source = Arc::clone(&self.source);
        let in_force: InForce = Arc::new(move || source.now() == Leadership::Leading { fence });
        Ok(mandate.scope_while(in_force, within(plugin, method, after, call)).await?)
    }
}

/// Waits for a lookup. One that takes too long has changed nothing, unlike a call.
pub(super) async fn found<T>(
    plugin: &PluginName,
    lookup: impl Future<Output = Result<T>>,
) -> Result<T> {
    match within(plugin, "lookup", LOOKUP_TIMEOUT, lookup).await {
        Err(PluginError::TimedOut { plugin, after, .. }) => {
            let reason = format!("not found within {} s", after.as_secs());
            Err(PluginError::Unreachable { plugin, reason })
        }
        found => found,
    }
}

/// Waits for a call, at most so long.
pub(crate) async fn within<T>(
    plugin: impl std::fmt::Display,
    method: &str,
    after: Duration,
    call: impl Future<Output = Result<T>>,
) -> Result<T> {
    // A plugin of this process may have a bug; the manager answers for all the others.
    let call = AssertUnwindSafe(call).catch_unwind();
    match tokio::time::timeout(after, call).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => {
            tracing::error!(%plugin, method, "a plugin panicked");
            Err(PluginError::Broken {
                plugin: plugin.to_string(),
                method: method.to_owned(),
                reason: "the plugin panicked; its log has more".to_owned(),
            })
        }
        Err(_) => Err(PluginError::TimedOut {
            plugin: plugin.to_string(),
            method: method.to_owned(),
            after,
        }),
    }
}

#[cfg(test)]
mod tests {
    use regrow_plugin::Effect;

    use super::found;

    #[tokio::test(start_paused = true)]
    async fn a_lookup_that_hangs_ends_without_effect() {
        let fault = found::<()>(&"q".into(), std::future::pending()).await.expect_err("hangs");
        assert_eq!(fault.effect(), Effect::None, "{fault}");
    }
}
