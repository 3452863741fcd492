//! Outputs that are slow, full, renamed or gone, and jobs that do not end.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use regrow_init::ProcessId;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::super::lines::{CONTINUED, LINE_BYTES};
use super::super::{Drained, LogError, Logger};
use super::{LONG, copy, label, logging, messages, streams, wait_for, wait_until};
use crate::config::{Format, Level, Logging, Sink};

const APP: ProcessId = ProcessId(1);

fn start(path: &Path) -> (Logger, UnboundedReceiver<Drained>) {
    let (tell, drained) = unbounded_channel();
    let logger = Logger::start(&logging(path), tell).expect("a log");
    logger.adopt([]);
    (logger, drained)
}

/// A log into a pipe, and its reading end.
fn start_into_pipe() -> (Logger, UnboundedReceiver<Drained>, File) {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
    let (logger, drained) = start(&path_of(&writer));
    (logger, drained, File::from(reader))
}

fn path_of(file: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("the log")
}

#[test]
fn a_slow_reader_slows_the_job_and_loses_no_line() {
    let (logger, mut drained, mut reader) = start_into_pipe();
    let (job, streams) = streams();
    let out = copy(&streams.out);
    let mut job = job.run("seq 500000");
    logger.attach(APP, label("app", 1), streams);
    // Nobody reads: the job is held up with nothing kept but what a turn takes.
    wait_until("a stall", || !logger.figures().stalled().is_zero());
    assert!(job.try_wait().expect("a job").is_none(), "the job is not slowed");
    let held = rustix::fs::fstat(&out.spool).expect("a spool").st_blocks * 512;
    assert!(held <= 1 << 20, "the spool holds {held} bytes");
    drop(out);
    // What is said then waits and does not hold us up; the oldest give way.
    for n in 0..3000 {
        logger.say(Level::Info, None, format!("said {n}"));
    }
    assert!(logger.figures().dropped() >= 3000 - 1024);
    let mut log = String::new();
    let reading = std::thread::spawn(move || reader.read_to_string(&mut log).map(|_| log));
    assert_eq!(drained.blocking_recv().map(|ended| ended.process), Some(APP));
    assert!(logger.finish(LONG));
    drop(logger);
    let log = reading.join().expect("a thread").expect("read");
    let lines = messages(&log).into_iter().filter_map(|message| message.strip_prefix("app 1 "));
    assert!(lines.eq((1..=500_000).map(|n| n.to_string())), "lines are lost");
    assert!(log.contains("records of the supervisor are left out: too many waited"));
    assert!(log.contains(" said 2999\n") && !log.contains(" said 1000\n"));
    assert!(job.wait().expect("a job").success());
}

#[test]
fn finish_waits_no_longer_than_it_is_told_for_a_reader_that_does_not_read() {
    let (logger, _drained, _reader) = start_into_pipe();
    let (job, streams) = streams();
    let mut job = job.run("exec seq 500000");
    logger.attach(APP, label("app", 1), streams);
    wait_until("a stall", || !logger.figures().stalled().is_zero());
    let begun = std::time::Instant::now();
    assert!(!logger.finish(Duration::from_millis(50)));
    assert!(begun.elapsed() < LONG);
    job.kill().expect("killed");
    job.wait().expect("reaped");
}

/// A small file system of its own.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` without the right to mount.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "regrow-test"]).arg(folder.path());
        mount.output().is_ok_and(|done| done.status.success()).then_some(Self(folder))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also while the log's thread of a failed test still has its file there.
        let done = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
        assert!(std::thread::panicking() || done.is_ok_and(|status| status.success()));
    }
}

#[test]
fn a_full_disk_slows_the_job_and_loses_no_line() {
    let Some(disk) = Disk::new() else {
        println!("not run, promise untested: S3 on a full disk (it takes the right to mount)");
        return;
    };
    let path = disk.0.path().join("log");
    let filler = disk.0.path().join("filler");
    std::fs::write(&filler, vec![0; 900 << 10]).expect("a filler");
    let (logger, mut drained) = start(&path);
    let (job, streams) = streams();
    let mut job = job.run("seq 10000");
    logger.attach(APP, label("app", 1), streams);
    wait_until("a stall", || !logger.figures().stalled().is_zero());
    std::fs::remove_file(&filler).expect("room");
    assert_eq!(drained.blocking_recv().map(|ended| ended.process), Some(APP));
    assert!(job.wait().expect("a job").success());
    assert!(logger.finish(LONG));
    let log = read(&path);
    let lines = messages(&log).into_iter().filter_map(|message| message.strip_prefix("app 1 "));
    assert!(lines.eq((1..=10_000).map(|n| n.to_string())), "lines are lost, torn or twice");
    assert!(log.contains("the log could not be written for "), "the stall is not said");
}

#[test]
fn complaint_15_a_line_of_a_mebibyte_is_one_record_and_no_job_dies_of_a_longer_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let (logger, mut drained) = start(&path);
    let (job, streams) = streams();
    let line = |bytes: usize| format!("head -c {bytes} /dev/zero | tr '\\0' x; echo");
    let script = format!("{}; {}; echo after", line(LINE_BYTES), line(3 * LINE_BYTES + 5));
    let mut job = job.run(&script);
    logger.attach(APP, label("app", 1), streams);
    assert!(job.wait().expect("a job").success());
    assert_eq!(drained.blocking_recv().map(|ended| ended.process), Some(APP));
    let log = read(&path);
    let marker = String::from_utf8_lossy(CONTINUED);
    let lengths: Vec<(usize, bool)> = messages(&log)
        .into_iter()
        .map(|message| message.strip_prefix("app 1 ").expect("a record"))
        .map(|text| (text.trim_end_matches(marker.as_ref()).len(), text.ends_with(marker.as_ref())))
        .collect();
    let part = (LINE_BYTES, true);
    assert_eq!(lengths, [(LINE_BYTES, false), part, part, part, (5, false), (5, false)]);
}

