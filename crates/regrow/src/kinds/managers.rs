//! Managers: who leads, where specs are kept, and the port for remote clients.

use std::sync::Arc;

use anyhow::Result;
use regrow_manager::leader::{FileLeader, LeaderSource, MemoryLeader};
use regrow_manager::mux::{Mux, SocketDir};
use regrow_manager::store::{FileStore, MemoryStore, SpecStore};
use regrow_manager::{Environment, Manager, Options};
use regrow_plugin::Plugin;

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
    let leading = if options.is_in_memory() {
        let store: Arc<dyn SpecStore> = Arc::new(MemoryStore::default());
        Leading { leader: Arc::new(MemoryLeader::leading()), store }
    } else {
        let leader: Arc<dyn LeaderSource> =
            Arc::new(FileLeader::start(options.settings.leader()).await?);
        Leading { leader, store: Arc::new(FileStore::new(&options.settings.store_dir)) }
    };
    run(start.host, start.name, &options, leading).await
}

async fn run(host: &Host, name: &str, options: &Options, leading: Leading) -> Result<Plugin> {
    let Leading { leader, store } = leading;
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
