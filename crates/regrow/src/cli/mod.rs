//! The tree of commands, and the way from arguments to an exit code.

mod exit;
mod extras;
mod shells;
pub mod switches;
mod topics;
mod tree;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{ArgMatches, FromArgMatches as _};
use regrow_init::Channel;

use crate::consul::EventCommand;
use crate::fileserver::UtilCommand;
use crate::finder::Finder;
use crate::logging::LogArgs;
use crate::places::Places;
use crate::plugins::PluginCommand;
use crate::{local, nouns, remotes, supervise};
use tree::{Cli, Command};

pub use exit::Ended;

/// Threads of a process that runs plugins.
const WORKER_THREADS: usize = 2;

/// The engine below consensus warns of every call that a lost node does not answer; who leads and
/// who is lost is printed anyway.
const QUIET_ENGINE: &str = "warn,openraft=error";

/// Runs the program; `channel` leads to the first process where this is its worker.
pub fn main(mut words: Vec<OsString>, channel: Option<Channel>) -> ExitCode {
    if channel.is_some()
        && let Some(args) = supervise::plain(&words)
    {
        return exit::code(args.run(channel));
    }
    let program = words.first().map(Path::new).and_then(Path::file_name);
    let as_infrakit = program.is_some_and(|name| name == "infrakit");
    // InfraKit names the subtree of a host after the host.
    let host = std::env::var(remotes::HOST_VARIABLE).unwrap_or_default();
    if let (Some(word), false) = (words.get_mut(1), host.is_empty())
        && *word == *host
        && tree::command().find_subcommand(&host).is_none()
    {
        *word = "local".into();
    }
    hoist(&mut words);
    let command = switches::with_values(tree::command(), &words);
    let matches = match command.try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(fault) => return supervise::give_up(channel.as_ref(), exit::usage(&fault)),
    };
    exit::code(run(&matches, as_infrakit, channel))
}

/// The verbs of `local` are known only once the plugin was asked, so everything behind it is passed
/// on unread. The folder in which to look for the plugin must be read before.
fn hoist(words: &mut Vec<OsString>) {
    if words.get(1).is_none_or(|word| word != "local") {
        return;
    }
    let Some(at) = words.iter().position(|word| word == "--state") else { return };
    if at > 1 && at + 1 < words.len() {
        let pair: Vec<_> = words.drain(at..=at + 1).collect();
        words.splice(1..1, pair);
    }
}

fn run(matches: &ArgMatches, as_infrakit: bool, channel: Option<Channel>) -> Result<()> {
    if let Some(("event", event)) = matches.subcommand()
        && let Ok(command) = EventCommand::from_arg_matches(event)
    {
        common(event, as_infrakit)?;
        return one_shot(command.run());
    }
    if let Some((name, noun_matches)) = matches.subcommand()
        && let Some(noun) = nouns::find(name)
    {
        let places = common(noun_matches, as_infrakit)?;
        return one_shot(async { noun.run(finder(&places).await?, noun_matches).await });
    }
    let cli = Cli::from_arg_matches(matches)?;
    let places = Places::new(cli.state, as_infrakit);
    match cli.command {
        Command::ExampleServer(args) => args.run(),
        Command::Util(UtilCommand::Fileserver(args)) => args.run(),
        Command::Util(UtilCommand::Init(args)) => args.refuse("util init"),
        Command::Util(UtilCommand::Track(args)) => args.refuse("util track"),
        Command::Util(UtilCommand::Mux(args)) => {
            cli.log.start("info");
            daemon(args.run(&places))
        }
        Command::X(args) => args.refuse("x"),
        Command::Completion(args) => args.run(),
        Command::Man(args) => args.run(),
        Command::Version(args) => args.run(),
        Command::Help(args) => args.run(),
        Command::Remote(args) => args.run(),
        Command::Playbook(args) => args.run(),
        Command::Up(args) => {
            cli.log.start("warn");
            daemon(args.run(&places))
        }
        Command::Agent(args) => {
            cli.log.start(QUIET_ENGINE);
            daemon(args.run(&places))
        }
        Command::Supervise(args) => args.run(channel),
        Command::Catalog(args) => {
            cli.log.start(QUIET_ENGINE);
            daemon(args.run(&places))
        }
        Command::Plugin(PluginCommand::Start(args)) => {
            cli.log.start("info");
            daemon(args.run(&places))
        }
        Command::Kv(command) => ask_catalog(&cli.log, command.run()),
        Command::Session(command) => ask_catalog(&cli.log, command.run()),
        Command::Service(command) => ask_catalog(&cli.log, command.run()),
        Command::Acl(command) => ask_catalog(&cli.log, command.run()),
        Command::Status(args) => administer(&cli.log, args.run(&places)),
        Command::Node(command) => administer(&cli.log, command.run(&places)),
        Command::Token(command) => administer(&cli.log, command.run(&places)),
        Command::Ca(command) => administer(&cli.log, command.run(&places)),
        Command::Backup(args) => administer(&cli.log, args.run(&places)),
        Command::Restore(args) => administer(&cli.log, args.run(&places)),
        other => {
            cli.log.start("warn");
            one_shot(async { short(other, &places).await })
        }
    }
}

