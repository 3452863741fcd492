//! Registering and deregistering: written down here, then carried to the catalog.

use std::sync::Arc;

use super::{Agent, AgentError, Leaving, Local, file};
use crate::machine::{Command, Registration, Removal};
use crate::model::{CheckSpec, Service, Status};
use crate::query::ExecuteError;

const MAINTENANCE: &str = "Maintenance mode is enabled for this";

impl Agent {
    /// Registers a service and some of its checks, in place of one with its id. Checks that were
    /// registered for it before stay, unless `replace_checks`.
    ///
    /// # Errors
    /// It could not be written down, or the catalog did not take it; unless it was refused it is
    /// registered all the same, and the catalog gets it later.
    pub async fn register(
        &self,
        service: Service,
        checks: Vec<CheckSpec>,
        replace_checks: bool,
    ) -> Result<(), AgentError> {
        let registration = Registration {
            service: Some(service.clone()),
            checks: checks.clone(),
            replace_checks,
            ..self.registration()
        };
        registration.check_names().map_err(ExecuteError::from)?;
        let _changing = self.inner.changing.lock().await;
        let before = self.local();
        self.change(|local| local.add(service, &checks, replace_checks)).await?;
        self.carry(registration, before).await
    }

    /// Registers a check, in place of one with its id.
    ///
    /// # Errors
    /// As [`register`](Self::register); and its service is not registered here.
    pub async fn register_check(&self, check: CheckSpec) -> Result<(), AgentError> {
        let _changing = self.inner.changing.lock().await;
        let before = self.local();
        let service = match check.service_id.as_str() {
            "" => None,
            id => Some(
                before.services.get(id).cloned().ok_or_else(|| AgentError::NoService(id.into()))?,
            ),
        };
        let checks = vec![check.clone()];
        let registration = Registration { service, checks, ..self.registration() };
        registration.check_names().map_err(ExecuteError::from)?;
        self.change(|local| local.add_check(&check)).await?;
        self.carry(registration, before).await
    }

    /// Deregisters a service and its checks; false where there is none.
    ///
    /// # Errors
    /// It could not be written down, or the catalog did not take it; then it does later.
    pub async fn deregister(&self, id: &str) -> Result<bool, AgentError> {
        let _changing = self.inner.changing.lock().await;
        if !self.local().services.contains_key(id) {
            return Ok(false);
        }
        let leaving = Leaving::Service(id.to_owned());
        self.change(|local| {
            local.remove(id);
            local.leaving.insert(leaving.clone());
        })
        .await?;
        self.forget(leaving).await.map(|()| true)
    }

    /// Deregisters a check; false where there is none.
    ///
    /// # Errors
    /// As [`deregister`](Self::deregister).
    pub async fn deregister_check(&self, id: &str) -> Result<bool, AgentError> {
        let _changing = self.inner.changing.lock().await;
        if !self.local().checks.contains_key(id) {
            return Ok(false);
        }
        let leaving = Leaving::Check(id.to_owned());
        self.change(|local| {
            local.checks.remove(id);
            local.leaving.insert(leaving.clone());
        })
        .await?;
        self.forget(leaving).await.map(|()| true)
    }

    /// Takes what an application says about its TTL check.
    ///
    /// # Errors
    /// It is no TTL check that is registered here, or the catalog did not take it.
    pub async fn heartbeat(&self, id: &str, status: Status, text: &str) -> Result<(), AgentError> {
        let local = self.local();
        let check = local.checks.get(id).filter(|check| check.spec.definition.ttl.is_some());
        match check {
            Some(_) => self.report(id, status, text).await,
            None => Err(AgentError::NotTtl(id.to_owned())),
        }
    }

    /// Takes a service out of use, or the node with an empty id, or back into use.
    ///
    /// # Errors
    /// The service is not registered here; else as [`register_check`](Self::register_check).
    pub async fn maintenance(
        &self,
        service: &str,
        enable: bool,
        reason: &str,
    ) -> Result<(), AgentError> {
        if !service.is_empty() && !self.local().services.contains_key(service) {
            return Err(AgentError::UnknownService(service.to_owned()));
        }
        let (id, what, name) = match service {
            "" => ("_node_maintenance".to_owned(), "node", "Node Maintenance Mode"),
            service => {
                (format!("_service_maintenance:{service}"), "service", "Service Maintenance Mode")
            }
        };
        if !enable {
            return self.deregister_check(&id).await.map(drop);
        }
        if self.local().checks.contains_key(&id) {
            return Ok(());
        }
        let notes = match reason {
            "" => format!(
                "{MAINTENANCE} {what}, but no reason was provided. This is a default message."
            ),
            reason => reason.to_owned(),
        };
        let check = CheckSpec {
            id,
            name: name.to_owned(),
            notes,
            service_id: service.to_owned(),
            status: Some(Status::Critical),
            ..CheckSpec::default()
        };
        self.register_check(check).await
    }

    /// Changes what is registered here, on disk first; nothing is written where nothing changes.
    /// Called while `changing` is held.
    pub(super) async fn change(&self, change: impl FnOnce(&mut Local)) -> Result<(), AgentError> {
        let before = self.local();
        let mut local = Local::clone(&before);
        change(&mut local);
        if local == *before {
            return Ok(());
        }
        if let Some(folder) = &self.inner.options.state {
            file::save(folder, &local).await?;
        }
        self.show(local);
        Ok(())
    }

    /// Shows what is registered here now. Who follows services and checks is woken by these alone.
    fn show(&self, local: Local) {
        self.found().retain(|id, _| local.checks.contains_key(id));
        self.inner.local.send_if_modified(|shown| {
            let differs = shown.services != local.services || shown.checks != local.checks;
            *shown = Arc::new(local);
            differs
        });
    }

    /// Carries a registration to the catalog; what it refuses is as if it was never registered.
    async fn carry(
        &self,
        registration: Registration,
        before: Arc<Local>,
    ) -> Result<(), AgentError> {
        let begun = registration.checks.iter().filter(|check| check.status.is_some());
        let begun: Vec<String> = begun.map(|check| check.id.clone()).collect();
        self.found().retain(|id, _| !begun.contains(id));
        if !registration.checks.is_empty() {
            // Their status may be another now: whoever runs them says again what was found.
            self.inner.local.send_modify(|_| ());
        }
        let service = registration.service.as_ref().map(|service| service.id.clone());
        match self.inner.client.execute(&Command::Register(registration)).await {
            Ok(_) => self.change(|local| local.set_entered(service, true)).await,
            Err(refused @ ExecuteError::Refused(_)) => {
                self.change(|local| *local = Local::clone(&before)).await?;
                Err(refused.into())
            }
            Err(error) => {
                self.change(|local| local.set_entered(service, false)).await?;
                Err(error.into())
            }
        }
    }

    /// Lets the catalog forget what leaves, and then forgets it here. Called while `changing` is
    /// held.
    ///
    /// That it is forgotten is not written down by itself: at worst a restarted agent says once more
    /// that it left.
    pub(super) async fn forget(&self, leaving: Leaving) -> Result<(), AgentError> {
        let node = self.inner.options.node_name.clone();
        let removal = match leaving.clone() {
            Leaving::Service(id) => Removal::Service { node, id },
            Leaving::Check(id) => Removal::Check { node, id },
        };
        self.inner.client.execute(&Command::Remove(removal)).await?;
        let mut local = Local::clone(&self.local());
        local.leaving.remove(&leaving);
        self.show(local);
        Ok(())
    }
}
