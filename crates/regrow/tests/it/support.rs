//! Folders, processes that do not outlive a test, and waiting.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(150);

/// A home of its own: nothing of the user's is read or written.
pub struct World {
    dir: TempDir,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl World {
    pub fn new() -> Self {
        // Short: sockets have short paths.
        let dir = tempfile::Builder::new().prefix("rg").tempdir().expect("folder");
        Self { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("folder")).expect("folder");
        fs::write(&path, text).expect("write");
        path
    }

    /// The program in this world.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.foreign(env!("CARGO_BIN_EXE_regrow"));
        command.args(words);
        command
    }

    /// Another program in this world.
    pub fn foreign(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("REGROW_STATE", self.state())
            .env("INFRAKIT_HOME", self.path().join("infrakit"))
            .env("INFRAKIT_PLUGINS_DIR", self.state().join("plugins"))
            .env("INFRAKIT_MUX_LISTEN", "127.0.0.1:0")
            .env("INFRAKIT_GROUP_POLL_INTERVAL", "200ms")
            .env("INFRAKIT_INSTANCE_FILE_DIR", self.path().join("files"))
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, words: &[&str]) -> Said {
        said(&self.command(words).output().expect("run"))
    }

    /// Runs a command that must succeed; returns what it printed.
    pub fn ok(&self, words: &[&str]) -> String {
        let said = self.run(words);
        assert_eq!(said.code, Some(0), "{words:?}: {said:?}");
        said.out
    }

    /// Runs a command that must fail; returns what it complained about.
    pub fn fails(&self, words: &[&str]) -> String {
        let said = self.run(words);
        assert_eq!(said.code, Some(1), "{words:?}: {said:?}");
        said.err
    }

    /// Starts a command that goes on; its output goes to a file.
    pub fn spawn(&self, words: &[&str]) -> Daemon {
        self.spawn_command(self.command(words))
    }

    pub fn spawn_command(&self, mut command: Command) -> Daemon {
        let number = fs::read_dir(self.path()).expect("folder").count();
        let log = self.path().join(format!("output-{number}"));
        let file = fs::File::create(&log).expect("output");
        let child = command
            .stdout(file.try_clone().expect("clone"))
            .stderr(file)
            .spawn()
            .expect("start the program");
        Daemon { child, log }
    }

    /// Starts plugins and waits until they listen.
    pub fn plugins(&self, kinds: &[&str]) -> Daemon {
        let daemon = self.spawn(&[&["plugin", "start"], kinds].concat());
        let names = kinds.iter().map(|kind| match kind.split_once(':') {
            Some((_, name)) => name.to_owned(),
            None if *kind == "group" => "group-stateless".to_owned(),
            None if *kind == "manager" => "group".to_owned(),
            None => kind.split('/').next().expect("word").to_owned(),
        });
        let names: Vec<_> = names.collect();
        wait("plugins listen", || {
            names.iter().all(|name| self.state().join("plugins").join(name).exists())
                || !daemon_lives(&daemon)
        });
        assert!(daemon_lives(&daemon), "{}", daemon.output());
        daemon
    }

    /// Leaders of the process instances of this world.
    pub fn instances(&self) -> Vec<i32> {
        let home = self.state().join("process");
        let marker = format!("REGROW_PROVIDER_DIR={}\0", home.display());
        processes_with(marker.as_bytes())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Instances outlive the program on purpose; they must not outlive the test.
        for pid in self.instances() {
            kill(pid, "KILL");
        }
    }
}

fn daemon_lives(daemon: &Daemon) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.child.id()));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

fn processes_with(variable: &[u8]) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let has = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.windows(variable.len()).any(|window| window == variable)
    };
    let mut found: Vec<_> = pids.filter(has).collect();
    found.sort_unstable();
    found
}

/// Sends a signal to one process.
pub fn kill(pid: i32, signal: &str) {
    let _ = Command::new("kill").args([format!("-{signal}"), pid.to_string()]).output();
}

pub fn said(output: &Output) -> Said {
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A process that is killed when it is dropped.
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    pub fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn signal(&self, signal: &str) {
        kill(i32::try_from(self.child.id()).expect("pid"), signal);
    }

    /// Waits for its end; the exit code.
    pub fn end(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status.code();
            }
            assert!(start.elapsed() < PATIENCE, "it does not end:\n{}", self.output());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks it to end and waits.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.end()
    }

    /// Waits until its output holds a text.
    pub fn says(&self, text: &str) {
        wait(&format!("{text:?} in the output:\n{}", self.output()), || {
            self.output().contains(text)
        });
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something is so.
pub fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Path of a file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path).canonicalize().expect(path)
}
