//! The whole log: thread, file, reopening, finishing.

use regrow_init::ProcessId;
use tokio::sync::mpsc::unbounded_channel;

use super::super::Logger;
use super::{LONG, label, logging, messages, streams, wait_for};
use crate::config::Level;

#[test]
fn lines_of_a_job_and_of_the_supervisor_go_to_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let (tell, mut drained) = unbounded_channel();
    let logger = Logger::start(&logging(&path), tell).expect("a log");
    let (mut job, streams) = streams();
    logger.attach(ProcessId(7), label("app", 12), streams);
    logger.say(Level::Debug, None, "not shown");
    logger.say(Level::Info, Some("app"), "said of it");
    wait_for(&path, "said of it\n");
    job.write("one\r\ntwo\n\nhalf");
    wait_for(&path, " two\n");
    drop(job);
    assert_eq!(drained.blocking_recv(), Some(ProcessId(7)));
    logger.say(Level::Info, None, "end");
    assert!(logger.finish(LONG));
    let content = std::fs::read_to_string(&path).expect("the log");
    assert_eq!(
        messages(&content),
        ["app said of it", "app 12 one", "app 12 two", "app 12 ", "app 12 half", "end"]
    );
}
