//! Backends that hand what is rendered to a plugin.

use anyhow::{Context as _, Result, anyhow};
use regrow_codec::decode;
use regrow_ids::PluginName;
use regrow_plugin::spi::{InstanceSpec, Operation, Spec};
use serde_json::Value;

use super::{Job, PLUGIN, STACK};
use crate::documents::documents;
use crate::local::named;
use crate::managing;
use crate::output::print;

/// The plugin: by flag, or the first word of the line as older callables have it.
fn plugin(job: &Job<'_>) -> Result<PluginName> {
    let name = job.option(&PLUGIN[0]).or_else(|| job.positional().first().copied());
    let name = name.context("run with the backend: its line lacks --plugin NAME")?;
    Ok(PluginName::from(name))
}

fn stack<'a>(job: &'a Job<'_>) -> &'a str {
    job.option(&STACK[0]).unwrap_or("mystack")
}

/// The script as data: YAML or JSON.
fn data(job: &Job<'_>) -> Result<Value> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(job.script, options)
        .map_err(|fault| anyhow!("read what the callable gives: {fault}"))
}

/// Makes an instance of the spec.
pub(super) async fn provision(job: &Job<'_>) -> Result<()> {
    let name = plugin(job)?;
    let spec: InstanceSpec = decode::from_value_strict(&data(job)?)
        .map_err(|fault| anyhow!("read the spec of the instance: {fault}"))?;
    let id = job.finder.lookup().instance(&name).await?.provision(&spec).await?;
    print(&format!("{id}\n"))
}

fn specs(job: &Job<'_>) -> Result<Vec<Spec>> {
    let tree = data(job)?;
    let list = if tree.is_array() { tree } else { Value::Array(vec![tree]) };
    decode::from_value_strict(&list).map_err(|fault| anyhow!("read specs: {fault}"))
}

/// Commits the specs to a controller.
pub(super) async fn commit(job: &Job<'_>) -> Result<()> {
    let controller = job.finder.lookup().controller(&plugin(job)?).await?;
    for spec in specs(job)? {
        controller.commit(Operation::Enforce, &spec).await?;
        print(&format!("Committed {}\n", spec.metadata.name))?;
    }
    Ok(())
}

/// Commits the groups through the manager that leads, as `manager commit` does.
pub(super) async fn commit_groups(job: &Job<'_>) -> Result<()> {
    let found = documents("what the callable gives", job.script)?;
    let target = named(job.finder.clone(), stack(job));
    managing::commit(&target, &found, false).await
}

/// Has a manager enforce the specs.
pub(super) async fn enforce(job: &Job<'_>) -> Result<()> {
    let specs = specs(job)?;
    job.finder.lookup().stack(&PluginName::from(stack(job))).await?.enforce(&specs).await?;
    let lines = specs.iter().map(|spec| format!("enforced {} {}\n", spec.kind, spec.metadata.name));
    print(&lines.collect::<String>())
}
