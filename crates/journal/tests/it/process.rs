//! The real disk: a folder, its lock, and a process that is killed.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;

use bytes::Bytes;
use regrow_journal::disk::real::{Method, RealDisk};
use regrow_journal::{Journal, Mode, OpenError, Options, Slot};

use crate::support::{append, entries, id};

const FOLDER: &str = "REGROW_JOURNAL_TEST_FOLDER";

fn options() -> Options {
    Options { segment_bytes: 256 * 1024, cache_bytes: 0, mode: Mode::Thread, ..Options::default() }
}

#[test]
fn a_folder_has_one_journal() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("journal");
    let (journal, report) = Journal::open(&path, options()).expect("a new journal");
    assert!(report.created);
    let mode = std::fs::metadata(&path).expect("a folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let error = Journal::open(&path, options()).expect_err("locked");
    assert!(matches!(&error, OpenError::Locked(dir) if dir == &path.display().to_string()));
    append(&journal.stream(id(1)), &[(0, b"a")]).wait().expect("durable");
    drop(journal);
    let (journal, report) = Journal::open(&path, options()).expect("free again");
    assert_eq!((report.entries, journal.stream(id(1)).last()), (1, Some(0)));
    let file = path.join("not a folder");
    std::fs::write(&file, "").expect("a file");
    let error = Journal::open(&file, options()).expect_err("a file is no folder");
    assert!(matches!(error, OpenError::Folder { .. }), "{error}");
}

#[test]
fn both_methods_write_the_same_format() {
    let dir = tempfile::tempdir().expect("a folder");
    for (round, method) in [Method::Flush, Method::Direct, Method::Flush].into_iter().enumerate() {
        let disk = RealDisk::with_method(dir.path(), method).expect("a disk");
        let opened = Journal::open_on(Arc::new(disk), options());
        let (journal, _) = match opened {
            Err(OpenError::Disk(halt)) if halt.cause.raw_os_error() == Some(22) => {
                println!("not run, promise untested: no direct writing on this file system");
                return;
            }
            other => other.expect("a journal"),
        };
        let stream = journal.stream(id(0));
        for index in 0..100 {
            let index = round as u64 * 100 + index;
            append(&stream, &[(index, &[index as u8; 5000])]).wait().expect("durable");
        }
        let found = entries(&stream).expect("readable");
        assert_eq!(found.len(), 100 * (round + 1));
        assert!(found.iter().all(|(index, bytes)| bytes == &[*index as u8; 5000]));
    }
}

/// A child that does not outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Both fail only for a child that is gone already.
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

/// Not a test of its own: what the killed process does. Prints the count that was acknowledged.
#[test]
fn appends_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (journal, _) = Journal::open(Path::new(&folder), options()).expect("a journal");
    let stream = journal.stream(id(0));
    let (tell, told) = mpsc::sync_channel(64);
    let begin = stream.last().map_or(0, |last| last + 1);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for index in told {
                println!("acknowledged {index}");
            }
        });
        for index in begin.. {
            let tell = tell.clone();
            let content = Bytes::from(vec![index as u8; 1 + index as usize % 3000]);
            stream.append(vec![(index, content)], move |result| {
                result.expect("durable");
                tell.send(index).expect("somebody who prints");
            });
            if index % 100 == 99 {
                stream.save(Slot(0), Bytes::copy_from_slice(&index.to_le_bytes()), |_| {});
                stream.purge(index - 50, |_| {});
            }
        }
    });
}

#[test]
fn a_killed_process_loses_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut before = 0;
    for round in 0..4 {
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "process::appends_until_killed", "--nocapture", "--test-threads=1"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let mut child = Killed(child);
        let lines = BufReader::new(child.0.stdout.take().expect("its output")).lines();
        let mut last = None;
        let mut acknowledged = lines.map_while(Result::ok).filter_map(|line| {
            line.split_once("acknowledged ").and_then(|(_, index)| index.parse::<u64>().ok())
        });
        for _ in 0..150 + 67 * round {
            last = Some(acknowledged.next().expect("a child that goes on"));
        }
        child.0.kill().expect("killed");
        // What it said before it died counts too.
        last = acknowledged.max().max(last);
        child.0.wait().expect("gone");
        let last = last.expect("something acknowledged");
        let (journal, _) = Journal::open(dir.path(), options()).expect("no damage");
        let stream = journal.stream(id(0));
        assert!(stream.last() >= Some(last) && last > before, "{last} was acknowledged");
        for (index, bytes) in entries(&stream).expect("readable") {
            assert_eq!(bytes, vec![index as u8; 1 + index as usize % 3000]);
        }
        before = last;
    }
}
