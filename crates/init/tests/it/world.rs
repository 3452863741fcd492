//! A world: one init, and the line to its present worker.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// Everything that a test waits for comes within this time, or never.
pub const LIMIT: Duration = Duration::from_secs(60);

pub const PUPPET: &str = env!("CARGO_BIN_EXE_init-puppet");

pub struct World {
    pub init: Child,
    listener: UnixListener,
    line: BufReader<UnixStream>,
    /// Number of the present worker in its own name space.
    pub worker: i32,
    _folder: tempfile::TempDir,
}

impl World {
    /// Init as a sub-reaper, its first worker there, nothing said yet.
    pub fn new() -> Self {
        Self::of(Command::new(PUPPET))
    }

    pub fn of(mut command: Command) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("line");
        let listener = UnixListener::bind(&path).expect("bind");
        let init = command.env("PUPPET", &path).spawn().expect("start init");
        let (line, worker) = accept(&listener);
        Self { init, listener, line, worker, _folder: folder }
    }

    /// The next worker.
    pub fn next_worker(&mut self) {
        (self.line, self.worker) = accept(&self.listener);
    }

    pub fn tell(&mut self, what: &str) {
        writeln!(self.line.get_mut(), "{what}").expect("tell the worker");
    }

    /// The next line of the worker.
    pub fn hear(&mut self) -> String {
        hear(&mut self.line)
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

    /// Starts a process; its number in the kernel.
    pub fn start(&mut self, process: u64, command: &str) -> i32 {
        self.tell(&format!("start {process} own {command}"));
        let heard = self.hear();
        let rest = heard.strip_prefix(&format!("process {process} ")).expect(&heard);
        rest.split(' ').next().expect("a number").parse().expect("a number")
    }

    pub fn signal(&self, signal: i32) {
        send(self.init.id() as i32, signal);
    }

    /// Waits until init ends.
    pub fn end(&mut self) -> ExitStatus {
        wait_until("init ends", || self.init.try_wait().expect("wait for init"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if matches!(self.init.try_wait(), Ok(None)) {
            // Only a test that failed comes here; its worker goes when the line is cut.
            let _ = self.init.kill();
            let _ = self.init.wait();
        }
    }
}

fn accept(listener: &UnixListener) -> (BufReader<UnixStream>, i32) {
    listener.set_nonblocking(true).expect("not blocking");
    let (stream, _) = wait_until("a worker calls", || listener.accept().ok());
    stream.set_nonblocking(false).expect("blocking");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    let mut line = BufReader::new(stream);
    let first = hear(&mut line);
    let worker = first.strip_prefix("worker ").expect(&first).parse().expect("a number");
    (line, worker)
}

fn hear(line: &mut BufReader<UnixStream>) -> String {
    let mut text = String::new();
    line.read_line(&mut text).expect("the worker says something in time");
    assert!(text.ends_with('\n'), "the worker is gone");
    text.trim_end().to_owned()
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
