use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use regrow_codec::Any;
use regrow_ids::{Fence, StepKey};

use super::file::lock_current;
use super::{FileIntents, Intent, IntentError, IntentLog, MemoryIntents, StepClass};

pub(super) fn intent(owner: &str, number: u32) -> Intent {
    Intent {
        key: StepKey::from_tag(format!("{owner}-{number}")),
        owner: owner.to_owned(),
        class: StepClass::Create,
        body: Any::from(serde_json::json!({ "slot": number })),
        fence: Fence::new(1),
    }
}

pub(super) fn open_log(path: &Path) -> FileIntents {
    FileIntents::open_or_create(path, 7).expect("open log")
}

/// What every log must do, whatever keeps it.
async fn conformance(log: &dyn IntentLog) {
    let (a, b) = (intent("a", 1), intent("b", 1));
    log.record(std::slice::from_ref(&a)).await.unwrap();
    log.record(std::slice::from_ref(&b)).await.unwrap();
    assert_eq!(log.open("a").await.unwrap(), std::slice::from_ref(&a));
    assert_eq!(log.open("b").await.unwrap(), [b]);
    log.close("a", &[a.key]).await.unwrap();
    assert_eq!(log.open("a").await.unwrap(), []);
    assert_ne!(log.next_epoch().await.unwrap(), log.next_epoch().await.unwrap());
}

#[tokio::test]
async fn every_log_remembers_until_closed() {
    conformance(&MemoryIntents::new(1)).await;
    let folder = tempfile::tempdir().unwrap();
    conformance(&open_log(&folder.path().join("intents"))).await;
}

#[test]
fn a_file_keeps_intents_lineage_and_epochs_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("intents");
    let log = open_log(&path);
    log.record(&[intent("a", 1), intent("a", 2)]).unwrap();
    log.close(&[intent("a", 1).key]).unwrap();
    let epoch = log.next_epoch().unwrap();
    drop(log);
    let log = FileIntents::open_or_create(&path, 99).unwrap();
    assert_eq!(log.open("a"), [intent("a", 2)]);
    assert_eq!(log.lineage(), 7);
    assert!(log.next_epoch().unwrap() > epoch);
}

#[test]
fn a_second_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("intents");
    let _first = open_log(&path);
    let error = FileIntents::open_or_create(&path, 1).expect_err("taken");
    assert!(matches!(error, IntentError::Taken { .. }), "{error}");
}

#[test]
fn a_torn_tail_is_cut_off_at_every_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("intents");
    let log = open_log(&path);
    log.record(&[intent("a", 1)]).unwrap();
    let keep = fs::read(&path).unwrap().len();
    log.record(&[intent("a", 2)]).unwrap();
    drop(log);
    let whole = fs::read(&path).unwrap();
    for cut in keep..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let log = open_log(&path);
        assert_eq!(log.open("a"), [intent("a", 1)], "cut at {cut}");
        // What is written after the cut must be readable again.
        log.record(&[intent("a", 3)]).unwrap();
        drop(log);
        assert_eq!(open_log(&path).open("a").len(), 2, "cut at {cut}");
    }
}

#[test]
fn damage_in_the_middle_refuses_the_file_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("intents");
    let log = open_log(&path);
    log.record(&[intent("a", 1), intent("a", 2)]).unwrap();
    drop(log);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = FileIntents::open_or_create(&path, 1).expect_err("damaged");
    assert!(error.to_string().contains("at byte"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn any_flipped_bit_refuses_the_file_and_zeros_at_the_end_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("intents");
    let log = open_log(&path);
    log.record(&[intent("a", 1)]).unwrap();
    let first = fs::read(&path).unwrap().len();
    log.record(&[intent("a", 2)]).unwrap();
    drop(log);
    let whole = fs::read(&path).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bytes).unwrap();
        let error = FileIntents::open_or_create(&path, 1).expect_err("damaged");
        assert!(matches!(error, IntentError::Damaged { .. }), "bit {bit}: {error}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "bit {bit}");
    }
    for (kept, intents) in [(whole.len(), 2), (whole.len() - 5, 1), (first + 8, 1), (first, 1)] {
        let mut bytes = whole[..kept].to_vec();
        bytes.resize(8_192, 0);
        fs::write(&path, &bytes).unwrap();
        assert_eq!(open_log(&path).open("a").len(), intents, "zeros from {kept}");
    }
}

