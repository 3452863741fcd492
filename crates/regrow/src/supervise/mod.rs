//! `regrow supervise`: the application supervisor, and questions to one that runs.
//!
//! `surrounding` is what the binary plugs into it, `pilot` the program under the name
//! `containerpilot`, `asking` the client of the control socket, `files` work on configurations.

mod asking;
mod files;
pub mod pilot;
pub mod probe;
mod surrounding;

use std::collections::BTreeMap;
use std::env::VarError;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use regrow_init::{Channel, Request};
use regrow_supervise::config::{self, Source, Surroundings};
use regrow_supervise::worker;

use crate::cli::{Ended, one_shot};
use crate::output::print;
use asking::{MaintenanceArgs, PairsArgs, PlainArgs, StatusArgs, YieldArgs};
use files::FileArgs;
use surrounding::Binary;

/// Version of the program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The variable that names the configuration.
const CONFIG_VARIABLE: &str = "CONTAINERPILOT";

/// Flags of `supervise`, and those of every command, whose value is the next word.
const FLAGS_WITH_VALUE: &[&str] =
    &["-c", "--config", "--state", "--log", "--log-format", "--log-debug-V", "--log-debug-match"];

/// Arguments of `supervise`.
#[derive(Args, Debug)]
#[command(after_help = "Files of ContainerPilot run unchanged, those of version 2 with the \
    application behind `--`. Called by the name `containerpilot`, the program takes its flags.")]
pub struct SuperviseArgs {
    /// The configuration: JSON5 or YAML, a template
    #[arg(short, long, value_name = "FILE", env = CONFIG_VARIABLE, hide_env_values = true)]
    config: Option<String>,
    /// With a configuration of version 2: the application and its arguments
    #[arg(last = true, value_name = "APPLICATION")]
    app: Vec<String>,
    #[command(subcommand)]
    command: Option<SuperviseCommand>,
}

/// What else can be done.
#[derive(Subcommand, Debug)]
enum SuperviseCommand {
    /// Say what is wrong with a configuration, or odd
    Check(FileArgs),
    /// Print a configuration of version 2 as one of version 3
    Convert(FileArgs),
    /// Print the JSON Schema of configurations
    Schema,
    /// Have a supervisor read its configuration again
    Reload(PlainArgs),
    /// Begin or end maintenance
    Maintenance(MaintenanceArgs),
    /// Leave a lock to others: stop what runs under it, then give it back
    Yield(YieldArgs),
    /// Set variables for processes that start later
    Putenv(PairsArgs),
    /// Hand values to metrics of the configuration
    Putmetric(PairsArgs),
    /// Ask whether a supervisor answers
    Ping(PlainArgs),
    /// Show how jobs, services and watches are
    Status(StatusArgs),
}

/// True where these words make a supervisor of this process: the first process must be split off
/// before anything is parsed. False where another command of `supervise` or help is meant.
pub fn begins(words: &[OsString]) -> bool {
    if pilot::is_called(words) {
        return pilot::begins(words);
    }
    let mut plain = Vec::new();
    let mut left = words.iter().skip(1).map(|word| word.to_string_lossy());
    while let Some(word) = left.next() {
        match &*word {
            "--" => break,
            "-h" | "--help" | "-V" | "--version" => return false,
            flag if FLAGS_WITH_VALUE.contains(&flag) => drop(left.next()),
            flag if flag.starts_with('-') => {}
            _ => plain.push(word),
        }
    }
    plain == ["supervise"]
}

/// What a supervisor is told in the plain form of scripts and images: `supervise -c FILE -- APPLICATION`.
/// Making the tree of all commands to understand it would take longer than everything else before a
/// first job. `None` for every other form, right or wrong, which is for the tree.
pub fn plain(words: &[OsString]) -> Option<SuperviseArgs> {
    let mut words = words.iter().skip(1).map(|word| word.to_str());
    let (mut config, mut app) = (None, Vec::new());
    if words.next()?? != "supervise" {
        return None;
    }
    while let Some(word) = words.next() {
        match word? {
            "-c" | "--config" if config.is_none() => {
                config = Some(words.next()??).filter(|file| !file.starts_with('-'));
                config?;
            }
            "--" => {
                app = words.by_ref().map(|word| word.map(str::to_owned)).collect::<Option<_>>()?;
            }
            _ => return None,
        }
    }
    let config = match (config, std::env::var(CONFIG_VARIABLE)) {
        (Some(file), _) => Some(file.to_owned()),
        (None, Ok(file)) => Some(file),
        (None, Err(VarError::NotPresent)) => None,
        (None, Err(VarError::NotUnicode(_))) => return None,
    };
    Some(SuperviseArgs { config, app, command: None })
}

