//! What the binary plugs into the supervisor: the file, this machine, a catalog of its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use regrow_supervise::config::{self, ConfigError, Loaded, Surroundings};
use regrow_supervise::probe::Prober;
use regrow_supervise::worker::Surrounding;
use tokio::sync::Mutex;

use super::probe::Asker;
use crate::cluster::{Embedded, host_name};

/// The machine and the program around the supervisor.
pub struct Binary {
    config: Option<PathBuf>,
    embedded: Mutex<Option<Embedded>>,
}

impl Binary {
    /// With a configuration in this file.
    pub fn new(config: Option<PathBuf>) -> Self {
        Self { config, embedded: Mutex::new(None) }
    }
}

#[async_trait]
impl Surrounding for Binary {
    fn load(&self, variables: &BTreeMap<String, String>) -> Result<Loaded, ConfigError> {
        config::load(self.config.as_deref(), &surroundings(variables.clone()))
    }

    async fn catalog(&self, address: SocketAddr) -> Result<String, String> {
        let started = Embedded::start(address).await.map_err(|fault| format!("{fault:#}"))?;
        let url = format!("http://{}", started.address);
        // It lives as long as the worker.
        *self.embedded.lock().await = Some(started);
        Ok(url)
    }

    fn prober(&self) -> Arc<dyn Prober> {
        Arc::new(Asker::default())
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }
}

/// This machine, as a configuration sees it.
pub fn surroundings(env: BTreeMap<String, String>) -> Surroundings {
    Surroundings {
        env,
        hostname: host_name(),
        interfaces: interfaces(),
        app: Vec::new(),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
    }
}

/// Addresses with the names of their interfaces. Where the kernel does not tell, none: a
/// configuration that needs one says so.
fn interfaces() -> Vec<(String, IpAddr)> {
    let Ok(all) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let address = |one: nix::ifaddrs::InterfaceAddress| {
        let address = one.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
        let ip = v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))?;
        Some((one.interface_name, ip))
    };
    all.filter_map(address).collect()
}
