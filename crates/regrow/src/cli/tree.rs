use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::example_server::ServerArgs;
use crate::logging::LogArgs;
use crate::up::UpArgs;

/// Keeps groups of machines, processes and plugins as they should be
#[derive(Parser, Debug)]
#[command(name = "regrow", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// State folder [default: /var/lib/regrow for root, else ~/.local/state/regrow]
    #[arg(long, global = true, env = "REGROW_STATE", value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Flags about logs
    #[command(flatten)]
    pub log: LogArgs,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Keep the groups of one or more specs alive, all in this process
    Up(UpArgs),
    /// A tiny HTTP server to try things with
    ExampleServer(ServerArgs),
}
