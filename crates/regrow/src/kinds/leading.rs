//! Who leads the managers, and where they keep specs: files, our own quorum, etcd, Consul.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use regrow_coord::{Consul, ConsulSettings, Coordinator, Etcd, EtcdSettings, Prefix};
use regrow_manager::intents::CoordIntents;
use regrow_manager::leader::{
    CoordLeader, CoordLeaderSettings, FileLeader, LeaderError, LeaderSource, MemoryLeader,
};
use regrow_manager::store::{CoordStore, FileStore, MemoryStore, SpecStore};
use regrow_manager::{Backend, CoordinatorOptions, Options};
use regrow_reconcile::intents::IntentLog;

use super::host::InCluster;
use crate::client_tls;

/// Pause between two attempts to reach our own quorum.
const AGAIN: Duration = Duration::from_secs(1);

/// Where leadership comes from, and where specs are kept.
pub struct Leading {
    /// Who leads.
    pub leader: Arc<dyn LeaderSource>,
    /// Where specs are kept.
    pub store: Arc<dyn SpecStore>,
    /// Where group controllers keep their intents, when replicas share them.
    pub intents: Option<Arc<dyn IntentLog>>,
}

impl InCluster {
    /// What a variable is that nobody set: a manager inside an agent leads by its quorum, and bears
    /// the name of the node.
    pub(super) fn default(&self, variable: &str) -> Option<String> {
        match variable {
            "INFRAKIT_MANAGER_BACKEND" => Some("quorum".to_owned()),
            "INFRAKIT_ID" => Some(self.node.clone()),
            _ => None,
        }
    }

    /// Waits until the node is a server, which it becomes where the cluster promotes it: the others
    /// refuse what a worker wants to change. To end instead would take a node away that may be needed.
    async fn until_server(&self) {
        if (self.is_server)() {
            return;
        }
        tracing::warn!(
            "the manager waits: {node} is a worker, and managers lead and keep specs by the quorum on \
             servers only; it begins when the cluster makes {node} a server, for a lost one or by \
             `regrow node promote {node}`; else choose etcd, consul or file (--leader, --store)",
            node = self.node
        );
        while !(self.is_server)() {
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Leadership and store as the options say. Where both are on a coordinator it is the same one,
/// and each has its own client.
pub(super) async fn leading(options: &Options, cluster: Option<&InCluster>) -> Result<Leading> {
    let (leads, keeps) = (options.leader_backend()?, options.store_backend()?);
    if let Some(cluster) = cluster.filter(|_| [leads, keeps].contains(&Backend::Quorum)) {
        cluster.until_server().await;
    }
    let (mut tenure, mut intents) = (None, None);
    let leader: Arc<dyn LeaderSource> = match leads {
        Backend::Memory => Arc::new(MemoryLeader::leading()),
        Backend::File => Arc::new(FileLeader::start(options.settings.leader()).await?),
        Backend::Quorum | Backend::Etcd | Backend::Consul => {
            let coordinator = coordinator("lead by", leads, &options.coordinator, cluster)?;
            let settings = CoordLeaderSettings {
                name: options.coordinator.name.clone(),
                id: options.settings.id.clone(),
                machine: cluster.map(|cluster| cluster.address.clone()),
                ttl: options.coordinator.lease_ttl.as_duration(),
            };
            let (leader, log) = lead_on(&coordinator, &settings, leads == Backend::Quorum).await?;
            tenure = Some(leader.tenure());
            intents = Some(log);
            Arc::new(leader)
        }
    };
    let store: Arc<dyn SpecStore> = match keeps {
        Backend::Memory => Arc::new(MemoryStore::default()),
        Backend::File => Arc::new(FileStore::new(&options.settings.store_dir)),
        Backend::Quorum | Backend::Etcd | Backend::Consul => {
            let coordinator = coordinator("store in", keeps, &options.coordinator, cluster)?;
            Arc::new(CoordStore::new(coordinator, &options.coordinator.name, tenure)?)
        }
    };
    Ok(Leading { leader, store, intents })
}

/// A client of a coordinator. Sends nothing yet.
fn coordinator(
    doing: &str,
    backend: Backend,
    options: &CoordinatorOptions,
    cluster: Option<&InCluster>,
) -> Result<Arc<dyn Coordinator>> {
    let deadline = options.deadline.as_duration();
    if backend == Backend::Quorum {
        let Some(InCluster { quorum, .. }) = cluster else {
            bail!(
                "{doing} quorum: the quorum is the control group of our agents, and this process is \
                 none; run the manager inside an agent (`regrow agent --plugin manager`), or choose \
                 etcd, consul or file (--leader, --store)"
            );
        };
        return Ok(Arc::new(quorum.clone().within(deadline)));
    }
    let prefix = Prefix::new(options.prefix.as_str())?;
    let endpoints = options.endpoints.clone();
    let tls = options.tls.as_ref().map(client_tls::of_coordinator).transpose()?;
    if backend == Backend::Etcd {
        return Ok(Arc::new(Etcd::new(EtcdSettings { endpoints, prefix, deadline, tls })?));
    }
    let token = options.token_file.as_deref().map(read_token).transpose()?;
    let settings = ConsulSettings { endpoints, prefix, token, login: None, deadline, tls };
    Ok(Arc::new(Consul::new(settings)?))
}

fn read_token(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("read the token from {}", path.display()))?;
    Ok(text.trim().to_owned())
}

/// Leadership with what its holder promises. Our own quorum is waited for: its members start when
/// this one does.
async fn lead_on(
    coordinator: &Arc<dyn Coordinator>,
    settings: &CoordLeaderSettings,
    patient: bool,
) -> Result<(CoordLeader, Arc<dyn IntentLog>)> {
    let mut told = false;
    loop {
        let fault = match try_to_lead(coordinator, settings).await {
            Ok(done) => return Ok(done),
            Err(fault) if !patient || is_for_ever(&fault) => return Err(fault),
            Err(fault) => fault,
        };
        if !told {
            tracing::warn!(error = format!("{fault:#}"), "the manager waits for the quorum");
            told = true;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn is_for_ever(fault: &anyhow::Error) -> bool {
    matches!(fault.downcast_ref(), Some(LeaderError::Settings { .. }))
}

async fn try_to_lead(
    coordinator: &Arc<dyn Coordinator>,
    settings: &CoordLeaderSettings,
) -> Result<(CoordLeader, Arc<dyn IntentLog>)> {
    let leader = CoordLeader::start(Arc::clone(coordinator), settings.clone()).await?;
    let log = CoordIntents::start(Arc::clone(coordinator), &settings.name, leader.tenure()).await?;
    Ok((leader, Arc::new(log)))
}
