use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::{Listen, ServeError, serve};
use crate::Plugin;

/// How long calls in flight may take after the plugin was told to stop.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Threads of a plugin process.
const WORKER_THREADS: usize = 2;

/// The one line of a plugin's `main`: serves the plugin as [`serve_blocking`] does, and says on
/// standard error why not.
///
/// ```no_run
/// # use regrow_plugin::{Plugin, spi::Flavor};
/// # fn demo(vanilla: impl Flavor + 'static) {
/// regrow_plugin::main(Plugin::flavor("vanilla", vanilla));
/// # }
/// ```
pub fn main(plugin: Plugin) -> ExitCode {
    match serve_blocking(plugin) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves a plugin until the process is told to stop (`SIGTERM`, `SIGINT`), where the environment
/// says (see [`Listen::from_env`]).
///
/// # Errors
/// The plugin cannot be served.
pub fn serve_blocking(plugin: Plugin) -> Result<(), ServeError> {
    let listen = Listen::from_env()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build()
        .map_err(|error| ServeError::Environment(format!("start the runtime: {error}")))?;
    runtime.block_on(run(plugin, listen))
}

/// Serves a plugin until the process is told to stop. For programs that have a runtime.
///
/// # Errors
/// The plugin cannot be served.
pub async fn run(plugin: Plugin, listen: Listen) -> Result<(), ServeError> {
    let signals = |kind| {
        signal(kind).map_err(|error| ServeError::Environment(format!("wait for signals: {error}")))
    };
    // Before the socket is visible: who finds it may also stop us.
    let mut terminate = signals(SignalKind::terminate())?;
    let mut interrupt = signals(SignalKind::interrupt())?;
    let running = serve(plugin, listen).await?;
    tracing::info!(endpoint = %running.endpoint(), "serving");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.stop(STOP_GRACE).await;
    Ok(())
}
