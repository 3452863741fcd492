//! Options of a manager: documents over environment over defaults (InfraKit specification §5.1).

use std::path::PathBuf;

use regrow_codec::{Any, decode};
use regrow_ids::{GoDuration, PluginName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backend::CoordinatorOptions;
use crate::leader::FileLeaderSettings;

/// Where to look up an environment variable; a closure, so that tests need not change their own.
pub type Env<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// Why options cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// The document has an unknown key or a value of another type.
    #[error("read options of the manager: {0}")]
    Document(#[from] decode::DecodeError),
    /// A variable of the environment cannot be read.
    #[error("read {variable}={value:?}: {reason}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What is wrong.
        reason: String,
    },
    /// The backend is not one of this build.
    #[error(
        "use backend {found:?}: this build has file, memory, quorum, etcd and consul; set Backend, \
         Leader (--leader) or Store (--store) to one"
    )]
    Backend {
        /// What was asked for.
        found: String,
    },
    /// A backend that is reached over a network, and nothing to reach it at.
    #[error(
        "use backend {backend}: it has no endpoints; set --coordinator, Coordinator.Endpoints or \
         REGROW_COORDINATOR to the URLs of its members"
    )]
    NoEndpoints {
        /// The backend.
        backend: &'static str,
    },
    /// A part of what encrypted connections need.
    #[error(
        "encrypt to the coordinator: there is {given} without {missing}; set Coordinator.TLS.{missing}, \
         REGROW_COORDINATOR_{} or --coordinator-{}",
        missing.to_uppercase(), missing.to_lowercase()
    )]
    HalfTls {
        /// What was given.
        given: &'static str,
        /// What it needs beside it.
        missing: &'static str,
    },
    /// Two coordinators: their fences say nothing about one another.
    #[error(
        "lead by {leader} and store in {store}: these are two coordinators; choose one for both, or \
         a file for one of them (--leader, --store)"
    )]
    TwoCoordinators {
        /// Where leadership comes from.
        leader: &'static str,
        /// Where specs are kept.
        store: &'static str,
    },
}

/// Options of a manager.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Options {
    /// Plugin that runs groups. `INFRAKIT_MANAGER_GROUP`, else `group-stateless`.
    pub group: PluginName,
    /// Plugin that keeps metadata. `INFRAKIT_MANAGER_METADATA`, else `vars`.
    pub metadata: PluginName,
    /// Controllers to stand before. `INFRAKIT_MANAGER_CONTROLLERS` (comma list), else none.
    pub controllers: Vec<PluginName>,
    /// Read for the sake of old documents. The original gives up after 10 attempts; we do not give
    /// up, but wait longer each time.
    pub leader_commit_specs_retries: u32,
    /// Pause before the second attempt to hand over a stored spec; later ones grow to five minutes.
    /// `INFRAKIT_MANAGER_COMMIT_SPECS_RETRY_INTERVAL`, else `2s`.
    pub leader_commit_specs_retry_interval: GoDuration,
    /// Leader source and store: `file`, `memory`, `quorum`, `etcd` or `consul`.
    /// `INFRAKIT_MANAGER_BACKEND`, else `file`.
    pub backend: String,
    /// Leader source, where it is another than the backend. `REGROW_MANAGER_LEADER`, else none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// Store, where it is another than the backend. `REGROW_MANAGER_STORE`, else none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// The coordinator, for `etcd` and `consul`; its name and lease for `quorum` too.
    pub coordinator: CoordinatorOptions,
    /// Settings of the backend.
    pub settings: FileSettings,
    /// The TCP port for remote clients; `null` for none. None by default, unless
    /// `INFRAKIT_MUX_LISTEN` or `INFRAKIT_ADVERTISE` is set; `{}` opens it with its defaults.
    ///
    /// The original always opens it. Whoever reaches the port drives the plugins of this node: a port
    /// of the loopback interface lets every user of the machine past the mode of their sockets, so
    /// it is opened only for those who ask for it.
    pub mux: Option<MuxOptions>,
}

/// Settings of the backend `file`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct FileSettings {
    /// How often the leader file is read although nothing said that it changed. `5s`.
    pub poll_interval: GoDuration,
    /// The replica whose id is in this file leads. `INFRAKIT_LEADER_FILE`, else
    /// `$INFRAKIT_HOME/leader`, where the home is that of the user if the variable is not set.
    pub leader_file: PathBuf,
    /// Folder of the stored documents. `INFRAKIT_STORE_DIR`, else `$INFRAKIT_HOME/configs`.
    pub store_dir: PathBuf,
    /// Id of this replica. `INFRAKIT_ID`, else `manager1`.
    #[serde(rename = "ID")]
    pub id: String,
}

