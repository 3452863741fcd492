//! Verbs of resource managers.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use clap::Args;
use regrow_codec::decode;
use regrow_plugin::spi::{Resource, ResourceSpec};

use super::{Run, Target};
use crate::documents::RenderArgs;
use crate::output::print;
use crate::plan::{Plan, confirmed};

async fn plugin(target: &Target) -> Result<Arc<dyn Resource>> {
    Ok(target.finder().lookup().resource(target.name()).await?)
}

async fn spec(target: &Target, url: &str, render: &RenderArgs) -> Result<ResourceSpec> {
    let document = target.loader(render).document(url).await?;
    decode::from_value_strict(&document.value)
        .map_err(|fault| anyhow!("read spec {}: {fault}", document.place))
}

/// Arguments of `commit`.
#[derive(Args, Debug)]
pub struct CommitResource {
    /// Document of the resources
    #[arg(value_name = "URL")]
    url: String,
    /// Only say what it would take
    #[arg(long)]
    pretend: bool,
    #[command(flatten)]
    render: RenderArgs,
}

impl Run for CommitResource {
    async fn run(self, target: &Target) -> Result<()> {
        let spec = spec(target, &self.url, &self.render).await?;
        let said = plugin(target).await?.commit(&spec, self.pretend).await;
        print(&(said.map_err(|fault| anyhow!("commit {}: {fault}", spec.id))? + "\n"))
    }
}

/// Arguments of `describe`.
#[derive(Args, Debug)]
pub struct DescribeResource {
    /// Document of the resources
    #[arg(value_name = "URL")]
    url: String,
    #[command(flatten)]
    render: RenderArgs,
}

impl Run for DescribeResource {
    async fn run(self, target: &Target) -> Result<()> {
        let spec = spec(target, &self.url, &self.render).await?;
        let said = plugin(target).await?.describe_resources(&spec).await;
        print(&(said.map_err(|fault| anyhow!("describe {}: {fault}", spec.id))? + "\n"))
    }
}

/// Arguments of `destroy`.
#[derive(Args, Debug)]
pub struct DestroyResource {
    /// Document of the resources
    #[arg(value_name = "URL")]
    url: String,
    /// Only say what it would take
    #[arg(long)]
    pretend: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    render: RenderArgs,
}

impl Run for DestroyResource {
    async fn run(self, target: &Target) -> Result<()> {
        let spec = spec(target, &self.url, &self.render).await?;
        let plugin = plugin(target).await?;
        let yes = self.yes || target.is_original();
        if !self.pretend {
            confirmed(yes, || async {
                let said = plugin.destroy(&spec, true).await;
                let said = said.map_err(|fault| anyhow!("destroy {}: {fault}", spec.id))?;
                let text = format!("destroy resources {} of {}", spec.id, target.name());
                Ok(Plan::new(text).on(said))
            })
            .await?;
        }
        let said = plugin.destroy(&spec, self.pretend).await;
        print(&(said.map_err(|fault| anyhow!("destroy {}: {fault}", spec.id))? + "\n"))
    }
}
