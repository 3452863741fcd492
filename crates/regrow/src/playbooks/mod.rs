//! Playbooks: the list of them, and running their operations.
//!
//! A playbook is an index from operations to callables; a callable is a template that says which
//! flags it takes (see `callable`) and which backend gets what it renders (see `line`).

mod backends;
mod callable;
mod flags;
mod line;
mod pages;
mod perform;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Subcommand};
use regrow_template::forget_copies;
use serde::{Deserialize, Serialize};

use crate::documents::{Loader, RenderArgs};
use crate::lists::{ListFile, place};
use crate::output::{OutputArgs, print, table};

/// Names the folder with fetched copies.
const CACHE_VARIABLE: &str = "INFRAKIT_PLAYBOOKS_CACHE";

/// One playbook, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "lowercase")]
struct Playbook {
    /// URL of its index.
    #[serde(alias = "URL")]
    url: String,
    /// Folder with copies of its documents, if they are kept.
    #[serde(alias = "Cache", skip_serializing_if = "String::is_empty")]
    cache: String,
}

use pages::Pages;
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
    /// Read playbooks anew, and with them the copies that are kept
    Update(NamesArgs),
}

/// Arguments of `playbook add`.
#[derive(Args, Debug)]
pub struct AddArgs {
    /// Name
    name: String,
    /// URL of its index
    url: String,
    /// Keep copies of its documents, and use those
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
            Self::Rm(args) => {
                let mut playbooks = LIST.load()?;
                LIST.remove(&args.names)?;
                let removed = args.names.iter().filter_map(|name| playbooks.remove(name));
                let mut copies = removed.map(|book| book.cache).filter(|cache| !cache.is_empty());
                copies.try_for_each(|cache| Ok(forget_copies(Path::new(&cache))?))
            }
            Self::Update(args) => {
                let playbooks = LIST.load()?;
                for name in &args.names {
                    let found = playbooks.get(name);
                    let playbook = found.ok_or_else(|| {
                        anyhow!("update playbook {name:?}: it is not in the list")
                    })?;
                    // Copies of a playbook that cannot be read now are better than none.
                    check_index(&playbook.url)?;
                    playbook.renew()?;
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
        check_index(&self.url)?;
        let mut playbook = Playbook { url: self.url.clone(), cache: String::new() };
        if self.cache {
            let folder = place(CACHE_VARIABLE, "playbook-cache").join(&self.name);
            playbook.cache = folder.display().to_string();
            playbook.renew()?;
        }
        playbooks.insert(self.name.clone(), playbook);
        LIST.store(&playbooks)
    }
}

impl Playbook {
    /// Makes the copies anew, if copies are kept.
    fn renew(&self) -> Result<()> {
        if self.cache.is_empty() {
            return Ok(());
        }
        forget_copies(Path::new(&self.cache))?;
        Pages::of(self).read_all(&self.url)
    }
}

/// Refuses what is no index of a playbook, a map from operations to URLs.
fn check_index(url: &str) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().build().context("start the runtime")?;
    let text = runtime.block_on(Loader::new(RenderArgs::default()).text(url))?;
    let options = serde_saphyr::options! { with_snippet: false };
    let read: Result<BTreeMap<String, serde_json::Value>, _> =
        serde_saphyr::from_str_with_options(&text, options);
    match read {
        Ok(_) => Ok(()),
        Err(fault) => bail!("read index {url}: {fault}; expected a map from operations to URLs"),
    }
}
