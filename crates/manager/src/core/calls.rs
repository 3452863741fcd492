//! Calls to the plugins behind the manager: bounded in time, and a panic is an answer.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use regrow_plugin::PluginError;
use regrow_plugin::spi::Result;

/// How long a plugin may take for anything but destruction. Clients over sockets give up earlier.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a plugin may take to drain and destroy what a spec describes.
pub(crate) const DESTROY_TIMEOUT: Duration = Duration::from_secs(600);

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
