//! Commands on any plugin, built from what it says it offers: `regrow local NAME VERB …`.
//!
//! A verb is a row of a table: interface, name, arguments, code. The nouns of this program
//! (`regrow instance …`) are made of the same rows.

mod controller;
mod event;
mod flavor;
mod group;
mod info;
mod instance;
mod l4;
mod metadata;
mod resource;
mod rows;
mod stack;
mod target;

use std::future::Future;

use anyhow::{Result, bail};
use clap::{ArgMatches, Args, Command};
use futures::future::BoxFuture;
use regrow_ids::PluginName;
use regrow_plugin::spi::Interface;

use crate::cli::switches;

pub use controller::{CommitArgs, ControllerDescribe};
pub use event::{TailArgs, TopicsArgs};
pub use flavor::{HealthyArgs, PrepareArgs, ValidateFlavor};
pub use group::{commit_text, members_table};
pub use instance::{DescribeArgs, DestroyArgs, LabelArgs, ProvisionArgs, ValidateArgs};
pub use metadata::{CatArgs, ChangeArgs, KeysArgs, PATHS, change};
pub use rows::VERBS;
pub use target::{Called, Target, named};

/// Arguments of a verb, and what it does.
pub trait Run: Args + Send {
    /// Does it.
    fn run(self, target: &Target) -> impl Future<Output = Result<()>> + Send;
}

/// One verb of an interface.
pub struct Verb {
    /// Interfaces whose objects have it; none for every plugin.
    pub interfaces: &'static [Interface],
    /// Name on the command line.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Adds its arguments to a command.
    augment: fn(Command) -> Command,
    run: for<'a> fn(&'a Target, ArgMatches) -> BoxFuture<'a, Result<()>>,
}

impl Verb {
    /// A row of a table.
    pub const fn of<T: Run + 'static>(
        interfaces: &'static [Interface],
        name: &'static str,
        about: &'static str,
    ) -> Self {
        Self {
            interfaces,
            name,
            about,
            augment: T::augment_args,
            run: |target, matches| {
                Box::pin(async move { T::from_arg_matches(&matches)?.run(target).await })
            },
        }
    }

    /// The command under a name.
    pub fn command(&self, name: &str) -> Command {
        // Afterwards: the arguments bring the text about their own type along.
        (self.augment)(Command::new(name.to_owned())).about(self.about).long_about(None)
    }

    /// Runs it.
    pub async fn run(&self, target: &Target, matches: ArgMatches) -> Result<()> {
        (self.run)(target, matches).await
    }
}

/// The verbs of a plugin's object by the name on the command line. Where two interfaces have the same
/// verb, the second is called `verb-interface`.
fn verbs_of(interfaces: &[Interface]) -> Vec<(String, &'static Verb)> {
    let mut found: Vec<(String, &'static Verb)> = Vec::new();
    for verb in VERBS {
        let has = verb.interfaces.iter().find(|interface| interfaces.contains(interface));
        if has.is_none() && !verb.interfaces.is_empty() {
            continue;
        }
        let taken = |wanted: &str| found.iter().any(|(name, _)| name == wanted);
        let suffix = has.map_or("", |interface| interface.name()).to_lowercase();
        let names = [
            verb.name.to_owned(),
            format!("{}-{suffix}", verb.name),
            format!("{}-{suffix}-object", verb.name),
        ];
        let Some(name) = names.into_iter().find(|name| !taken(name)) else { continue };
        found.push((name, verb));
    }
    found
}

/// Runs `local NAME VERB …`; `words` are everything behind `local`.
pub async fn run(target: Target, words: &[String]) -> Result<()> {
    let program = format!("regrow local {}", target.name());
    let (offered, known) = target.interfaces().await?;
    let verbs = verbs_of(&offered);
    let mut command = Command::new(program.clone())
        .no_binary_name(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_version_flag(true)
        .about(format!("Commands of plugin {}, which offers {known}", target.name()));
    command.set_bin_name(&program);
    for (name, verb) in &verbs {
        command = command.subcommand(verb.command(name));
    }
    let matches = switches::with_values(command, words).try_get_matches_from(words)?;
    let Some((chosen, matches)) = matches.subcommand() else { bail!("{program}: name a verb") };
    let verb = verbs.iter().find(|(name, _)| name == chosen).map(|(_, verb)| *verb);
    match verb {
        Some(verb) => verb.run(&target, matches.clone()).await,
        None => bail!("{program}: there is no verb {chosen:?}"),
    }
}

/// Name of a plugin as it stands on the command line.
pub fn plugin_name(text: &str) -> PluginName {
    PluginName::new(text.trim_matches('/'))
}

#[cfg(test)]
mod tests {
    use regrow_plugin::spi::Interface;

    use super::verbs_of;

    #[test]
    fn clashing_verbs_are_named_after_their_interface() {
        let verbs = verbs_of(&[Interface::Group, Interface::Controller, Interface::Stack]);
        let names: Vec<_> = verbs.iter().map(|(name, _)| name.as_str()).collect();
        for wanted in ["commit-group", "inspect", "inspect-stack", "commit", "free", "info"] {
            assert!(names.contains(&wanted), "{wanted}: {names:?}");
        }
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
    }

    #[test]
    fn every_verb_builds_and_says_what_it_does() {
        for (name, verb) in verbs_of(&Interface::ALL) {
            let command = verb.command(&name);
            assert_eq!(command.get_about().map(ToString::to_string), Some(verb.about.to_owned()));
            assert!(command.get_long_about().is_none(), "{name}");
            command.debug_assert();
        }
    }
}
