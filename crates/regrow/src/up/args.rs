use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use regrow_ids::GoDuration;

use super::{session, specs};
use crate::documents::RenderArgs;
use crate::places::Places;

/// What ends `up` by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Until {
    /// Every group has what it should have.
    Converged,
    /// And every member is healthy, as its flavor sees it.
    Healthy,
}

/// What becomes of the instances when `up` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnExit {
    /// They stay; the next `up` on the same state folder goes on with them.
    Leave,
    /// They are destroyed.
    Destroy,
    /// Ask on the terminal; without one they stay.
    Ask,
}

/// Arguments of `up`.
#[derive(Args, Debug)]
pub struct UpArgs {
    /// Specs: files, URLs, or - for standard input. Without any, what an earlier run stored
    #[arg(value_name = "SPEC")]
    pub specs: Vec<String>,
    /// End by itself once this is the case: code 0, or 1 after --timeout
    #[arg(long, value_enum, value_name = "WHAT")]
    pub until: Option<Until>,
    /// How long --until may take
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    pub timeout: GoDuration,
    /// What becomes of the instances at the end
    #[arg(long, value_enum, default_value = "ask", value_name = "WHAT")]
    pub on_exit: OnExit,
    /// Time between looks when no event asks for one
    #[arg(
        long,
        default_value = "10s",
        value_name = "DURATION",
        env = "INFRAKIT_GROUP_POLL_INTERVAL",
        hide_env_values = true
    )]
    pub poll: GoDuration,
    /// Rules with options for plugins, as `plugin start` reads them
    #[arg(long, value_name = "URL")]
    pub config_url: Option<String>,
    /// Name of the manager's socket
    #[arg(long, default_value = "group", value_name = "NAME")]
    pub stack: String,
    /// Set a value of the plugin `vars` before the groups are committed
    #[arg(long, value_name = "PATH=VALUE")]
    pub metadata: Vec<String>,
    /// Accepted as InfraKit has it; nothing needs to be waited for
    #[arg(long, hide = true, value_name = "DURATION")]
    pub wait: Option<GoDuration>,
    /// Plain lines even on a terminal
    #[arg(long)]
    pub plain: bool,
    /// One JSON document a line: {"at_ms", "level", "text"}
    #[arg(long, conflicts_with = "plain")]
    pub json: bool,
    /// Flags for reading the specs
    #[command(flatten)]
    pub render: RenderArgs,
}

impl UpArgs {
    /// Runs until told to stop.
    pub async fn run(&self, places: &Places) -> Result<()> {
        if Duration::from(self.poll) < Duration::from_millis(10) {
            bail!("use --poll {}: at least 10ms is needed", self.poll);
        }
        let wanted = specs::read(&self.specs, &self.render).await?;
        session::run(self, wanted, places).await
    }
}
