//! Comparing what is registered here with what the catalog has.

use std::sync::Weak;
use std::time::Duration;

use regrow_consensus::{Consistency, Leadership};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Agent, AgentError, Inner, Leaving, Local};
use crate::machine::{Command, Refusal, Registration, Topic};
use crate::model::{CheckSpec, SERF_HEALTH, Service};
use crate::query::registry::{NodeEntry, node_entry};
use crate::query::{ExecuteError, ReadOptions, Subscription};

/// Longest time between two comparisons.
const EVERY: Duration = Duration::from_secs(60);
/// Time between a signal and the comparison: many changes at once are one comparison.
const SETTLE: Duration = Duration::from_millis(200);
/// Time to the next try after a comparison that failed.
const RETRY: Duration = Duration::from_secs(2);

/// What can mean that the catalog differs from what is registered here.
pub(super) struct Signals {
    entry: Subscription,
    replaced: watch::Receiver<u64>,
    leadership: watch::Receiver<Leadership>,
}

impl Signals {
    pub fn of(inner: &Inner) -> Self {
        let hub = inner.client.hub();
        Self {
            entry: hub.subscribe(&[Topic::Node(inner.options.node_name.clone())]),
            replaced: hub.replacements(),
            leadership: inner.client.replica().leadership(),
        }
    }

    /// Returns at a signal; false when there will be none any more.
    async fn next(&mut self) -> bool {
        tokio::select! {
            () = self.entry.changed() => true,
            changed = self.replaced.changed() => changed.is_ok(),
            changed = self.leadership.changed() => changed.is_ok(),
        }
    }
}

/// Compares until the agent is gone. `entered` says whether the first comparison succeeded.
pub(super) async fn run(inner: Weak<Inner>, mut signals: Signals, entered: bool) {
    let mut wait = if entered { EVERY } else { RETRY };
    loop {
        match timeout(wait, signals.next()).await {
            Ok(false) => return,
            Ok(true) => tokio::time::sleep(SETTLE).await,
            Err(_) => {}
        }
        let Some(inner) = inner.upgrade() else { return };
        let outcome = Agent { inner }.converge().await;
        wait = if outcome.is_ok() { EVERY } else { RETRY };
        if let Err(error) = outcome {
            tracing::debug!(%error, "compare registrations: tried again soon");
        }
    }
}

/// A service as the catalog is to have it: with the tags that somebody gave it there, where the
/// registration lets others do so.
fn as_meant(own: &Service, found: Option<&Service>) -> Service {
    let tags = found.filter(|_| own.enable_tag_override).unwrap_or(own).tags.clone();
    Service { tags, ..own.clone() }
}

impl Agent {
    /// Makes the catalog's entry of this node what is registered here.
    pub(super) async fn converge(&self) -> Result<(), AgentError> {
        let _changing = self.inner.changing.lock().await;
        let options = &self.inner.options;
        let read = node_entry(options.node_name.clone());
        let how = ReadOptions { consistency: Consistency::Linearizable, ..ReadOptions::default() };
        let entry = self.inner.client.ask(&read, &how).await?.value;
        self.follow_notes(&entry).await?;
        for leaving in self.local().leaving.clone() {
            self.forget(leaving).await?;
        }
        for registration in self.missing(&entry) {
            self.enter(registration).await?;
        }
        self.change(|local| local.unentered.clear()).await?;
        if !entry.checks.contains_key(SERF_HEALTH) {
            let node = options.node_name.clone();
            self.inner.client.execute(&Command::NodeAlive { node, alive: true }).await?;
        }
        Ok(())
    }

