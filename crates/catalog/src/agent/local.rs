//! What is registered here, as data.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::{CheckSpec, Service, Status};

/// A check that was registered here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalCheck {
    /// As registered, without status and output.
    pub spec: CheckSpec,
    /// What it began with, where the registration said so.
    pub begins: Option<(Status, String)>,
}

impl LocalCheck {
    /// As it is entered in a catalog that does not have it: as last found, else as it began.
    pub fn entering(&self, found: Option<&(Status, String)>) -> CheckSpec {
        let (status, output) = found.or(self.begins.as_ref()).cloned().unzip();
        CheckSpec { status, output, ..self.spec.clone() }
    }
}

/// What was deregistered here, and may still be in the catalog.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Leaving {
    /// A service, by id.
    Service(String),
    /// A check, by id.
    Check(String),
}

/// All that is registered here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Local {
    /// Services by id.
    pub services: BTreeMap<String, Service>,
    /// Checks by id, of the node and of its services.
    pub checks: BTreeMap<String, LocalCheck>,
    /// What the catalog has to forget.
    pub leaving: BTreeSet<Leaving>,
    /// Ids of services whose last registration the catalog did not take yet: it is newer than a note
    /// of the catalog that the service went away. Since version 2 of the record.
    #[serde(default)]
    pub unentered: BTreeSet<String>,
}

impl Local {
    /// Ids of the checks of a service; of the node for an empty id.
    pub fn checks_of(&self, service: &str) -> Vec<String> {
        let own = self.checks.values().filter(|check| check.spec.service_id == service);
        own.map(|check| check.spec.id.clone()).collect()
    }

    /// Takes a service in, and some of its checks. With `replace`, its other checks leave.
    pub fn add(&mut self, service: Service, checks: &[CheckSpec], replace: bool) {
        if replace {
            for id in self.checks_of(&service.id) {
                if checks.iter().all(|check| check.id != id) {
                    self.checks.remove(&id);
                }
            }
        }
        self.leaving.remove(&Leaving::Service(service.id.clone()));
        self.services.insert(service.id.clone(), service);
        checks.iter().for_each(|check| self.add_check(check));
    }

    /// Takes a check in. One without a status keeps what it began with.
    pub fn add_check(&mut self, check: &CheckSpec) {
        let before = self.checks.remove(&check.id).and_then(|before| before.begins);
        let begins = match check.status {
            Some(status) => Some((status, check.output.clone().unwrap_or_default())),
            None => before,
        };
        self.leaving.remove(&Leaving::Check(check.id.clone()));
        let spec = CheckSpec { status: None, output: None, ..check.clone() };
        self.checks.insert(spec.id.clone(), LocalCheck { spec, begins });
    }

    /// Keeps in mind whether the catalog took the registration of a service.
    pub fn set_entered(&mut self, service: Option<String>, entered: bool) {
        match service {
            Some(id) if entered => drop(self.unentered.remove(&id)),
            Some(id) => drop(self.unentered.insert(id)),
            None => {}
        }
    }

    /// Takes a service and its checks out.
    pub fn remove(&mut self, service: &str) {
        for id in self.checks_of(service) {
            self.checks.remove(&id);
        }
        self.services.remove(service);
        self.unentered.remove(service);
    }
}
