//! Which backend leads and which one keeps: two choices, and what a coordinator needs to know.

use std::path::PathBuf;

use regrow_ids::GoDuration;
use serde::{Deserialize, Serialize};

use crate::options::{Options, OptionsError};

/// Where leadership comes from, or where specs are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Files that an outside party writes, and files of this machine.
    File,
    /// This process alone.
    Memory,
    /// The control group of our own agents.
    Quorum,
    /// An etcd cluster, version 3.4 or newer.
    Etcd,
    /// A Consul cluster, or what answers as one.
    Consul,
}

impl Backend {
    /// All, with their names in options.
    pub const ALL: [(&'static str, Self); 5] = [
        ("file", Self::File),
        ("memory", Self::Memory),
        ("quorum", Self::Quorum),
        ("etcd", Self::Etcd),
        ("consul", Self::Consul),
    ];

    /// Its name in options.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, backend)| *backend == self).map_or("", |(name, _)| name)
    }

    fn named(text: &str) -> Result<Self, OptionsError> {
        // What earlier versions of these options took as well.
        let text = if text == "mem" { "memory" } else { text };
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, backend)| *backend)
            .ok_or_else(|| OptionsError::Backend { found: text.to_owned() })
    }

    /// True for those that are reached over a network and need endpoints.
    pub const fn needs_endpoints(self) -> bool {
        matches!(self, Self::Etcd | Self::Consul)
    }
}

/// How to reach a coordinator, and under which name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct CoordinatorOptions {
    /// URLs of `etcd` or `consul`, tried in turn. `REGROW_COORDINATOR` (comma list), else none.
    pub endpoints: Vec<String>,
    /// What all keys begin with. `regrow/`.
    pub prefix: String,
    /// Name of the election and of the folder of documents: managers under one name are replicas
    /// of one another. `REGROW_MANAGER_NAME`, else `manager`.
    pub name: String,
    /// So long after a leader fell silent the next one leads. `10s`.
    #[serde(rename = "LeaseTTL")]
    pub lease_ttl: GoDuration,
    /// How long a call may take. `5s`.
    pub deadline: GoDuration,
    /// File with the ACL token of Consul. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
}

impl Default for CoordinatorOptions {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            prefix: "regrow/".to_owned(),
            name: "manager".to_owned(),
            lease_ttl: GoDuration::from_secs(10),
            deadline: GoDuration::from_secs(5),
            token_file: None,
        }
    }
}

impl Options {
    /// Where leadership comes from.
    ///
    /// # Errors
    /// It is none of this build.
    pub fn leader_backend(&self) -> Result<Backend, OptionsError> {
        Backend::named(self.leader.as_ref().unwrap_or(&self.backend))
    }

    /// Where specs are kept.
    ///
    /// # Errors
    /// It is none of this build.
    pub fn store_backend(&self) -> Result<Backend, OptionsError> {
        Backend::named(self.store.as_ref().unwrap_or(&self.backend))
    }

    /// Checks that the two choices have what they need, and go together.
    pub(crate) fn check_backends(&self) -> Result<(), OptionsError> {
        let (leader, store) = (self.leader_backend()?, self.store_backend()?);
        let far = |backend: Backend| backend.needs_endpoints();
        for backend in [leader, store] {
            if far(backend) && self.coordinator.endpoints.is_empty() {
                return Err(OptionsError::NoEndpoints { backend: backend.name() });
            }
        }
        if far(leader) && far(store) && leader != store {
            let (leader, store) = (leader.name(), store.name());
            return Err(OptionsError::TwoCoordinators { leader, store });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Backend;
    use crate::Options;

    fn read(document: serde_json::Value) -> Result<Options, String> {
        let env = |name: &str| {
            (name == "REGROW_COORDINATOR").then(|| "http://a:1, http://b:2".to_owned())
        };
        Options::read(&document.into(), &env).map_err(|fault| fault.to_string())
    }

    #[test]
    fn leader_and_store_are_two_choices() {
        let options = read(json!({"Leader": "etcd", "Store": "file"})).expect("options");
        assert_eq!(options.leader_backend(), Ok(Backend::Etcd));
        assert_eq!(options.store_backend(), Ok(Backend::File));
        assert_eq!(options.coordinator.endpoints, ["http://a:1", "http://b:2"]);
        let both = read(json!({"Backend": "consul"})).expect("options");
        assert_eq!(both.leader_backend(), Ok(Backend::Consul));
        assert_eq!(both.store_backend(), Ok(Backend::Consul));
    }

    #[test]
    fn wrong_choices_say_what_is_missing() {
        for (document, text) in [
            (json!({"Leader": "etdc"}), "use backend \"etdc\": this build has"),
            (json!({"Leader": "etcd", "Coordinator": {"Endpoints": []}}), "has no endpoints"),
            (json!({"Leader": "etcd", "Store": "consul"}), "two coordinators"),
            (json!({"Coordinator": {"LeaseTTL": "soon"}}), "/Coordinator/LeaseTTL"),
        ] {
            let fault = read(document).expect_err("refused");
            assert!(fault.contains(text), "{fault}");
        }
    }
}
