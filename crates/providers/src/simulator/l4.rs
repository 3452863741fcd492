use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use regrow_ids::InstanceId;
use regrow_plugin::PluginError;
use regrow_plugin::spi::{HealthCheck, L4, Result, Route};
use serde::{Deserialize, Serialize};

use super::store::Store;
use super::{Options, SimulatorError};

/// A load balancer that only remembers what it was told.
pub struct SimulatedL4 {
    name: String,
    state: Mutex<(Balancer, Store)>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Balancer {
    routes: BTreeMap<u16, Route>,
    health_checks: BTreeMap<u16, HealthCheck>,
    backends: BTreeSet<InstanceId>,
}

/// Name of the file in a load balancer's directory.
const FILE: &str = "state.json";

impl SimulatedL4 {
    pub(super) fn open(name: &str, options: &Options) -> std::result::Result<Self, SimulatorError> {
        let dir = options.store_dir().map(|dir| dir.join("l4").join(name));
        let (store, mut stored) = Store::open::<Balancer>(dir)?;
        let balancer = stored.pop().unwrap_or_default();
        Ok(Self { name: name.to_owned(), state: Mutex::new((balancer, store)) })
    }

    /// The health checks that were configured, by backend port.
    pub fn health_checks(&self) -> BTreeMap<u16, HealthCheck> {
        self.state().0.health_checks.clone()
    }

    fn state(&self) -> MutexGuard<'_, (Balancer, Store)> {
        // A poisoned lock only says that another thread panicked between two whole changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a copy, stores it, and only then makes it the truth.
    fn change(
        &self,
        answer: &str,
        change: impl FnOnce(&mut Balancer) -> std::result::Result<(), String>,
    ) -> Result<String> {
        let mut state = self.state();
        let mut changed = state.0.clone();
        change(&mut changed)
            .map_err(|reason| PluginError::refused(format!("{reason} on {}", self.name)))?;
        state.1.write(FILE, &changed).map_err(|fault| PluginError::refused(fault.to_string()))?;
        state.0 = changed;
        Ok(answer.to_owned())
    }
}

#[async_trait]
impl L4 for SimulatedL4 {
    async fn name(&self) -> Result<String> {
        Ok(self.name.clone())
    }

    async fn routes(&self) -> Result<Vec<Route>> {
        Ok(self.state().0.routes.values().cloned().collect())
    }

    async fn publish(&self, route: &Route) -> Result<String> {
        self.change("publish", |state| {
            let port = route.load_balancer_port;
            if state.routes.contains_key(&port) {
                return Err(format!("duplicate port {port}"));
            }
            state.routes.insert(port, route.clone());
            Ok(())
        })
    }

    async fn unpublish(&self, load_balancer_port: u16) -> Result<String> {
        self.change("unpublish", |state| {
            let removed = state.routes.remove(&load_balancer_port);
            removed.map(drop).ok_or_else(|| format!("unknown port {load_balancer_port}"))
        })
    }

    async fn configure_health_check(&self, check: &HealthCheck) -> Result<String> {
        self.change("healthcheck", |state| {
            state.health_checks.insert(check.backend_port, check.clone());
            Ok(())
        })
    }

    async fn register_backends(&self, ids: &[InstanceId]) -> Result<String> {
        self.change("ok", |state| {
            state.backends.extend(ids.iter().cloned());
            Ok(())
        })
    }

    async fn deregister_backends(&self, ids: &[InstanceId]) -> Result<String> {
        self.change("ok", |state| {
            for id in ids {
                state.backends.remove(id);
            }
            Ok(())
        })
    }

    async fn backends(&self) -> Result<Vec<InstanceId>> {
        Ok(self.state().0.backends.iter().cloned().collect())
    }
}
