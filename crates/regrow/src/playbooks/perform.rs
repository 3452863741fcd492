//! `use NAME OPERATION …`: finds the callable, reads its flags, runs it.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use clap::{Arg, ArgAction, Args, Command};
use regrow_template::{Options, Template};
use serde_json::Value;

use super::LIST;
use super::backends::{self, Job};
use super::callable::{Callable, Manners};
use crate::finder::Finder;
use crate::kinds::similar;
use crate::metadata::PluginMetadata;
use crate::output::print;

/// Indexes that lead to one another are followed so far.
const MAX_INDEXES: usize = 16;

/// Arguments of `use`.
#[derive(Args, Debug)]
pub struct UseArgs {
    /// Playbook
    name: String,
    /// Operation, sub-operations and flags; --help explains them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

impl UseArgs {
    /// Does it.
    pub async fn run(&self, finder: Finder) -> Result<()> {
        let playbooks = LIST.load()?;
        let Some(playbook) = playbooks.get(&self.name) else {
            bail!("use playbook {:?}: it is not in the list (see `regrow playbook ls`)", self.name);
        };
        let metadata = Arc::new(PluginMetadata::new(finder.clone()));
        let (index, name, words) = (playbook.url.clone(), self.name.clone(), self.words.clone());
        let callable = {
            let metadata = Arc::clone(&metadata);
            let found = tokio::task::spawn_blocking(move || {
                find(&index, &name, &words).map(|(found, rest)| {
                    found.map(|(url, text)| (Callable::new(&url, text, metadata), rest))
                })
            });
            found.await.map_err(|fault| anyhow!("use playbook {}: {fault}", self.name))??
        };
        // Without an operation the list was printed.
        let Some((callable, rest)) = callable else { return Ok(()) };
        run(callable, &rest, &self.title(), &finder).await
    }

    fn title(&self) -> String {
        let operation = self.words.iter().take_while(|word| !word.starts_with('-'));
        let words: Vec<_> =
            std::iter::once(&self.name).chain(operation).map(String::as_str).collect();
        format!("regrow use {}", words.join(" "))
    }
}

type Found = (Option<(String, String)>, Vec<String>);

/// Follows the words through the indexes to a callable; prints what there is when they end early.
fn find(index: &str, name: &str, words: &[String]) -> Result<Found> {
    let mut url = index.to_owned();
    let mut words = words;
    for _ in 0..MAX_INDEXES {
        let text = fetch(&url)?;
        let Some(operations) = as_index(&url, &text) else {
            return Ok((Some((url, text)), words.to_vec()));
        };
        let names = || operations.keys().map(String::as_str);
        let next = match words.split_first() {
            Some((word, rest)) if !word.starts_with('-') => {
                words = rest;
                word
            }
            _ => {
                let all: String = names().map(|name| format!("  {name}\n")).collect();
                print(&format!("operations of {name}:\n{all}"))?;
                return Ok((None, Vec::new()));
            }
        };
        let Some(target) = operations.get(next) else {
            let hint = similar(next, names())
                .map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
            bail!(
                "use playbook {name}: it has no operation {next:?}{hint} (it has {})",
                names().collect::<Vec<_>>().join(", ")
            );
        };
        url = resolve(&url, target);
    }
    bail!("use playbook {name}: more than {MAX_INDEXES} indexes lead to one another")
}

/// Relative to the index.
fn resolve(index: &str, target: &str) -> String {
    if target.contains("://") || target.starts_with('/') {
        return target.to_owned();
    }
    let base = index.rsplit_once('/').map_or("", |(base, _)| base);
    let target = target.trim_start_matches("./");
    if base.is_empty() { target.to_owned() } else { format!("{base}/{target}") }
}

fn fetch(url: &str) -> Result<String> {
    if !url.contains("://") {
        return std::fs::read_to_string(url).map_err(|error| anyhow!("read {url}: {error}"));
    }
    let template = Template::from_url(url, &Options::default());
    Ok(template.map_err(|fault| anyhow!("{}", fault.report()))?.text().to_owned())
}

/// An index is a map from words to words and has no backend line.
fn as_index(url: &str, text: &str) -> Option<BTreeMap<String, String>> {
    if text.contains("=%") || url.ends_with(".ikt") || url.ends_with(".ikb") {
        return None;
    }
    let tree: Value = serde_saphyr::from_str(text).ok()?;
    let words = tree.as_object()?.iter();
    words.map(|(name, url)| Some((name.clone(), url.as_str()?.to_owned()))).collect()
}

async fn run(callable: Callable, words: &[String], title: &str, finder: &Finder) -> Result<()> {
    let switch = |name: &'static str, about: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(about)
    };
    let mut command = Command::new(title.to_owned())
        .no_binary_name(true)
        .disable_version_flag(true)
        .arg(switch("test", "Say what would be done, and do nothing"))
        .arg(switch("print-only", "Print the script, and do nothing"))
        .arg(switch("accept-defaults", "Take defaults instead of asking"));
    command.set_bin_name(title);
    let declared = callable.flags().clone();
    let line = callable.backend();
    let backend = match &line {
        Ok(line) => backends::find(line.first().map_or("", String::as_str)),
        Err(fault) => Err(anyhow!("{fault}")),
    };
    let mut command = declared.augment(command);
    if let Ok(backend) = backend {
        command = backend.augment(command, &declared);
    }
    let matches = command.try_get_matches_from(words)?;
    declared.fill(&matches);
    let print_only = matches.get_flag("print-only");
    // A backend that is not here is refused before anybody is asked anything, unless it is not
    // needed: what is only printed goes to none.
    let backend = if print_only { None } else { Some(backend?) };
    let manners = Manners { accept_defaults: matches.get_flag("accept-defaults") };
    let rendered = tokio::task::spawn_blocking(move || callable.script(manners)).await;
    let script = rendered.map_err(|fault| anyhow!("{title}: {fault}"))??;
    let (Some(backend), Ok(line)) = (backend, line) else { return print(&script) };
    let Some((name, words)) = line.split_first() else { return print(&script) };
    if matches.get_flag("test") {
        return print(&format!("would run with {name}:\n{script}"));
    }
    let (given, declared) = (&matches, &declared);
    backend.run(&Job { words, given, declared, script: &script, finder }).await
}

#[cfg(test)]
mod tests {
    use super::{as_index, resolve};

    #[test]
    fn operations_are_relative_to_their_index() {
        for (index, target, url) in [
            ("http://h/a/index.yml", "x.ikt", "http://h/a/x.ikt"),
            ("/p/index.yml", "./sub/index.yml", "/p/sub/index.yml"),
            ("index.yml", "x.ikt", "x.ikt"),
            ("/p/index.yml", "https://h/x", "https://h/x"),
        ] {
            assert_eq!(resolve(index, target), url);
        }
    }

    #[test]
    fn an_index_is_a_map_of_words() {
        assert!(as_index("i.yml", "a: b.ikt\n").is_some());
        assert!(as_index("i.yml", "a: 1\n").is_none());
        assert!(as_index("a.ikt", "a: b\n").is_none());
        assert!(as_index("a", "{{/* =% sh %= */}}").is_none());
    }
}
