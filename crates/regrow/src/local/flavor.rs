//! Verbs of flavors.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use clap::Args;
use regrow_codec::{Any, decode};
use regrow_ids::{GroupId, LogicalId};
use regrow_plugin::spi::{Allocation, Description, Flavor, Health, Index};

use super::instance::instance_spec;
use super::{Run, Target};
use crate::documents::RenderArgs;
use crate::output::{OutputArgs, print};

async fn plugin(target: &Target) -> Result<Arc<dyn Flavor>> {
    Ok(target.finder().lookup().flavor(target.name()).await?)
}

/// The group around a member, as a flavor sees it.
#[derive(Args, Debug)]
pub struct GroupArgs {
    /// Name of the group
    #[arg(long = "group-id", default_value = "", value_name = "GROUP")]
    group: String,
    /// Number of the member in the group
    #[arg(long = "group-sequence", default_value_t = 0, value_name = "N")]
    sequence: u32,
    /// Size of the group
    #[arg(long, value_name = "N", conflicts_with = "logical_ids")]
    size: Option<u32>,
    /// Identities in the group
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    logical_ids: Vec<String>,
}

impl GroupArgs {
    fn allocation(&self) -> Allocation {
        let ids = self.logical_ids.iter().map(|id| LogicalId::from(id.as_str())).collect();
        match self.size {
            None if !self.logical_ids.is_empty() => Allocation { size: 0, logical_ids: Some(ids) },
            size => Allocation { size: size.unwrap_or(1), logical_ids: None },
        }
    }
}

async fn settings(target: &Target, url: &str, render: &RenderArgs) -> Result<Any> {
    Ok(Any::from(&target.loader(render).document(url).await?.value))
}

/// Arguments of `validate`.
#[derive(Args, Debug)]
pub struct ValidateFlavor {
    /// Settings of the flavor
    #[arg(value_name = "URL")]
    url: String,
    #[command(flatten)]
    group: GroupArgs,
    #[command(flatten)]
    render: RenderArgs,
}

impl Run for ValidateFlavor {
    async fn run(self, target: &Target) -> Result<()> {
        let settings = settings(target, &self.url, &self.render).await?;
        let checked = plugin(target).await?.validate(&settings, &self.group.allocation()).await;
        checked.map_err(|fault| anyhow!("validate {}: {fault}", self.url))?;
        print("validate:ok\n")
    }
}

/// Arguments of `prepare`.
#[derive(Args, Debug)]
pub struct PrepareArgs {
    /// Settings of the flavor
    #[arg(value_name = "URL")]
    url: String,
    /// Spec of the instance to complete
    #[arg(value_name = "SPEC")]
    spec: String,
    #[command(flatten)]
    group: GroupArgs,
    #[command(flatten)]
    render: RenderArgs,
}

impl Run for PrepareArgs {
    async fn run(self, target: &Target) -> Result<()> {
        let settings = settings(target, &self.url, &self.render).await?;
        let spec = instance_spec(target, &self.spec, &self.render).await?;
        let group = GroupId::from(self.group.group.as_str());
        let index = Index { group, sequence: self.group.sequence };
        let flavor = plugin(target).await?;
        let done = flavor.prepare(&settings, spec, &self.group.allocation(), &index).await;
        let done = done.map_err(|fault| anyhow!("prepare {}: {fault}", self.spec))?;
        OutputArgs::default().print_document(&done)
    }
}

/// Arguments of `healthy`.
#[derive(Args, Debug)]
pub struct HealthyArgs {
    /// Settings of the flavor
    #[arg(value_name = "URL")]
    url: String,
    /// Description of the instance: {ID, LogicalID, Tags, Properties}
    #[arg(value_name = "INSTANCE")]
    instance: String,
    #[command(flatten)]
    render: RenderArgs,
}

impl Run for HealthyArgs {
    async fn run(self, target: &Target) -> Result<()> {
        let settings = settings(target, &self.url, &self.render).await?;
        let document = target.loader(&self.render).document(&self.instance).await?;
        let instance: Description = decode::from_value_strict(&document.value)
            .map_err(|fault| anyhow!("read instance {}: {fault}", document.place))?;
        let health = plugin(target).await?.healthy(&settings, &instance).await;
        let health =
            health.map_err(|fault| anyhow!("ask for the health of {}: {fault}", instance.id))?;
        print(match health {
            Health::Healthy => "healthy\n",
            Health::Unhealthy => "unhealthy\n",
            Health::Unknown => "unknown\n",
        })
    }
}
