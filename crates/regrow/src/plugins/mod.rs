//! `regrow plugin …`: start, list, stop and examine plugins.

mod check;
mod examine;
mod launch;
mod ls;
mod manager_flags;
mod rules;
mod start;
mod stop;

use anyhow::Result;
use clap::Subcommand;

use crate::finder::Finder;
use crate::places::Places;

pub use launch::{Launch, LaunchArgs, Wish, parse_wish};
pub use rules::{Rule, read as read_rules};
pub use start::StartArgs;

/// Verbs of `plugin`.
#[derive(Subcommand, Debug)]
pub enum PluginCommand {
    /// Start plugins in this process and serve them until told to stop
    Start(StartArgs),
    /// List the plugins that run, object by object
    Ls(ls::LsArgs),
    /// Stop the processes of plugins
    Stop(stop::StopArgs),
    /// Check whether a plugin keeps to the protocol
    Check(check::CheckArgs),
    /// Show the interfaces and methods of a plugin
    Info(examine::InfoArgs),
    /// List the kinds that `plugin start` knows, with their options
    Kinds(ls::KindsArgs),
}

impl PluginCommand {
    /// Runs it; `start` is run elsewhere, because it lives on.
    pub async fn run(self, finder: Finder, places: &Places) -> Result<()> {
        match self {
            Self::Start(args) => args.run(places).await,
            Self::Ls(args) => args.run(&finder).await,
            Self::Stop(args) => args.run(places).await,
            Self::Check(args) => args.run(&finder).await,
            Self::Info(args) => args.run(&finder).await,
            Self::Kinds(args) => args.run(),
        }
    }
}
