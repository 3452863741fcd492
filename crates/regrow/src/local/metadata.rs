//! Verbs of readable and changeable trees.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use clap::Args;
use regrow_codec::Any;
use regrow_ids::GoDuration;
use regrow_plugin::spi::{Change, Metadata};
use serde_json::Value;

use super::{Called, Run, Target};
use crate::output::{OutputArgs, confirm, print};

/// Name of the arguments that are paths in a tree, or begin with the name of a plugin.
pub const PATHS: &str = "paths";

/// A place in a tree.
struct Place {
    tree: Arc<dyn Metadata>,
    path: String,
}

/// What a path may mean, the likeliest first: a place in the tree of the command's plugin and, as in
/// templates, one in the tree of the plugin with whose name the path begins. In the spelling of
/// InfraKit only the first, and where the user named a plugin no other one.
async fn places(target: &Target, path: &str) -> Result<Vec<Place>> {
    let (finder, path) = (target.finder(), path.trim_matches('/'));
    let own = finder.tree(target.name()).await;
    let own = own.map(|tree| Place { tree, path: path.to_owned() });
    if target.is_original() {
        return Ok(vec![own?]);
    }
    let as_in_templates = async {
        let (plugin, path) = finder.resolve_tree(path).await.ok()?;
        let is_own = plugin.lookup() == target.name().lookup();
        if target.called() == Called::Named && !is_own {
            return None;
        }
        Some(Place { tree: finder.tree(&plugin).await.ok()?, path })
    };
    match (own, as_in_templates.await) {
        (Err(fault), None) => Err(fault.into()),
        (own, other) => Ok(own.into_iter().chain(other).collect()),
    }
}

/// Deepest level that `keys -a` goes to.
const MAX_DEPTH: usize = 64;

/// Arguments of `keys`.
#[derive(Args, Debug)]
pub struct KeysArgs {
    /// Where to look
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// With the number of them before
    #[arg(short, long)]
    long: bool,
    /// With everything below
    #[arg(short, long)]
    all: bool,
    /// Without headings
    #[arg(short, long)]
    quiet: bool,
}

impl Run for KeysArgs {
    async fn run(self, target: &Target) -> Result<()> {
        let paths = if self.paths.is_empty() { vec![String::new()] } else { self.paths.clone() };
        let mut out = String::new();
        for path in &paths {
            let path = path.trim_matches('/');
            let found = self.keys(&places(target, path).await?).await?;
            if paths.len() > 1 && !self.quiet {
                out.push_str(&format!("{path}:\n"));
            }
            if self.long && !self.quiet {
                out.push_str(&format!("total {}:\n", found.len()));
            }
            // Relative to the path, in all forms, as InfraKit prints them.
            out.extend(found.iter().map(|key| format!("{key}\n")));
        }
        print(&out)
    }
}

impl KeysArgs {
    /// The keys at the first place that has some. A fault counts only if there are none elsewhere.
    async fn keys(&self, places: &[Place]) -> Result<Vec<String>> {
        let mut fault = None;
        for Place { tree, path } in places {
            let found = match self.all {
                true => below(tree.as_ref(), path).await,
                false => tree.keys(path).await.map_err(Into::into),
            };
            match found {
                Ok(found) if found.is_empty() => {}
                Ok(found) => return Ok(found),
                Err(error) => fault = fault.or(Some(error)),
            }
        }
        fault.map_or_else(|| Ok(Vec::new()), Err)
    }
}

/// Paths of all leaves below a path, relative to it.
async fn below(tree: &dyn Metadata, path: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), 0)];
    while let Some((relative, depth)) = open.pop() {
        let join = |a: &str, b: &str| match (a, b) {
            ("", b) => b.to_owned(),
            (a, "") => a.to_owned(),
            (a, b) => format!("{a}/{b}"),
        };
        let children = tree.keys(&join(path, &relative)).await?;
        if children.is_empty() || depth > MAX_DEPTH {
            found.extend(Some(relative).filter(|relative| !relative.is_empty()));
            continue;
        }
        open.extend(children.iter().rev().map(|child| (join(&relative, child), depth + 1)));
    }
    Ok(found)
}

