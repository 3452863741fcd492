//! One row for each kind: help, completion, `plugin start` and `up` all read this list.

use anyhow::Result;
use futures::future::BoxFuture;
use regrow_plugin::Plugin;
use regrow_plugin::spi::Interface;

use super::host::Start;
use super::{managers, starters};
use regrow_providers::selector::Strategy;

/// Makes a plugin of a kind.
pub type Starter = for<'a> fn(&'a Start<'a>) -> BoxFuture<'a, Result<Plugin>>;

/// One kind of plugin.
pub struct Kind {
    /// Name in `plugin start`.
    pub name: &'static str,
    /// Name of its socket when none is given.
    pub socket: &'static str,
    /// What it offers.
    pub interfaces: &'static [Interface],
    /// What it is, in one line.
    pub what: &'static str,
    /// Options in a rule of `--config-url`, with the environment variable that stands for each.
    pub options: &'static [(&'static str, &'static str)],
    /// Makes it.
    pub(super) start: Starter,
}

/// The options of selectors are a list of choices.
const CHOICES: &[(&str, &str)] = &[("[].Name", ""), ("[].Instances", ""), ("[].Affinity", "")];

/// All kinds, sorted by name.
pub static KINDS: &[Kind] = &[
    Kind {
        name: "combo",
        socket: "combo",
        interfaces: &[Interface::Flavor],
        what: "flavor that joins several flavors",
        options: &[],
        start: |start| Box::pin(starters::combo(start)),
    },
    Kind {
        name: "file",
        socket: "file",
        interfaces: &[Interface::Instance],
        what: "instances that are files: deleting one kills it",
        options: &[("Dir", "INFRAKIT_INSTANCE_FILE_DIR"), ("Notify", "")],
        start: |start| Box::pin(starters::file(start)),
    },
    Kind {
        name: "group",
        socket: "group-stateless",
        interfaces: &[
            Interface::Group,
            Interface::Controller,
            Interface::Metadata,
            Interface::Event,
        ],
        what: "group controller: keeps sets of alike instances alive",
        options: &[
            ("PollInterval", "INFRAKIT_GROUP_POLL_INTERVAL"),
            ("MaxParallelNum", "INFRAKIT_GROUP_MAX_PARALLEL_NUM"),
            ("Self", "INFRAKIT_GROUP_SELF_LOGICAL_ID"),
        ],
        start: |start| Box::pin(starters::group(start)),
    },
    Kind {
        name: "manager",
        socket: "group",
        interfaces: &[
            Interface::Stack,
            Interface::Group,
            Interface::Controller,
            Interface::Updatable,
        ],
        what: "manager: keeps specs, follows the leadership, stands before groups and metadata",
        options: &[
            ("Group", "INFRAKIT_MANAGER_GROUP"),
            ("Metadata", "INFRAKIT_MANAGER_METADATA"),
            ("Controllers", "INFRAKIT_MANAGER_CONTROLLERS"),
            ("Backend", "INFRAKIT_MANAGER_BACKEND"),
            ("Leader", "REGROW_MANAGER_LEADER"),
            ("Store", "REGROW_MANAGER_STORE"),
            ("Coordinator.Endpoints", "REGROW_COORDINATOR"),
            ("Coordinator.Prefix", ""),
            ("Coordinator.Name", "REGROW_MANAGER_NAME"),
            ("Coordinator.LeaseTTL", ""),
            ("Coordinator.Deadline", ""),
            ("Coordinator.TokenFile", "REGROW_COORDINATOR_TOKEN_FILE"),
            ("Coordinator.TLS.CA", "REGROW_COORDINATOR_CA"),
            ("Coordinator.TLS.Cert", "REGROW_COORDINATOR_CERT"),
            ("Coordinator.TLS.Key", "REGROW_COORDINATOR_KEY"),
            ("LeaderCommitSpecsRetryInterval", "INFRAKIT_MANAGER_COMMIT_SPECS_RETRY_INTERVAL"),
            ("Settings.PollInterval", ""),
            ("Settings.LeaderFile", "INFRAKIT_LEADER_FILE"),
            ("Settings.StoreDir", "INFRAKIT_STORE_DIR"),
            ("Settings.ID", "INFRAKIT_ID"),
            ("Mux.Listen", "INFRAKIT_MUX_LISTEN"),
            ("Mux.Advertise", "INFRAKIT_ADVERTISE"),
            ("Mux.TLS", ""),
            ("Mux.TokenFile", ""),
        ],
        start: |start| Box::pin(managers::manager(start)),
    },
    Kind {
        name: "process",
        socket: "process",
        interfaces: &[Interface::Instance, Interface::Event],
        what: "instances that are local processes",
        options: &[
            ("Dir", "REGROW_PROCESS_DIR"),
            ("StopGrace", "REGROW_PROCESS_STOP_GRACE"),
            ("StopSignal", "REGROW_PROCESS_STOP_SIGNAL"),
            ("KeepDead", ""),
        ],
        start: |start| Box::pin(starters::process(start)),
    },
    Kind {
        name: "selector",
        socket: "selector",
        interfaces: &[Interface::Instance],
        what: "all three selectors over the same choices: spread, tiered, weighted",
        options: CHOICES,
        start: |start| Box::pin(starters::selectors(start)),
    },
    Kind {
        name: "selector/spread",
        socket: "selector",
        interfaces: &[Interface::Instance],
        what: "instances from the choice that has the fewest",
        options: CHOICES,
        start: |start| Box::pin(starters::one_selector(start, Strategy::Spread)),
    },
    Kind {
        name: "selector/tiered",
        socket: "selector",
        interfaces: &[Interface::Instance],
        what: "instances from the first choice that succeeds",
        options: CHOICES,
        start: |start| Box::pin(starters::one_selector(start, Strategy::Tiered)),
    },
    Kind {
        name: "selector/weighted",
        socket: "selector",
        interfaces: &[Interface::Instance],
        what: "instances from a choice by chance, according to weights",
        options: CHOICES,
        start: |start| Box::pin(starters::one_selector(start, Strategy::Weighted)),
    },
    Kind {
        name: "simulator",
        socket: "simulator",
        interfaces: &[Interface::Instance, Interface::L4],
        what: "instances and load balancers that exist in memory only, with faults on request",
        options: &[
            ("Store", "INFRAKIT_SIMULATOR_STORE"),
            ("Dir", "INFRAKIT_SIMULATOR_DIR"),
            ("InstanceTypes", "INFRAKIT_SIMULATOR_INSTANCE_TYPES"),
            ("L4Names", "INFRAKIT_SIMULATOR_L4_NAMES"),
            ("StartDelay", "INFRAKIT_SIMULATOR_START_DELAY"),
            ("DescribeDelay", "INFRAKIT_SIMULATOR_DESCRIBE_DELAY"),
            ("ProvisionDelay", "INFRAKIT_SIMULATOR_PROVISION_DELAY"),
        ],
        start: |start| Box::pin(starters::simulator(start)),
    },
    Kind {
        name: "vanilla",
        socket: "vanilla",
        interfaces: &[Interface::Flavor],
        what: "flavor for members that need a script, tags and attachments only",
        options: &[],
        start: |start| Box::pin(starters::vanilla(start)),
    },
    Kind {
        name: "vars",
        socket: "vars",
        interfaces: &[Interface::Updatable],
        what: "user-defined values that templates read",
        options: &[("InitialTemplate", "INFRAKIT_VARS_TEMPLATE")],
        start: |start| Box::pin(starters::vars(start)),
    },
];