/// Commands about a cluster, on the agent here or on its state folder.
fn administer(log: &LogArgs, work: impl Future<Output = Result<()>>) -> Result<()> {
    log.start("warn");
    one_shot(work)
}

/// Commands on a catalog, wherever it is.
fn ask_catalog(log: &LogArgs, work: impl Future<Output = Result<()>>) -> Result<()> {
    log.start("warn");
    one_shot(work)
}

/// Commands that ask plugins something and end.
async fn short(command: Command, places: &Places) -> Result<()> {
    let finder = finder(places).await?;
    match command {
        Command::Plugin(args) => args.run(finder, places).await,
        Command::Local(args) => match args.words.split_first() {
            Some((name, _)) if ["-h", "--help", "help"].contains(&name.as_str()) => {
                extras::local_help(&finder).await
            }
            Some((name, _)) if name == shells::NAMES_FLAG => shells::print_names(&finder).await,
            Some((name, words)) => local::run(local::named(finder, name), words).await,
            None => extras::local_help(&finder).await,
        },
        Command::Manager(args) => args.run(finder).await,
        Command::Template(args) => args.run(finder).await,
        Command::Use(args) => args.run(finder).await,
        _ => Ok(()),
    }
}

/// Flags that every command has, for a noun. Also starts the log.
fn common(matches: &ArgMatches, as_infrakit: bool) -> Result<Places> {
    LogArgs::from_arg_matches(matches)?.start("warn");
    Ok(Places::new(matches.get_one("state").cloned(), as_infrakit))
}

/// The plugins that commands work on: those of a remote manager if one is chosen.
async fn finder(places: &Places) -> Result<Finder> {
    match remotes::chosen()? {
        Some(remote) => remote.connect().await,
        None => Ok(Finder::directory(places.plugins()?)),
    }
}

/// For commands that end soon: a runtime without threads starts faster.
pub fn one_shot(work: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let ended = runtime.block_on(work);
    runtime.shutdown_background();
    ended
}

/// For commands that run plugins.
fn daemon(work: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build()
        .context("start the runtime")?;
    let ended = runtime.block_on(work);
    // A call that hangs in a blocking thread must not keep the process.
    runtime.shutdown_background();
    ended
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    #[test]
    fn the_state_folder_may_stand_anywhere() {
        let hoisted = |text: &str| {
            let mut words: Vec<OsString> = text.split(' ').map(OsString::from).collect();
            super::hoist(&mut words);
            let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
            words.join(" ")
        };
        assert_eq!(
            hoisted("regrow local vars keys --state /s -a"),
            "regrow --state /s local vars keys -a"
        );
        assert_eq!(hoisted("regrow local vars keys --state"), "regrow local vars keys --state");
        assert_eq!(hoisted("regrow group ls --state /s"), "regrow group ls --state /s");
    }
}