/// Arguments of `cat`.
#[derive(Args, Debug)]
pub struct CatArgs {
    /// What to show
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
    /// Time between attempts while a value is not there
    #[arg(long, default_value = "1s", value_name = "DURATION")]
    retry: GoDuration,
    /// How long to wait for a value that is not there
    #[arg(long, default_value = "0s", value_name = "DURATION")]
    timeout: GoDuration,
    /// Fail when a value is not there in the end; `regrow metadata` always does
    #[arg(long)]
    err_on_timeout: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl Run for CatArgs {
    async fn run(self, target: &Target) -> Result<()> {
        for path in &self.paths {
            let path = path.trim_matches('/');
            let found = self.wait(&places(target, path).await?).await?;
            let Some(value) = found else {
                // InfraKit's own command does not fail, and its scripts look at what it prints.
                if self.err_on_timeout || !target.is_original() {
                    bail!(
                        "read {path} of {}: there is nothing at this path; `regrow metadata ls` \
                         lists what there is",
                        target.name()
                    );
                }
                print("<no value>\n")?;
                continue;
            };
            match value.to_value() {
                Value::String(text) if self.output.output.is_none() => print(&(text + "\n"))?,
                whole => self.output.print_document(&whole)?,
            }
        }
        Ok(())
    }
}

impl CatArgs {
    async fn wait(&self, places: &[Place]) -> Result<Option<Any>> {
        let end = Instant::now() + Duration::from(self.timeout);
        loop {
            if let Some(found) = value(places).await? {
                return Ok(Some(found));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            tokio::time::sleep(Duration::from(self.retry).max(Duration::from_millis(1))).await;
        }
    }
}

/// The value at the first place that has one. A fault counts only if there is none elsewhere.
async fn value(places: &[Place]) -> Result<Option<Any>> {
    let mut fault = None;
    for Place { tree, path } in places {
        match tree.get(path).await {
            Ok(Some(value)) if !value.is_null() => return Ok(Some(value)),
            Ok(_) => {}
            Err(error) => fault = fault.or(Some(error)),
        }
    }
    fault.map_or(Ok(None), |fault| Err(fault.into()))
}

/// Arguments of `change`.
#[derive(Args, Debug)]
pub struct ChangeArgs {
    /// Values to set; null removes one; without any, all values are shown
    #[arg(value_name = "PATH=VALUE")]
    changes: Vec<String>,
    /// Commit; without it the difference is only shown
    #[arg(short, long)]
    commit: bool,
    /// Show the difference as YAML
    #[arg(short = 'y', long)]
    yaml: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Run for ChangeArgs {
    async fn run(self, target: &Target) -> Result<()> {
        let changes: Vec<_> =
            self.changes.iter().map(|text| change(text)).collect::<Result<_>>()?;
        let tree = target.finder().lookup().updatable(target.name()).await?;
        let proposal = tree.changes(&changes).await;
        let proposal = proposal.map_err(|fault| anyhow!("change {}: {fault}", target.name()))?;
        let doing = if self.commit { "Committing" } else { "Proposing" };
        let (count, cas) = (changes.len(), &proposal.cas);
        print(&format!("{doing} {count} changes, hash={cas}\n"))?;
        let show = |any: &Any| match self.yaml {
            true => crate::output::yaml(any),
            false => Ok(serde_json::to_string_pretty(&any.to_value())? + "\n"),
        };
        let (before, after) = (show(&proposal.original)?, show(&proposal.proposed)?);
        if changes.is_empty() {
            return print(&before);
        }
        let difference = similar::TextDiff::from_lines(&before, &after);
        print(&difference.unified_diff().context_radius(2).header("now", "then").to_string())?;
        if self.commit {
            confirm(&format!("change {}", target.name()), self.yes || target.is_original())?;
            let done = tree.commit(&proposal.proposed, &proposal.cas).await;
            done.map_err(|fault| anyhow!("change {}: {fault}", target.name()))?;
        }
        Ok(())
    }
}

/// `path=value`, where the value is read as YAML.
pub fn change(text: &str) -> Result<Change> {
    let Some((path, value)) = text.split_once('=') else {
        bail!("read change {text:?}: it has no '='; write it like cluster/size=5");
    };
    let (path, value) = (path.trim(), value.trim());
    if path.is_empty() {
        bail!("read change {text:?}: it has no path before '='");
    }
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let value: Value = if value.is_empty() {
        Value::from("")
    } else {
        serde_saphyr::from_str_with_options(value, options)
            .map_err(|fault| anyhow!("read the value of {path}: {fault}"))?
    };
    Ok(Change { path: path.to_owned(), value: Any::from(value) })
}
