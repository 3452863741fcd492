//! What a stream does when nothing fails.

use bytes::Bytes;
use regrow_journal::disk::memory::MemoryDisk;
use regrow_journal::{JournalError, Mode, Options, Slot, Status};

use crate::support::{answer, append, entries, id, open, options};

#[test]
fn what_was_appended_is_read_before_and_after_reopening() {
    let disk = MemoryDisk::new();
    let (journal, report) = open(&disk, options()).expect("a new journal");
    assert!(report.created);
    let stream = journal.stream(id(7));
    let content: Vec<(u64, Vec<u8>)> =
        (0..200_u64).map(|index| (index, vec![index as u8; 1 + index as usize * 7])).collect();
    for (index, bytes) in &content {
        append(&stream, &[(*index, bytes)]).wait().expect("durable");
    }
    assert_eq!(entries(&stream).expect("readable"), content);
    drop(journal);
    let (journal, report) = open(&disk, options()).expect("the same journal");
    assert_eq!((report.entries, report.torn, report.created), (200, None, false));
    assert!(report.segments > 3, "the entries fill several segments");
    assert_eq!(entries(&journal.stream(id(7))).expect("readable"), content);
    assert_eq!(journal.streams(), [id(7)]);
}

#[test]
fn indexes_follow_one_another() {
    let (journal, _) = open(&MemoryDisk::new(), options()).expect("a new journal");
    let stream = journal.stream(id(0));
    append(&stream, &[(5, b"e"), (6, b"f")]).wait().expect("a stream may begin anywhere");
    assert_eq!((stream.purged(), stream.first(), stream.last()), (Some(4), Some(5), Some(6)));
    for wrong in [4, 5, 6, 8] {
        let error = append(&stream, &[(wrong, b"x")]).wait().expect_err("out of order");
        assert!(matches!(error, JournalError::Order { expected: 7, got, .. } if got == wrong));
    }
    let error = append(&stream, &[(7, b"x"), (9, b"y")]).wait().expect_err("a gap");
    assert!(matches!(error, JournalError::Order { expected: 8, got: 9, .. }));
    assert_eq!(stream.last(), Some(6), "nothing of a refused append stays");
    let error = stream.read(3..6, 100).expect_err("purged");
    assert!(matches!(error, JournalError::Range { index: 3, first: 5, next: 7, .. }));
    assert_eq!(stream.read(7..9, 100).expect("nothing").len(), 0);
    assert_eq!(stream.read(5..9, 0).expect("one at least").len(), 1);
}

#[test]
fn truncated_indexes_are_given_again() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk, options()).expect("a new journal");
    let stream = journal.stream(id(0));
    append(&stream, &[(0, b"a"), (1, b"b"), (2, b"c")]).wait().expect("durable");
    let (done, truncated) = answer();
    stream.truncate_after(Some(0), done);
    truncated.wait().expect("durable");
    append(&stream, &[(1, b"B")]).wait().expect("durable");
    drop(journal);
    let (journal, _) = open(&disk, options()).expect("the same journal");
    let stream = journal.stream(id(0));
    assert_eq!(entries(&stream).expect("readable"), [(0, b"a".to_vec()), (1, b"B".to_vec())]);
    let (done, truncated) = answer();
    stream.truncate_after(None, done);
    truncated.wait().expect("durable");
    assert_eq!((stream.first(), stream.last(), stream.purged()), (None, None, None));
}

#[test]
fn a_purge_is_remembered_by_an_empty_stream() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk, options()).expect("a new journal");
    let stream = journal.stream(id(0));
    append(&stream, &[(0, b"a")]).wait().expect("durable");
    let (done, purged) = answer();
    stream.purge(41, done);
    purged.wait().expect("durable");
    drop(journal);
    let (journal, _) = open(&disk, options()).expect("the same journal");
    let stream = journal.stream(id(0));
    assert_eq!((stream.purged(), stream.first(), stream.last()), (Some(41), None, None));
    append(&stream, &[(42, b"b")]).wait().expect("the index behind the purge");
    let (done, truncated) = answer();
    stream.truncate_after(Some(40), done);
    assert!(matches!(truncated.wait(), Err(JournalError::Range { index: 41, first: 42, .. })));
}

