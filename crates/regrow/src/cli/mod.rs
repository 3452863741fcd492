//! The tree of commands, and the way from arguments to an exit code.

mod exit;
mod tree;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use crate::places::Places;
use tree::{Cli, Command};

/// Threads of a process that runs plugins.
const WORKER_THREADS: usize = 2;

/// Runs the program.
pub fn main() -> ExitCode {
    let program = std::env::args_os().next().unwrap_or_default();
    let as_infrakit =
        Path::new(&program).file_name().is_some_and(|name| name.to_string_lossy() == "infrakit");
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(fault) => return exit::usage(&fault),
    };
    exit::code(run(cli, as_infrakit))
}

fn run(cli: Cli, as_infrakit: bool) -> Result<()> {
    let places = Places::new(cli.state, as_infrakit);
    match cli.command {
        Command::ExampleServer(args) => args.run(),
        Command::Up(args) => {
            cli.log.start("warn");
            daemon(args.run(&places))
        }
    }
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
