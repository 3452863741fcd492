//! Tables against a plain ordered map.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;
use regrow_consensus::tables::Flush;
use regrow_consensus::{Edit as _, Span, TableError, Tables, View};

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0), Just(1), Just(255)], 0..4)
}

fn span() -> impl Strategy<Value = Span> {
    prop_oneof![
        bytes().prop_map(|prefix| Span::prefix(&prefix)),
        (bytes(), bytes()).prop_map(|(from, to)| Span::between(&from, &to)),
        Just(Span::all()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn tables_are_an_ordered_map(
        steps in prop::collection::vec((bytes(), prop::option::of(bytes())), 0..20),
        spans in prop::collection::vec(span(), 1..8),
    ) {
        let tables = Tables::memory().expect("tables");
        let mut model = BTreeMap::new();
        for (key, value) in steps {
            let written = tables.write(Flush::Later, |batch| match &value {
                Some(value) => batch.put(&key, value),
                None => batch.delete(&key).map(|_| ()),
            });
            written.expect("write");
            match value {
                Some(value) => { model.insert(key, value); }
                None => { model.remove(&key); }
            }
        }
        let view = tables.view().expect("view");
        for span in spans {
            let expected: Vec<_> =
                model.clone().into_iter().filter(|(key, _)| span.contains(key)).collect();
            prop_assert_eq!(&view.list(&span, usize::MAX).expect("list"), &expected);
            prop_assert_eq!(view.first(&span).expect("first"), expected.first().cloned());
        }
    }
}

#[test]
fn a_batch_that_fails_leaves_nothing_and_a_reader_sees_one_moment() {
    let tables = Tables::memory().expect("tables");
    tables.write(Flush::Later, |batch| batch.put(b"a", b"1")).expect("write");
    let before = tables.view().expect("view");
    let fault = TableError::Damaged { what: "test", reason: "made up".into() };
    let failed = tables.write(Flush::Later, |batch| {
        batch.put(b"a", b"2")?;
        Err::<(), _>(fault.clone())
    });
    assert_eq!(failed.err(), Some(fault));
    let (_, changes) = tables
        .write(Flush::Later, |batch| {
            batch.at(7);
            batch.put(b"b", b"3")?;
            batch.delete(b"not there")
        })
        .expect("write");
    assert_eq!(changes.len(), 1);
    assert_eq!(before.get(b"b").expect("get"), None);
    let after = tables.view().expect("view");
    assert_eq!(after.get(b"a").expect("get").as_deref(), Some(&b"1"[..]));
    assert_eq!(after.get(b"b").expect("get").as_deref(), Some(&b"3"[..]));
}

#[test]
fn what_was_flushed_is_there_after_reopening_and_a_file_has_one_user() {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("tables");
    let tables = Tables::open(&path, 1 << 20).expect("open");
    tables.write(Flush::Now, |batch| batch.put(b"a", b"1")).expect("write");
    assert!(Tables::open(&path, 1 << 20).is_err(), "two users");
    drop(tables);
    let again = Tables::open(&path, 1 << 20).expect("open");
    assert_eq!(again.view().expect("view").get(b"a").expect("get").as_deref(), Some(&b"1"[..]));
}

#[test]
fn a_file_is_its_owners_alone_also_one_of_before() {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("tables");
    let mode = || std::fs::metadata(&path).expect("file").permissions().mode() & 0o777;
    drop(Tables::open(&path, 1 << 20).expect("made"));
    assert_eq!(mode(), 0o600);
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("as before");
    drop(Tables::open(&path, 1 << 20).expect("opened"));
    assert_eq!(mode(), 0o600);
}

#[test]
fn a_file_that_the_disk_changed_is_refused_or_shows_what_was_written() {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("tables");
    let tables = Tables::open(&path, 1 << 20).expect("open");
    let value = [b'v'; 500];
    let write = |number: u32| {
        let done = tables.write(Flush::Now, |batch| batch.put(&number.to_be_bytes(), &value));
        done.expect("write");
    };
    (0..100).for_each(write);
    drop(tables);
    let whole = std::fs::read(&path).expect("file");
    let place = dir.path().join("changed");
    let mut refused = 0;
    // A step that is no divisor of a page: every part of one is met.
    for at in (0..whole.len()).step_by(4096 * 7 + 311) {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        std::fs::write(&place, changed).expect("write");
        match Tables::open(&place, 1 << 20) {
            Err(TableError::Damaged { .. }) => refused += 1,
            Err(other) => panic!("byte {at}: {other}"),
            Ok(tables) => {
                // The last commits may be gone, as after a power cut: the log has them.
                let rows = tables.view().expect("view").list(&Span::all(), 200).expect("rows");
                let whole = (0_u32..)
                    .zip(&rows)
                    .all(|(number, (key, found))| *key == number.to_be_bytes() && *found == value);
                assert!(whole && rows.len() >= 99, "byte {at}: {} rows", rows.len());
            }
        }
    }
    assert!(refused > 0, "no byte of {} mattered", whole.len());
    for end in [0, 100, 4096, whole.len() / 2] {
        std::fs::write(&place, &whole[..end]).expect("write");
        let opened = Tables::open(&place, 1 << 20);
        let empty = end == 0 && opened.is_ok();
        assert!(empty || matches!(opened, Err(TableError::Damaged { .. })), "cut at {end}");
    }
}
