//! `regrow backup` and `regrow restore`: the whole control state in one file.

use std::fs::{self, File, OpenOptions};
use std::io::IsTerminal as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use regrow_agent::door::{Reply, Request};
use regrow_agent::{RestoreOptions, restore};
use regrow_pki::DEFAULT_LIFE;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::agent::host_name;
use super::ask::{ask, said, strange};
use crate::output::print;
use crate::places::Places;

/// Longest silence of the agent in the middle of a backup.
const SILENCE: Duration = Duration::from_secs(30);
/// Bytes that are copied at once.
const CHUNK: usize = 64 << 10;
/// Stands for standard output.
const STDOUT: &str = "-";

/// Arguments of `backup`.
#[derive(Args, Debug)]
#[command(
    after_help = "The file holds the keys of the cluster: who has it has the cluster. It is \
    readable by its owner only, written beside and put in place when it is whole, after it was \
    taken over once in a throw-away folder to see that it can be. Written to standard output, it \
    is not checked: `regrow restore` does that."
)]
pub struct BackupArgs {
    /// The file, or - for standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

/// Arguments of `restore`.
#[derive(Args, Debug)]
#[command(
    after_help = "The node becomes the only server of the cluster that the backup is of, under \
    a number that nobody had. The nodes of before count as removed: let them join again, with empty \
    state folders. Never restore while the old cluster, or a part of it, still runs."
)]
pub struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Name of the node that this becomes [default: the host's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where other nodes will reach it
    #[arg(long, value_name = "HOST:PORT")]
    advertise: String,
}

impl BackupArgs {
    /// Makes one.
    pub async fn run(self, places: &Places) -> Result<()> {
        let to_stdout = self.file == Path::new(STDOUT);
        if to_stdout && std::io::stdout().is_terminal() {
            bail!("write a backup to a terminal: name a file, or send it somewhere");
        }
        if !to_stdout && !self.force && self.file.symlink_metadata().is_ok() {
            bail!("{}: it exists; choose another name, or add --force", self.file.display());
        }
        let mut answer = ask(places, &Request::Backup).await?;
        if answer.reply != Reply::Backup {
            bail!("{}", strange(&answer.reply));
        }
        if to_stdout {
            let mut out = std::io::stdout().lock();
            copy(&mut answer.rest, &mut out).await.context("write a backup")?;
            return Ok(());
        }
        let draft = Draft::new(&self.file)?;
        let bytes = self.fill(&draft, &mut answer.rest).await;
        let bytes = bytes.with_context(|| format!("write {}", self.file.display()))?;
        draft.check().await.context("check the backup; it was not kept")?;
        draft.put(&self.file, self.force)?;
        print(&format!("{}: {bytes} bytes, checked\n", self.file.display()))
    }

    async fn fill(&self, draft: &Draft, from: &mut (impl AsyncRead + Unpin)) -> Result<u64> {
        let mut file = OpenOptions::new();
        let mut file = file.write(true).create_new(true).mode(0o600).open(&draft.file)?;
        let bytes = copy(from, &mut file).await?;
        file.sync_all()?;
        Ok(bytes)
    }
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl std::io::Write + ?Sized),
) -> Result<u64> {
    let (mut chunk, mut bytes) = (vec![0; CHUNK], 0);
    loop {
        let read = tokio::time::timeout(SILENCE, from.read(&mut chunk)).await;
        let read = read.with_context(|| format!("the agent was silent for {SILENCE:?}"))??;
        let Some(read) = chunk.get(..read).filter(|read| !read.is_empty()) else { break };
        to.write_all(read)?;
        bytes += read.len() as u64;
    }
    to.flush()?;
    Ok(bytes)
}

/// A backup that is not in its place yet. What is left of it goes when it is dropped.
struct Draft {
    file: PathBuf,
    folder: PathBuf,
}

impl Draft {
    fn new(target: &Path) -> Result<Self> {
        let Some(name) = target.file_name() else {
            bail!("{}: name a file", target.display());
        };
        let beside = |what: &str| {
            let mut name = name.to_owned();
            name.push(format!(".{what}-{}", std::process::id()));
            target.with_file_name(name)
        };
        Ok(Self { file: beside("draft"), folder: beside("check") })
    }

    /// Takes the backup over in a throw-away folder.
    async fn check(&self) -> Result<()> {
        let options = RestoreOptions {
            state: self.folder.clone(),
            name: "check".to_owned(),
            address: "127.0.0.1:7400".to_owned(),
            life: DEFAULT_LIFE,
        };
        restore(&self.file, &options).await.map_err(said)?;
        Ok(())
    }

    fn put(&self, target: &Path, force: bool) -> Result<()> {
        let about = || format!("write {}", target.display());
        let flags = if force { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        renameat_with(CWD, &self.file, CWD, target, flags).with_context(about)?;
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all().with_context(about)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Both may be missing.
        let _ = fs::remove_file(&self.file);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl RestoreArgs {
    /// Takes the backup over.
    pub async fn run(self, places: &Places) -> Result<()> {
        let options = RestoreOptions {
            state: places.state(),
            name: self.name.unwrap_or_else(host_name),
            address: self.advertise,
            life: DEFAULT_LIFE,
        };
        let identity = restore(&self.file, &options).await.map_err(said)?;
        print(&format!(
            "node {} ({}) is the only server of cluster {} now\n",
            identity.number, identity.name, identity.cluster
        ))?;
        eprintln!("start it with `regrow agent`, and let the others join again");
        Ok(())
    }
}
