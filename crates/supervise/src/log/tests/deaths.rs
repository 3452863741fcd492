//! Workers that are processes of their own and are killed with -9 while a job writes as fast as it
//! can.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use regrow_init::protocol::Stream;
use regrow_init::{ProcessId, Streams};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::sync::mpsc::unbounded_channel;

use super::super::Logger;
use super::{LONG, label, logging, streams, wait_until};

/// Tells [`stand_in`] where to write and the descriptors of the streams: `PATH out spool err spool`.
const TASK: &str = "REGROW_TEST_LOG_TASK";
/// Lines of each stream.
const LINES: usize = 200_000;
/// Bytes of the log between two deaths.
const APART: usize = 1_000_000;

/// Not a test: the worker of the tests below.
#[test]
#[ignore = "it is run by other tests"]
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
    command.args(["--exact", "--ignored", "--nocapture", name]).env(TASK, task);
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("a worker")
}

/// A job that writes numbered lines to both streams, and its streams.
fn busy_job() -> (Child, Streams) {
    let (job, streams) = streams();
    let script = format!("seq -f o%.0f {LINES} & seq -f e%.0f {LINES} >&2; wait");
    (job.run(&script), streams)
}

/// All numbers of both streams, in order, some again after a death, and nothing else.
fn judge(log: &str, deaths: usize) {
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
    assert_eq!(seen, [LINES, LINES], "lines are lost");
    assert!(deaths >= 5, "only {deaths} workers died");
}

#[test]
fn no_line_is_lost_in_a_file_when_the_worker_is_killed_under_load() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let (mut job, streams) = busy_job();
    let length = || std::fs::metadata(&path).map_or(0, |data| data.len()) as usize;
    let mut deaths = 0;
    loop {
        let mut worker = worker(&path, &streams);
        let (until, mut ended) = (length() + APART, None);
        wait_until("the log grows or the worker ends", || {
            ended = worker.try_wait().expect("a worker");
            ended.is_some() || length() >= until
        });
        if let Some(status) = ended {
            assert!(status.success());
            break;
        }
        worker.kill().expect("killed");
        worker.wait().expect("reaped");
        deaths += 1;
    }
    assert!(job.wait().expect("a job").success());
    judge(&std::fs::read_to_string(&path).expect("the log"), deaths);
}

#[test]
fn no_line_is_lost_in_a_pipe_when_the_worker_is_killed_under_load() {
    let (mut job, streams) = busy_job();
    let (reader, writer) = pipe_with(PipeFlags::empty()).expect("a pipe");
    let path = PathBuf::from(format!("/proc/self/fd/{}", writer.as_raw_fd()));
    let (mut reader, mut log) = (File::from(reader), Vec::new());
    let mut deaths = 0;
    loop {
        let mut worker = worker(&path, &streams);
        let (until, mut ended) = (log.len() + APART, None);
        wait_until("the log grows or the worker ends", || {
            ended = ended.or(worker.try_wait().expect("a worker"));
            let taken = read_some(&mut reader, &mut log);
            (ended.is_some() && taken == 0) || (ended.is_none() && log.len() >= until)
        });
        if let Some(status) = ended {
            assert!(status.success());
            break;
        }
        worker.kill().expect("killed");
        worker.wait().expect("reaped");
        deaths += 1;
    }
    assert!(job.wait().expect("a job").success());
    judge(std::str::from_utf8(&log).expect("a text"), deaths);
}

/// Reads what is there; 0 where there is nothing.
fn read_some(from: &mut File, to: &mut Vec<u8>) -> usize {
    let before = to.len();
    loop {
        match rustix::io::ioctl_fionread(from.as_fd()).expect("a pipe") {
            0 => return to.len() - before,
            there => from.take(there).read_to_end(to).expect("read"),
        };
    }
}
