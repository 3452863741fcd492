//! A world: one init, and the line to its present worker.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// Everything that a test waits for comes within this time, or never.
pub const LIMIT: Duration = Duration::from_secs(60);

pub const PUPPET: &str = env!("CARGO_BIN_EXE_init-puppet");

pub struct World {
    child: Child,
    /// Number of init, as we see it.
    pub init: i32,
    listener: UnixListener,
    line: Line,
    /// Number of the present worker, as it sees itself.
    pub worker: i32,
    /// What every process of this world has in its environment, and nobody else.
    mark: PathBuf,
    _folder: tempfile::TempDir,
}

impl World {
    /// Init as a sub-reaper, its first worker there, nothing said yet.
    pub fn new() -> Self {
        Self::of(Command::new(PUPPET))
    }

    /// Init as first process of a name space. `None`, and said so, where that is not allowed here.
    pub fn in_name_space(promise: &str) -> Option<Self> {
        let mut probe = Command::new("unshare");
        let allowed = probe.args(["--pid", "--fork", "--mount-proc", "true"]).output();
        if !allowed.is_ok_and(|done| done.status.success()) {
            println!(
                "not run, promise untested: {promise} in a name space needs root and `unshare`"
            );
            return None;
        }
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc", "--kill-child", PUPPET]);
        let mut world = Self::of(command);
        world.init = children(world.child.id() as i32)[0];
        Some(world)
    }

    /// Both kinds of init, one after the other.
    pub fn both(promise: &str) -> impl Iterator<Item = Self> {
        let kinds = [|_: &str| Some(Self::new()), |promise: &str| Self::in_name_space(promise)];
        kinds.into_iter().filter_map(move |kind| kind(promise))
    }

    /// Init as this command starts it.
    pub fn of(mut command: Command) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mark = folder.path().join("line");
        let listener = UnixListener::bind(&mark).expect("bind");
        let child = command.env("PUPPET", &mark).spawn().expect("start init");
        let (line, worker) = accept(&listener);
        let init = child.id() as i32;
        Self { child, init, listener, line, worker, mark, _folder: folder }
    }

    /// The next worker.
    pub fn next_worker(&mut self) {
        (self.line, self.worker) = accept(&self.listener);
    }

    pub fn tell(&mut self, what: &str) {
        writeln!(self.line.stream, "{what}").expect("tell the worker");
    }

    /// The next line of the worker.
    pub fn hear(&mut self) -> String {
        self.line.hear()
    }

    /// Says hello; everything up to `ready N`.
    pub fn hello(&mut self) -> Vec<String> {
        self.tell("hello");
        let mut heard = Vec::new();
        while !heard.last().is_some_and(|line: &String| line.starts_with("ready ")) {
            heard.push(self.hear());
        }
        heard
    }

    /// Starts a process that writes to our own output; its number in the kernel.
    pub fn start(&mut self, process: u64, command: &str) -> i32 {
        self.tell(&format!("start {process} own {command}"));
        self.hear_start(process)
    }

    /// Hears of a process; its number in the kernel.
    pub fn hear_start(&mut self, process: u64) -> i32 {
        let heard = self.hear();
        let rest = heard.strip_prefix(&format!("process {process} ")).expect(&heard);
        rest.split(' ').next().expect("a number").parse().expect("a number")
    }

    /// The worker ends with this code, and init does.
    pub fn bye(&mut self, code: i32) {
        self.tell(&format!("bye {code}"));
        assert_eq!(self.end().code(), Some(code));
    }

    pub fn signal(&self, signal: i32) {
        send(self.init, signal);
    }

    /// Waits until init ends, and for nothing to be left.
    pub fn end(&mut self) -> ExitStatus {
        let status = wait_until("init ends", || self.child.try_wait().expect("wait for init"));
        assert_eq!(self.left(), Vec::<String>::new(), "left after the end");
        status
    }

    /// Every process that bears the mark of this world, by number and name.
    fn left(&self) -> Vec<String> {
        let mark = format!("PUPPET={}\0", self.mark.display()).into_bytes();
        let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
        let marked = processes.filter(|process| {
            let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
            environment.windows(mark.len()).any(|part| part == mark)
        });
        let name = |process: std::fs::DirEntry| {
            let name = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
            name.split_inclusive(')').next().unwrap_or_default().to_owned()
        };
        marked.map(name).collect()
    }

    /// A line of `/proc/PID/status` of init, in KiB.
    pub fn memory(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.init));
        let status = status.expect("init lives");
        let value = status.lines().find_map(|text| text.strip_prefix(line)).expect(line);
        value.trim_start_matches(':').trim_end_matches("kB").trim().parse().expect("a number")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Only a test that failed comes here.
            let _ = self.child.kill();
            let _ = self.child.wait();
            let left = self.left();
            for pid in left.iter().filter_map(|name| name.split(' ').next()?.parse().ok()) {
                // SAFETY: touches no memory; it bears our mark, and nobody starts others now.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        }
    }
}

/// Children of a process with one thread.
pub fn children(pid: i32) -> Vec<i32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let list = list.unwrap_or_default();
    list.split_whitespace().map(|number| number.parse().expect("a number")).collect()
}

/// Whether a process has ended and nobody reaped it.
pub fn is_zombie(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

/// How much longer tests run where the environment asks for it.
pub fn soak() -> u32 {
    std::env::var("REGROW_SOAK").map_or(1, |times| times.parse().expect("REGROW_SOAK is a number"))
}

/// The line to a worker. What it says is taken at once, so that it never waits for us.
struct Line {
    stream: UnixStream,
    said: Receiver<String>,
}

impl Line {
    fn hear(&mut self) -> String {
        self.said.recv_timeout(LIMIT).expect("the worker says something in time")
    }
}

fn accept(listener: &UnixListener) -> (Line, i32) {
    listener.set_nonblocking(true).expect("not blocking");
    let (stream, _) = wait_until("a worker calls", || listener.accept().ok());
    stream.set_nonblocking(false).expect("blocking");
    let lines = BufReader::new(stream.try_clone().expect("clone")).lines();
    let (sender, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let mut line = Line { stream, said };
    let first = line.hear();
    let worker = first.strip_prefix("worker ").expect(&first).parse().expect("a number");
    (line, worker)
}

pub fn send(pid: i32, signal: i32) {
    // SAFETY: touches no memory; the target is a child of ours, or of our init.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "kill {signal} {pid}");
}

/// Asks until there is an answer.
pub fn wait_until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
