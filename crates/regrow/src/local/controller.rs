//! Verbs of controllers.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use regrow_plugin::spi::{Controller, Interface, ObjectMeta, Operation, Spec, SpecObject};
use serde_json::Value;

use super::instance::parse_tag;
use super::{Run, Target};
use crate::documents::{Entry, RenderArgs, entries};
use crate::output::{OutputArgs, print};
use crate::plan::{Plan, confirmed};

async fn plugin(target: &Target) -> Result<Arc<dyn Controller>> {
    let name = target.object(Interface::Controller).await?;
    Ok(target.finder().lookup().controller(&name).await?)
}

/// All specs of a document.
pub async fn specs(target: &Target, url: &str, render: &RenderArgs) -> Result<Vec<Spec>> {
    let mut specs = Vec::new();
    for document in target.loader(render).documents(url).await? {
        for entry in entries(&document)? {
            match entry.item {
                Entry::Spec(spec) => specs.push(spec),
                _ => bail!("read spec {}: expected kind, metadata and properties", entry.place),
            }
        }
    }
    if specs.is_empty() {
        bail!("read {url}: there is no spec in it");
    }
    Ok(specs)
}

/// Arguments of `commit`.
#[derive(Args, Debug)]
pub struct CommitArgs {
    /// Specs: a file, a URL, or - for standard input
    #[arg(value_name = "URL")]
    url: String,
    /// Only say what it would take
    #[arg(long)]
    pretend: bool,
    /// Destroy what the specs describe instead
    #[arg(long)]
    destroy_all: bool,
    /// Confirm --destroy-all
    #[arg(short = 'c', long)]
    destroy_all_confirm: bool,
    #[command(flatten)]
    render: RenderArgs,
}

impl Run for CommitArgs {
    async fn run(self, target: &Target) -> Result<()> {
        let specs = specs(target, &self.url, &self.render).await?;
        let controller = plugin(target).await?;
        let operation = if self.destroy_all { Operation::Destroy } else { Operation::Enforce };
        if self.destroy_all && !self.pretend {
            let names: Vec<_> = specs.iter().map(|spec| spec.metadata.name.as_str()).collect();
            let named = format!("destroy {} of {}", names.join(", "), target.name());
            confirmed(self.destroy_all_confirm, || async {
                let plans = plans(controller.as_ref(), operation, &specs).await?;
                Ok(Plan::new(named.clone()).on(plans.join("\n")))
            })
            .await?;
        }
        // All are checked before the first one is committed.
        let plans = plans(controller.as_ref(), operation, &specs).await?;
        for (spec, plan) in specs.iter().zip(plans) {
            let name = &spec.metadata.name;
            if self.pretend {
                print(&format!("Committing {name} would involve: {plan}\n"))?;
                continue;
            }
            let done = controller.commit(operation, spec).await;
            done.map_err(|fault| fault_of("commit", spec, &fault))?;
            print(&format!("Committed {name}: {plan}\n"))?;
        }
        Ok(())
    }
}

/// What each of the specs would take.
async fn plans(
    controller: &dyn Controller,
    operation: Operation,
    specs: &[Spec],
) -> Result<Vec<String>> {
    let mut plans = Vec::new();
    for spec in specs {
        let planned = controller.plan(operation, spec).await;
        let (_, plan) = planned.map_err(|fault| fault_of("plan", spec, &fault))?;
        plans.push(plan.message.unwrap_or_default().join("; "));
    }
    Ok(plans)
}

fn fault_of(doing: &str, spec: &Spec, fault: &regrow_plugin::PluginError) -> anyhow::Error {
    anyhow!("{doing} {} {}: {fault}", spec.kind, spec.metadata.name)
}

/// Arguments of `describe`.
#[derive(Args, Debug)]
pub struct ControllerDescribe {
    /// Only the object of that name
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Only those with these tags
    #[arg(long, value_name = "K=V", value_delimiter = ',', value_parser = parse_tag)]
    tags: Vec<(String, String)>,
    /// Show the items inside of the objects
    #[arg(short, long)]
    objects: bool,
    /// Without the header
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    output: OutputArgs,
}

fn query(name: Option<&String>, tags: &[(String, String)]) -> Option<ObjectMeta> {
    let meta = ObjectMeta {
        name: name.cloned().unwrap_or_default(),
        tags: (!tags.is_empty()).then(|| tags.iter().cloned().collect()),
        ..ObjectMeta::default()
    };
    (name.is_some() || !tags.is_empty()).then_some(meta)
}

impl Run for ControllerDescribe {
    async fn run(self, target: &Target) -> Result<()> {
        let query = query(self.name.as_ref(), &self.tags);
        let found = plugin(target).await?.describe(query.as_ref()).await;
        let found = found.map_err(|fault| anyhow!("describe {}: {fault}", target.name()))?;
        self.output.print(&found, || if self.objects { items(&found) } else { self.table(&found) })
    }
}

impl ControllerDescribe {
    fn table(&self, found: &[SpecObject]) -> String {
        let mut out = String::new();
        let mut line = |kind: &str, name: &str, id: &str| {
            let text = format!("{kind:<10}  {name:<15}  {id:<15}");
            let _ = writeln!(out, "{}", text.trim_end());
        };
        if !self.quiet {
            line("KIND", "NAME", "ID");
        }
        for object in found {
            let id = if object.metadata.id.is_empty() { "-" } else { &object.metadata.id };
            line(&object.kind, &object.metadata.name, id);
        }
        out
    }
}

/// The state of each object, item by item where it is a list of items.
fn items(found: &[SpecObject]) -> String {
    let mut out = format!("{:<15}  {:<30}  {:<30}  DATA\n", "COLLECTION", "KEY", "STATE");
    for object in found {
        let name = &object.metadata.name;
        match object.state.to_value() {
            Value::Array(list) => {
                for item in list {
                    let text = |key: &str| item[key].as_str().unwrap_or("-").to_owned();
                    let (key, state, data) = (text("Key"), text("State"), &item["Data"]);
                    let _ = writeln!(out, "{name:<15}  {key:<30}  {state:<30}  {data}");
                }
            }
            other => {
                let _ = writeln!(out, "{name:<15}  {:<30}  {:<30}  {other}", "-", "-");
            }
        }
    }
    out
}

/// Arguments of `free`.
#[derive(Args, Debug)]
pub struct FreeArgs {
    /// Only the object of that name
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

impl Run for FreeArgs {
    async fn run(self, target: &Target) -> Result<()> {
        let query = query(self.name.as_ref(), &[]);
        let freed = plugin(target).await?.free(query.as_ref()).await;
        let freed = freed.map_err(|fault| anyhow!("free objects of {}: {fault}", target.name()))?;
        let names = freed.iter().map(|object| format!("Freed {}\n", object.metadata.name));
        print(&names.collect::<String>())
    }
}