/// Options of the TCP port for remote clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct MuxOptions {
    /// Address to listen at; `:24864` is all interfaces. `INFRAKIT_MUX_LISTEN`, else
    /// `127.0.0.1:24864`. The original listens on all interfaces by default; without TLS and token
    /// that hands the cluster to whoever reaches the port. An address that is given is listened at,
    /// with a warning in the log when there is neither.
    pub listen: String,
    /// Address at which other replicas and clients reach this one. `INFRAKIT_ADVERTISE`, else
    /// `localhost:24864`. Clients that use another name than this one are refused, because a web page
    /// may have its own name lead here; IP addresses and `localhost` always do, and with a token
    /// every name does.
    pub advertise: String,
    /// Encrypt, and with a client CA require certificates of clients. Off by default.
    #[serde(rename = "TLS", skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFiles>,
    /// File with a token that every request must carry (`Authorization: Bearer …`). None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
}

/// PEM files for TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct TlsFiles {
    /// Our certificate, followed by those that signed it.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Who signed the certificates of clients, and of the leader to which we forward. Without it
    /// clients need no certificate, and the leader must have the same certificate as we.
    #[serde(rename = "ClientCA", skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            group: PluginName::from("group-stateless"),
            metadata: PluginName::from("vars"),
            controllers: Vec::new(),
            leader_commit_specs_retries: 10,
            leader_commit_specs_retry_interval: GoDuration::from_secs(2),
            backend: "file".to_owned(),
            leader: None,
            store: None,
            coordinator: CoordinatorOptions::default(),
            settings: FileSettings::default(),
            mux: None,
        }
    }
}

impl Default for FileSettings {
    fn default() -> Self {
        Self {
            poll_interval: GoDuration::from_secs(5),
            leader_file: PathBuf::from("leader"),
            store_dir: PathBuf::from("configs"),
            id: "manager1".to_owned(),
        }
    }
}

impl Default for MuxOptions {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:24864".to_owned(),
            advertise: "localhost:24864".to_owned(),
            tls: None,
            token_file: None,
        }
    }
}

impl Options {
    /// The defaults in an environment.
    ///
    /// # Errors
    /// A variable that is a duration is none.
    pub fn from_env(env: Env<'_>) -> Result<Self, OptionsError> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let mut options = Self::default();
        let home = PathBuf::from(env("INFRAKIT_HOME").or_else(|| env("HOME")).unwrap_or_default());
        let text = |into: &mut String, name: &str| {
            if let Some(value) = env(name) {
                *into = value;
            }
        };
        let place =
            |name: &str, default: &str| env(name).map_or_else(|| home.join(default), PathBuf::from);
        options.settings.leader_file = place("INFRAKIT_LEADER_FILE", "leader");
        options.settings.store_dir = place("INFRAKIT_STORE_DIR", "configs");
        text(&mut options.settings.id, "INFRAKIT_ID");
        text(&mut options.backend, "INFRAKIT_MANAGER_BACKEND");
        options.leader = env("REGROW_MANAGER_LEADER");
        options.store = env("REGROW_MANAGER_STORE");
        options.coordinator = CoordinatorOptions::from_env(&env);
        if let Some(name) = env("INFRAKIT_MANAGER_GROUP") {
            options.group = PluginName::new(name);
        }
        if let Some(name) = env("INFRAKIT_MANAGER_METADATA") {
            options.metadata = PluginName::new(name);
        }
        if let Some(list) = env("INFRAKIT_MANAGER_CONTROLLERS") {
            let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
            options.controllers = names.map(PluginName::from).collect();
        }
        let variable = "INFRAKIT_MANAGER_COMMIT_SPECS_RETRY_INTERVAL";
        if let Some(value) = env(variable) {
            options.leader_commit_specs_retry_interval = value.parse().map_err(|fault| {
                let reason = format!("{fault}");
                OptionsError::Variable { variable, value: value.clone(), reason }
            })?;
        }
        if ["INFRAKIT_MUX_LISTEN", "INFRAKIT_ADVERTISE"].iter().any(|name| env(name).is_some()) {
            let mux = options.mux.get_or_insert_default();
            text(&mut mux.listen, "INFRAKIT_MUX_LISTEN");
            text(&mut mux.advertise, "INFRAKIT_ADVERTISE");
        }
        Ok(options)
    }

