//! Verbs of the noun `group`.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use clap::Args;
use regrow_codec::Any;
use regrow_ids::{GroupId, InstanceId};
use regrow_plugin::spi::{Group, GroupDescription, GroupSpec, Interface, tags};
use serde::Serialize;
use serde_json::{Value, json};

use super::group_commit::Commit;
use crate::local::{Run, Target, Verb, members_table};
use crate::output::{OutputArgs, print, table};
use crate::plan::{Plan, confirmed};

/// Verbs of groups.
pub static VERBS: &[Verb] = &[
    Verb::of::<Ls>(&[], "ls", "List groups"),
    Verb::of::<Show>(&[], "show", "Show the document of a group"),
    Verb::of::<Describe>(&[], "describe", "List the members of a group"),
    Verb::of::<Commit>(&[], "commit", "Commit groups: create or change them"),
    Verb::of::<Scale>(&[], "scale", "Change the size of a group"),
    Verb::of::<Pause>(&[], "pause", "Hold updates of a group; dead members are still replaced"),
    Verb::of::<Resume>(&[], "resume", "Go on with a held update"),
    Verb::of::<Free>(&[], "free", "Stop watching a group; its members stay"),
    Verb::of::<Destroy>(&[], "destroy", "Destroy a group with all its members"),
    Verb::of::<DestroyInstances>(
        &[],
        "destroy-instances",
        "Destroy members and shrink the group by their number",
    ),
];

pub(super) async fn controller(target: &Target) -> Result<Arc<dyn Group>> {
    let name = target.object(Interface::Group).await?;
    Ok(target.finder().lookup().group(&name).await?)
}

async fn document(group: &dyn Group, id: &GroupId) -> Result<GroupSpec> {
    let specs = group.inspect_groups().await?;
    let known: Vec<_> = specs.iter().map(|spec| spec.id.to_string()).collect();
    specs.into_iter().find(|spec| spec.id == *id).ok_or_else(|| {
        let hint = crate::kinds::similar(id.as_str(), known.iter().map(String::as_str))
            .map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
        anyhow!("find group {id}: it is not watched{hint}")
    })
}

#[derive(Serialize)]
struct Row {
    id: String,
    wanted: Value,
    alive: usize,
    converged: bool,
    instance: String,
    flavor: String,
}