#[test]
fn a_rewrite_keeps_what_was_just_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("intents");
    let mut log = open_log(&path);
    // The same intents again and again: dead records that no `close` writes, so that the rewrite
    // falls into a `record`, of which one intent is new.
    let batch: Vec<_> = (0..1_000).map(|n| intent("a", n)).collect();
    let mut length = 0;
    for round in 0..25 {
        log.record(&[batch.as_slice(), &[intent("b", round)]].concat()).unwrap();
        let now = fs::metadata(&path).unwrap().len();
        let rewritten = now < length;
        length = now;
        if rewritten {
            let before = log.open("b");
            drop(log);
            log = open_log(&path);
            assert_eq!(log.open("b"), before);
            assert_eq!(before.len(), round as usize + 1);
            assert_eq!(log.open("a").len(), batch.len());
            return;
        }
    }
    panic!("the file was never rewritten");
}

#[test]
fn a_rewrite_that_fails_is_tried_again_and_the_old_file_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("intents");
    let log = open_log(&path);
    log.record(&[intent("keep", 0)]).unwrap();
    let in_the_way = path.with_extension("new");
    fs::create_dir(&in_the_way).unwrap();
    let batch: Vec<_> = (0..1_000).map(|n| intent("a", n)).collect();
    for _ in 0..25 {
        log.record(&batch).unwrap();
    }
    let grown = fs::metadata(&path).unwrap().len();
    fs::remove_dir(&in_the_way).unwrap();
    for _ in 0..3 {
        log.record(&batch).unwrap();
    }
    assert!(fs::metadata(&path).unwrap().len() < grown);
    drop(log);
    let log = open_log(&path);
    assert_eq!((log.open("keep").len(), log.open("a").len()), (1, 1_000));
}

#[test]
fn a_file_that_was_replaced_before_it_was_locked_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("intents");
    drop(open_log(&path));
    let old = fs::File::open(&path).unwrap();
    fs::rename(&path, folder.path().join("gone")).unwrap();
    let log = open_log(&path);
    log.record(&[intent("a", 1)]).unwrap();
    let again = fs::File::open(folder.path().join("gone")).unwrap();
    // In use under its name: taken, although the old file is free.
    let error = lock_current(&path, old).expect_err("taken");
    assert!(matches!(error, IntentError::Taken { .. }), "{error}");
    drop(log);
    let file = lock_current(&path, again).unwrap();
    assert_eq!(file.metadata().unwrap().len(), fs::metadata(&path).unwrap().len());
    assert!(matches!(FileIntents::open_or_create(&path, 1), Err(IntentError::Taken { .. })));
}

#[test]
fn the_file_does_not_grow_without_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("intents");
    let log = open_log(&path);
    log.record(&[intent("keep", 0)]).unwrap();
    for round in 0..30 {
        let batch: Vec<_> = (0..1_000).map(|n| intent("a", round * 1_000 + n)).collect();
        log.record(&batch).unwrap();
        let keys: Vec<_> = batch.into_iter().map(|intent| intent.key).collect();
        log.close(&keys).unwrap();
    }
    assert!(fs::metadata(&path).unwrap().len() < 5_000_000);
    drop(log);
    let log = open_log(&path);
    assert_eq!(log.open("keep"), [intent("keep", 0)]);
    assert_eq!(log.open("a"), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_file_behaves_like_memory_across_restarts(
        steps in proptest::collection::vec((0u8..3, 0u32..8), 1..40),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("intents");
        let mut log = open_log(&path);
        let model = MemoryIntents::new(7);
        for (action, number) in steps {
            match action {
                0 => {
                    log.record(&[intent("a", number)]).unwrap();
                    model.record(&[intent("a", number)]);
                }
                1 => {
                    log.close(&[intent("a", number).key]).unwrap();
                    model.close(&[intent("a", number).key]);
                }
                _ => {
                    drop(log);
                    log = open_log(&path);
                }
            }
            let keys = |open: Vec<Intent>| -> BTreeSet<StepKey> {
                open.into_iter().map(|intent| intent.key).collect()
            };
            prop_assert_eq!(keys(log.open("a")), keys(model.open("a")));
        }
    }
}
