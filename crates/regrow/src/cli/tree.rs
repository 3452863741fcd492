use std::ffi::OsStr;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{CommandFactory as _, Parser, Subcommand};

use super::extras::{CompletionArgs, HelpArgs, ManArgs, VersionArgs};
use crate::absent::AbsentArgs;
use crate::cluster::{
    AgentArgs, BackupArgs, CaCommand, CatalogArgs, NodeCommand, RestoreArgs, StatusArgs,
    TokenCommand,
};
use crate::consul::{AclCommand, EventCommand, KvCommand, ServiceCommand, SessionCommand};
use crate::example_server::ServerArgs;
use crate::fileserver::UtilCommand;
use crate::logging::LogArgs;
use crate::managing::ManagerCommand;
use crate::nouns::NOUNS;
use crate::playbooks::{PlaybookCommand, UseArgs};
use crate::plugins::PluginCommand;
use crate::remotes::RemoteCommand;
use crate::supervise::SuperviseArgs;
use crate::templates::TemplateArgs;
use crate::up::UpArgs;

/// Keeps groups of machines, processes and plugins as they should be
#[derive(Parser, Debug)]
#[command(
    name = "regrow",
    version,
    propagate_version = true,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 not understood; see `regrow help exit-codes`."
)]
pub struct Cli {
    /// State folder [default: /var/lib/regrow for root, else ~/.local/state/regrow]
    #[arg(long, global = true, env = "REGROW_STATE", value_name = "DIR", hide_env_values = true)]
    pub state: Option<PathBuf>,
    /// Flags about logs
    #[command(flatten)]
    pub log: LogArgs,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do, apart from the nouns that are made of tables.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Keep the groups of one or more specs alive, all in this process
    Up(UpArgs),
    /// Run a node of a cluster: begin one, join one, or go on
    Agent(Box<AgentArgs>),
    /// Run an application: its jobs, their health, its place in the catalog
    Supervise(SuperviseArgs),
    /// Run a catalog alone in one process, for development
    Catalog(CatalogArgs),
    /// Keys of a catalog, and locks
    Kv(KvCommand),
    /// Sessions of a catalog
    Session(SessionCommand),
    /// Services of a catalog
    Service(ServiceCommand),
    /// Tokens of a catalog
    Acl(AclCommand),
    /// Show how this node and its cluster stand
    Status(StatusArgs),
    /// List, remove, empty and promote nodes
    #[command(subcommand)]
    Node(NodeCommand),
    /// Make and revoke what lets nodes join
    #[command(subcommand)]
    Token(TokenCommand),
    /// The cluster's certificate authority
    #[command(subcommand)]
    Ca(CaCommand),
    /// Write the whole control state into a file
    Backup(BackupArgs),
    /// Begin a cluster again from a backup
    Restore(RestoreArgs),
    /// Start, list, stop and examine plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Commands on any plugin, built from what it offers: local NAME VERB …
    #[command(disable_help_flag = true)]
    Local(LocalArgs),
    /// Commit through the manager that leads, and ask who leads
    #[command(subcommand)]
    Manager(ManagerCommand),
    /// Render a template
    Template(TemplateArgs),
    /// Keep a list of playbooks
    #[command(subcommand)]
    Playbook(PlaybookCommand),
    /// Run an operation of a playbook
    Use(UseArgs),
    /// Keep a list of remote managers
    #[command(subcommand)]
    Remote(RemoteCommand),
    /// Small helpers
    #[command(subcommand)]
    Util(UtilCommand),
    /// Not here
    #[command(hide = true, disable_help_flag = true)]
    X(AbsentArgs),
    /// A tiny HTTP server to try things with
    ExampleServer(ServerArgs),
    /// Print a completion script
    Completion(CompletionArgs),
    /// Write the manual pages into a folder
    Man(ManArgs),
    /// Print the version
    Version(VersionArgs),
    /// Explain a command or a topic
    Help(HelpArgs),
}

/// Arguments of `local`: everything is passed on as it is.
#[derive(clap::Args, Debug)]
pub struct LocalArgs {
    /// Plugin, verb, and arguments of the verb
    #[arg(value_name = "NAME VERB ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

/// The whole tree. A variable that is set to nothing counts as unset.
pub fn command() -> clap::Command {
    let mut command = Cli::command();
    for noun in NOUNS {
        let mut below = noun.command();
        if noun.name == "event" {
            // A catalog has events too.
            below = EventCommand::augment_subcommands(below)
                .about("Events of plugins and of a catalog");
        }
        command = command.subcommand(below);
    }
    without_empty_variables(command)
}

/// The command without the variables that are set to nothing, as all other variables are read.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    let command = command.mut_args(|arg| match arg.get_env() {
        Some(name) if is_empty(name) => arg.env(Resettable::Reset),
        _ => arg,
    });
    command.mut_subcommands(without_empty_variables)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tree_is_sound() {
        super::command().debug_assert();
    }

    #[test]
    fn events_are_explained_for_both_kinds() {
        let tree = super::command();
        let event = tree.find_subcommand("event").expect("event");
        let about = event.get_about().expect("a line").to_string();
        assert_eq!(about, "Events of plugins and of a catalog");
    }
}
