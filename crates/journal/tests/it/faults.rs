//! Failing writes and flushes (C5): never acknowledged, never retried; a full disk.

use bytes::Bytes;
use regrow_journal::disk::memory::{Faults, MemoryDisk};
use regrow_journal::{Journal, JournalError, Mode, Options, Slot, Status};

use crate::model::{Model, observe, script};
use crate::power::small;
use crate::support::{answer, append, entries, id, open, options};

/// Runs the script under a fault and checks what follows from it. Returns whether it was met.
fn halts(faults: Faults, crash: Option<u64>) -> bool {
    let disk = MemoryDisk::new();
    disk.set_faults(faults);
    let Ok((journal, _)) = open(&disk, small()) else { return true };
    let mut model = Model::default();
    let mut before = model.clone();
    let mut failed = false;
    for step in script() {
        if !failed {
            before = model.clone();
        }
        let mut scratch = model.clone();
        match scratch.step(&journal, step).now() {
            Some(Ok(())) if !failed => {}
            Some(Err(JournalError::Halted(_))) => failed = true,
            other => panic!("{faults:?}: answered {other:?} after a failure ({failed})"),
        }
        if failed && before.same(&model) {
            // The step that failed may be found; those after it were refused.
            model = scratch;
            break;
        }
        model = scratch;
    }
    if matches!(journal.status(), Status::Open) {
        assert!(!failed);
        return false;
    }
    let last = append(&journal.stream(id(0)), &[(u64::MAX - 1, b"x")]).wait();
    assert!(matches!(last, Err(JournalError::Halted(_))), "{last:?}");
    let written = disk.counts().writes;
    drop(journal);
    assert_eq!(disk.counts().writes, written, "nothing is written after a failure");
    match crash {
        Some(seed) => disk.crash(seed),
        None => disk.set_faults(Faults::default()),
    }
    let (journal, report) = open(&disk, small()).expect("a failed flush is no damage");
    assert!(report.halted_before.expect("evidence").contains("os error"));
    let found = observe(&journal).expect("readable");
    assert!(found.same(&before) || found.same(&model), "{faults:?}");
    true
}

/// Calls `fault` with 1, 2, … until the script no longer meets it.
fn for_each(fault: impl Fn(u64) -> Faults) -> u64 {
    let mut count = 0;
    loop {
        let faults = fault(count + 1);
        // By turns the process is started again, or the power goes as well.
        let met = halts(faults, (count % 2 == 0).then_some(count));
        if !met {
            return count;
        }
        count += 1;
    }
}

#[test]
fn no_failed_write_is_acknowledged() {
    let met = for_each(|n| Faults { fail_write: Some(n), ..Faults::default() });
    assert!(met > 60, "{met} writes");
}

#[test]
fn no_short_write_is_acknowledged() {
    let met = for_each(|n| Faults { short_write: Some(n), ..Faults::default() });
    assert!(met > 60, "{met} writes");
}

#[test]
fn no_failed_flush_is_acknowledged() {
    let met = for_each(|n| Faults { fail_sync: Some(n), ..Faults::default() });
    assert!(met > 60, "{met} flushes");
}

#[test]
fn everybody_who_waits_hears_of_a_failed_flush() {
    let disk = MemoryDisk::new();
    let options = Options { mode: Mode::Thread, ..options() };
    let (journal, _) = open(&disk, options).expect("a new journal");
    append(&journal.stream(id(0)), &[(0, b"a")]).wait().expect("durable");
    disk.set_faults(Faults { cut_at: Some(disk.counts().operations + 1), ..Faults::default() });
    let answers: Vec<_> =
        (0..50).map(|stream| append(&journal.stream(id(1 + stream)), &[(0, b"b")])).collect();
    for answer in answers {
        assert!(matches!(answer.wait(), Err(JournalError::Halted(_))));
    }
    assert!(matches!(journal.status(), Status::Halted(_)));
    let stopped = disk.counts();
    let late = append(&journal.stream(id(0)), &[(1, b"c")]).wait();
    assert!(matches!(late, Err(JournalError::Halted(_))));
    assert_eq!(disk.counts(), stopped, "nothing is tried again");
    assert!(entries(&journal.stream(id(0))).is_ok(), "reading goes on");
}

fn save(journal: &Journal, text: &'static str) -> Result<(), JournalError> {
    let (done, saved) = answer();
    journal.stream(id(9)).save(Slot(0), Bytes::from_static(text.as_bytes()), done);
    saved.wait()
}

/// Appends entries of 1,000 bytes until the journal is full.
fn fill(journal: &Journal) -> u64 {
    let stream = journal.stream(id(0));
    for count in 0..1000 {
        let index = stream.last().map_or(0, |last| last + 1);
        match append(&stream, &[(index, &[7; 1000])]).wait() {
            Ok(()) => {}
            Err(JournalError::Full { segment_bytes: 65_536 }) => return count,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("never full");
}

fn full_disk_resumes(mode: Mode) {
    let disk = MemoryDisk::new();
    let capacity = |bytes| Faults { capacity: Some(bytes), ..Faults::default() };
    disk.set_faults(capacity(3 * 65_536 + 100));
    let options = Options { mode, ..options() };
    let (journal, _) = open(&disk, options).expect("a new journal");
    let fitted = fill(&journal);
    assert!((25..48).contains(&fitted), "{fitted} entries");
    assert!(matches!(journal.status(), Status::Full));
    let stream = journal.stream(id(0));
    assert_eq!(entries(&stream).expect("readable").len() as u64, fitted, "nothing is lost");
    save(&journal, "a vote").expect("the reserve is for votes");
    disk.set_faults(capacity(4 * 65_536 + 100));
    // A thread looks again each second, or when something is asked of it.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while append(&stream, &[(fitted, b"again")]).wait().is_err() {
        assert!(std::time::Instant::now() < deadline, "never resumes");
        std::thread::yield_now();
    }
    fill(&journal);
    let (done, purged) = answer();
    stream.purge(stream.last().expect("entries"), done);
    purged.wait().expect("purging makes space, so it is taken");
    let next = stream.purged().expect("a purge") + 1;
    while append(&stream, &[(next, b"and again")]).wait().is_err() {
        assert!(std::time::Instant::now() < deadline, "never resumes");
        std::thread::yield_now();
    }
    drop(journal);
    let (journal, _) = open(&disk, options).expect("the same journal");
    assert_eq!(journal.stream(id(9)).load(Slot(0)).expect("the slot"), "a vote");
    assert_eq!(journal.stream(id(0)).last(), Some(next));
}

#[test]
fn a_full_disk_refuses_and_resumes() {
    full_disk_resumes(Mode::Inline);
}

#[test]
fn a_full_disk_refuses_and_resumes_with_a_thread() {
    full_disk_resumes(Mode::Thread);
}

#[test]
fn the_reserve_of_a_full_disk_ends_without_harm() {
    let disk = MemoryDisk::new();
    disk.set_faults(Faults { capacity: Some(2 * 65_536), ..Faults::default() });
    let (journal, _) = open(&disk, options()).expect("a new journal");
    fill(&journal);
    let mut votes = 0;
    while save(&journal, "a vote").is_ok() {
        votes += 1;
        assert!(votes < 100, "there is no end to the reserve");
    }
    assert!(votes >= 2, "{votes} votes");
    assert!(matches!(save(&journal, "one more"), Err(JournalError::Full { .. })));
    assert!(matches!(journal.status(), Status::Full));
}
