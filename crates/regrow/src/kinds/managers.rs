//! Managers: started with their leadership and store, and the port for remote clients.

use std::sync::{Arc, PoisonError};

use anyhow::Result;
use regrow_manager::mux::{Mux, SocketDir};
use regrow_manager::{Environment, Manager, Options};
use regrow_plugin::Plugin;

use super::host::{Host, Start};
use super::leading::{Leading, leading};

/// A manager that runs, with its port if it has one.
pub struct Managing {
    manager: Manager,
    mux: Option<Mux>,
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

/// A manager as the options say, over the environment, over what an agent is for its manager.
pub(super) async fn manager(start: &Start<'_>) -> Result<Plugin> {
    let cluster = start.host.cluster();
    let variable = |name: &str| {
        let set = std::env::var(name).ok().filter(|value| !value.is_empty());
        set.or_else(|| cluster?.default(name))
    };
    let options = Options::read(start.options, &variable)?;
    let leading = leading(&options, cluster).await?;
    run(start.host, start.name, &options, leading).await
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
