//! One program under `regrow supervise`, in a folder of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::stack::binary;

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(5);

/// A running supervisor. Dropped, it is told to end, and killed where it does not.
pub struct Supervised {
    folder: tempfile::TempDir,
    child: Child,
    ended: Option<ExitStatus>,
}

impl Supervised {
    /// Starts one on a configuration. `@@` in the text stands for its folder; the control socket is
    /// `@@/control` unless the text says something else.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(config: &str) -> Result<Self> {
        Self::start_with(config, |_| {})
    }

    /// The same; the command can be changed before, for example its environment.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_with(config: &str, change: impl FnOnce(&mut Command)) -> Result<Self> {
        Self::start_as(|folder| {
            let file = folder.join("app.json5");
            std::fs::write(&file, fill(config, folder))?;
            let mut command = Command::new(binary()?);
            command.arg("supervise").arg("--config").arg(&file);
            change(&mut command);
            Ok(command)
        })
    }

    /// Starts the command that is made for a new folder. It must become the supervisor itself: a
    /// shell in front of it ends with `exec`.
    ///
    /// # Errors
    /// There is no command, or it cannot be started.
    pub fn start_as(make: impl FnOnce(&Path) -> Result<Command>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = make(folder.path())?;
        let output = File::create(folder.path().join("output"))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        command.current_dir(folder.path());
        let child = command.spawn().context("start the supervisor")?;
        Ok(Self { folder, child, ended: None })
    }

    /// Its folder, `@@` in the configuration.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Number of its first process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Number of its worker: the child of the first process that runs the same program, and has a
    /// thread for the log. A job that is not executed yet has one thread.
    ///
    /// # Errors
    /// There is none at the moment.
    pub fn worker(&self) -> Result<i32> {
        let own = std::fs::read_link(format!("/proc/{}/exe", self.pid()))?;
        let is_worker = |child: &i32| {
            let threads = std::fs::read_dir(format!("/proc/{child}/task"));
            threads.is_ok_and(|threads| threads.count() > 1)
                && std::fs::read_link(format!("/proc/{child}/exe")).is_ok_and(|exe| exe == own)
        };
        let children = children(self.pid())?;
        children.into_iter().find(is_worker).context("no worker at the moment")
    }

    /// Replaces the configuration; it is not read before a reload.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn rewrite(&self, config: &str) -> Result<()> {
        Ok(std::fs::write(self.path("app.json5"), fill(config, self.folder()))?)
    }

    /// Everything printed so far.
    pub fn output(&self) -> String {
        let bytes = std::fs::read(self.path("output")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it printed this text.
    ///
    /// # Errors
    /// It did not, and what it printed.
    pub fn printed(&self, text: &str, within: Duration) -> Result<()> {
        let seen = wait(within, || self.output().contains(text));
        seen.with_context(|| format!("{text:?} was not printed; printed was:\n{}", self.output()))
    }

    /// Waits until a file in its folder has this text.
    ///
    /// # Errors
    /// It has not, and what was printed.
    pub fn wrote(&self, name: &str, text: &str, within: Duration) -> Result<()> {
        let read = || std::fs::read_to_string(self.path(name)).unwrap_or_default();
        let seen = wait(within, || read().contains(text));
        seen.with_context(|| format!("{name} has {:?}; printed was:\n{}", read(), self.output()))
    }

    /// Sends a signal to its first process.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        send(i32::try_from(self.pid())?, signal)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It does not end, and what it printed.
    pub fn ends(&mut self, within: Duration) -> Result<ExitStatus> {
        let mut status = self.ended;
        wait(within, || {
            status = status.or_else(|| self.child.try_wait().ok().flatten());
            status.is_some()
        })
        .with_context(|| format!("it did not end; printed was:\n{}", self.output()))?;
        self.ended = status;
        status.context("it has not ended")
    }

    /// Runs a client mode against it: `reload`, `maintenance enable`, ….
    ///
    /// # Errors
    /// It failed, and what it printed.
    pub fn ask(&self, words: &[&str]) -> Result<String> {
        let (verb, rest) = words.split_first().context("what to ask")?;
        let mut command = Command::new(binary()?);
        command.args(["supervise", verb]).arg("--socket").arg(self.path("control")).args(rest);
        let output = command.stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!(
                "{words:?}: {}: {text}{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(text)
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if self.ended.is_some() {
            return;
        }
        // What cannot be told any more is gone already.
        let _ = self.signal(Signal::TERM);
        if self.ends(Duration::from_secs(10)).is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn fill(config: &str, folder: &Path) -> String {
    let text = config.replace("@@", &folder.display().to_string());
    let own = format!("control: {{socket: \"{}/control\"}},", folder.display());
    if text.contains("control:") || text.starts_with("{{") {
        text
    } else {
        text.replacen('{', &format!("{{{own}"), 1)
    }
}

/// Sends a signal to a process that belongs to the test.
///
/// # Errors
/// It is gone.
pub fn send(pid: i32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid).context("a process number")?;
    Ok(kill_process(pid, signal)?)
}

/// The children of a process.
///
/// # Errors
/// It is gone.
pub fn children(pid: u32) -> Result<Vec<i32>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(text.split_whitespace().filter_map(|word| word.parse().ok()).collect())
}

/// Waits until something holds.
///
/// # Errors
/// It does not in this time.
pub fn wait(within: Duration, mut holds: impl FnMut() -> bool) -> Result<()> {
    let since = Instant::now();
    while !holds() {
        if since.elapsed() > within {
            bail!("not within {within:?}");
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