impl SuperviseArgs {
    /// Runs the supervisor as the worker behind `channel`, or does something else.
    ///
    /// # Errors
    /// It could not be done, or the program ended with another code than 0.
    pub fn run(self, channel: Option<Channel>) -> Result<()> {
        use SuperviseCommand as Do;
        let Some(command) = self.command else {
            let source = self.config.as_deref().and_then(Source::from_word);
            return match supervise(channel, source, self.app)? {
                0 => Ok(()),
                code => Err(Ended(code).into()),
            };
        };
        match command {
            Do::Check(args) => args.check(),
            Do::Convert(args) => args.convert(),
            Do::Schema => print(config::schema()),
            Do::Reload(args) => one_shot(args.reload()),
            Do::Maintenance(args) => one_shot(args.run()),
            Do::Yield(args) => one_shot(args.run()),
            Do::Putenv(args) => one_shot(args.putenv()),
            Do::Putmetric(args) => one_shot(args.putmetric()),
            Do::Ping(args) => one_shot(args.ping()),
            Do::Status(args) => one_shot(args.run()),
        }
    }
}

/// Supervises until all jobs have ended, and returns the exit code of the program.
fn supervise(channel: Option<Channel>, source: Option<Source>, app: Vec<String>) -> Result<u8> {
    let channel = channel.context("the first process was not split off")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    // Where that fails the first process tries another worker after a pause.
    let runtime = runtime.context("start the runtime")?;
    let code = runtime.block_on(worker::run(channel, Arc::new(Binary::new(source, app))));
    runtime.shutdown_background();
    Ok(u8::try_from(code).unwrap_or(1))
}

/// After a command line that was not understood or has been answered. The first process must hear of
/// it: without a word it would start another worker.
pub fn give_up(channel: Option<&Channel>, code: u8) -> ExitCode {
    if let Some(channel) = channel {
        // Where init is gone there is nobody to tell.
        let _ = channel.send(&Request::Bye(code.into()));
    }
    ExitCode::from(code)
}

/// The environment; what is not UTF-8 is mended.
fn environment() -> BTreeMap<String, String> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}

/// This machine, as a configuration with this application sees it.
fn surroundings(app: Vec<String>) -> Surroundings {
    Surroundings { app, ..Surroundings::here(Some(VERSION.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(line: &str) -> bool {
        begins(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_supervisor_is_told_from_other_commands() {
        for line in [
            "regrow supervise",
            "regrow supervise -c check",
            "regrow supervise --config=x --state /s",
            "regrow --log 5 supervise -c x",
            "/usr/bin/regrow supervise -c x -- reload --help",
            "regrow supervise --nonsense",
            "/bin/containerpilot -config x",
            "containerpilot -config x app -reload",
        ] {
            assert!(begin(line), "{line}");
        }
        for line in [
            "regrow",
            "regrow up",
            "regrow supervise check x",
            "regrow supervise -c x reload",
            "regrow supervise --help",
            "regrow help supervise",
            "regrow -- supervise",
            "containerpilot -config x -reload",
            "containerpilot -nonsense",
            "containerpilot -version",
        ] {
            assert!(!begin(line), "{line}");
        }
    }

    #[derive(clap::Parser)]
    struct Whole {
        #[command(flatten)]
        args: SuperviseArgs,
        #[command(flatten)]
        _log: crate::logging::LogArgs,
    }

    #[test]
    fn the_plain_form_means_what_it_means_to_the_tree() {
        const WORDS: [&str; 9] =
            ["-c", "--config", "file", "--", "-x", "", "reload", "-cfile", "-"];
        let mut lines: Vec<Vec<&str>> = vec![vec![]];
        let (mut plain_ones, mut from) = (0, 0);
        for _ in 0..4 {
            let more = lines[from..].to_vec();
            from = lines.len();
            let longer = |line: &Vec<&'static str>| {
                let line = line.clone();
                WORDS.map(|word| [&line[..], &[word]].concat())
            };
            lines.extend(more.iter().flat_map(longer));
        }
        for line in lines {
            let all: Vec<OsString> =
                ["regrow", "supervise"].iter().chain(&line).map(OsString::from).collect();
            let Some(plain) = plain(&all) else { continue };
            plain_ones += 1;
            let whole = <Whole as clap::Parser>::try_parse_from(&all[1..]);
            let whole = whole.unwrap_or_else(|fault| panic!("{line:?}: {fault}"));
            assert_eq!(format!("{plain:?}"), format!("{:?}", whole.args), "{line:?}");
        }
        assert!(plain_ones > 100, "{plain_ones}");
    }

    #[test]
    fn every_flag_with_a_value_is_known_to_the_look_ahead() {
        let mut command = <Whole as clap::CommandFactory>::command();
        // Before, nobody knows which flags take a value.
        command.build();
        for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
            let takes = arg.get_num_args().unwrap_or_default().takes_values();
            if !takes || arg.is_require_equals_set() {
                continue;
            }
            let long = arg.get_long().map(|name| format!("--{name}"));
            let short = arg.get_short().map(|letter| format!("-{letter}"));
            for name in long.into_iter().chain(short) {
                assert!(FLAGS_WITH_VALUE.contains(&name.as_str()), "{name}");
            }
        }
    }
}
