//! The nouns of this program: `regrow group scale web 5`. A noun is a row: an interface, and verbs
//! that are rows of the same kind as those of `local`.

mod group;
mod group_commit;

use anyhow::{Result, bail};
use clap::{Arg, ArgMatches, Command};
use regrow_plugin::spi::Interface;

use crate::finder::Finder;
use crate::local::{
    CatArgs, ChangeArgs, CommitArgs, ControllerDescribe, DescribeArgs, DestroyArgs, HealthyArgs,
    KeysArgs, LabelArgs, PATHS, PrepareArgs, ProvisionArgs, TailArgs, Target, TopicsArgs,
    ValidateArgs, ValidateFlavor, Verb,
};

/// A noun.
pub struct Noun {
    /// On the command line.
    pub name: &'static str,
    /// What it stands for.
    pub about: &'static str,
    /// Interface that its plugins offer; a verb may name others.
    pub interface: Interface,
    /// Its verbs.
    pub verbs: &'static [Verb],
}

/// Trees that can be read. Those that can be changed as well are the ones that are meant first.
const READABLE: &[Interface] = &[Interface::Updatable, Interface::Metadata];

/// All nouns.
pub static NOUNS: &[Noun] = &[
    Noun {
        name: "group",
        about: "Groups of alike instances",
        interface: Interface::Group,
        verbs: group::VERBS,
    },
    Noun {
        name: "instance",
        about: "Instances of a provider",
        interface: Interface::Instance,
        verbs: &[
            Verb::of::<DescribeArgs>(&[], "ls", "List instances"),
            Verb::of::<DescribeArgs>(&[], "describe", "List instances"),
            Verb::of::<ProvisionArgs>(&[], "provision", "Make an instance"),
            Verb::of::<DestroyArgs>(&[], "destroy", "Destroy instances"),
            Verb::of::<LabelArgs>(&[], "label", "Add tags to an instance"),
            Verb::of::<ValidateArgs>(&[], "validate", "Check settings without doing anything"),
        ],
    },
    Noun {
        name: "flavor",
        about: "What makes an instance a member of a group",
        interface: Interface::Flavor,
        verbs: &[
            Verb::of::<ValidateFlavor>(&[], "validate", "Check settings of a flavor"),
            Verb::of::<PrepareArgs>(&[], "prepare", "Complete the spec of an instance"),
            Verb::of::<HealthyArgs>(&[], "healthy", "Ask whether an instance works"),
        ],
    },
    Noun {
        name: "controller",
        about: "Controllers of any kind",
        interface: Interface::Controller,
        verbs: &[
            Verb::of::<CommitArgs>(&[], "commit", "Commit specs"),
            Verb::of::<ControllerDescribe>(&[], "describe", "Describe objects"),
            Verb::of::<ControllerDescribe>(&[], "ls", "Describe objects"),
        ],
    },
    Noun {
        name: "metadata",
        about: "Values that templates read",
        interface: Interface::Updatable,
        verbs: &[
            Verb::of::<KeysArgs>(READABLE, "keys", "List keys"),
            Verb::of::<KeysArgs>(READABLE, "ls", "List keys"),
            Verb::of::<CatArgs>(READABLE, "cat", "Show values"),
            Verb::of::<ChangeArgs>(&[], "change", "Change values"),
        ],
    },
    Noun {
        name: "event",
        about: "What plugins tell as it happens",
        interface: Interface::Event,
        verbs: &[
            Verb::of::<TopicsArgs>(&[], "topics", "List topics"),
            Verb::of::<TailArgs>(&[], "tail", "Show events as they come"),
        ],
    },
];

/// The noun of that name.
pub fn find(name: &str) -> Option<&'static Noun> {
    NOUNS.iter().find(|noun| noun.name == name)
}

impl Noun {
    /// As a command.
    pub fn command(&self) -> Command {
        let plugin = Arg::new("plugin")
            .long("plugin")
            .value_name("NAME")
            .global(true)
            .help("Plugin to ask, where more than one could be meant");
        let mut command = Command::new(self.name)
            .about(self.about)
            .arg(plugin)
            .subcommand_required(true)
            .arg_required_else_help(true);
        for verb in self.verbs {
            command = command.subcommand(verb.command(verb.name));
        }
        command
    }

    /// Runs one of its verbs.
    pub async fn run(&self, finder: Finder, matches: &ArgMatches) -> Result<()> {
        let Some((chosen, matches)) = matches.subcommand() else {
            bail!("{}: name a verb", self.name)
        };
        let name = matches.get_one::<String>("plugin");
        let verb = self.verbs.iter().find(|verb| verb.name == chosen);
        let Some(verb) = verb else { bail!("{}: there is no verb {chosen:?}", self.name) };
        let about = format!("{} {chosen}", self.name);
        let name = name.map(String::as_str);
        let own = [self.interface];
        let interfaces = if verb.interfaces.is_empty() { &own } else { verb.interfaces };
        let paths = matches.try_get_many::<String>(PATHS).ok().flatten();
        let path = paths.and_then(|mut paths| paths.next()).map(String::as_str);
        let target = Target::for_noun(finder, name, interfaces, path, &about).await?;
        verb.run(&target, matches.clone()).await
    }
}
