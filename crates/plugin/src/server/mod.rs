//! Serving a plugin on a unix socket or a TCP port.
//!
//! Where to start: [`serve`] opens the listener and starts accepting; `http` routes a request;
//! `rpc` answers a call; `claim` decides who owns a socket name.

mod accept;
mod body;
mod browser;
mod claim;
mod error;
mod guarded;
mod http;
mod limits;
mod listen;
mod payload;
mod rpc;
mod run;
mod sse;
mod watched;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use browser::{foreign_host, page_request};
pub use error::ServeError;
pub use limits::Limits;
pub use listen::Listen;
pub use run::{main, run, serve_blocking};

use crate::Plugin;
use crate::buffers::Buffers;
use crate::discovery::Endpoint;
use claim::Claim;

/// What all connections of a server share.
struct Shared {
    plugin: Plugin,
    limits: Limits,
    buffers: Arc<Buffers>,
    endpoint: Endpoint,
    /// Bodies of more than [`limits::SMALL_BODY_BYTES`] that may be in memory at once.
    big_bodies: Arc<Semaphore>,
    subscribers: Arc<Semaphore>,
    /// True while connections wait to be accepted.
    crowded: watch::Sender<bool>,
    /// Calls that must not end with the connection that brought them.
    calls: TaskTracker,
    stop: CancellationToken,
}

/// A plugin that is being served. Dropping it stops it at once; [`Running::stop`] is the kind way.
pub struct Running {
    shared: Arc<Shared>,
    connections: TaskTracker,
    claim: Claim,
}

/// Serves a plugin with the default limits.
///
/// # Errors
/// The name is taken, or the place to listen at cannot be used.
pub async fn serve(plugin: Plugin, listen: Listen) -> Result<Running, ServeError> {
    serve_with(plugin, listen, Limits::default()).await
}

/// Serves a plugin.
///
/// # Errors
/// The name is taken, or the place to listen at cannot be used.
pub async fn serve_with(
    plugin: Plugin,
    listen: Listen,
    limits: Limits,
) -> Result<Running, ServeError> {
    let (listener, claim, endpoint) = listen.open(plugin.name()).await?;
    let shared = Arc::new(Shared {
        plugin: watched::with_watch_events(plugin),
        buffers: Arc::default(),
        endpoint,
        big_bodies: Arc::new(Semaphore::new(limits.max_big_bodies)),
        subscribers: Arc::new(Semaphore::new(limits.max_subscribers)),
        crowded: watch::Sender::new(false),
        calls: TaskTracker::new(),
        stop: CancellationToken::new(),
        limits,
    });
    let connections = TaskTracker::new();
    connections.spawn(accept::accept(listener, Arc::clone(&shared), connections.clone()));
    Ok(Running { shared, connections, claim })
}

impl Running {
    /// Where the plugin answers.
    pub fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    /// Stops accepting, lets calls in flight finish for up to `grace`, and removes the files.
    pub async fn stop(self, grace: Duration) {
        self.shared.stop.cancel();
        // Out of the directory first: a client that looks now must not find us.
        self.claim.release();
        self.connections.close();
        self.shared.calls.close();
        let finished = async {
            self.connections.wait().await;
            self.shared.calls.wait().await;
        };
        if tokio::time::timeout(grace, finished).await.is_err() {
            tracing::warn!(
                plugin = self.shared.plugin.name(),
                calls = self.shared.calls.len(),
                "stopping although calls are still running"
            );
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        self.claim.release();
    }
}