    /// Deregisters what the catalog says went away because it was critical for too long. What was
    /// registered again since, and could not be entered yet, stays.
    async fn follow_notes(&self, entry: &NodeEntry) -> Result<(), AgentError> {
        let local = self.local();
        let meant = |id: &&String| {
            local.services.contains_key(id.as_str()) && !local.unentered.contains(id.as_str())
        };
        let meant: Vec<&String> = entry.reaped.iter().filter(meant).collect();
        if !meant.is_empty() {
            tracing::info!(?meant, "services were critical for too long and are deregistered");
        }
        // Leaving takes the note out of the catalog.
        self.change(|local| {
            for id in meant {
                local.remove(id);
                local.leaving.insert(Leaving::Service(id.clone()));
            }
        })
        .await
    }

    /// Enters what the catalog lacks. What it refuses is dropped here, so that the rest is entered.
    async fn enter(&self, registration: Registration) -> Result<(), AgentError> {
        let refusal =
            match self.inner.client.execute(&Command::Register(registration.clone())).await {
                // An older program does not know the command: it will be replaced.
                Err(ExecuteError::Refused(refusal))
                    if !matches!(refusal, Refusal::Malformed { .. }) =>
                {
                    refusal
                }
                outcome => return Ok(outcome.map(drop)?),
            };
        let service = registration.service.as_ref().map(|service| service.id.as_str());
        let service = service.filter(|id| self.local().services.contains_key(*id));
        let checks: Vec<&str> = registration.checks.iter().map(|check| check.id.as_str()).collect();
        if service.is_none() && checks.is_empty() {
            return Err(ExecuteError::Refused(refusal).into());
        }
        tracing::error!(?service, ?checks, %refusal, "the catalog refuses what was registered here: it is dropped; register it again");
        self.change(|local| {
            service.into_iter().for_each(|id| local.remove(id));
            checks.iter().for_each(|id| drop(local.checks.remove(*id)));
        })
        .await
    }

    /// The registrations that the catalog lacks or has otherwise.
    fn missing(&self, entry: &NodeEntry) -> Vec<Registration> {
        let local = self.local();
        let mut missing = Vec::new();
        let server = self.inner.options.server();
        if entry.node.as_ref() != Some(&self.inner.options.node())
            || server.as_ref().is_some_and(|own| entry.services.get(&own.id) != Some(own))
        {
            missing.push(Registration { service: server, ..self.registration() });
        }
        for service in local.services.values() {
            let checks = self.missing_checks(&local, entry, &service.id);
            let found = entry.services.get(&service.id);
            let service = as_meant(service, found);
            if found != Some(&service) || !checks.is_empty() {
                missing.push(Registration {
                    service: Some(service),
                    checks,
                    ..self.registration()
                });
            }
        }
        let checks = self.missing_checks(&local, entry, "");
        if !checks.is_empty() {
            missing.push(Registration { checks, ..self.registration() });
        }
        missing
    }

    /// The checks of a service that the catalog lacks or defines otherwise. What a check found is
    /// the catalog's to know, where it has the check.
    fn missing_checks(&self, local: &Local, entry: &NodeEntry, service: &str) -> Vec<CheckSpec> {
        let mut missing = Vec::new();
        for check in local.checks.values().filter(|check| check.spec.service_id == service) {
            let spec = &check.spec;
            match entry.checks.get(&spec.id) {
                None => missing.push(check.entering(self.found().get(&spec.id))),
                Some(found) => {
                    let same = found.name == spec.name
                        && found.notes == spec.notes
                        && found.service_id == spec.service_id
                        && found.definition == spec.definition;
                    if !same {
                        missing.push(spec.clone());
                    }
                }
            }
        }
        missing
    }

    /// Enters a check that the catalog lost, with what it last found.
    pub(super) async fn enter_check(&self, id: &str) -> Result<(), AgentError> {
        let _changing = self.inner.changing.lock().await;
        let local = self.local();
        let check = local.checks.get(id).map(|check| check.entering(self.found().get(id)));
        let check = check.ok_or_else(|| AgentError::UnknownCheck(id.to_owned()))?;
        let service = local.services.get(&check.service_id).cloned();
        let registration = Registration { service, checks: vec![check], ..self.registration() };
        self.inner.client.execute(&Command::Register(registration)).await?;
        Ok(())
    }
}
