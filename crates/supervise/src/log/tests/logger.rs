//! The whole log: thread, file, reopening, finishing.

use std::sync::Arc;

use regrow_init::ProcessId;
use tokio::sync::mpsc::unbounded_channel;
use tracing_subscriber::layer::SubscriberExt as _;

use super::super::spool::{DATA, Header};
use super::super::{Drained, Label, Logger, Trace};
use super::{LONG, label, logging, messages, streams, wait_for};
use crate::config::{Level, Logging};

#[test]
fn lines_of_a_job_and_of_the_supervisor_go_to_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let (tell, mut drained) = unbounded_channel();
    let logger = Logger::start(&logging(&path), tell).expect("a log");
    let (mut job, streams) = streams();
    logger.say(Level::Info, None, "said before");
    logger.adopt([(ProcessId(7), label("app", 12), streams)]);
    logger.say(Level::Debug, None, "not shown");
    logger.say(Level::Info, Some("app"), "said of it");
    wait_for(&path, "said of it\n");
    job.write("one\r\ntwo\n\nhalf");
    wait_for(&path, " two\n");
    drop(job);
    assert_eq!(drained.blocking_recv().map(|ended| ended.process), Some(ProcessId(7)));
    logger.say(Level::Info, None, "end");
    assert!(logger.finish(LONG));
    let content = std::fs::read_to_string(&path).expect("the log");
    assert_eq!(
        messages(&content),
        [
            "said before",
            "app said of it",
            "app 12 one",
            "app 12 two",
            "app 12 ",
            "app 12 half",
            "end"
        ]
    );
}

#[test]
fn the_last_words_of_a_check_are_told_when_its_streams_have_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let (tell, mut drained) = unbounded_channel();
    let logger = Logger::start(&logging(&folder.path().join("log")), tell).expect("a log");
    logger.adopt([]);
    for (number, check) in [(1, true), (2, false)] {
        let (mut process, streams) = streams();
        let label = Label { check, ..label("check.app", 12) };
        logger.attach(ProcessId(number), label, streams);
        process.write("no\nroom");
        drop(process);
        let said = if check { "no room" } else { "" }.to_owned();
        let expected = Drained { process: ProcessId(number), said };
        assert_eq!(drained.blocking_recv(), Some(expected));
    }
}

#[test]
fn what_is_traced_is_said_at_the_level_of_the_moment() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let logger = Logger::start(&logging(&path), unbounded_channel().0).expect("a log");
    logger.adopt([]);
    let logger = Arc::new(logger);
    let subscriber = tracing_subscriber::registry().with(Trace::new(Arc::clone(&logger)));
    let tell = |n: u32| {
        tracing::debug!(n, "details");
        tracing::debug!(target: "hyper", n, "noise");
        tracing::warn!(target: "hyper", error = %"why", "foreign");
        tracing::info!(job = "app", n, text = "a b", "of a job");
    };
    tracing::subscriber::with_default(subscriber, || {
        tell(1);
        let debug = Logging { level: Level::Debug, ..logging(&path) };
        logger.reconfigure(&debug).expect("another level");
        tell(2);
    });
    assert!(logger.finish(LONG));
    let content = std::fs::read_to_string(&path).expect("the log");
    let job = |n| format!("app of a job n={n} text=a b");
    assert_eq!(
        messages(&content),
        ["foreign error=why", &job(1), "details n=2", "foreign error=why", &job(2)]
    );
}

#[test]
fn what_is_said_before_a_torn_record_is_mended_is_written_behind_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    std::fs::write(&path, "2026-01-02T03:04:05Z app 12 whole\n2026-01-02T03:04:05Z app 12 to")
        .expect("a log");
    let (mut job, streams) = streams();
    // A predecessor that died while it wrote this.
    let mut left = Header { written: DATA, mark: Some(34) }.encode().to_vec();
    left.resize(DATA as usize, 0);
    left.extend_from_slice(b"torn\n");
    rustix::io::pwrite(&streams.out.spool, &left, 0).expect("a spool");
    let logger = Logger::start(&logging(&path), unbounded_channel().0).expect("a log");
    logger.say(Level::Info, None, "before");
    logger.adopt([(ProcessId(7), label("app", 12), streams)]);
    job.write("next\n");
    wait_for(&path, " next\n");
    assert!(logger.finish(LONG));
    let content = std::fs::read_to_string(&path).expect("the log");
    assert_eq!(messages(&content), ["app 12 whole", "app 12 torn", "before", "app 12 next"]);
}
