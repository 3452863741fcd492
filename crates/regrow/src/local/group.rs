//! Verbs of groups, in InfraKit's words.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use regrow_ids::{GroupId, InstanceId};
use regrow_plugin::spi::{Description, Group, Interface};

use super::{Run, Target};
use crate::documents::{RenderArgs, group_spec};
use crate::output::{OutputArgs, print};

/// The group object of a target.
pub async fn group(target: &Target) -> Result<Arc<dyn Group>> {
    let name = target.object(Interface::Group).await?;
    Ok(target.finder().lookup().group(&name).await?)
}

/// The group that the target's name means, else the first word; with the words behind it.
fn split<'a>(target: &'a Target, words: &'a [String]) -> Result<(GroupId, &'a [String])> {
    match (target.own_group(), words) {
        (Some(own), words) => Ok((GroupId::from(own), words)),
        (None, [first, rest @ ..]) => Ok((GroupId::from(first.as_str()), rest)),
        (None, []) => Err(anyhow!(
            "{}: name the group, as the first argument or in the name: {}/GROUP",
            target.name(),
            target.name().lookup()
        )),
    }
}

fn only_group(target: &Target, words: &[String]) -> Result<GroupId> {
    let (id, rest) = split(target, words)?;
    match rest {
        [] => Ok(id),
        [extra, ..] => bail!("group {id}: {extra:?} is one argument too many"),
    }
}

/// What a commit says.
pub fn commit_text(id: &GroupId, plan: &str, pretend: bool) -> String {
    if pretend {
        format!("Committing {id} would involve: {plan}\n")
    } else {
        format!("Committed {id}: {plan}\n")
    }
}

/// Arguments of `commit-group`.
#[derive(Args, Debug)]
pub struct CommitGroup {
    /// Document of the group: a file, a URL, or - for standard input
    #[arg(value_name = "URL")]
    url: String,
    /// Only say what it would take
    #[arg(long)]
    pretend: bool,
    #[command(flatten)]
    render: RenderArgs,
}

impl Run for CommitGroup {
    async fn run(self, target: &Target) -> Result<()> {
        let document = target.loader(&self.render).document(&self.url).await?;
        let spec = group_spec(&document)?;
        let answer = group(target).await?.commit_group(&spec, self.pretend).await;
        let plan = answer.map_err(|fault| {
            anyhow!("commit group {} of {} to {}: {fault}", spec.id, self.url, target.name())
        })?;
        print(&commit_text(&spec.id, &plan, self.pretend))
    }
}

