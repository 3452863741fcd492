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

    /// True for those that order what several managers do: at most one of them can be used.
    pub const fn coordinates(self) -> bool {
        matches!(self, Self::Quorum | Self::Etcd | Self::Consul)
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
    /// File with the ACL token of Consul. `REGROW_COORDINATOR_TOKEN_FILE`, else none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// For `https` endpoints, which are refused without it. None by default.
    #[serde(rename = "TLS", skip_serializing_if = "Option::is_none")]
    pub tls: Option<CoordinatorTls>,
}

/// PEM files for encrypted connections to a coordinator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct CoordinatorTls {
    /// Who signed the certificates of its members; nobody else is trusted.
    /// `REGROW_COORDINATOR_CA`. Required.
    #[serde(rename = "CA")]
    pub ca: PathBuf,
    /// Our certificate, for a coordinator that wants to see one. `REGROW_COORDINATOR_CERT`, else
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// Its key. `REGROW_COORDINATOR_KEY`, else none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

impl CoordinatorTls {
    fn check(&self) -> Result<(), OptionsError> {
        if self.ca.as_os_str().is_empty() {
            return Err(OptionsError::HalfTls { given: "a certificate", missing: "CA" });
        }
        match (&self.cert, &self.key) {
            (Some(_), None) => Err(OptionsError::HalfTls { given: "Cert", missing: "Key" }),
            (None, Some(_)) => Err(OptionsError::HalfTls { given: "Key", missing: "Cert" }),
            _ => Ok(()),
        }
    }
}

impl CoordinatorOptions {
    /// What the environment says of it, over the defaults.
    pub(crate) fn from_env(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut options = Self::default();
        if let Some(name) = env("REGROW_MANAGER_NAME") {
            options.name = name;
        }
        if let Some(list) = env("REGROW_COORDINATOR") {
            let urls = list.split(',').map(str::trim).filter(|url| !url.is_empty());
            options.endpoints = urls.map(str::to_owned).collect();
        }
        let file = |name: &str| env(name).map(PathBuf::from);
        options.token_file = file("REGROW_COORDINATOR_TOKEN_FILE");
        let (cert, key) = (file("REGROW_COORDINATOR_CERT"), file("REGROW_COORDINATOR_KEY"));
        let ca = file("REGROW_COORDINATOR_CA");
        if ca.is_some() || cert.is_some() || key.is_some() {
            options.tls = Some(CoordinatorTls { ca: ca.unwrap_or_default(), cert, key });
        }
        options
    }
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
            tls: None,
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
        for backend in [leader, store] {
            if backend.needs_endpoints() && self.coordinator.endpoints.is_empty() {
                return Err(OptionsError::NoEndpoints { backend: backend.name() });
            }
        }
        if let Some(tls) = &self.coordinator.tls {
            tls.check()?;
        }
        if leader.coordinates() && store.coordinates() && leader != store {
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
            (json!({"Leader": "quorum", "Store": "etcd"}), "two coordinators"),
            (json!({"Coordinator": {"TLS": {"CA": "ca", "Cert": "c"}}}), "without Key"),
            (json!({"Coordinator": {"TLS": {"Cert": "c", "Key": "k"}}}), "without CA"),
            (json!({"Coordinator": {"LeaseTTL": "soon"}}), "/Coordinator/LeaseTTL"),
        ] {
            let fault = read(document).expect_err("refused");
            assert!(fault.contains(text), "{fault}");
        }
    }
}
