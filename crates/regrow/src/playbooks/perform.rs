//! `use NAME OPERATION …`: finds the callable, reads its flags, runs it.

use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use clap::{Arg, ArgAction, Args, Command};

use super::LIST;
use super::backends::{self, Job};
use super::callable::{Callable, Manners};
use super::pages::{MAX_INDEXES, Pages, resolve};
use crate::finder::Finder;
use crate::kinds::similar;
use crate::metadata::PluginMetadata;
use crate::output::print;

/// Words that ask for help.
const HELP: [&str; 2] = ["-h", "--help"];

/// Arguments of `use`. Its help depends on the playbook.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub struct UseArgs {
    /// Playbook
    #[arg(allow_hyphen_values = true)]
    name: String,
    /// Operation, sub-operations and flags; --help explains them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

impl UseArgs {
    /// Does it.
    pub async fn run(&self, finder: Finder) -> Result<()> {
        let playbooks = LIST.load()?;
        if HELP.contains(&self.name.as_str()) {
            return print(&help(playbooks.keys()));
        }
        let Some(playbook) = playbooks.get(&self.name) else {
            bail!("use playbook {:?}: it is not in the list (see `regrow playbook ls`)", self.name);
        };
        let metadata = Arc::new(PluginMetadata::new(finder.clone()));
        let (index, name, words) = (playbook.url.clone(), self.name.clone(), self.words.clone());
        let pages = Pages::of(playbook);
        let callable = {
            let metadata = Arc::clone(&metadata);
            let found = tokio::task::spawn_blocking(move || {
                find(&pages, &index, &name, &words).map(|(found, rest)| {
                    found.map(|(url, text)| (Callable::new(&url, text, pages, metadata), rest))
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

/// What `use` can be followed by.
fn help<'a>(playbooks: impl Iterator<Item = &'a String>) -> String {
    let names: String = playbooks.map(|name| format!("  {name}\n")).collect();
    let known = if names.is_empty() {
        "There is no playbook yet; `regrow playbook add NAME URL` adds one.\n".to_owned()
    } else {
        format!("Playbooks:\n{names}")
    };
    format!(
        "Run an operation of a playbook.\n\n\
         Usage: regrow use NAME [OPERATION …] [FLAGS]\n\n{known}\n\
         `regrow use NAME -h` says what a playbook is for and lists its operations,\n\
         `regrow use NAME OPERATION -h` explains the flags of one.\n"
    )
}

type Found = (Option<(String, String)>, Vec<String>);

/// Follows the words through the indexes to a callable; prints what there is when they end early.
fn find(pages: &Pages, index: &str, name: &str, words: &[String]) -> Result<Found> {
    let mut url = index.to_owned();
    let mut words = words;
    for _ in 0..MAX_INDEXES {
        let text = pages.text(&url)?;
        let Some(operations) = pages.as_index(&url, &text) else {
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
                print(&format!("{}operations of {name}:\n{all}", pages.readme(&url)))?;
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

async fn run(callable: Callable, words: &[String], title: &str, finder: &Finder) -> Result<()> {
    let switch = |name: &'static str, about: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(about)
    };
    let mut command = Command::new(title.to_owned())
        .no_binary_name(true)
        .disable_version_flag(true)
        .arg(switch("test", "Say what would be done, and do nothing"))
        .arg(switch("print-only", "Print the script, and do nothing"))
        .arg(switch(
            "accept-defaults",
            "Take defaults instead of asking; a question without one needs its flag",
        ));
    command.set_bin_name(title);
    let declared = callable.flags().clone();
    let backend = callable.backend().and_then(backends::find);
    let mut command = declared.augment(command);
    if let Ok(backend) = &backend {
        command = backend.augment(command, &declared);
    }
    let matches = command.try_get_matches_from(words)?;
    declared.fill(&matches);
    let print_only = matches.get_flag("print-only");
    let whole = backend.as_ref().is_ok_and(|backend| backend.commits());
    // A backend that is not here is refused before anybody is asked anything, unless it is not
    // needed: what is only printed goes to none.
    if !print_only {
        backend?;
    }
    let manners = Manners { accept_defaults: matches.get_flag("accept-defaults"), whole };
    let rendered = tokio::task::spawn_blocking(move || {
        let script = callable.script(manners)?;
        // The line may need what only a run is given.
        let line = if print_only { Vec::new() } else { callable.line(&script.vars, manners)? };
        anyhow::Ok((script.text, line))
    });
    let (script, line) = rendered.await.map_err(|fault| anyhow!("{title}: {fault}"))??;
    let Some((name, words)) = line.split_first() else { return print(&script) };
    // Flags may have a word in which backend it is.
    let backend = backends::find(name)?;
    if backend.commits() && !whole {
        bail!("run {title}: it commits with {name} only under these flags; name {name} under all");
    }
    if matches.get_flag("test") {
        return print(&format!("would run with {name}:\n{script}"));
    }
    let (given, declared) = (&matches, &declared);
    backend.run(&Job { words, given, declared, script: &script, finder }).await
}
