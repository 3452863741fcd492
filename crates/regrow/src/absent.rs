//! Commands and kinds of InfraKit that this program does not have: each says why, and what to use.

use anyhow::{Result, bail};
use clap::Args;

/// Words of InfraKit's command line, why there is no such thing, and what to use.
const COMMANDS: &[(&str, &str, &str)] = &[
    (
        "util init",
        "it makes the first manager's boot script by hand",
        "`regrow up SPEC` starts a first manager here, and `regrow flavor prepare` prints the boot \
         script of a member",
    ),
    (
        "util track",
        "the group controller tells of lost and new instances itself",
        "`regrow event tail`, or `regrow instance ls` for those of one plugin",
    ),
    (
        "util mux etcd",
        "a manager of this program follows etcd or Consul itself and opens the port itself",
        "`INFRAKIT_MUX_LISTEN=HOST:PORT regrow plugin start manager … --leader etcd --coordinator \
         URL`, or `regrow util mux os --leader-file FILE` beside another manager",
    ),
    (
        "util mux swarm",
        "leadership comes from a file, our own quorum, etcd or Consul, and from Docker Swarm not",
        "`regrow util mux os --leader-file FILE`, with a file that names the leader",
    ),
    (
        "x maxlife",
        "it destroys members by age behind the back of their group",
        "`regrow group destroy-instances`, or a change of the group, which rolls all members",
    ),
    (
        "x remoteboot",
        "serving network boots is no part of keeping groups",
        "a boot server such as dnsmasq",
    ),
    (
        "x vmwscript",
        "it runs commands inside of virtual machines through VMware's own interface",
        "a playbook with the backend ssh",
    ),
];

/// What to use for a plugin that is not here.
const BESIDE: &str = "InfraKit's own plugin beside this program: both speak the same protocol";
const PROVIDERS: &str = "instances come from processes, files and the simulator only here";
const GROUPS_ONLY: &str = "the controller for groups is the only one here";

/// Kinds of plugins, in the same form.
const KINDS: &[(&str, &str, &str)] = &[
    (
        "time",
        "it only shows how events and metadata look",
        "`now` and `unixtime` in templates, and for events the topics of the group controller \
         (`regrow event topics`)",
    ),
    ("tailer", "following files is a log shipper's work", "a log shipper, or `tail -F`"),
    ("resource", GROUPS_ONLY, BESIDE),
    ("inventory", GROUPS_ONLY, BESIDE),
    ("pool", GROUPS_ONLY, BESIDE),
    ("ingress", GROUPS_ONLY, BESIDE),
    ("enrollment", GROUPS_ONLY, BESIDE),
    ("gc", GROUPS_ONLY, BESIDE),
    ("swarm", "`vanilla` and `combo` are the only flavors here", BESIDE),
    ("kubernetes", "`vanilla` and `combo` are the only flavors here", BESIDE),
    ("image", PROVIDERS, BESIDE),
    ("aws", PROVIDERS, BESIDE),
    ("digitalocean", PROVIDERS, BESIDE),
    ("docker", PROVIDERS, BESIDE),
    ("google", PROVIDERS, BESIDE),
    ("hyperkit", PROVIDERS, BESIDE),
    ("ibmcloud", PROVIDERS, BESIDE),
    ("libvirt", PROVIDERS, BESIDE),
    ("maas", PROVIDERS, BESIDE),
    ("oneview", PROVIDERS, BESIDE),
    ("oracle", PROVIDERS, BESIDE),
    ("packet", PROVIDERS, BESIDE),
    ("rackhd", PROVIDERS, BESIDE),
    ("terraform", PROVIDERS, BESIDE),
    ("ucs", PROVIDERS, BESIDE),
    ("vagrant", PROVIDERS, BESIDE),
    ("vsphere", PROVIDERS, BESIDE),
];

/// Takes whatever InfraKit's command takes.
#[derive(Args, Debug)]
pub struct AbsentArgs {
    /// Anything
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    words: Vec<String>,
}

impl AbsentArgs {
    /// Says why there is no such command.
    ///
    /// # Errors
    /// Always.
    pub fn refuse(&self, command: &str) -> Result<()> {
        let whole = match self.words.first() {
            Some(word) => format!("{command} {word}"),
            None => command.to_owned(),
        };
        let known = COMMANDS.iter().find(|(name, ..)| *name == whole || *name == command);
        match known {
            Some((name, why, instead)) => {
                bail!("{name}: not carried over from InfraKit, because {why}. Instead: {instead}")
            }
            None => bail!(
                "{command}: InfraKit has maxlife, remoteboot and vmwscript below it, and none is here"
            ),
        }
    }
}

/// Why a kind of InfraKit is not here, and what to use; `None` for others.
pub fn kind(name: &str) -> Option<String> {
    let (_, why, instead) = KINDS.iter().find(|(known, ..)| *known == name)?;
    Some(format!("not carried over from InfraKit, because {why}. Instead: {instead}"))
}
