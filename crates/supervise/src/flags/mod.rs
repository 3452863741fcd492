//! The command line of ContainerPilot: flags in the manner of Go, and what its client modes say.
//!
//! ```
//! use regrow_supervise::flags::{Mode, parse};
//!
//! let words = ["-config", "/etc/app.json5", "--maintenance=enable"].map(str::to_owned);
//! let flags = parse(&words, None)?;
//! assert_eq!(flags.mode, Mode::Maintenance(true));
//! # Ok::<(), regrow_supervise::flags::UsageError>(())
//! ```
//!
//! One or two dashes, `-flag value` or `-flag=value`, flags end at `--` or at the first word that is
//! none. One flag decides what is done; where several are given the first in the order of [`Mode`]
//! wins.

mod go;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::config::Source;
use crate::control::client;
use go::Given;

/// What shall be done, in the order in which flags are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Print the usage.
    Help,
    /// Print the version.
    Version,
    /// Render the template of the file and print it, or write it to a file (mode 0644).
    Template {
        /// Where to; `None`: standard output.
        out: Option<PathBuf>,
    },
    /// Have the configuration read again.
    Reload,
    /// Begin or end maintenance: any word but `enable` ends it.
    Maintenance(bool),
    /// Set variables.
    Putenv(BTreeMap<String, String>),
    /// Hand values to telemetry.
    Putmetric(Vec<(String, String)>),
    /// Ask whether the supervisor is there.
    Ping,
    /// Supervise.
    Run,
}

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flags {
    /// What shall be done.
    pub mode: Mode,
    /// Where the configuration is; `None`: nobody said, and
    /// [`ConfigError::NoFile`](crate::config::ConfigError::NoFile) is to be said.
    pub source: Option<Source>,
    /// The words after the flags: with a configuration of version 2 the main application, else
    /// without meaning.
    pub app: Vec<String>,
}

/// Exit code after a wrong command line.
pub const USAGE_EXIT: u8 = 2;

/// A command line that makes no sense. To be printed on standard error, followed by [`usage`]; the
/// exit code is [`USAGE_EXIT`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// A word like `---x` or `-=x`.
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    /// No flag has this name.
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    /// The flag needs a word after it.
    #[error("flag needs an argument: -{0}")]
    NoArgument(String),
    /// A switch with a word that is neither true nor false.
    #[error("invalid boolean value {value:?} for -{name}: parse error")]
    NoSwitch {
        /// Name of the flag.
        name: String,
        /// The word.
        value: String,
    },
    /// A word that should be a pair.
    #[error("invalid value {value:?} for flag -{name}: expected NAME=VALUE")]
    NoPair {
        /// Name of the flag.
        name: String,
        /// The word.
        value: String,
    },
}

/// Reads a command line, without the name of the program. `variable` is the value of the environment
/// variable `CONTAINERPILOT`, which says where the configuration is unless `-config` does.
///
/// # Errors
/// The command line makes no sense.
pub fn parse(words: &[String], variable: Option<&str>) -> Result<Flags, UsageError> {
    let given = Given::read(words)?;
    let config = given.text("config").or(variable).unwrap_or_default();
    Ok(Flags { mode: mode(&given), source: Source::from_word(config), app: given.rest.clone() })
}

fn mode(given: &Given) -> Mode {
    let variables = given.pairs("putenv");
    let metrics = given.pairs("putmetric");
    let maintenance = given.text("maintenance").filter(|word| !word.is_empty());
    if given.help {
        Mode::Help
    } else if given.switch("version") {
        Mode::Version
    } else if given.switch("template") {
        let out = given.text("out").filter(|out| !["", "-"].contains(out));
        // Version 2 writes paths as URLs.
        let out = out.map(|out| out.strip_prefix("file://").unwrap_or(out));
        Mode::Template { out: out.map(PathBuf::from) }
    } else if given.switch("reload") {
        Mode::Reload
    } else if let Some(word) = maintenance {
        Mode::Maintenance(word == "enable")
    } else if !variables.is_empty() {
        Mode::Putenv(variables.into_iter().collect())
    } else if !metrics.is_empty() {
        Mode::Putmetric(metrics)
    } else if given.switch("ping") {
        Mode::Ping
    } else {
        Mode::Run
    }
}

/// What the flags are, for people.
pub fn usage() -> String {
    let mut text = "Usage of containerpilot:\n".to_owned();
    for flag in go::FLAGS {
        let value = if flag.value.is_empty() { String::new() } else { format!(" {}", flag.value) };
        // A text has no way to fail.
        let _ = write!(text, "  -{}{value}\n    \t{}\n", flag.name, flag.help);
    }
    text
}

/// Does what a client mode says, at the socket of a running supervisor. What comes back is to be
/// printed on standard output: an empty text is no line.
///
/// # Errors
/// It was not done: the line to be printed, whereupon the exit code is 1. The other modes are not for
/// here and do nothing.
pub async fn run_client(mode: &Mode, socket: &Path) -> Result<&'static str, String> {
    let (prefix, outcome) = match mode {
        Mode::Reload => ("-reload: failed to run subcommand", client::reload(socket).await),
        Mode::Maintenance(on) => {
            ("-maintenance: failed to run subcommand", client::maintenance(socket, *on).await)
        }
        // The words of ContainerPilot name the wrong flag, and scripts look for them.
        Mode::Putenv(variables) => {
            ("-reload: failed to run subcommand", client::putenv(socket, variables).await)
        }
        Mode::Putmetric(values) => {
            ("-reload: failed to run subcommand", client::putmetric(socket, values).await)
        }
        Mode::Ping => ("-ping: failed", client::ping(socket).await),
        Mode::Help | Mode::Version | Mode::Template { .. } | Mode::Run => return Ok(""),
    };
    outcome.map_err(|error| format!("{prefix}: {error}"))?;
    Ok(if *mode == Mode::Ping { "ok" } else { "" })
}
