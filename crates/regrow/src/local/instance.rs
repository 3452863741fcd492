//! Verbs of instance plugins.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use regrow_codec::{Any, decode};
use regrow_ids::InstanceId;
use regrow_plugin::spi::{Description, DestroyReason, Instance, InstanceSpec, Tags};
use regrow_template::{Options, Template};
use serde_json::Value;

use super::group::{members_table, row, tags};
use super::{Run, Target};
use crate::documents::RenderArgs;
use crate::output::{OutputArgs, confirm, print};

async fn plugin(target: &Target) -> Result<Arc<dyn Instance>> {
    Ok(target.finder().lookup().instance(target.name()).await?)
}

/// `k=v`, or `k` for an empty value.
pub fn parse_tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() {
        return Err(format!("{text:?} has no name; write it like tier=web"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// Arguments of `describe`.
#[derive(Args, Debug)]
pub struct DescribeArgs {
    /// Only these: ids or logical ids
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Only those with these tags
    #[arg(long, value_name = "K=V", value_delimiter = ',', value_parser = parse_tag)]
    tags: Vec<(String, String)>,
    /// With the plugin's own view of each
    #[arg(short, long)]
    properties: bool,
    /// Template for the tags; * is all
    #[arg(short = 't', long, default_value = "*", value_name = "TEMPLATE")]
    tags_view: String,
    /// Template for the properties
    #[arg(short = 'w', long, default_value = "{{.}}", value_name = "TEMPLATE")]
    properties_view: String,
    /// Template for a whole line
    #[arg(short = 'z', long, value_name = "TEMPLATE")]
    description_view: Option<String>,
    /// Without the header
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl Run for DescribeArgs {
    async fn run(self, target: &Target) -> Result<()> {
        let wanted: Tags = self.tags.iter().cloned().collect();
        let properties = self.properties || self.description_view.is_some();
        let found = plugin(target).await?.describe_instances(&wanted, properties).await;
        let mut found =
            found.map_err(|fault| anyhow!("list instances of {}: {fault}", target.name()))?;
        let named = |instance: &Arc<Description>| {
            let logical = instance.logical_id();
            let is = |id: &String| {
                id == instance.id.as_str()
                    || logical.as_ref().is_some_and(|known| known.as_str() == id)
            };
            self.ids.is_empty() || self.ids.iter().any(is)
        };
        found.retain(named);
        if let (false, true) = (self.ids.is_empty(), found.is_empty()) {
            bail!("describe {}: {} has no such instance", self.ids.join(", "), target.name());
        }
        let text = self.text(&found)?;
        self.output.print(&found, || text)
    }
}

impl DescribeArgs {
    fn text(&self, found: &[Arc<Description>]) -> Result<String> {
        let mut rows = String::new();
        for instance in found {
            if let Some(view) = &self.description_view {
                let whole = serde_json::to_value(instance)?;
                rows.push_str(&(render(view, &whole)? + "\n"));
                continue;
            }
            let cell = match self.tags_view.as_str() {
                "*" => tags(instance),
                view => render(view, &serde_json::to_value(&instance.tags)?)?,
            };
            if self.properties {
                let value = instance.properties.to_value();
                let shown = match self.properties_view.as_str() {
                    "{{.}}" => instance.properties.as_text().to_owned(),
                    view => render(view, &value)?,
                };
                rows.push_str(&row(instance, &format!("{cell:<30}\t{shown}")));
            } else {
                rows.push_str(&row(instance, &cell));
            }
        }
        if self.description_view.is_some() {
            return Ok(rows);
        }
        if self.properties && !self.quiet {
            let head = format!("{:<30}\t{:<30}\t{:<30}\tPROPERTIES\n", "ID", "LOGICAL", "TAGS");
            return Ok(head + &rows);
        }
        Ok(members_table(self.quiet, &rows))
    }
}

fn render(view: &str, context: &Value) -> Result<String> {
    let template = Template::from_text(view, "str://", &Options::default());
    let rendered = template.render(context).map_err(|fault| anyhow!("{}", fault.report()));
    Ok(rendered.with_context(|| format!("render view {view:?}"))?.text)
}

/// Arguments of `provision`.
#[derive(Args, Debug)]
pub struct ProvisionArgs {
    /// Spec of the instance: {Properties, Tags, Init, LogicalID, Attachments}
    #[arg(value_name = "URL")]
    url: String,
    #[command(flatten)]
    render: RenderArgs,
}

impl Run for ProvisionArgs {
    async fn run(self, target: &Target) -> Result<()> {
        let spec = instance_spec(target, &self.url, &self.render).await?;
        let made = plugin(target).await?.provision(&spec).await;
        let id =
            made.map_err(|fault| anyhow!("provision an instance of {}: {fault}", target.name()))?;
        print(&format!("{id}\n"))
    }
}

/// Reads the spec of an instance; unknown fields are refused.
pub async fn instance_spec(
    target: &Target,
    url: &str,
    render: &RenderArgs,
) -> Result<InstanceSpec> {
    let document = target.loader(render).document(url).await?;
    decode::from_value_strict(&document.value)
        .map_err(|fault| anyhow!("read spec {}: {fault}", document.place))
}

/// Arguments of `validate`.
#[derive(Args, Debug)]
pub struct ValidateArgs {
    /// Settings of an instance
    #[arg(value_name = "URL")]
    url: String,
    #[command(flatten)]
    render: RenderArgs,
}

impl Run for ValidateArgs {
    async fn run(self, target: &Target) -> Result<()> {
        let document = target.loader(&self.render).document(&self.url).await?;
        let checked = plugin(target).await?.validate(&Any::from(&document.value)).await;
        checked.map_err(|fault| anyhow!("validate {}: {fault}", document.place))?;
        print("validate:ok\n")
    }
}

/// Arguments of `destroy`.
#[derive(Args, Debug)]
pub struct DestroyArgs {
    /// Instances
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Run for DestroyArgs {
    async fn run(self, target: &Target) -> Result<()> {
        let plan = format!("destroy {} of {}", self.ids.join(", "), target.name());
        confirm(&plan, self.yes || target.is_original())?;
        let plugin = plugin(target).await?;
        let mut failed = Vec::new();
        for id in &self.ids {
            let id = InstanceId::from(id.as_str());
            match plugin.destroy(&id, DestroyReason::Terminate).await {
                Ok(()) => print(&format!("destroyed {id}\n"))?,
                Err(fault) => failed.push(format!("{id}: {fault}")),
            }
        }
        if failed.is_empty() { Ok(()) } else { bail!("destroy instances: {}", failed.join("; ")) }
    }
}

/// Arguments of `label`.
#[derive(Args, Debug)]
pub struct LabelArgs {
    /// The instance
    #[arg(value_name = "ID")]
    id: String,
    /// Tags to set
    #[arg(value_name = "K=V", required = true, value_parser = parse_tag)]
    tags: Vec<(String, String)>,
}

impl Run for LabelArgs {
    async fn run(self, target: &Target) -> Result<()> {
        let id = InstanceId::from(self.id.as_str());
        let labelled = plugin(target).await?.label(&id, &self.tags.into_iter().collect()).await;
        labelled.map_err(|fault| anyhow!("label instance {id} of {}: {fault}", target.name()))?;
        print(&format!("labelled {id}\n"))
    }
}