/// Arguments of `group ls`.
#[derive(Args, Debug)]
pub struct Ls {
    /// Without the header
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl Run for Ls {
    async fn run(self, target: &Target) -> Result<()> {
        let group = controller(target).await?;
        let specs = group.inspect_groups().await?;
        let asked = specs.iter().map(|spec| {
            let group = Arc::clone(&group);
            async move { (spec, group.describe_group(&spec.id).await) }
        });
        let mut rows = Vec::new();
        for (spec, found) in futures::future::join_all(asked).await {
            let found = found.map_err(|fault| anyhow!("describe group {}: {fault}", spec.id))?;
            rows.push(row(spec, &found));
        }
        self.output.print(&rows, || {
            let cells = rows.iter().map(|row| {
                let state = if row.converged { "converged" } else { "working" };
                vec![
                    row.id.clone(),
                    row.wanted.to_string(),
                    row.alive.to_string(),
                    state.to_owned(),
                    row.instance.clone(),
                    row.flavor.clone(),
                ]
            });
            let cells: Vec<_> = cells.collect();
            let all = table(&["GROUP", "WANTED", "ALIVE", "STATE", "INSTANCE", "FLAVOR"], &cells);
            match (self.quiet, all.split_once('\n')) {
                (true, Some((_, rows))) => rows.to_owned(),
                _ => all,
            }
        })
    }
}

fn row(spec: &GroupSpec, found: &GroupDescription) -> Row {
    let tree = spec.properties.to_value();
    let allocation = &tree["Allocation"];
    let ids = allocation["LogicalIDs"].as_array().filter(|ids| !ids.is_empty());
    let wanted = ids.map_or_else(|| allocation["Size"].clone(), |ids| json!(ids.len()));
    let plugin = |part: &str| tree[part]["Plugin"].as_str().unwrap_or("-").to_owned();
    Row {
        id: spec.id.to_string(),
        wanted,
        alive: found.instances.len(),
        converged: found.converged,
        instance: plugin("Instance"),
        flavor: plugin("Flavor"),
    }
}

/// Arguments of verbs that take a group.
#[derive(Args, Debug)]
pub struct Show {
    /// The group
    group: String,
    #[command(flatten)]
    output: OutputArgs,
}

impl Run for Show {
    async fn run(self, target: &Target) -> Result<()> {
        let id = GroupId::from(self.group);
        let spec = document(controller(target).await?.as_ref(), &id).await?;
        self.output.print_document(&spec)
    }
}

/// Arguments of `group describe`.
#[derive(Args, Debug)]
pub struct Describe {
    /// The group
    group: String,
    /// Without the header
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl Run for Describe {
    async fn run(self, target: &Target) -> Result<()> {
        let id = GroupId::from(self.group);
        let found = controller(target).await?.describe_group(&id).await;
        let found = found.map_err(|fault| anyhow!("describe group {id}: {fault}"))?;
        self.output.print(&found, || {
            let rows = found.instances.iter().map(|instance| {
                let hidden = [tags::GROUP, tags::STEP_KEY];
                let shown = instance.tags.iter().filter(|(key, _)| !hidden.contains(&key.as_str()));
                let shown: Vec<_> = shown.map(|(key, value)| format!("{key}={value}")).collect();
                let logical = instance.logical_id();
                let logical = logical.as_ref().map_or("-", |id| id.as_str());
                vec![instance.id.to_string(), logical.to_owned(), shown.join(",")]
            });
            let rows: Vec<_> = rows.collect();
            if self.quiet {
                let lines = rows.iter().map(|row| format!("{}\n", row.join("  ")));
                return members_table(true, &lines.collect::<String>());
            }
            table(&["ID", "LOGICAL", "TAGS"], &rows)
        })
    }
}

/// Arguments of `group scale`.
#[derive(Args, Debug)]
pub struct Scale {
    /// The group
    group: String,
    /// New size; without it the size is shown
    size: Option<u32>,
}

impl Run for Scale {
    async fn run(self, target: &Target) -> Result<()> {
        let id = GroupId::from(self.group);
        let group = controller(target).await?;
        let fault = |fault: regrow_plugin::PluginError| anyhow!("scale group {id}: {fault}");
        let size = group.size(&id).await.map_err(fault)?;
        let Some(wanted) = self.size else {
            return print(&format!("Group {id} at {size} instances\n"));
        };
        print(&format!("Group {id} at {size} instances, scale to {wanted}\n"))?;
        group.set_size(&id, wanted).await.map_err(fault)
    }
}

/// Arguments of `group pause`.
#[derive(Args, Debug)]
pub struct Pause {
    /// The group
    group: String,
}

impl Run for Pause {
    async fn run(self, target: &Target) -> Result<()> {
        hold(target, &self.group, true).await
    }
}

/// Arguments of `group resume`.
#[derive(Args, Debug)]
pub struct Resume {
    /// The group
    group: String,
}

impl Run for Resume {
    async fn run(self, target: &Target) -> Result<()> {
        hold(target, &self.group, false).await
    }
}

/// Sets `Update.Pause` in the group's document and commits it again.
async fn hold(target: &Target, group: &str, pause: bool) -> Result<()> {
    let id = GroupId::from(group);
    let controller = controller(target).await?;
    let spec = document(controller.as_ref(), &id).await?;
    let mut tree = spec.properties.to_value();
    if !tree["Update"].is_object() {
        tree["Update"] = json!({});
    }
    tree["Update"]["Pause"] = json!(pause);
    let changed = GroupSpec { id: id.clone(), properties: Any::from(tree) };
    let answer = controller.commit_group(&changed, false).await;
    let word = if pause { "paused" } else { "resumed" };
    answer.map_err(|fault| anyhow!("{word} group {id}: {fault}"))?;
    print(&format!("{word} {id}\n"))
}

/// Arguments of `group free`.
#[derive(Args, Debug)]
pub struct Free {
    /// The group
    group: String,
}

impl Run for Free {
    async fn run(self, target: &Target) -> Result<()> {
        let id = GroupId::from(self.group);
        let freed = controller(target).await?.free_group(&id).await;
        freed.map_err(|fault| anyhow!("free group {id}: {fault}"))?;
        print(&format!("Freed {id}\n"))
    }
}

/// Ids of the members, sorted.
async fn members(group: &dyn Group, id: &GroupId, doing: &str) -> Result<Vec<String>> {
    let found = group.describe_group(id).await;
    let found = found.map_err(|fault| anyhow!("{doing} {id}: {fault}"))?;
    let mut ids: Vec<_> = found.instances.iter().map(|member| member.id.to_string()).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// Arguments of `group destroy`.
#[derive(Args, Debug)]
pub struct Destroy {
    /// The group
    group: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Run for Destroy {
    async fn run(self, target: &Target) -> Result<()> {
        let id = GroupId::from(self.group);
        let group = controller(target).await?;
        confirmed(self.yes, || async {
            let members = members(group.as_ref(), &id, "destroy group").await?;
            let plan = Plan::new(format!("destroy group {id} with its {} members", members.len()));
            Ok(plan.on(members.join(",")))
        })
        .await?;
        let destroyed = group.destroy_group(&id).await;
        destroyed.map_err(|fault| anyhow!("destroy group {id}: {fault}"))?;
        print(&format!("Destroyed {id}\n"))
    }
}

/// Arguments of `group destroy-instances`.
#[derive(Args, Debug)]
pub struct DestroyInstances {
    /// The group
    group: String,
    /// Its members
    #[arg(required = true, value_name = "ID")]
    instances: Vec<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Run for DestroyInstances {
    async fn run(self, target: &Target) -> Result<()> {
        let id = GroupId::from(self.group);
        let group = controller(target).await?;
        let count = self.instances.len();
        let named = self.instances.join(", ");
        confirmed(self.yes, || async {
            let members = members(group.as_ref(), &id, "destroy members of group").await?;
            let plan = format!("destroy {named} of group {id}, which shrinks by {count}");
            Ok(Plan::new(plan).on(members.join(",")))
        })
        .await?;
        let ids: Vec<_> = self.instances.iter().map(|id| InstanceId::from(id.as_str())).collect();
        let destroyed = group.destroy_instances(&id, &ids).await;
        destroyed.map_err(|fault| anyhow!("destroy members of group {id}: {fault}"))?;
        print(&format!("Destroyed {count} instances of {id}\n"))
    }
}
