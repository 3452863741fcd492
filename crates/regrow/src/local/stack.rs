//! Verbs of managers.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use clap::Args;
use regrow_plugin::spi::Stack;

use super::controller::specs;
use super::{Run, Target};
use crate::documents::RenderArgs;
use crate::output::{OutputArgs, confirm, print};

async fn plugin(target: &Target) -> Result<Arc<dyn Stack>> {
    Ok(target.finder().lookup().stack(target.name()).await?)
}

/// Arguments of `enforce`.
#[derive(Args, Debug)]
pub struct EnforceArgs {
    /// Specs: a file, a URL, or - for standard input
    #[arg(value_name = "URL")]
    url: String,
    /// Only check them; --pretend=false does it
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pretend: bool,
    #[command(flatten)]
    render: RenderArgs,
}

impl Run for EnforceArgs {
    async fn run(self, target: &Target) -> Result<()> {
        let specs = specs(target, &self.url, &self.render).await?;
        let stack = plugin(target).await?;
        if !self.pretend {
            let done = stack.enforce(&specs).await;
            done.map_err(|fault| anyhow!("enforce {} on {}: {fault}", self.url, target.name()))?;
        }
        let word = if self.pretend { "would enforce" } else { "enforced" };
        let lines =
            specs.iter().map(|spec| format!("{word} {} {}\n", spec.kind, spec.metadata.name));
        print(&lines.collect::<String>())
    }
}

/// Arguments of `specs`.
#[derive(Args, Debug)]
pub struct SpecsArgs {
    #[command(flatten)]
    output: OutputArgs,
}

impl Run for SpecsArgs {
    async fn run(self, target: &Target) -> Result<()> {
        self.output.print_document(&plugin(target).await?.specs().await?)
    }
}

/// Arguments of `inspect`.
#[derive(Args, Debug)]
pub struct InspectArgs {
    #[command(flatten)]
    output: OutputArgs,
}

impl Run for InspectArgs {
    async fn run(self, target: &Target) -> Result<()> {
        self.output.print_document(&plugin(target).await?.inspect().await?)
    }
}

/// Arguments of `terminate`.
#[derive(Args, Debug)]
pub struct TerminateArgs {
    /// Specs: a file, a URL, or - for standard input
    #[arg(value_name = "URL")]
    url: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    render: RenderArgs,
}

impl Run for TerminateArgs {
    async fn run(self, target: &Target) -> Result<()> {
        let specs = specs(target, &self.url, &self.render).await?;
        let names: Vec<_> = specs.iter().map(|spec| spec.metadata.name.as_str()).collect();
        let plan = format!("destroy {} of {}", names.join(", "), target.name());
        confirm(&plan, self.yes || target.is_original())?;
        let done = plugin(target).await?.terminate(&specs).await;
        done.map_err(|fault| anyhow!("{plan}: {fault}"))?;
        print(&names.iter().map(|name| format!("terminated {name}\n")).collect::<String>())
    }
}