/// Arguments of `ls`.
#[derive(Args, Debug)]
pub struct Ls {
    /// The group, unless the plugin's name says it
    #[arg(value_name = "GROUP")]
    group: Vec<String>,
    /// Without the header
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl Run for Ls {
    async fn run(self, target: &Target) -> Result<()> {
        let id = only_group(target, &self.group)?;
        let found = group(target).await?.describe_group(&id).await;
        let found = found.map_err(|fault| anyhow!("list members of group {id}: {fault}"))?;
        let rows = found.instances.iter().map(|instance| row(instance, &tags(instance)));
        let rows = rows.collect::<String>();
        self.output.print(&found, || members_table(self.quiet, &rows))
    }
}

/// The table of members with its header.
pub fn members_table(quiet: bool, rows: &str) -> String {
    let mut out = String::new();
    if !quiet {
        let _ = writeln!(out, "{:<30}\t{:<30}\tTAGS", "ID", "LOGICAL");
    }
    out + rows
}

/// A member as InfraKit prints it.
pub fn row(instance: &Description, tags: &str) -> String {
    let logical = instance.logical_id.as_ref().map_or("  -   ", |id| id.as_str());
    format!("{:<30}\t{logical:<30}\t{tags}\n", instance.id)
}

/// All tags in one cell.
pub fn tags(instance: &Description) -> String {
    let all: Vec<_> = instance.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    all.join(",")
}

/// Arguments of `inspect`.
#[derive(Args, Debug)]
pub struct Inspect {
    /// The group, unless the plugin's name says it
    #[arg(value_name = "GROUP")]
    group: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

impl Run for Inspect {
    async fn run(self, target: &Target) -> Result<()> {
        let id = only_group(target, &self.group)?;
        let specs = group(target).await?.inspect_groups().await?;
        match specs.iter().find(|spec| spec.id == id) {
            Some(spec) => self.output.print_document(spec),
            None => bail!("Group {id} is not being watched"),
        }
    }
}

/// Arguments of `free-group`.
#[derive(Args, Debug)]
pub struct Free {
    /// The group, unless the plugin's name says it
    #[arg(value_name = "GROUP")]
    group: Vec<String>,
}

impl Run for Free {
    async fn run(self, target: &Target) -> Result<()> {
        let id = only_group(target, &self.group)?;
        let freed = group(target).await?.free_group(&id).await;
        freed.map_err(|fault| anyhow!("free group {id}: {fault}"))?;
        print(&format!("Freed {id}\n"))
    }
}

/// Arguments of `destroy`.
#[derive(Args, Debug)]
pub struct Destroy {
    /// The group, unless the plugin's name says it
    #[arg(value_name = "GROUP")]
    group: Vec<String>,
}

impl Run for Destroy {
    async fn run(self, target: &Target) -> Result<()> {
        let id = only_group(target, &self.group)?;
        let destroyed = group(target).await?.destroy_group(&id).await;
        destroyed.map_err(|fault| anyhow!("destroy group {id}: {fault}"))?;
        print(&format!("Destroyed {id}\n"))
    }
}

/// Arguments of `destroy-instance`.
#[derive(Args, Debug)]
pub struct DestroyInstances {
    /// The group, unless the plugin's name says it, then the instances
    #[arg(value_name = "ID", required = true)]
    words: Vec<String>,
}

impl Run for DestroyInstances {
    async fn run(self, target: &Target) -> Result<()> {
        let (id, instances) = split(target, &self.words)?;
        if instances.is_empty() {
            bail!("destroy members of group {id}: name at least one instance");
        }
        let ids: Vec<_> = instances.iter().map(|id| InstanceId::from(id.as_str())).collect();
        let destroyed = group(target).await?.destroy_instances(&id, &ids).await;
        destroyed.map_err(|fault| anyhow!("destroy members of group {id}: {fault}"))?;
        print(&format!("Destroyed {} instances of {id}\n", ids.len()))
    }
}

/// Arguments of `scale`.
#[derive(Args, Debug)]
pub struct Scale {
    /// The group, unless the plugin's name says it, then the new size
    #[arg(value_name = "SIZE")]
    words: Vec<String>,
}

impl Run for Scale {
    async fn run(self, target: &Target) -> Result<()> {
        let (id, rest) = split(target, &self.words)?;
        let group = group(target).await?;
        let size = group.size(&id).await;
        let size = size.map_err(|fault| anyhow!("scale group {id}: {fault}"))?;
        let wanted = match rest {
            [] => return print(&format!("Group {id} at {size} instances\n")),
            [wanted] => wanted.parse().map_err(|_| {
                anyhow!("scale group {id}: {wanted:?} is no size; give a number from 0 on")
            })?,
            [_, extra, ..] => bail!("scale group {id}: {extra:?} is one argument too many"),
        };
        print(&format!("Group {id} at {size} instances, scale to {wanted}\n"))?;
        let scaled = group.set_size(&id, wanted).await;
        scaled.map_err(|fault| anyhow!("scale group {id}: {fault}"))
    }
}

/// Arguments of `groups`.
#[derive(Args, Debug)]
pub struct GroupNames {
    /// Without the header
    #[arg(short, long)]
    quiet: bool,
}

impl Run for GroupNames {
    async fn run(self, target: &Target) -> Result<()> {
        let specs = group(target).await?.inspect_groups().await?;
        let head = if self.quiet { "" } else { "ID\n" };
        let ids = specs.iter().map(|spec| format!("{}\n", spec.id)).collect::<String>();
        print(&format!("{head}{ids}"))
    }
}
