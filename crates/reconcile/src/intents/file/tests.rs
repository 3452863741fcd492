//! An intent log on a disk that is slow.

use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::super::tests::{intent, open_log};
use super::super::{IntentError, IntentLog};
use super::FileIntents;

/// Holds the file of a log until told, as a slow disk does; true when it was told in time.
fn slow_disk(log: &FileIntents) -> (mpsc::Sender<()>, thread::JoinHandle<bool>) {
    let (log, (told, hears), (ready, is_ready)) = (log.clone(), mpsc::channel(), mpsc::channel());
    let disk = thread::spawn(move || {
        let _held = log.0.file.lock().unwrap();
        ready.send(()).unwrap();
        hears.recv_timeout(Duration::from_secs(30)).is_ok()
    });
    is_ready.recv().unwrap();
    (told, disk)
}

/// Opens a log again. Whoever wrote last may be about to let go of it.
fn again(path: &Path) -> FileIntents {
    let deadline = Instant::now() + Duration::from_secs(25);
    loop {
        match FileIntents::open_or_create(path, 7) {
            Err(IntentError::Taken { .. }) if Instant::now() < deadline => thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

#[tokio::test]
async fn closing_and_reading_do_not_wait_for_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("intents");
    let log = open_log(&path);
    IntentLog::record(&log, &[intent("a", 1), intent("a", 2)]).await.unwrap();
    let (tell, disk) = slow_disk(&log);
    IntentLog::close(&log, "a", &[intent("a", 1).key]).await.unwrap();
    assert_eq!(IntentLog::open(&log, "a").await.unwrap(), [intent("a", 2)]);
    assert_ne!(log.lineage(), 0);
    tell.send(()).unwrap();
    assert!(disk.join().unwrap(), "nobody waited for the disk");
    IntentLog::record(&log, &[intent("a", 3)]).await.unwrap();
    drop(log);
    assert_eq!(again(&path).open("a"), [intent("a", 2), intent("a", 3)]);
}

#[tokio::test]
async fn what_comes_while_the_disk_works_is_written_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("intents");
    let log = open_log(&path);
    let (tell, disk) = slow_disk(&log);
    let mut waiting = tokio::task::JoinSet::new();
    for group in 0..100 {
        let log = log.clone();
        waiting.spawn(async move {
            IntentLog::record(&log, &[intent(&format!("g{group}"), 1)]).await.map(drop)
        });
    }
    // All wait for the disk at once, none for another's turn.
    let deadline = Instant::now() + Duration::from_secs(25);
    while log.ledger().open.len() < 100 {
        assert!(Instant::now() < deadline, "{} wait", log.ledger().open.len());
        tokio::task::yield_now().await;
    }
    assert!(waiting.try_join_next().is_none(), "nothing is promised before it is on disk");
    tell.send(()).unwrap();
    while let Some(recorded) = waiting.join_next().await {
        recorded.unwrap().unwrap();
    }
    assert!(disk.join().unwrap());
    drop(log);
    let log = again(&path);
    assert!((0..100).all(|group| log.open(&format!("g{group}")).len() == 1));
}
