//! Power cuts at every operation (C4): what was acknowledged survives, nothing is invented, and the
//! order is kept.

use proptest::prelude::*;
use regrow_journal::Options;
use regrow_journal::disk::memory::{Faults, MemoryDisk};

use crate::model::{Model, STREAMS, Step, observe, script};
use crate::support::{append, id, open, options};

pub fn small() -> Options {
    Options { pool: 1, ..options() }
}

/// Makes the steps until the first failure. Returns how many were acknowledged, and what the
/// journal should hold before and after the last that was not.
fn run(disk: &MemoryDisk, steps: &[Step], mut model: Model) -> (usize, Model, Model) {
    let Ok((journal, _)) = open(disk, small()) else { return (0, model.clone(), model) };
    for (count, step) in steps.iter().enumerate() {
        let before = model.clone();
        match model.step(&journal, *step).now() {
            Some(Ok(())) => {}
            Some(Err(_)) => return (count, before, model),
            None => panic!("inline, but not answered"),
        }
    }
    (steps.len(), model.clone(), model)
}

/// Runs the steps with power cuts, and makes so many further ones behind the last.
fn cut_and_go_on(steps: &[Step], cuts: &[(u64, u64)], further: usize) {
    let disk = MemoryDisk::new();
    let (mut at, mut model) = (0, Model::default());
    for (cut, seed) in cuts {
        let cut_at = Some(disk.counts().operations + cut);
        disk.set_faults(Faults { cut_at, ..Faults::default() });
        let (acknowledged, before, after) = run(&disk, &steps[at..], model);
        disk.crash(*seed);
        let (journal, _) = open(&disk, small()).expect("a cut is no damage");
        let found = observe(&journal).expect("readable");
        at += acknowledged;
        if found.same(&before) {
            model = before;
        } else {
            assert!(
                found.same(&after),
                "cut {cut}, seed {seed}: neither before nor after step {at}"
            );
            model = after;
            at += 1;
        }
    }
    let rest = &steps[at.min(steps.len())..];
    let (_, model, _) = run(&disk, &rest[..further.min(rest.len())], model);
    disk.crash(0);
    let (journal, _) = open(&disk, small()).expect("a cut is no damage");
    assert!(observe(&journal).expect("readable").same(&model), "the end differs");
}

#[test]
fn a_cut_at_every_operation_loses_nothing() {
    let steps = script();
    let disk = MemoryDisk::new();
    run(&disk, &steps, Model::default());
    let operations = disk.counts().operations;
    assert!(operations > 150, "{operations} operations");
    for cut in 1..=operations {
        let seeds = [0, u64::MAX, cut];
        cut_and_go_on(&steps, &[(cut, seeds[cut as usize % 3])], 8);
    }
}

/// A torn group of several blocks leaves more than the next group covers.
#[test]
fn what_a_torn_group_leaves_is_not_taken_for_anything() {
    let mut torn = 0;
    for seed in 1..40 {
        let disk = MemoryDisk::new();
        let (journal, _) = open(&disk, small()).expect("a new journal");
        append(&journal.stream(id(0)), &[(0, b"whole")]).wait().expect("durable");
        let cut_at = Some(disk.counts().operations + 1);
        disk.set_faults(Faults { cut_at, ..Faults::default() });
        append(&journal.stream(id(0)), &[(1, &[1; 9000])]).wait().expect_err("a cut");
        disk.crash(seed);
        for round in 1..3 {
            let (journal, report) = open(&disk, small()).expect("a cut is no damage");
            torn += usize::from(report.torn.is_some());
            assert_eq!(report.entries, round);
            append(&journal.stream(id(0)), &[(round, b"short")]).wait().expect("durable");
        }
    }
    assert!(torn >= 39, "{torn} torn groups");
}

fn step() -> impl Strategy<Value = Step> {
    let stream = 0..STREAMS;
    prop_oneof![
        4 => (stream.clone(), 0..4_u64, 0..900_usize)
            .prop_map(|(stream, count, size)| Step::Append { stream, count, size }),
        1 => (stream.clone(), 4000..9000_usize)
            .prop_map(|(stream, size)| Step::Append { stream, count: 1, size }),
        1 => (stream.clone(), 0..5_u64)
            .prop_map(|(stream, count)| Step::Truncate { stream, count }),
        1 => (stream.clone(), -3..6_i64).prop_map(|(stream, keep)| Step::Purge { stream, keep }),
        1 => (stream, 0..4_u8, 0..200_usize)
            .prop_map(|(stream, slot, size)| Step::Save { stream, slot, size }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn cuts_anywhere_lose_nothing(
        steps in prop::collection::vec(step(), 1..120),
        cuts in prop::collection::vec((1..120_u64, any::<u64>()), 1..4),
    ) {
        cut_and_go_on(&steps, &cuts, 40);
    }
}
