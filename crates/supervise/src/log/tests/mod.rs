//! Tests of the log on real pipes and files, within one process.

mod deaths;
mod forms;
mod kills;
mod logger;
mod outputs;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use regrow_init::Streams;
use regrow_init::protocol::Stream;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::pipe::{PipeFlags, pipe_with};

use super::Label;
use crate::config::{Format, Level, Logging, Sink};

/// A limit that no test tests.
const LONG: Duration = Duration::from_secs(60);

/// The writing ends of a process.
struct Job {
    out: File,
    err: File,
}

impl Job {
    /// A real process that writes to both.
    fn run(self, script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(self.out).stderr(self.err);
        command.spawn().expect("a shell")
    }

    fn write(&mut self, text: &str) {
        self.out.write_all(text.as_bytes()).expect("write to the pipe");
    }
}

/// A pipe with its spool, as init makes them.
fn stream() -> (File, Stream) {
    let (pipe, end) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
    let spool = memfd_create("spool", MemfdFlags::CLOEXEC).expect("a file in memory");
    (File::from(end), Stream { pipe, spool })
}

/// The same streams for another worker.
fn copy(stream: &Stream) -> Stream {
    let pipe = stream.pipe.try_clone().expect("a descriptor");
    Stream { pipe, spool: stream.spool.try_clone().expect("a descriptor") }
}

fn streams() -> (Job, Streams) {
    let (out, out_stream) = stream();
    let (err, err_stream) = stream();
    (Job { out, err }, Streams { out: out_stream, err: err_stream })
}

fn label(name: &str, pid: i32) -> Label {
    Label { name: name.into(), check: false, pid }
}

fn logging(path: &Path) -> Logging {
    Logging { level: Level::Info, format: Format::Default, output: Sink::File(path.to_owned()) }
}

/// Waits until something is so.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LONG, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until the file has this text in it.
fn wait_for(path: &Path, text: &str) -> String {
    let begun = Instant::now();
    loop {
        let content = std::fs::read_to_string(path).unwrap_or_default();
        if content.contains(text) {
            return content;
        }
        assert!(begun.elapsed() < LONG, "{text:?} is not in {content:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The text behind the time of each record.
fn messages(content: &str) -> Vec<&str> {
    content.lines().map(|line| line.split_once(' ').expect("a time").1).collect()
}