#[test]
fn after_a_rename_the_file_is_opened_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
    let (logger, _drained) = start(&path);
    let (mut job, streams) = streams();
    logger.attach(APP, label("app", 1), streams);
    job.write("one\n");
    wait_for(&path, "one\n");
    std::fs::rename(&path, &old).expect("renamed");
    job.write("two\n");
    wait_for(&old, "two\n");
    logger.reopen().expect("opened again");
    job.write("three\n");
    assert_eq!(messages(&wait_for(&path, "three\n")), ["app 1 three"]);
    assert_eq!(messages(&read(&old)), ["app 1 one", "app 1 two"]);
}

#[test]
fn a_file_that_cannot_be_opened_is_said_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let (logger, _drained) = start(&path);
    let gone = folder.path().join("no/such");
    let error = logger.reconfigure(&logging(&gone)).expect_err("no folder");
    assert!(matches!(error, LogError::File { .. }));
    let text = format!("Error initializing log file '{}': ", gone.display());
    assert!(error.to_string().starts_with(&text), "{error}");
    logger.say(Level::Info, None, "still here");
    wait_for(&path, "still here\n");
    let other = folder.path().join("other");
    let sink = Sink::File(other.clone());
    let json = Logging { level: Level::Warning, format: Format::Json, output: sink };
    logger.reconfigure(&json).expect("another file");
    logger.say(Level::Info, None, "hidden");
    logger.say(Level::Warning, Some("app"), "shown");
    let log = wait_for(&other, "shown");
    assert!(log.starts_with("{\"job\":\"app\",\"level\":\"warning\",\"msg\":\"shown\","), "{log}");
}

#[test]
fn a_background_child_that_holds_stdout_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let (logger, _drained) = start(&path);
    let (job, streams) = streams();
    let mut job = job.run("sleep 3600 & printf 'pid %d.' $!");
    logger.attach(APP, label("app", 1), streams);
    assert!(job.wait().expect("a job").success());
    let in_time = logger.finish(LONG);
    // The last line has no newline and its stream has no end: it is written all the same.
    let log = read(&path);
    let pid = log.split_once("pid ").and_then(|(_, rest)| rest.split_once('.')).expect("a pid").0;
    assert!(Command::new("kill").arg(pid).status().expect("kill").success());
    assert!(in_time);
}

#[test]
fn jobs_go_on_when_nobody_reads_the_log_any_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let (logger, mut drained, reader) = start_into_pipe();
    drop(reader);
    let (job, streams) = streams();
    let mut job = job.run("seq 100000; echo; exit 3");
    logger.attach(APP, label("app", 1), streams);
    assert_eq!(job.wait().expect("a job").code(), Some(3), "the job died of its log");
    assert_eq!(drained.blocking_recv().map(|ended| ended.process), Some(APP));
    assert_eq!(logger.figures().lost(), 100_001);
    logger.reconfigure(&logging(&path)).expect("another output");
    wait_for(&path, "100001 records were lost while nobody read the log\n");
}

#[test]
fn lines_of_jobs_are_not_shown_where_only_warnings_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let (tell, mut drained) = unbounded_channel();
    let only_warnings = Logging { level: Level::Warning, ..logging(&path) };
    let logger = Logger::start(&only_warnings, tell).expect("a log");
    logger.adopt([]);
    let (mut job, streams) = streams();
    logger.attach(APP, label("app", 1), streams);
    job.write("hidden\n");
    drop(job);
    assert_eq!(drained.blocking_recv().map(|ended| ended.process), Some(APP));
    logger.say(Level::Error, None, "shown");
    assert!(logger.finish(LONG));
    assert_eq!(messages(&read(&path)), ["shown"]);
}

#[test]
fn a_spool_that_cannot_be_read_is_passed_over_and_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let (logger, mut drained) = start(&path);
    let (mut job, streams) = streams();
    rustix::io::pwrite(&streams.out.spool, b"RGSP\x09\0 of another version", 0).expect("written");
    logger.attach(APP, label("app", 1), streams);
    job.write("line\n");
    drop(job);
    assert_eq!(drained.blocking_recv().map(|ended| ended.process), Some(APP));
    assert!(logger.finish(LONG));
    let log = read(&path);
    assert!(log.contains(" app 1 line\n"), "{log}");
    let said = "failed to read the output of app: read the header of a spool, found version 9\n";
    assert!(log.contains(said), "{log}");
}

#[test]
fn a_line_that_somebody_else_began_in_the_file_is_ended_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    std::fs::write(&path, "half").expect("written");
    let (logger, _drained) = start(&path);
    logger.say(Level::Info, None, "whole");
    assert!(logger.finish(LONG));
    let log = read(&path);
    assert!(log.starts_with("half\n") && log.ends_with(" whole\n"), "{log:?}");
}
