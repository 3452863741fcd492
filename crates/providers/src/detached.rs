//! Calls that outlive whoever asked for them: an effect that is half done helps nobody.

use std::fmt::Display;

use regrow_plugin::PluginError;
use regrow_plugin::spi::Result;
use tokio::task::JoinError;

/// Runs something to its end even when the caller gives up waiting.
pub(crate) async fn detached<T, E>(
    work: impl Future<Output = std::result::Result<T, E>> + Send + 'static,
) -> Result<T>
where
    T: Send + 'static,
    E: From<JoinError> + Display + Send + 'static,
{
    let done = tokio::spawn(work).await.map_err(E::from);
    done.and_then(|result| result).map_err(|fault| PluginError::refused(fault.to_string()))
}
