//! A process on such a machine: started, paused, killed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Child;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::Place;

/// A process in a place, killed when dropped. What it prints goes to a file.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program in a place; its output is appended to `log`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        place: &Place,
        program: &Path,
        args: &[String],
        environment: &[(String, String)],
        log: &Path,
    ) -> Result<Self> {
        let mut command = place.command(program);
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("open {}", log.display()))?;
        command.args(args).envs(environment.iter().cloned());
        command.stdout(file.try_clone()?).stderr(file);
        Ok(Self { child: place.portal().spawn(command)?, log: log.to_owned() })
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn runs(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// The end of what it printed, for the text of a failure.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Ends it as a crash would: SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn crash(&mut self) -> Result<()> {
        self.child.kill().context("kill")?;
        self.child.wait().context("wait")?;
        Ok(())
    }

    /// Sends SIGKILL and does not wait, so that several die at once.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().context("kill")
    }

    /// Stops it in the middle of whatever it does.
    ///
    /// # Errors
    /// It is gone.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It is gone.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw).context("its id")?;
        kill_process(pid, signal).with_context(|| format!("send {signal:?}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only this child, by its handle; it may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
