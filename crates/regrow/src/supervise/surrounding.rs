//! What the binary plugs into the supervisor: the file, this machine, a catalog of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use regrow_supervise::config::{ConfigError, Loaded, Source, Surroundings};
use regrow_supervise::probe::Prober;
use regrow_supervise::worker::Surrounding;
use tokio::sync::Mutex;

use super::probe::Asker;
use super::{VERSION, surroundings};
use crate::cluster::Embedded;

/// The machine and the program around the supervisor.
pub struct Binary {
    source: Option<Source>,
    app: Vec<String>,
    embedded: Mutex<Option<Embedded>>,
}

impl Binary {
    /// With this configuration and, for one of version 2, this application.
    pub fn new(source: Option<Source>, app: Vec<String>) -> Self {
        Self { source, app, embedded: Mutex::new(None) }
    }
}

#[async_trait]
impl Surrounding for Binary {
    fn load(&self, variables: &BTreeMap<String, String>) -> Result<Loaded, ConfigError> {
        let source = self.source.as_ref().ok_or(ConfigError::NoFile)?;
        let here = surroundings(self.app.clone());
        source.load(&Surroundings { env: variables.clone(), ..here })
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
        VERSION
    }
}
