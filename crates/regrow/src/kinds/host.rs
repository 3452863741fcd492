//! The plugins of one process: a registry for calls inside it, a socket for each for everybody else.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use regrow_codec::{Any, decode};
use regrow_coord::Quorum;
use regrow_flavors::Templates;
use regrow_groups::Groups;
use regrow_plugin::{Directory, Listen, Lookup, Plugin, Registry, Running, serve};
use regrow_template::Options;
use serde::de::DeserializeOwned;

use super::Kind;
use super::authority::OwnAuthority;
use super::intents::LeadersIntents;
use super::managers::Managing;
use crate::finder::Finder;
use crate::metadata::PluginMetadata;
use crate::places::make_private;

/// How long calls in flight may take when the process stops.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Runs plugins in this process.
pub struct Host {
    finder: Finder,
    registry: Arc<Registry>,
    directory: Directory,
    state: PathBuf,
    running: Mutex<Vec<(String, Running)>>,
    groups: Mutex<Vec<Arc<Groups>>>,
    managers: tokio::sync::Mutex<Vec<Managing>>,
    authority: Arc<OwnAuthority>,
    intents: Arc<LeadersIntents>,
    cluster: Option<InCluster>,
}

/// What an agent lends to the plugins of its process.
pub struct InCluster {
    /// The coordination keys of its control group.
    pub quorum: Quorum,
    /// True while the node may change them: servers may, and a worker may become one.
    pub is_server: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The name of the node.
    pub node: String,
    /// Where other nodes reach it, `HOST:PORT`.
    pub address: String,
}

/// A plugin that was started.
#[derive(Clone, Debug)]
pub struct Started {
    /// Name of the socket.
    pub name: String,
    /// Its path.
    pub listen: String,
}

/// What a kind needs to make a plugin.
pub struct Start<'a> {
    /// Name of the socket.
    pub name: &'a str,
    /// Options from the user, `null` if there are none.
    pub options: &'a Any,
    /// Where it will run.
    pub host: &'a Host,
}

impl Start<'_> {
    /// The options, unknown ones refused.
    pub fn options<T: DeserializeOwned + Default>(&self) -> Result<T> {
        if self.options.is_null() {
            return Ok(T::default());
        }
        decode::from_slice_strict(self.options.as_text().as_bytes())
            .map_err(|fault| anyhow!("read options: {fault}"))
    }

    /// For kinds that have none.
    pub fn no_options(&self) -> Result<()> {
        match self.options.to_value() {
            serde_json::Value::Null => Ok(()),
            serde_json::Value::Object(fields) if fields.is_empty() => Ok(()),
            _ => Err(anyhow!("read options: this kind has none; remove them")),
        }
    }
}

impl Host {
    /// A host without plugins. Call it inside the runtime.
    pub fn new(directory: Directory, state: PathBuf) -> Self {
        let (finder, registry) = Finder::directory(directory.clone()).with_own();
        Self {
            finder,
            registry,
            directory,
            state,
            running: Mutex::default(),
            groups: Mutex::default(),
            managers: tokio::sync::Mutex::default(),
            authority: Arc::default(),
            intents: Arc::default(),
            cluster: None,
        }
    }

    /// The same inside an agent: managers lead and keep specs by its quorum unless they are told
    /// otherwise.
    #[must_use]
    pub fn in_cluster(mut self, cluster: InCluster) -> Self {
        self.cluster = Some(cluster);
        self
    }

    /// The agent around this host, if there is one.
    pub(super) const fn cluster(&self) -> Option<&InCluster> {
        self.cluster.as_ref()
    }

    /// Finds the plugins of this process, and behind them those of the directory.
    pub fn finder(&self) -> &Finder {
        &self.finder
    }

    /// The same for other crates.
    pub fn lookup(&self) -> Arc<dyn Lookup> {
        self.finder.lookup()
    }

    /// Where this process keeps things.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Renders templates that see the metadata of all plugins.
    pub fn templates(&self) -> Templates {
        let metadata = PluginMetadata::new(self.finder.clone());
        Templates::new(Options::default()).metadata(Arc::new(metadata))
    }

    /// The plugin directory.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Keeps the group controller of this process from acting before a manager of it has started.
    pub fn await_manager(&self) {
        self.authority.await_manager();
    }

    /// Whether the group controller of this process may act.
    pub(super) fn authority(&self) -> Arc<OwnAuthority> {
        Arc::clone(&self.authority)
    }

    /// The intent log that the manager of this process brings along, if it does.
    pub(super) fn intents(&self) -> Arc<LeadersIntents> {
        Arc::clone(&self.intents)
    }

    /// Starts a plugin of a kind and serves it.
    pub async fn start(&self, kind: &Kind, name: &str, options: &Any) -> Result<Started> {
        let about = || format!("start plugin {name} of kind {}", kind.name);
        let plugin =
            (kind.start)(&Start { name, options, host: self }).await.with_context(about)?;
        self.serve(plugin).await.with_context(about)
    }

    /// Serves a plugin and adds it to those of this process. Which leader was here last it knows from
    /// a file of the state folder.
    pub(super) async fn serve(&self, plugin: Plugin) -> Result<Started> {
        let name = plugin.name().to_owned();
        make_private(&self.state).with_context(|| format!("make {}", self.state.display()))?;
        plugin.keep_fences(self.state.join(format!("{name}.fences")))?;
        let running = serve(plugin.clone(), Listen::unix(self.directory.path())).await?;
        self.registry.add(plugin);
        let started = Started { name: name.clone(), listen: running.endpoint().to_string() };
        self.lock_running().push((name, running));
        Ok(started)
    }

    /// Remembers a group controller, to be freed before anything else stops.
    pub(super) fn keep_groups(&self, groups: &Arc<Groups>) {
        let mut kept = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(Arc::clone(groups));
    }

    /// Remembers a manager, to be stopped before the groups.
    pub(super) async fn keep_manager(&self, managing: Managing) {
        self.managers.lock().await.push(managing);
    }

    /// The group controllers of this process.
    pub fn groups(&self) -> Vec<Arc<Groups>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True when the socket of at least one plugin is still there: it may be removed by others, and
    /// a process whose plugins cannot be reached any more has no purpose.
    pub fn is_reachable(&self) -> bool {
        let path = |name: &str| self.directory.path().join(name);
        self.lock_running().iter().any(|(name, _)| path(name).exists())
    }

    /// Stops all plugins and removes their sockets. Instances stay as they are.
    pub async fn stop(&self) {
        for managing in std::mem::take(&mut *self.managers.lock().await) {
            managing.stop().await;
        }
        for groups in self.groups() {
            groups.free_all().await;
        }
        let running = std::mem::take(&mut *self.lock_running());
        let stops = running.into_iter().map(|(name, running)| async move {
            running.stop(STOP_GRACE).await;
            tracing::info!(plugin = name, "stopped");
        });
        futures::future::join_all(stops).await;
    }

    fn lock_running(&self) -> std::sync::MutexGuard<'_, Vec<(String, Running)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
