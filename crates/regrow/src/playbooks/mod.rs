//! Playbooks: the list of them, and running their operations.
//!
//! A playbook is an index from operations to callables; a callable is a template that says which
//! flags it takes (see `callable`) and which backend gets what it renders (see `line`).

mod backends;
mod callable;
mod flags;
mod line;
mod perform;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use crate::documents::{Loader, RenderArgs};
use crate::lists::{ListFile, place};
use crate::output::{OutputArgs, print, table};
use crate::places::replace_file;

/// Names the folder with fetched copies.
const CACHE_VARIABLE: &str = "INFRAKIT_PLAYBOOKS_CACHE";

/// One playbook, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "lowercase")]
struct Playbook {
    /// URL of its index.
    #[serde(alias = "URL")]
    url: String,
    /// Folder with a copy, if one is kept.
    #[serde(alias = "Cache", skip_serializing_if = "String::is_empty")]
    cache: String,
}

pub use perform::UseArgs;

/// The list.
static LIST: ListFile<Playbook> =
    ListFile::new("playbook", "INFRAKIT_PLAYBOOKS_FILE", "playbooks.yml");

/// Verbs of `playbook`.
#[derive(Subcommand, Debug)]
pub enum PlaybookCommand {
    /// Add a playbook
    Add(AddArgs),
    /// List playbooks
    Ls(LsArgs),
    /// Remove playbooks
    Rm(NamesArgs),
    /// Fetch the kept copies anew
    Update(NamesArgs),
}

/// Arguments of `playbook add`.
#[derive(Args, Debug)]
pub struct AddArgs {
    /// Name
    name: String,
    /// URL of its index
    url: String,
    /// Keep a copy
    #[arg(long)]
    cache: bool,
}

/// Arguments of `playbook ls`.
#[derive(Args, Debug)]
pub struct LsArgs {
    /// Without the header
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of verbs that take names.
#[derive(Args, Debug)]
pub struct NamesArgs {
    /// Names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

impl PlaybookCommand {
    /// Does it.
    pub fn run(&self) -> Result<()> {
        match self {
            Self::Ls(args) => args.run(),
            Self::Add(args) => args.run(),
            Self::Rm(args) => LIST.remove(&args.names),
            Self::Update(args) => {
                let playbooks = LIST.load()?;
                for name in &args.names {
                    let found = playbooks.get(name);
                    let playbook = found.ok_or_else(|| {
                        anyhow!("update playbook {name:?}: it is not in the list")
                    })?;
                    let text = index(&playbook.url)?;
                    if !playbook.cache.is_empty() {
                        replace_file(&PathBuf::from(&playbook.cache).join("index.yml"), &text)?;
                    }
                    print(&format!("updated {name}\n"))?;
                }
                Ok(())
            }
        }
    }
}

impl LsArgs {
    fn run(&self) -> Result<()> {
        let playbooks = LIST.load()?;
        self.output.print(&playbooks, || {
            let row = |(name, book): (&String, &Playbook)| {
                vec![name.clone(), book.url.clone(), book.cache.clone()]
            };
            let rows: Vec<_> = playbooks.iter().map(row).collect();
            let all = table(&["PLAYBOOK", "URL", "CACHE"], &rows);
            match (self.quiet, all.split_once('\n')) {
                (true, Some((_, rows))) => rows.to_owned(),
                _ => all,
            }
        })
    }
}

impl AddArgs {
    fn run(&self) -> Result<()> {
        let mut playbooks = LIST.load()?;
        if playbooks.contains_key(&self.name) {
            bail!("add playbook {:?}: it is in the list; remove it first", self.name);
        }
        // What cannot be read now would only fail later.
        let text = index(&self.url)?;
        let mut playbook = Playbook { url: self.url.clone(), cache: String::new() };
        if self.cache {
            let folder = place(CACHE_VARIABLE, "playbook-cache").join(&self.name);
            replace_file(&folder.join("index.yml"), &text)?;
            playbook.cache = folder.display().to_string();
        }
        playbooks.insert(self.name.clone(), playbook);
        LIST.store(&playbooks)
    }
}

/// The index of a playbook: a map from operations to URLs.
fn index(url: &str) -> Result<String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().build().context("start the runtime")?;
    let text = runtime.block_on(Loader::new(RenderArgs::default()).text(url))?;
    let options = serde_saphyr::options! { with_snippet: false };
    let read: Result<BTreeMap<String, serde_json::Value>, _> =
        serde_saphyr::from_str_with_options(&text, options);
    match read {
        Ok(_) => Ok(text),
        Err(fault) => bail!("read index {url}: {fault}; expected a map from operations to URLs"),
    }
}
