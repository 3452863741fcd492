//! A machine made of namespaces whose first process is systemd.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e::net::has_program;
use tempfile::TempDir;

/// What makes it; see there what it can reach.
const BOOT: &str = include_str!("boot.sh");
/// The program that becomes its first process.
const SYSTEMD: &str = "/usr/lib/systemd/systemd";
/// Programs that are needed beside it.
const PROGRAMS: &[&str] =
    &["unshare", "nsenter", "setpriv", "mount", "pivot_root", "ip", "systemctl", "kill"];
/// What of the kernel the machine has for itself.
const SPACES: &[&str] = &["--pid", "--mount", "--net", "--cgroup", "--ipc", "--uts"];
/// A file that the machine has and this one has not.
const MARK: &str = "/etc/regrow-machine";
/// Time in which anything there must happen, on a busy machine too.
const WITHIN: Duration = Duration::from_secs(90);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A machine with systemd and one unit. Everything on it ends with it.
pub struct Machine {
    spaces: Child,
    /// Given back once all in it has ended.
    _group: Group,
    folder: TempDir,
}

impl Machine {
    /// Boots one with a unit that starts a program as `/usr/bin/regrow`, or says why this machine has
    /// not the means, and which promise stays untested.
    ///
    /// # Errors
    /// The means are there and it failed all the same.
    pub fn or_say(program: &Path, unit: &Path, promise: &str) -> Result<Option<Self>> {
        let say = |lack: &str| println!("not run, promise untested: {promise} (needs {lack})");
        if !rustix::process::geteuid().is_root() {
            say("root");
            return Ok(None);
        }
        if !Path::new(SYSTEMD).is_file() {
            say(SYSTEMD);
            return Ok(None);
        }
        if let Some(program) = PROGRAMS.iter().find(|program| !has_program(program)) {
            say(&format!("`{program}`"));
            return Ok(None);
        }
        if let Some(lack) = refused()? {
            say(&format!("the right to make a machine of namespaces: {lack}"));
            return Ok(None);
        }
        let group = match Group::new() {
            Ok(group) => group,
            Err(error) => {
                say(&format!("a group of processes of its own: {error:#}"));
                return Ok(None);
            }
        };
        Self::boot(group, program, unit).map(Some)
    }

    fn boot(group: Group, program: &Path, unit: &Path) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder")?;
        let (script, work) = (folder.path().join("boot.sh"), folder.path().join("machine"));
        fs::write(&script, BOOT).context("write the script")?;
        fs::create_dir(&work).context("make a folder")?;
        let log = fs::File::create(folder.path().join("log")).context("make a log")?;
        // The shell enters the group before it becomes `unshare`, so that the space of groups begins there.
        let entering = r#"echo $$ > "$1/cgroup.procs"; shift; exec "$@""#;
        let spaces = Command::new("sh")
            .args(["-c", entering, "sh"])
            .arg(&group.0)
            .args(["setpriv", "--pdeathsig", "KILL", "unshare"])
            .args(SPACES)
            .args(["--fork", "--kill-child", "sh"])
            .args([&script, &work])
            .args([program, unit])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start unshare")?;
        let mut machine = Self { spaces, _group: group, folder };
        // Until the machine has its own disk, `systemctl` would ask the systemd of this one.
        machine.until("the machine has its own disk", |machine| {
            Ok(machine.run(&["test", "-f", MARK]).is_ok())
        })?;
        machine.until("systemd answers", |machine| {
            Ok(machine.run(&["systemctl", "show", "--property", "Version"]).is_ok())
        })?;
        Ok(machine)
    }

    /// Runs a program on the machine; returns what it printed.
    ///
    /// # Errors
    /// It fails; the text holds what it said.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let Output { status, stdout, stderr } = self.command(words).output().context("nsenter")?;
        let (said, why) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        ensure!(status.success(), "{words:?}: {status}: {said}{why}");
        Ok(said.trim().to_owned())
    }

    fn command(&self, words: &[&str]) -> Command {
        let id = self.spaces.id();
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &id.to_string(), "--mount", "--net", "--ipc", "--uts", "--cgroup"])
            .arg(format!("--pid=/proc/{id}/ns/pid_for_children"))
            .arg("--")
            .args(words)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null());
        command
    }

    /// A property of the unit, as systemd knows it.
    ///
    /// # Errors
    /// It does not tell.
    pub fn property(&self, name: &str) -> Result<String> {
        self.run(&["systemctl", "show", "--value", "--property", name, "regrow-agent"])
    }

    /// Waits until something is so.
    ///
    /// # Errors
    /// It is not in time; the text holds what the machine says of the unit.
    pub fn until(&mut self, what: &str, mut yes: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        let end = Instant::now() + WITHIN;
        while !yes(self)? {
            let ended = self.spaces.try_wait().context("look at the machine")?;
            if ended.is_some() || Instant::now() > end {
                bail!("not within {WITHIN:?}: {what}; ended: {ended:?}\n{}", self.words());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// What the machine and the unit have said.
    fn words(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let unit = self.run(&["journalctl", "--no-pager", "--lines", "60"]);
        format!("{log}\n{}", unit.unwrap_or_else(|error| format!("{error:#}")))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.spaces.kill();
        let _ = self.spaces.wait();
    }
}

/// What the kernel says against such a machine, if anything: root in a container may be refused.
fn refused() -> Result<Option<String>> {
    let mut trial = Command::new("unshare");
    trial.args(SPACES).args(["--fork", "mount", "-t", "tmpfs", "tmpfs", "/tmp"]);
    let Output { status, stderr, .. } = trial.output().context("unshare")?;
    let why = String::from_utf8_lossy(&stderr).trim().to_owned();
    Ok((!status.success()).then_some(why))
}

/// A group of processes that is systemd's whole tree.
struct Group(PathBuf);

impl Group {
    /// Below the group where this process is, so that limits of it hold.
    fn new() -> Result<Self> {
        // Beside the older hierarchies the one that systemd wants has a folder of its own.
        let roots = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
        let whole = |root: &&&Path| root.join("cgroup.procs").is_file();
        let root = roots.iter().find(whole).context("no unified hierarchy is mounted")?;
        let folder = root.join(format!("regrow-test-{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The kernel takes a moment to forget what was killed.
        let end = Instant::now() + Duration::from_secs(10);
        while let Err(error) = remove(&self.0) {
            if Instant::now() > end {
                println!("{} stays behind: {error}", self.0.display());
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// Removes a group and those below it.
fn remove(group: &Path) -> io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}
