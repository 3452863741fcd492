//! The programs under measure, each started with jobs and looked at from outside.

use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::job;
use crate::proc;
use crate::stamps::{Fifo, readable};

/// Time in which anything must happen that has no goal of its own.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A program under measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// None: the job itself.
    Direct,
    Regrow,
    Tini,
    DumbInit,
}

/// Where it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As any process.
    Plain,
    /// As process 1 of a new PID namespace with a `/proc` of its own.
    One,
}

impl Place {
    /// Why nothing can be measured there.
    pub fn refusal(self) -> Option<&'static str> {
        let may = self == Self::Plain || rustix::process::geteuid().is_root();
        (!may).then_some("not run: needs root")
    }

    /// As process 1 where that can be had.
    pub fn best() -> Self {
        if Self::One.refusal().is_none() { Self::One } else { Self::Plain }
    }
}

/// A folder for a measure: fifos, configurations, logs. Removed when dropped.
pub struct Bench {
    folder: TempDir,
}

impl Bench {
    pub fn new() -> Result<Self> {
        Ok(Self { folder: TempDir::with_prefix("bench-supervise-").context("make a folder")? })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn fifo(&self, name: &str) -> Result<Fifo> {
        Fifo::new(self.path(name))
    }

    /// The words that run one job under a program.
    pub fn one(&self, kind: Kind, job: &[String]) -> Result<Vec<String>> {
        let before: &[&str] = match kind {
            Kind::Direct => &[],
            Kind::Tini => &["tini", "-s", "--"],
            Kind::DumbInit => &["dumb-init", "--"],
            Kind::Regrow => {
                return self.regrow(&json!({}), &[json!({"name": "app", "exec": job})]);
            }
        };
        Ok(before.iter().map(|&word| word.to_owned()).chain(job.iter().cloned()).collect())
    }

    /// The words that run jobs under `regrow supervise`. Keys of `more` are put on the top of the
    /// configuration.
    pub fn regrow(&self, more: &Value, jobs: &[Value]) -> Result<Vec<String>> {
        let mut config = json!({
            "discovery": "none",
            "control": {"socket": self.path("control.socket")},
            "jobs": jobs,
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        let file = self.path("app.json5");
        fs::write(&file, config.to_string()).context("write the configuration")?;
        let words = [e2e::binary()?, "supervise".into(), "-c".into(), file];
        Ok(words.map(|word| word.display().to_string()).to_vec())
    }

    /// Starts a program with what it says in a file.
    pub fn start(&self, place: Place, words: &[String]) -> Result<Running> {
        let log = fs::File::create(self.path("log")).context("make the log")?;
        self.start_with(place, words, log.into())
    }

    /// Starts a program with that standard output.
    pub fn start_with(&self, place: Place, words: &[String], out: Stdio) -> Result<Running> {
        const NAMESPACES: &[&str] = &["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
        let launch = job::words(["launch"])?;
        let before = if place == Place::One { NAMESPACES } else { &[] };
        let mut all =
            before.iter().map(|&word| word.to_owned()).chain(launch).chain(words.to_vec());
        let mut command = Command::new(all.next().context("a program")?);
        let errors = fs::File::create(self.path("errors")).context("make the log")?;
        command.args(all).stdin(Stdio::piped()).stdout(out).stderr(errors);
        let child = command.spawn().with_context(|| format!("start {command:?}"))?;
        Running::of(child, place, self.folder.path())
    }
}

/// A program that was started. Stopped when dropped, with everything below it.
pub struct Running {
    child: Child,
    /// Of the program itself, as seen from outside its namespace.
    pub pid: u32,
    handle: OwnedFd,
    folder: PathBuf,
    over: bool,
}

impl Running {
    fn of(child: Child, place: Place, folder: &Path) -> Result<Self> {
        let mut child = Starting(Some(child));
        let (id, mut word) = child.parts()?;
        let pid = match place {
            Place::Plain => id,
            Place::One => eventually("the namespace", || proc::children(id).first().copied())?,
        };
        let handle = handle(pid)?;
        // It waited for this, so that it cannot be gone before it was seen.
        word.write_all(b"\n").context("let it go")?;
        let child = child.0.take().context("the process")?;
        Ok(Self { child, pid, handle, folder: folder.to_owned(), over: false })
    }

    pub fn take_stdout(&mut self) -> Result<std::process::ChildStdout> {
        self.child.stdout.take().context("it has no standard output")
    }

    /// The worker of `regrow supervise`: the child that runs the same program. Not `but` that one.
    pub fn worker(&self, but: Option<u32>) -> Result<u32> {
        eventually("the worker", || {
            let own = proc::program(self.pid)?;
            let is = |pid: &u32| Some(*pid) != but && proc::program(*pid).as_ref() == Some(&own);
            let found = proc::children(self.pid).into_iter().find(is)?;
            // A job between fork and exec looks the same for a moment.
            std::thread::sleep(Duration::from_millis(3));
            is(&found).then_some(found)
        })
    }

    /// Waits until it has ended by itself.
    pub fn ended(&mut self, within: Duration) -> Result<ExitStatus> {
        if !readable(&self.handle, within)? {
            anyhow::bail!("not ended after {within:?}{}", self.last_words());
        }
        self.reap()
    }

    fn reap(&mut self) -> Result<ExitStatus> {
        self.over = true;
        self.child.wait().context("wait for it")
    }

    /// Sends TERM and waits for the end; says how long that took.
    pub fn stop(&mut self, within: Duration) -> Result<(Duration, ExitStatus)> {
        let began = Instant::now();
        pidfd_send_signal(&self.handle, Signal::TERM).context("send TERM")?;
        let gone = readable(&self.handle, within)?;
        let took = began.elapsed();
        ensure!(gone, "not ended {within:?} after TERM{}", self.last_words());
        Ok((took, self.reap()?))
    }

    /// The end of what it said, for the text of an error.
    pub fn last_words(&self) -> String {
        let read = |name: &str| fs::read(self.folder.join(name)).unwrap_or_default();
        let said = [read("log"), read("errors")].concat();
        let text = String::from_utf8_lossy(&said);
        let last: Vec<_> = text.lines().rev().take(2).collect();
        if last.is_empty() { String::new() } else { format!(": {}", last.join(" / ")) }
    }
}

/// A process that is not looked after yet.
struct Starting(Option<Child>);

impl Starting {
    fn parts(&mut self) -> Result<(u32, ChildStdin)> {
        let child = self.0.as_mut().context("the process")?;
        Ok((child.id(), child.stdin.take().context("its input")?))
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.over || self.stop(Duration::from_secs(5)).is_ok() {
            return;
        }
        // Everything is held by a handle before the first one is killed: no number can be a
        // stranger's by then.
        let family: Vec<_> =
            proc::family(self.pid).into_iter().filter_map(|pid| handle(pid).ok()).collect();
        for member in family {
            let _ = pidfd_send_signal(&member, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// From here on what a program leaves behind becomes a child of this one.
pub fn adopt() -> Result<()> {
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own)).context("become a sub-reaper")
}

/// Kills what was left behind, once everything that was started is dropped; says what it was.
pub fn sweep() -> Vec<String> {
    let mut found = vec![];
    loop {
        let own = proc::children(std::process::id());
        let left: Vec<_> = own.into_iter().filter(|pid| !proc::is_zombie(*pid)).collect();
        if left.is_empty() {
            return found;
        }
        // What they leave behind in turn is there at the next look.
        for pid in left {
            if let Ok(member) = handle(pid) {
                found.push(proc::words(pid));
                let _ = pidfd_send_signal(&member, Signal::KILL);
                let _ = readable(&member, PATIENCE);
            }
        }
    }
}

/// A handle that means this process for ever, whoever gets its number later.
pub fn handle(pid: u32) -> Result<OwnedFd> {
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a process number")?;
    pidfd_open(number, PidfdFlags::empty()).with_context(|| format!("open process {pid}"))
}

/// Looks every millisecond until something is there.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        ensure!(Instant::now() < until, "{what} did not come in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
