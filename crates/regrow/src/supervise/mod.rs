//! `regrow supervise`: the application supervisor. `surrounding` is what the binary plugs into it.

pub mod probe;
mod surrounding;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use regrow_init::Channel;
use regrow_supervise::worker;

use surrounding::Binary;

use crate::cli::Ended;

/// The variable that names the configuration.
const CONFIG_VARIABLE: &str = "CONTAINERPILOT";
/// The name under which the program takes the flags of the supervisor that it succeeds.
const PREDECESSOR: &str = "containerpilot";

/// Run an application: its jobs, their health, what others are told and what it learns of others
#[derive(Args, Debug)]
pub struct SuperviseArgs {
    /// The configuration: JSON5 or YAML, a template
    #[arg(short, long, value_name = "FILE", env = CONFIG_VARIABLE, hide_env_values = true)]
    config: Option<PathBuf>,
}

/// True where this process becomes a supervisor: the first process must be split off before anything
/// else happens, so this looks at words and parses nothing.
pub fn begins(words: &[OsString]) -> bool {
    let program = words.first().map(Path::new).and_then(Path::file_name);
    if program.is_some_and(|name| name == PREDECESSOR) {
        return true;
    }
    let verbs = [
        "check",
        "convert",
        "schema",
        "reload",
        "maintenance",
        "putenv",
        "putmetric",
        "ping",
        "status",
        "help",
        "--help",
        "-h",
    ];
    words.get(1).is_some_and(|word| word == "supervise")
        && words.get(2).is_none_or(|word| !verbs.iter().any(|verb| word == verb))
}

impl SuperviseArgs {
    /// Runs the supervisor as the worker of an init.
    ///
    /// # Errors
    /// The runtime cannot be started, or the program ended with another code than 0.
    pub fn run(self, channel: Option<Channel>) -> Result<()> {
        let channel = channel.context("the first process was not split off")?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start the runtime")?;
        let surrounding = Arc::new(Binary::new(self.config));
        let code = runtime.block_on(worker::run(channel, surrounding));
        runtime.shutdown_background();
        if code == 0 {
            return Ok(());
        }
        Err(Ended(u8::try_from(code).unwrap_or(1)).into())
    }
}
