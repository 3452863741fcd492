//! Managers: who leads, where specs are kept, and the port for remote clients.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use anyhow::{Context as _, Result, bail};
use regrow_coord::{Consul, ConsulSettings, Coordinator, Etcd, EtcdSettings, Prefix};
use regrow_manager::intents::CoordIntents;
use regrow_manager::leader::{
    CoordLeader, CoordLeaderSettings, FileLeader, LeaderSource, MemoryLeader, Tenure,
};
use regrow_manager::mux::{Mux, SocketDir};
use regrow_manager::store::{CoordStore, FileStore, MemoryStore, SpecStore};
use regrow_manager::{Backend, CoordinatorOptions, Environment, Manager, Options};
use regrow_plugin::Plugin;
use regrow_reconcile::intents::IntentLog;

use super::host::{Host, Start};

/// A manager that runs, with its port if it has one.
pub struct Managing {
    manager: Manager,
    mux: Option<Mux>,
}

/// Where leadership comes from, and where specs are kept.
pub struct Leading {
    /// Who leads.
    pub leader: Arc<dyn LeaderSource>,
    /// Where specs are kept.
    pub store: Arc<dyn SpecStore>,
    /// Where group controllers keep their intents, when replicas share them.
    pub intents: Option<Arc<dyn IntentLog>>,
}

impl Managing {
    /// Stops it: remote clients first, they come through it.
    pub(super) async fn stop(self) {
        if let Some(mux) = self.mux {
            mux.stop().await;
        }
        self.manager.stop().await;
    }
}

/// A manager as the options say.
pub(super) async fn manager(start: &Start<'_>) -> Result<Plugin> {
    let options = Options::read(start.options, &|name| std::env::var(name).ok())?;
    let leading = leading(&options).await?;
    run(start.host, start.name, &options, leading).await
}

/// Leadership and store as the options say.
async fn leading(options: &Options) -> Result<Leading> {
    let (leads, keeps) = (options.leader_backend()?, options.store_backend()?);
    let coordinator = match [leads, keeps].into_iter().find(|backend| backend.needs_endpoints()) {
        Some(backend) => Some(coordinator(backend, &options.coordinator)?),
        None => None,
    };
    let (mut tenure, mut intents) = (None, None);
    let leader: Arc<dyn LeaderSource> = match (leads, &coordinator) {
        (Backend::Memory, _) => Arc::new(MemoryLeader::leading()),
        (Backend::File, _) => Arc::new(FileLeader::start(options.settings.leader()).await?),
        (Backend::Etcd | Backend::Consul, Some(coordinator)) => {
            let leader = lead_on(coordinator, options).await?;
            let of = leader.tenure();
            intents = Some(intents_on(coordinator, options, of.clone()).await?);
            tenure = Some(of);
            Arc::new(leader)
        }
        _ => bail!("lead by {}: {QUORUM_IS_THE_AGENTS}", leads.name()),
    };
    let store: Arc<dyn SpecStore> = match (keeps, &coordinator) {
        (Backend::Memory, _) => Arc::new(MemoryStore::default()),
        (Backend::File, _) => Arc::new(FileStore::new(&options.settings.store_dir)),
        (Backend::Etcd | Backend::Consul, Some(coordinator)) => {
            Arc::new(CoordStore::new(Arc::clone(coordinator), &options.coordinator.name, tenure)?)
        }
        _ => bail!("store in {}: {QUORUM_IS_THE_AGENTS}", keeps.name()),
    };
    Ok(Leading { leader, store, intents })
}

/// Why a manager of its own process has no quorum.
const QUORUM_IS_THE_AGENTS: &str = "the quorum is the control group of our agents, and this process \
     is none; run the manager inside `regrow agent`, or choose etcd, consul or file";

/// A client of etcd or Consul. Sends nothing yet.
fn coordinator(backend: Backend, options: &CoordinatorOptions) -> Result<Arc<dyn Coordinator>> {
    let prefix = Prefix::new(options.prefix.as_str())?;
    let (endpoints, deadline) = (options.endpoints.clone(), options.deadline.as_duration());
    if backend == Backend::Etcd {
        return Ok(Arc::new(Etcd::new(EtcdSettings { endpoints, prefix, deadline, tls: None })?));
    }
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| format!("read the token from {}", path.display()))?;
        anyhow::Ok(text.trim().to_owned())
    };
    let token = options.token_file.as_ref().map(read).transpose()?;
    Ok(Arc::new(Consul::new(ConsulSettings { endpoints, prefix, token, deadline, tls: None })?))
}

async fn lead_on(coordinator: &Arc<dyn Coordinator>, options: &Options) -> Result<CoordLeader> {
    let settings = CoordLeaderSettings {
        name: options.coordinator.name.clone(),
        id: options.settings.id.clone(),
        ttl: options.coordinator.lease_ttl.as_duration(),
    };
    Ok(CoordLeader::start(Arc::clone(coordinator), settings).await?)
}

async fn intents_on(
    coordinator: &Arc<dyn Coordinator>,
    options: &Options,
    tenure: Tenure,
) -> Result<Arc<dyn IntentLog>> {
    let name = &options.coordinator.name;
    Ok(Arc::new(CoordIntents::start(Arc::clone(coordinator), name, tenure).await?))
}

async fn run(host: &Host, name: &str, options: &Options, leading: Leading) -> Result<Plugin> {
    let Leading { leader, store, intents } = leading;
    if let Some(intents) = intents {
        let of_leader = host.intents();
        *of_leader.write().unwrap_or_else(PoisonError::into_inner) = Some(intents);
    }
    // The group controller beside it acts only while this replica leads.
    host.authority().follow(Arc::clone(&leader));
    let mux = match &options.mux {
        Some(mux) => {
            let sockets = Arc::new(SocketDir::new(host.directory().path()));
            Some(Mux::start(mux, sockets, Arc::clone(&leader)).await?)
        }
        None => None,
    };
    let with = Environment { leader, store, lookup: host.lookup() };
    let manager = Manager::start(name, options, with);
    let plugin = manager.plugin();
    host.keep_manager(Managing { manager, mux }).await;
    Ok(plugin)
}

impl Host {
    /// Starts a manager with a leadership and a store of the caller's.
    pub async fn start_manager(
        &self,
        name: &str,
        options: &Options,
        leading: Leading,
    ) -> Result<()> {
        let plugin = run(self, name, options, leading).await?;
        self.serve(plugin).await.map(drop)
    }
}
