use std::sync::Arc;
use std::time::Duration;

use regrow_plugin::{Lookup, Plugin};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::core::{Core, Parts, drive};
use crate::leader::LeaderSource;
use crate::objects;
use crate::options::Options;
use crate::store::SpecStore;

/// How long a stop waits for calls in flight.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// What a manager works with: the three things that the binary chooses.
pub struct Environment {
    /// Tells whether this replica leads.
    pub leader: Arc<dyn LeaderSource>,
    /// Keeps specs and metadata.
    pub store: Arc<dyn SpecStore>,
    /// Finds the plugins behind the manager.
    pub lookup: Arc<dyn Lookup>,
}

/// A running manager.
pub struct Manager {
    core: Arc<Core>,
    following: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Manager {
    /// Starts a manager whose plugin has this name. Nothing is asked of other plugins before this
    /// returns. Runs on the tokio runtime of the caller.
    pub fn start(name: impl Into<String>, options: &Options, with: Environment) -> Self {
        let core = Core::new(Parts {
            name: name.into(),
            group: options.group.clone(),
            metadata: options.metadata.clone(),
            controllers: options.controllers.clone(),
            first_retry: options.leader_commit_specs_retry_interval.as_duration(),
            source: with.leader,
            store: with.store,
            lookup: with.lookup,
        });
        let stop = CancellationToken::new();
        let following = Some(tokio::spawn(drive(Arc::clone(&core), stop.clone())));
        Self { core, following, stop }
    }

    /// What the manager offers, to be registered or served.
    pub fn plugin(&self) -> Plugin {
        objects::plugin(&self.core)
    }

    /// Stops acting and waits a while for calls in flight. What is stored stays, and groups stay
    /// watched by their plugin: whoever stops a manager need not mean to stop those.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let Some(following) = self.following.take() else { return };
        if tokio::time::timeout(STOP_GRACE, following).await.is_err() {
            tracing::warn!(manager = self.core.name, "stopping although calls are still running");
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Starts a manager and returns its plugin as well: what a process that only serves it needs. The
/// manager acts until the first of the pair is stopped or dropped.
pub fn plugin(name: &str, options: &Options, with: Environment) -> (Manager, Plugin) {
    let manager = Manager::start(name, options, with);
    let plugin = manager.plugin();
    (manager, plugin)
}
