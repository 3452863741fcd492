use std::path::PathBuf;

use regrow_ids::GoDuration;
use serde::{Deserialize, Serialize};

use super::Faults;
use crate::settings::{self, EnvOption};

/// Where a simulated world is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// In memory: gone when the process ends.
    #[default]
    Mem,
    /// In files below [`Options::dir`], one for each instance.
    File,
}

/// Options of the simulator, with the names that InfraKit uses.
///
/// Delays are texts such as `"1.5s"` or nanoseconds. Delays, [`Options::idempotent`],
/// [`Options::events`] and [`Options::faults`] can be changed while the simulator runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Options {
    /// Default `mem`.
    pub store: StoreKind,
    /// Directory of the file store (`INFRAKIT_SIMULATOR_DIR`). Default `simulator` below
    /// `$INFRAKIT_HOME` or `~/.infrakit`.
    pub dir: Option<PathBuf>,
    /// Instance objects (`INFRAKIT_SIMULATOR_INSTANCE_TYPES`). Default `compute`, `net`, `disk`.
    pub instance_types: Vec<String>,
    /// Load balancers (`INFRAKIT_SIMULATOR_L4_NAMES`). Default `lb1`, `lb2`, `lb3`.
    #[serde(rename = "L4Names")]
    pub l4_names: Vec<String>,
    /// Calls wait until the simulator is this old (`INFRAKIT_SIMULATOR_START_DELAY`). Default 0.
    pub start_delay: GoDuration,
    /// Time that a list takes (`INFRAKIT_SIMULATOR_DESCRIBE_DELAY`). Default 0.
    pub describe_delay: GoDuration,
    /// Time until an instance is made (`INFRAKIT_SIMULATOR_PROVISION_DELAY`). Default 0. It is made
    /// even when the caller no longer waits.
    pub provision_delay: GoDuration,
    /// Time until an instance is gone. Default 0.
    pub destroy_delay: GoDuration,
    /// Whether an instance with the same tag `regrow.key` is returned instead of making a second.
    /// Default true; false models the plugins of InfraKit.
    pub idempotent: bool,
    /// Whether changes are told to those who watch. Default true.
    pub events: bool,
    /// What goes wrong. Default: nothing.
    pub faults: Faults,
}

impl Default for Options {
    fn default() -> Self {
        let names = |names: [&str; 3]| names.map(str::to_owned).to_vec();
        Self {
            store: StoreKind::Mem,
            dir: None,
            instance_types: names(["compute", "net", "disk"]),
            l4_names: names(["lb1", "lb2", "lb3"]),
            start_delay: GoDuration::ZERO,
            describe_delay: GoDuration::ZERO,
            provision_delay: GoDuration::ZERO,
            destroy_delay: GoDuration::ZERO,
            idempotent: true,
            events: true,
            faults: Faults::default(),
        }
    }
}

const fn env(variable: &'static str, field: &'static str, list: bool) -> EnvOption {
    EnvOption { variable, field, list }
}

impl settings::Options for Options {
    const ENV: &'static [EnvOption] = &[
        env("INFRAKIT_SIMULATOR_STORE", "Store", false),
        env("INFRAKIT_SIMULATOR_DIR", "Dir", false),
        env("INFRAKIT_SIMULATOR_INSTANCE_TYPES", "InstanceTypes", true),
        env("INFRAKIT_SIMULATOR_L4_NAMES", "L4Names", true),
        env("INFRAKIT_SIMULATOR_START_DELAY", "StartDelay", false),
        env("INFRAKIT_SIMULATOR_DESCRIBE_DELAY", "DescribeDelay", false),
        env("INFRAKIT_SIMULATOR_PROVISION_DELAY", "ProvisionDelay", false),
    ];
}

impl Options {
    /// The directory of the file store; `None` for the memory store.
    pub(super) fn store_dir(&self) -> Option<PathBuf> {
        (self.store == StoreKind::File).then(|| {
            self.dir.clone().unwrap_or_else(|| settings::infrakit_home().join("simulator"))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use regrow_codec::Any;
    use regrow_ids::GoDuration;
    use serde_json::json;

    use super::{Options, StoreKind};
    use crate::settings::load;
    use crate::simulator::Fault;

    #[test]
    fn reads_what_infrakit_writes_and_what_we_add() {
        let document = Any::from(json!({
            "Store": "file", "Dir": "/x", "StartDelay": 5, "InstanceTypes": ["a"],
            "Faults": {"ListLag": "1m", "CreateFails": {"Next": 2, "Rate": 0.5}}
        }));
        let options: Options = load(&document, |name| {
            (name == "INFRAKIT_SIMULATOR_PROVISION_DELAY").then(|| "2s".to_owned())
        })
        .expect("valid");
        assert_eq!(options.store, StoreKind::File);
        assert_eq!(options.store_dir().as_deref(), Some(Path::new("/x")));
        assert_eq!(options.start_delay.as_duration().as_nanos(), 5);
        assert_eq!(options.provision_delay, GoDuration::from_secs(2));
        assert_eq!(options.instance_types, ["a"]);
        assert_eq!(options.l4_names.len(), 3);
        assert_eq!(options.faults.list_lag, GoDuration::from_secs(60));
        assert_eq!(options.faults.create_fails, Fault { next: 2, rate: 0.5 });
    }

    #[test]
    fn options_survive_a_round_trip() {
        let options = Options::default();
        let back: Options = load(&Any::from_serialize(&options), |_| None).expect("valid");
        assert_eq!(back, options);
    }
}