    /// The options of a document (`null` for none) over those of an environment.
    ///
    /// # Errors
    /// An unknown key, a value of another type, an unknown backend.
    pub fn read(document: &Any, env: Env<'_>) -> Result<Self, OptionsError> {
        let mut options = Self::from_env(env)?;
        if asks_for_mux(&document.to_value()) {
            options.mux.get_or_insert_default();
        }
        let mut options = Any::from_serialize(&options).to_value();
        if !document.is_null() {
            lay_over(&mut options, document.to_value());
        }
        let options: Self = decode::from_value_strict(&options)?;
        options.check_backends()?;
        Ok(options)
    }
}

impl FileSettings {
    /// The part that the leader source needs.
    pub fn leader(&self) -> FileLeaderSettings {
        FileLeaderSettings {
            leader_file: self.leader_file.clone(),
            id: self.id.clone(),
            poll_interval: self.poll_interval.as_duration(),
        }
    }
}

fn asks_for_mux(document: &Value) -> bool {
    let is_mux =
        |(key, value): (&String, &Value)| key.eq_ignore_ascii_case("mux") && !value.is_null();
    document.as_object().is_some_and(|fields| fields.iter().any(is_mux))
}

/// Lays a document over another. Keys match without regard to case, as Go reads them.
pub fn lay_over(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                let known = under.keys().find(|known| known.eq_ignore_ascii_case(&key)).cloned();
                lay_over(under.entry(known.unwrap_or(key)).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

#[cfg(test)]
mod tests {
    use regrow_codec::Any;
    use serde_json::json;

    use super::Options;

    fn env(name: &str) -> Option<String> {
        let value = match name {
            "INFRAKIT_HOME" => "/home/x",
            "INFRAKIT_STORE_DIR" => "/store",
            "INFRAKIT_MANAGER_CONTROLLERS" => "ingress, us-east/nfs,",
            "INFRAKIT_MUX_LISTEN" => ":24864",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn documents_go_over_the_environment_over_defaults() {
        let document = json!({
            "leadercommitspecsretryinterval": "3s",
            "Settings": {"id": "manager2"},
            "Mux": {"Advertise": "m2:1"},
        });
        let options = Options::read(&document.into(), &env).expect("options");
        assert_eq!(options.group.as_str(), "group-stateless");
        assert_eq!(options.controllers.len(), 2);
        assert_eq!(options.leader_commit_specs_retry_interval.as_duration().as_secs(), 3);
        assert_eq!(options.settings.leader_file.to_str(), Some("/home/x/leader"));
        assert_eq!(options.settings.store_dir.to_str(), Some("/store"));
        assert_eq!(options.settings.id, "manager2");
        let mux = options.mux.expect("mux");
        assert_eq!((mux.listen.as_str(), mux.advertise.as_str()), (":24864", "m2:1"));
    }

    #[test]
    fn the_port_is_opened_only_when_asked_for() {
        let listens = |document: serde_json::Value, variable: &'static str| {
            let env = move |name: &str| (name == variable).then(|| "127.0.0.1:7".to_owned());
            let options = Options::read(&document.into(), &env).expect("options");
            options.mux.map(|mux| (mux.listen, mux.advertise))
        };
        let addresses = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        let (listen, advertise) = ("127.0.0.1:24864", "localhost:24864");
        assert_eq!(listens(json!({}), ""), None);
        assert_eq!(listens(json!({"Backend": "memory"}), "INFRAKIT_HOME"), None);
        assert_eq!(listens(json!({"mux": {}}), ""), addresses(listen, advertise));
        assert_eq!(listens(json!({"Mux": {"listen": ":1"}}), ""), addresses(":1", advertise));
        assert_eq!(listens(json!({}), "INFRAKIT_ADVERTISE"), addresses(listen, "127.0.0.1:7"));
        let listened = listens(json!({}), "INFRAKIT_MUX_LISTEN");
        assert_eq!(listened, addresses("127.0.0.1:7", advertise));
        assert_eq!(listens(json!({"Mux": null}), "INFRAKIT_MUX_LISTEN"), None);
    }

    #[test]
    fn null_means_no_mux_and_no_document_means_defaults() {
        let without = Options::read(&json!({"Mux": null}).into(), &|_| None).expect("options");
        assert_eq!(without.mux, None);
        assert_eq!(Options::read(&Any::default(), &|_| None).expect("options").backend, "file");
    }

    #[test]
    fn wrong_documents_say_where() {
        for (document, text) in [
            (json!({"Grup": "x"}), "did you mean \"Group\"?"),
            (json!({"Settings": {"PollInterval": true}}), "/Settings/PollInterval"),
            (json!({"Backend": "etcd"}), "use backend etcd: it has no endpoints"),
        ] {
            let fault = Options::read(&document.into(), &|_| None).expect_err("refused");
            assert!(fault.to_string().contains(text), "{fault}");
        }
    }
}
