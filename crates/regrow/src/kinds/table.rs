//! One row for each kind: help, completion, `plugin start` and `up` all read this list.

use anyhow::Result;
use futures::future::BoxFuture;
use regrow_plugin::Plugin;
use regrow_plugin::spi::Interface;

use super::host::Start;
use super::starters;

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
        name: "group",
        socket: "group-stateless",
        interfaces: &[Interface::Group],
        what: "group controller: keeps sets of alike instances alive",
        options: &[
            ("PollInterval", "INFRAKIT_GROUP_POLL_INTERVAL"),
            ("MaxParallelNum", "INFRAKIT_GROUP_MAX_PARALLEL_NUM"),
            ("Self", "INFRAKIT_GROUP_SELF_LOGICAL_ID"),
        ],
        start: |start| Box::pin(starters::group(start)),
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
