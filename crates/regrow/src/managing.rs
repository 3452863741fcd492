//! `regrow manager`: commits through the manager that leads, and who that is.

use anyhow::{Result, anyhow, bail};
use clap::{Args, Subcommand};
use regrow_ids::PluginName;
use regrow_plugin::spi::Interface;
use serde_json::Value;

use crate::documents::{Document, RenderArgs, entries, group_of};
use crate::finder::Finder;
use crate::local::Target;
use crate::output::{OutputArgs, print};

/// Verbs of `manager`.
#[derive(Subcommand, Debug)]
pub enum ManagerCommand {
    /// Commit groups through the manager that leads
    Commit(CommitArgs),
    /// Say whether this manager leads, and where the leader is
    Leader,
    /// Show the stored specs with their state
    Inspect(InspectArgs),
}

/// Arguments of `manager commit`.
#[derive(Args, Debug)]
pub struct CommitArgs {
    /// List of {Plugin, Properties: {ID, Properties}}, or specs
    #[arg(value_name = "URL")]
    url: String,
    /// Only say what it would take
    #[arg(long)]
    pretend: bool,
    #[command(flatten)]
    render: RenderArgs,
}

/// Arguments of `manager inspect`.
#[derive(Args, Debug)]
pub struct InspectArgs {
    #[command(flatten)]
    output: OutputArgs,
}

impl ManagerCommand {
    /// Does it.
    pub async fn run(self, finder: Finder) -> Result<()> {
        let target = Target::for_noun(finder, None, &[Interface::Stack], None, "manager").await?;
        let stack = target.finder().lookup().stack(target.name()).await?;
        match self {
            Self::Leader => {
                let leads = stack.is_leader().await?;
                let location = stack.leader_location().await?;
                let location = match location {
                    Some(at) => format!("{}://{}{}", at.scheme, at.host, at.path),
                    None => nowhere(&target).await,
                };
                print(&format!("IsLeader       : {leads}\nLeaderLocation : {location}\n"))
            }
            Self::Inspect(args) => args.output.print_document(&stack.inspect().await?),
            Self::Commit(args) => {
                if !stack.is_leader().await? {
                    bail!("Cannot perform manager operations on a non-leader node");
                }
                args.run(&target).await
            }
        }
    }
}

impl CommitArgs {
    async fn run(&self, target: &Target) -> Result<()> {
        let mut documents = target.loader(&self.render).documents(&self.url).await?;
        documents.iter_mut().for_each(|document| forget_states(&mut document.value));
        commit(target, &documents, self.pretend).await
    }
}

/// What is known when no leader says where it answers, as in agents: they open no port for clients.
/// Which replica leads is known then all the same, and in agents the machine that it runs on.
async fn nowhere(target: &Target) -> String {
    let open = "no leader has announced a port for remote clients";
    let status = PluginName::with_subtype(target.name().lookup(), "status");
    let known = async { target.finder().tree(&status).await?.get("leadership").await };
    let Ok(Some(known)) = known.await else { return format!("- ({open})") };
    let known = known.to_value();
    let state = known["state"].as_str().unwrap_or("unknown");
    let fence = known["fence"].as_u64().map_or_else(String::new, |at| format!(", fence {at}"));
    let why = format!("{open}; this manager is {state}{fence}");
    let leader = &known["leader"];
    match (leader["machine"].as_str(), leader["id"].as_str()) {
        (Some(machine), Some(id)) => format!("machine {machine}, replica {id} ({why})"),
        (None, Some(id)) => format!("replica {id} ({why})"),
        _ => format!("- ({why})"),
    }
}

/// Drops from specs what became of them, so that what `manager inspect` shows can be committed.
fn forget_states(document: &mut Value) {
    match document {
        Value::Array(items) => items.iter_mut().for_each(forget_states),
        Value::Object(fields) => fields.retain(|key, _| !key.eq_ignore_ascii_case("state")),
        _ => {}
    }
}

/// Commits all groups of documents, or only says what it would take.
pub async fn commit(target: &Target, documents: &[Document], pretend: bool) -> Result<()> {
    let mut groups = Vec::new();
    for document in documents {
        for entry in entries(document)? {
            groups.push(group_of(&entry)?);
        }
    }
    let name = target.object(Interface::Group).await?;
    let controller = target.finder().lookup().group(&name).await?;
    for group in &groups {
        let (plugin, spec) = &group.item;
        let answer = controller.commit_group(spec, pretend).await;
        let plan = answer
            .map_err(|fault| anyhow!("commit group {} of {}: {fault}", spec.id, group.place))?;
        let named = plugin.clone().unwrap_or_else(|| own_name(target.name()));
        print(&format!("Group {} with plugin {named} plan: {plan}\n", spec.id))?;
    }
    Ok(())
}

fn own_name(name: &PluginName) -> String {
    name.lookup().to_owned()
}
