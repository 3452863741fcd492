use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use regrow_ids::{GroupId, PluginName};
use regrow_plugin::spi::{Group, GroupSpec, Instance, Metadata};
use regrow_plugin::{Directory, Lookup, SocketPlugins};
use tempfile::TempDir;

/// How to start a stack.
#[derive(Debug, Default)]
pub struct StackOptions {
    /// Arguments of `plugin start`.
    pub kinds: Vec<String>,
    /// Flags of `plugin start`.
    pub flags: Vec<String>,
    /// Variables on top of the stack's own.
    pub environment: Vec<(String, String)>,
    /// A prepared folder; absent, an empty one.
    pub home: Option<TempDir>,
}

impl StackOptions {
    /// A stack of the given kinds.
    pub fn of(kinds: &[&str]) -> Self {
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        Self { kinds, ..Self::default() }
    }

    /// The same with flags.
    #[must_use]
    pub fn flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// The same with a variable.
    #[must_use]
    pub fn with(mut self, variable: &str, value: impl Into<String>) -> Self {
        self.environment.push((variable.to_owned(), value.into()));
        self
    }

    /// The same in a prepared folder.
    #[must_use]
    pub fn at(mut self, home: TempDir) -> Self {
        self.home = Some(home);
        self
    }
}

/// `regrow plugin start …` as a process of its own with folders of its own, stopped when dropped.
pub struct Stack {
    child: Child,
    home: TempDir,
    plugins: SocketPlugins,
    started: Duration,
}

impl Stack {
    /// Starts the plugins and waits until all their sockets answer.
    ///
    /// # Errors
    /// The binary is missing or does not come up; the text holds its log.
    pub async fn start(options: StackOptions) -> Result<Self> {
        let home = match options.home {
            Some(home) => home,
            None => tempfile::tempdir().context("make a folder")?,
        };
        let began = Instant::now();
        let child = Command::new(binary()?)
            .args(["plugin", "start"])
            .args(&options.kinds)
            .args(&options.flags)
            .env("INFRAKIT_HOME", home.path())
            .env("INFRAKIT_PLUGINS_DIR", home.path().join("plugins"))
            .env("REGROW_STATE", home.path().join("state"))
            .env("INFRAKIT_INSTANCE_FILE_DIR", home.path().join("instances"))
            .envs(options.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(home.path().join("log"))?)
            .spawn()
            .context("start regrow")?;
        let directory = Directory::new(home.path().join("plugins"));
        let mut stack =
            Self { child, home, plugins: SocketPlugins::new(directory), started: Duration::ZERO };
        let wanted = options.kinds.len();
        let end = Instant::now() + Duration::from_secs(90);
        // Sockets of an earlier process may still lie about: only an answer counts.
        while stack.answering().await < wanted {
            if Instant::now() > end || stack.child.try_wait()?.is_some() {
                bail!("the stack did not come up:\n{}", stack.log());
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        stack.started = began.elapsed();
        Ok(stack)
    }

    /// Number of plugins that answer.
    async fn answering(&self) -> usize {
        let mut count = 0;
        for name in self.plugins.names() {
            if let Ok(client) = self.plugins.client(&PluginName::from(name)) {
                count += usize::from(client.hello().await.is_ok());
            }
        }
        count
    }

    /// Time from the start of the process to the last socket.
    pub fn start_time(&self) -> Duration {
        self.started
    }

    /// Kills the process as a crash would, and hands back its folder.
    ///
    /// # Errors
    /// The process cannot be killed.
    pub fn crash(mut self) -> Result<TempDir> {
        self.child.kill()?;
        self.child.wait()?;
        let empty = tempfile::tempdir().context("make a folder")?;
        Ok(std::mem::replace(&mut self.home, empty))
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The stack's folder.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// What the stack has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// The plugins, through their sockets.
    pub fn plugins(&self) -> &SocketPlugins {
        &self.plugins
    }

    /// The group controller.
    ///
    /// # Errors
    /// It is not there.
    pub async fn groups(&self) -> Result<Arc<dyn Group>> {
        Ok(self.plugins.group(&PluginName::from("group-stateless")).await?)
    }

    /// An instance plugin.
    ///
    /// # Errors
    /// It is not there.
    pub async fn instances(&self, name: &str) -> Result<Arc<dyn Instance>> {
        Ok(self.plugins.instance(&PluginName::from(name)).await?)
    }

    /// Commits a group and waits until it has converged; returns how long that took.
    ///
    /// # Errors
    /// The group is refused or does not converge in time.
    pub async fn converge(&self, spec: &GroupSpec, within: Duration) -> Result<Duration> {
        let began = Instant::now();
        self.groups().await?.commit_group(spec, false).await?;
        self.converged(&spec.id, within).await?;
        Ok(began.elapsed())
    }

    /// Waits until a group has converged.
    ///
    /// # Errors
    /// It does not in time; the text says what blocks it.
    pub async fn converged(&self, id: &GroupId, within: Duration) -> Result<()> {
        let tree = self.plugins.metadata(&PluginName::from("group-stateless")).await?;
        let end = Instant::now() + within;
        loop {
            if read(tree.as_ref(), &format!("groups/{id}/Converged")).await? == "true" {
                return Ok(());
            }
            if Instant::now() > end {
                let blocked = read(tree.as_ref(), &format!("groups/{id}/Blocked")).await?;
                bail!("group {id} did not converge within {within:?}: {blocked}\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn read(tree: &dyn Metadata, path: &str) -> Result<String> {
    Ok(tree.get(path).await?.map_or_else(String::new, |value| value.as_text().to_owned()))
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Only this child, by its handle; it may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The `regrow` binary beside the one that runs now.
///
/// # Errors
/// It was not built.
pub fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe().context("find the own binary")?;
    let folders = own.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join("regrow")).find(|path| path.is_file());
    found.with_context(|| {
        format!("no `regrow` beside {}; build it first: cargo build --release", own.display())
    })
}
