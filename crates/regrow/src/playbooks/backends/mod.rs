//! What becomes of a script: the table of backends.
//!
//! A backend takes words from its line in the callable and flags from the command line; where both
//! give the same flag, the command line wins.

mod http;
mod plugins;
mod shell;

use anyhow::{Result, anyhow, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use futures::future::BoxFuture;

use super::flags::Flags;
use crate::finder::Finder;
use crate::output::print;

/// A script for a backend.
pub struct Job<'a> {
    /// Words behind the name of the backend.
    pub words: &'a [String],
    /// Flags of the command line.
    pub given: &'a ArgMatches,
    /// Flags that the callable declares itself: those are not the backend's.
    pub declared: &'a Flags,
    /// What the callable rendered.
    pub script: &'a str,
    /// Finds plugins.
    pub finder: &'a Finder,
}

type Run = for<'a> fn(&'a Job<'a>) -> BoxFuture<'a, Result<()>>;

/// A flag of a backend.
pub struct BackendFlag {
    /// On the command line, and on the backend's own line.
    name: &'static str,
    /// Another spelling; empty for none.
    alias: &'static str,
    /// What it is for.
    about: &'static str,
}

/// A backend: its names, its flags, and what it does.
pub struct Backend {
    /// The first is the usual one.
    names: &'static [&'static str],
    flags: &'static [BackendFlag],
    /// True if a plugin gets the script as a document.
    commits: bool,
    run: Run,
}

const PLUGIN: &[BackendFlag] =
    &[BackendFlag { name: "plugin", alias: "", about: "Plugin that gets what is rendered" }];
const STACK: &[BackendFlag] =
    &[BackendFlag { name: "stack", alias: "", about: "Manager that gets what is rendered" }];

/// All backends.
static BACKENDS: &[Backend] = &[
    Backend {
        names: &["print", "doc", "text"],
        flags: &[],
        commits: false,
        run: |job| Box::pin(async { print(job.script) }),
    },
    Backend {
        names: &["sh"],
        flags: &[],
        commits: false,
        run: |job| Box::pin(async { shell::here(job) }),
    },
    Backend {
        names: &["ssh"],
        flags: shell::SSH_FLAGS,
        commits: false,
        run: |job| Box::pin(async { shell::there(job) }),
    },
    Backend {
        names: &["http"],
        flags: http::FLAGS,
        commits: false,
        run: |job| Box::pin(http::send(job)),
    },
    Backend {
        names: &["instanceProvision"],
        flags: PLUGIN,
        commits: true,
        run: |job| Box::pin(plugins::provision(job)),
    },
    Backend {
        names: &["controllerCommit"],
        flags: PLUGIN,
        commits: true,
        run: |job| Box::pin(plugins::commit(job)),
    },
    Backend {
        names: &["managerCommit"],
        flags: STACK,
        commits: true,
        run: |job| Box::pin(plugins::commit_groups(job)),
    },
    Backend {
        names: &["stackEnforce"],
        flags: STACK,
        commits: true,
        run: |job| Box::pin(plugins::enforce(job)),
    },
];

/// Backends of InfraKit that this program does not have, and why.
const ABSENT: [(&str, &str); 1] = [(
    "vmwscript",
    "scripts for vSphere run commands inside of virtual machines through VMware's own interface, \
     which this program does not speak; run the steps with the backend ssh or sh instead",
)];

/// All names that a callable may name a backend by, also of those that are not here.
pub fn names() -> impl Iterator<Item = &'static str> {
    let here = BACKENDS.iter().flat_map(|backend| backend.names);
    here.chain(ABSENT.iter().map(|(name, _)| name)).copied()
}

/// The backend of that name.
pub fn find(name: &str) -> Result<&'static Backend> {
    if let Some((_, why)) = ABSENT.iter().find(|(absent, _)| *absent == name) {
        bail!("run with backend {name:?}: {why}");
    }
    let known = BACKENDS.iter().find(|backend| backend.names.contains(&name));
    known.ok_or_else(|| {
        let all: Vec<_> = BACKENDS.iter().flat_map(|backend| backend.names).copied().collect();
        anyhow!("run with backend {name:?}: this build has {}", all.join(", "))
    })
}

impl Backend {
    /// True if a plugin gets the script as a document.
    pub fn commits(&self) -> bool {
        self.commits
    }

    /// Adds its flags to a command, apart from those that the callable has itself.
    pub fn augment(&self, command: Command, declared: &Flags) -> Command {
        let free = |name: &str| !name.is_empty() && !declared.has(name);
        self.flags.iter().filter(|flag| free(flag.name)).fold(command, |command, flag| {
            let arg = Arg::new(flag.name)
                .long(flag.name)
                .help(flag.about)
                .value_name(flag.name.rsplit('-').next().unwrap_or(flag.name).to_uppercase())
                .action(ArgAction::Append);
            let arg = if free(flag.alias) { arg.alias(flag.alias) } else { arg };
            command.arg(arg)
        })
    }

    /// Runs a script.
    ///
    /// # Errors
    /// What is wrong with the flags, or what the script came to.
    pub async fn run(&self, job: &Job<'_>) -> Result<()> {
        (self.run)(job).await
    }
}

impl Job<'_> {
    /// All values of a flag: those of the command line, else those of the backend's line.
    fn options(&self, flag: &BackendFlag) -> Vec<&str> {
        let given = if self.declared.has(flag.name) {
            None
        } else {
            self.given.try_get_many::<String>(flag.name).ok().flatten()
        };
        match given {
            Some(given) => given.map(String::as_str).collect(),
            None => self
                .line()
                .into_iter()
                .filter(|(name, _)| *name == flag.name || *name == flag.alias)
                .filter(|(name, _)| !name.is_empty())
                .map(|(_, value)| value)
                .collect(),
        }
    }

    /// The last value of a flag.
    fn option(&self, flag: &BackendFlag) -> Option<&str> {
        self.options(flag).last().copied().filter(|value| !value.is_empty())
    }

    /// Words of the line that belong to no flag.
    fn positional(&self) -> Vec<&str> {
        self.line().into_iter().filter(|(name, _)| name.is_empty()).map(|(_, word)| word).collect()
    }

    /// The line as flags with their values; words without a flag have an empty name.
    fn line(&self) -> Vec<(&str, &str)> {
        let mut found = Vec::new();
        let mut words = self.words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            found.push(match word.strip_prefix("--").map(|flag| flag.split_once('=')) {
                None => ("", word),
                Some(Some(pair)) => pair,
                Some(None) => (&word[2..], words.next().unwrap_or("")),
            });
        }
        found
    }
}
