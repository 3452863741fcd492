use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use regrow_codec::Any;
use regrow_ids::{Fence, StepKey};

use super::{FileIntents, Intent, IntentError, IntentLog, MemoryIntents, StepClass};

fn intent(owner: &str, number: u32) -> Intent {
    Intent {
        key: StepKey::from_tag(format!("{owner}-{number}")),
        owner: owner.to_owned(),
        class: StepClass::Create,
        body: Any::from(serde_json::json!({ "slot": number })),
        fence: Fence::new(1),
    }
}

fn open_log(path: &Path) -> FileIntents {
    FileIntents::open_or_create(path, 7).expect("open log")
}

/// What every log must do, whatever keeps it.
fn conformance(log: &dyn IntentLog) {
    let (a, b) = (intent("a", 1), intent("b", 1));
    log.record(&[a.clone(), b.clone()]).unwrap();
    assert_eq!(log.open("a"), std::slice::from_ref(&a));
    assert_eq!(log.open("b"), [b]);
    log.close(&[a.key]).unwrap();
    assert_eq!(log.open("a"), []);
    assert_ne!(log.next_epoch(), log.next_epoch());
}

#[test]
fn every_log_remembers_until_closed() {
    conformance(&MemoryIntents::new(1));
    let folder = tempfile::tempdir().unwrap();
    conformance(&open_log(&folder.path().join("intents")));
}

#[test]
fn a_file_keeps_intents_lineage_and_epochs_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("intents");
    let log = open_log(&path);
    log.record(&[intent("a", 1), intent("a", 2)]).unwrap();
    log.close(&[intent("a", 1).key]).unwrap();
    let epoch = log.next_epoch();
    drop(log);
    let log = FileIntents::open_or_create(&path, 99).unwrap();
    assert_eq!(log.open("a"), [intent("a", 2)]);
    assert_eq!(log.lineage(), 7);
    assert!(log.next_epoch() > epoch);
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
                    model.record(&[intent("a", number)]).unwrap();
                }
                1 => {
                    log.close(&[intent("a", number).key]).unwrap();
                    model.close(&[intent("a", number).key]).unwrap();
                }
                _ => {
                    drop(log);
                    log = open_log(&path);
                }
            }
            let keys = |log: &dyn IntentLog| -> BTreeSet<StepKey> {
                log.open("a").into_iter().map(|intent| intent.key).collect()
            };
            prop_assert_eq!(keys(&log), keys(&model));
        }
    }
}
