//! Flags of the command line that stand for options of a manager.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use regrow_manager::Backend;
use serde_json::{Map, Value, json};

/// Options of the manager that is started; each goes over a rule of `--config-url`, and that over the
/// environment.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Options of the manager")]
pub struct ManagerFlags {
    /// Where its leadership comes from
    #[arg(long, value_name = "SOURCE", value_parser = backends())]
    leader: Option<String>,
    /// Where it keeps specs
    #[arg(long, value_name = "STORE", value_parser = backends())]
    store: Option<String>,
    /// URL of etcd or Consul, to be repeated for each member
    #[arg(long, value_name = "URL")]
    coordinator: Vec<String>,
    /// PEM file with those who sign the certificates of etcd or Consul
    #[arg(long, value_name = "FILE")]
    coordinator_ca: Option<PathBuf>,
    /// PEM file with our certificate for etcd or Consul
    #[arg(long, value_name = "FILE")]
    coordinator_cert: Option<PathBuf>,
    /// PEM file with its key
    #[arg(long, value_name = "FILE")]
    coordinator_key: Option<PathBuf>,
    /// File with the ACL token of Consul
    #[arg(long, value_name = "FILE")]
    coordinator_token_file: Option<PathBuf>,
    /// Managers under one name are replicas of one another
    #[arg(long, value_name = "NAME")]
    manager_name: Option<String>,
}

fn backends() -> PossibleValuesParser {
    PossibleValuesParser::new(Backend::ALL.map(|(name, _)| name))
}

impl ManagerFlags {
    /// The options that were given, each with its flag and its place in the document.
    fn given(&self) -> Vec<(&'static str, &'static [&'static str], Value)> {
        let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
        let file = |path: &Option<PathBuf>| path.as_ref().map(|path| json!(path));
        let urls = (!self.coordinator.is_empty()).then(|| json!(self.coordinator));
        let all: [(_, &[_], _); 8] = [
            ("--leader", &["Leader"], text(&self.leader)),
            ("--store", &["Store"], text(&self.store)),
            ("--coordinator", &["Coordinator", "Endpoints"], urls),
            ("--coordinator-ca", &["Coordinator", "TLS", "CA"], file(&self.coordinator_ca)),
            ("--coordinator-cert", &["Coordinator", "TLS", "Cert"], file(&self.coordinator_cert)),
            ("--coordinator-key", &["Coordinator", "TLS", "Key"], file(&self.coordinator_key)),
            (
                "--coordinator-token-file",
                &["Coordinator", "TokenFile"],
                file(&self.coordinator_token_file),
            ),
            ("--manager-name", &["Coordinator", "Name"], text(&self.manager_name)),
        ];
        all.into_iter().filter_map(|(flag, at, value)| Some((flag, at, value?))).collect()
    }

    /// The first flag that was given.
    pub fn first(&self) -> Option<&'static str> {
        self.given().first().map(|(flag, ..)| *flag)
    }

    /// The options of a rule with the flags over them.
    pub fn over(&self, mut options: Value) -> Value {
        for (_, at, value) in self.given() {
            let wrap =
                |inner, key: &&str| Value::Object(Map::from_iter([((*key).to_owned(), inner)]));
            let document = at.iter().rev().fold(value, wrap);
            regrow_manager::lay_over(&mut options, document);
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::ManagerFlags;

    #[test]
    fn flags_go_over_the_rule_and_touch_nothing_else() {
        let flags = ManagerFlags {
            leader: Some("etcd".to_owned()),
            coordinator: vec!["http://a:1".to_owned(), "http://b:2".to_owned()],
            coordinator_ca: Some("ca.pem".into()),
            ..ManagerFlags::default()
        };
        let rule = json!({"leader": "file", "Store": "file", "Coordinator": {"LeaseTTL": "5s"}});
        let expected = json!({
            "leader": "etcd",
            "Store": "file",
            "Coordinator": {
                "LeaseTTL": "5s",
                "Endpoints": ["http://a:1", "http://b:2"],
                "TLS": {"CA": "ca.pem"},
            },
        });
        assert_eq!(flags.over(rule), expected);
        assert_eq!(flags.over(json!(null))["leader"], json!(null));
        assert_eq!(flags.over(json!(null))["Leader"], json!("etcd"));
        assert_eq!(ManagerFlags::default().over(json!({"Group": "x"})), json!({"Group": "x"}));
        assert_eq!(ManagerFlags::default().first(), None);
    }
}
