//! What becomes of a script: the table of backends.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};
use futures::future::BoxFuture;
use regrow_codec::decode;
use regrow_ids::PluginName;
use regrow_plugin::spi::{InstanceSpec, Operation, Spec};
use serde_json::Value;

use crate::finder::Finder;
use crate::output::print;

/// A script for a backend.
pub struct Job<'a> {
    /// Words behind the name of the backend.
    pub words: &'a [String],
    /// What the callable rendered.
    pub script: &'a str,
    /// Finds plugins.
    pub finder: &'a Finder,
}

type Run = for<'a> fn(&'a Job<'a>) -> BoxFuture<'a, Result<()>>;

/// A backend: its names and what it does.
pub struct Backend {
    /// The first is the usual one.
    pub names: &'static [&'static str],
    /// Does it.
    pub run: Run,
}

/// All backends.
pub static BACKENDS: &[Backend] = &[
    Backend { names: &["print", "doc", "text"], run: |job| Box::pin(async { print(job.script) }) },
    Backend { names: &["sh"], run: |job| Box::pin(async { shell(job) }) },
    Backend { names: &["instanceProvision"], run: |job| Box::pin(provision(job)) },
    Backend { names: &["controllerCommit"], run: |job| Box::pin(commit(job)) },
    Backend { names: &["stackEnforce"], run: |job| Box::pin(enforce(job)) },
];

/// The backend of that name.
pub fn find(name: &str) -> Result<&'static Backend> {
    let known = BACKENDS.iter().find(|backend| backend.names.contains(&name));
    known.ok_or_else(|| {
        let all: Vec<_> = BACKENDS.iter().flat_map(|backend| backend.names).copied().collect();
        anyhow!("run with backend {name:?}: this build has {}", all.join(", "))
    })
}

/// Pipes the script to a shell.
fn shell(job: &Job<'_>) -> Result<()> {
    let mut child = Command::new("/bin/sh")
        .args(job.words)
        .stdin(Stdio::piped())
        .spawn()
        .context("start /bin/sh")?;
    if let Some(mut input) = child.stdin.take() {
        // A shell that ends early does not read the rest.
        match input.write_all(job.script.as_bytes()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                return Err(error).context("write the script to /bin/sh");
            }
            _ => {}
        }
    }
    let status = child.wait().context("wait for /bin/sh")?;
    if status.success() { Ok(()) } else { bail!("run the script: the shell ended with {status}") }
}

fn option<'a>(job: &'a Job<'_>, name: &str, usual: Option<&'a str>) -> Result<&'a str> {
    let flag = format!("--{name}");
    let at = job.words.iter().position(|word| *word == flag);
    let behind = at.and_then(|at| job.words.get(at + 1)).map(String::as_str);
    let joined = job.words.iter().find_map(|word| word.strip_prefix(&format!("{flag}=")));
    let found = behind.or(joined).or(usual);
    found.ok_or_else(|| anyhow!("run with the backend: its line lacks {flag} NAME"))
}

/// The script as data: YAML or JSON.
fn data(job: &Job<'_>) -> Result<Value> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(job.script, options)
        .map_err(|fault| anyhow!("read what the callable gives: {fault}"))
}

async fn provision(job: &Job<'_>) -> Result<()> {
    let name = PluginName::from(option(job, "plugin", None)?);
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

async fn commit(job: &Job<'_>) -> Result<()> {
    let name = PluginName::from(option(job, "plugin", None)?);
    let controller = job.finder.lookup().controller(&name).await?;
    for spec in specs(job)? {
        controller.commit(Operation::Enforce, &spec).await?;
        print(&format!("Committed {}\n", spec.metadata.name))?;
    }
    Ok(())
}

async fn enforce(job: &Job<'_>) -> Result<()> {
    let name = PluginName::from(option(job, "stack", Some("mystack"))?);
    let specs = specs(job)?;
    job.finder.lookup().stack(&name).await?.enforce(&specs).await?;
    let lines = specs.iter().map(|spec| format!("enforced {} {}\n", spec.kind, spec.metadata.name));
    print(&lines.collect::<String>())
}
