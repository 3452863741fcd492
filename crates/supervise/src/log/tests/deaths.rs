//! Workers that are processes of their own and are killed with -9 while a job writes as fast as it
//! can.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use regrow_init::protocol::Stream;
use regrow_init::{ProcessId, Streams};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::sync::mpsc::unbounded_channel;

use super::super::Logger;
use super::{LONG, label, logging, streams, wait_until};

/// Tells [`stand_in`] where to write and the descriptors of the streams: `PATH out spool err spool`.
const TASK: &str = "REGROW_TEST_LOG_TASK";
/// Workers.
const ROUNDS: usize = 12;
/// Lines of each stream in a round.
const LINES: usize = 20_000;
/// Bytes of the log after which a worker dies: a fifth of those of a round.
const PART: usize = 400_000;

/// Not a test by itself: the worker of the tests below, which start it with a task.
#[test]
fn stand_in() {
    let Ok(task) = std::env::var(TASK) else { return };
    let mut words = task.split(' ');
    let path = PathBuf::from(words.next().expect("a path"));
    let mut open = |write| {
        let number = words.next().expect("a descriptor");
        let path = format!("/proc/self/fd/{number}");
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).write(write).custom_flags(nonblock).open(path);
        OwnedFd::from(file.expect("an inherited file"))
    };
    let mut stream = || Stream { pipe: open(false), spool: open(true) };
    let streams = Streams { out: stream(), err: stream() };
    let (tell, mut drained) = unbounded_channel();
    let logger = Logger::start(&logging(&path), tell).expect("a log");
    logger.adopt([(ProcessId(1), label("app", 1), streams)]);
    drained.blocking_recv().expect("drained");
    assert!(logger.finish(LONG));
}

/// Starts a worker for these streams, which it inherits.
fn worker(path: &Path, streams: &Streams) -> Child {
    let files = [&streams.out.pipe, &streams.out.spool, &streams.err.pipe, &streams.err.spool];
    let mut task = path.display().to_string();
    for file in files {
        fcntl_setfd(file, FdFlags::empty()).expect("inherited");
        task.push_str(&format!(" {}", file.as_raw_fd()));
    }
    let name = concat!(module_path!(), "::stand_in").split_once("::").expect("a crate").1;
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "--nocapture", name]).env(TASK, task);
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("a worker")
}

/// A job that writes numbered lines to both streams, so many each time it is told to.
struct Busy {
    job: Child,
    orders: Option<ChildStdin>,
}

impl Busy {
    fn start() -> (Self, Streams) {
        let (ends, streams) = streams();
        let script = "while read a b; do seq -f o%.0f $a $b & seq -f e%.0f $a $b >&2; wait; done";
        let mut job = Command::new("sh");
        job.args(["-c", script]).stdin(Stdio::piped()).stdout(ends.out).stderr(ends.err);
        let mut job = job.spawn().expect("a shell");
        let orders = job.stdin.take();
        (Self { job, orders }, streams)
    }

    /// Orders the lines of a round; the last one is the end of the job.
    fn order(&mut self, round: usize) {
        let lines = format!("{} {}\n", round * LINES + 1, (round + 1) * LINES);
        let orders = self.orders.as_mut().expect("not the end");
        orders.write_all(lines.as_bytes()).expect("ordered");
        if round + 1 == ROUNDS {
            self.orders = None;
        }
    }
}

/// Lets workers die one after the other, each after it has written something of its round, and the
/// last one live to the end. `length` is that of the log so far.
fn let_them_die(path: &Path, mut length: impl FnMut() -> usize) {
    let (mut busy, streams) = Busy::start();
    for round in 0..ROUNDS {
        let mut worker = worker(path, &streams);
        let until = length() + PART;
        busy.order(round);
        if round + 1 < ROUNDS {
            wait_until("the log grows", || length() >= until);
            worker.kill().expect("killed");
            worker.wait().expect("reaped");
            continue;
        }
        let mut ended = None;
        wait_until("the last worker ends", || {
            length();
            ended = ended.or(worker.try_wait().expect("a worker"));
            ended.is_some()
        });
        assert!(ended.is_some_and(|status| status.success()));
    }
    assert!(busy.job.wait().expect("a job").success());
}

/// All numbers of both streams, in order, some again after a death, and nothing else.
fn judge(log: &str) {
    let mut seen = [0, 0];
    for record in log.lines() {
        let text = record.split_once(" app 1 ").map_or("", |(_, text)| text);
        let of = usize::from(text.starts_with('e'));
        let number: usize = match text.get(1..).and_then(|digits| digits.parse().ok()) {
            Some(number) if text.starts_with(['o', 'e']) => number,
            _ => panic!("torn or joined: {record:?}"),
        };
        assert!(number <= seen[of] + 1, "{text} comes after {}", seen[of]);
        seen[of] = seen[of].max(number);
    }
    assert_eq!(seen, [ROUNDS * LINES; 2], "lines are lost");
}

#[test]
fn no_line_is_lost_in_a_file_when_the_worker_is_killed_under_load() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let_them_die(&path, || std::fs::metadata(&path).map_or(0, |data| data.len()) as usize);
    judge(&std::fs::read_to_string(&path).expect("the log"));
}

#[test]
fn no_line_is_lost_in_a_pipe_when_the_worker_is_killed_under_load() {
    let (reader, writer) = pipe_with(PipeFlags::empty()).expect("a pipe");
    let path = PathBuf::from(format!("/proc/self/fd/{}", writer.as_raw_fd()));
    let (mut reader, mut log) = (File::from(reader), Vec::new());
    let_them_die(&path, || {
        read_some(&mut reader, &mut log);
        log.len()
    });
    read_some(&mut reader, &mut log);
    judge(std::str::from_utf8(&log).expect("a text"));
}

/// Reads what is there.
fn read_some(from: &mut File, to: &mut Vec<u8>) {
    loop {
        match rustix::io::ioctl_fionread(from.as_fd()).expect("a pipe") {
            0 => return,
            there => from.take(there).read_to_end(to).expect("read"),
        };
    }
}