#[test]
fn files_are_reused_and_slots_outlive_them() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk, options()).expect("a new journal");
    let (log, vote) = (journal.stream(id(1)), journal.stream(id(2)));
    let (done, saved) = answer();
    vote.save(Slot(3), Bytes::from_static(b"term 1"), done);
    saved.wait().expect("durable");
    for index in 0..500 {
        append(&log, &[(index, &[1; 2000])]).wait().expect("durable");
        if index % 20 == 19 {
            log.purge(index - 5, |result| result.expect("durable"));
        }
    }
    let files = |disk: &MemoryDisk| {
        let names = regrow_journal::disk::Disk::list(disk).expect("names");
        names.len()
    };
    assert!(files(&disk) <= 6, "{} files", files(&disk));
    drop(journal);
    let (journal, _) = open(&disk, options()).expect("the same journal");
    assert_eq!(journal.stream(id(2)).load(Slot(3)).expect("the slot"), "term 1");
    assert_eq!(journal.stream(id(2)).load(Slot(4)), None);
    assert_eq!(journal.stream(id(1)).last(), Some(499));
    assert_eq!(journal.stream(id(1)).purged(), Some(494));
}

#[test]
fn sizes_are_bounded() {
    let (journal, _) = open(&MemoryDisk::new(), options()).expect("a new journal");
    let stream = journal.stream(id(0));
    let error = append(&stream, &[(0, &[0; 20_000])]).wait().expect_err("too large");
    assert!(
        matches!(error, JournalError::TooLarge { bytes: 20_024, limit: 11_888, .. }),
        "{error}"
    );
    append(&stream, &[(0, &[0; 11_000])]).wait().expect("up to the limit");
    for slot in 0..2 {
        let (done, saved) = answer();
        stream.save(Slot(slot), Bytes::from(vec![0; 6000]), done);
        assert_eq!(saved.wait().is_ok(), slot == 0, "all slots together are bounded");
    }
    let (done, saved) = answer();
    stream.save(Slot(0), Bytes::from(vec![0; 7000]), done);
    saved.wait().expect("a slot that is replaced does not count");
    let wrong = Options { segment_bytes: 1000, ..options() };
    open(&MemoryDisk::new(), wrong).expect_err("a size below the limit");
}

#[test]
fn what_is_queued_meanwhile_shares_one_flush() {
    let disk = MemoryDisk::new();
    let options =
        Options { mode: Mode::Thread, segment_bytes: 1024 * 1024, cache_bytes: 0, ..options() };
    let (journal, _) = open(&disk, options).expect("a new journal");
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (entered, inside) = std::sync::mpsc::channel();
    journal.stream(id(0)).append(vec![(0, Bytes::new())], move |result| {
        result.expect("durable");
        entered.send(()).expect("somebody who waits");
        held.recv().expect("to be released");
    });
    inside.recv().expect("the writer to be held");
    let before = disk.counts().writes;
    let streams: Vec<_> = (1..20).map(|number| journal.stream(id(number))).collect();
    let answers: Vec<_> =
        streams.iter().map(|stream| append(stream, &[(0, b"a"), (1, b"b"), (2, b"c")])).collect();
    assert_eq!(entries(&streams[7]).expect("readable at once").len(), 3);
    release.send(()).expect("a held writer");
    answers.into_iter().for_each(|answer| answer.wait().expect("durable"));
    // The next segment is prepared meanwhile: its formatting and its header.
    let writes = disk.counts().writes - before;
    assert!(writes <= 4, "{writes} writes for 19 appends");
    drop(journal);
    disk.crash(0);
    let (journal, _) = open(&disk, options).expect("the same journal");
    assert_eq!(entries(&journal.stream(id(19))).expect("readable").len(), 3);
}

#[test]
fn a_closed_journal_says_so() {
    let (journal, _) = open(&MemoryDisk::new(), Options { mode: Mode::Thread, ..options() })
        .expect("a new journal");
    let stream = journal.stream(id(0));
    assert!(matches!(journal.status(), Status::Open));
    let queued = append(&stream, &[(0, b"a")]);
    drop(journal);
    queued.wait().expect("what was queued is written");
    assert!(matches!(append(&stream, &[(1, b"b")]).wait(), Err(JournalError::Closed)));
}
