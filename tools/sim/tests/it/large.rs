//! Long histories: the time that a verdict takes, the budget, and the size of witnesses.

use std::collections::BTreeMap;
use std::time::Instant;

use sim::history::{History, Seen, What};
use sim::linear::{Limits, Verdict, check};
use sim::models::register::{RegisterOp, RegisterReply};
use sim::models::{Register, Store};
use sim::seed::SeedTree;

use crate::brute_force::{draw_register, draw_store};
use crate::support::{Shape, judge, reply_count, with_lie};

fn shape(operations: usize) -> Shape {
    Shape { operations, processes: 10, unknown: 0, failed: 1 }
}

#[test]
fn a_long_history_over_many_keys_is_judged() {
    let mut random = SeedTree::new(2).branch("many keys").random();
    let history = draw_register(&mut random, &shape(20_000), 100, 1_000);
    assert_eq!(judge(&Register, &history), Verdict::Linearizable);
}

/// Ten times as long for people who measure: with `REGROW_SOAK` set, in a release build.
#[test]
fn a_very_long_history_is_judged() {
    if std::env::var_os("REGROW_SOAK").is_none() {
        return;
    }
    let mut random = SeedTree::new(2).branch("very long").random();
    let history = draw_register(&mut random, &shape(200_000), 100, 1_000);
    let began = Instant::now();
    assert_eq!(judge(&Register, &history), Verdict::Linearizable);
    println!("200,000 register operations over 100 keys: {:?}", began.elapsed());
    let history = draw_store(&mut random, &shape(200_000), 100);
    let began = Instant::now();
    assert_eq!(judge(&Store, &history), Verdict::Linearizable);
    println!("200,000 store operations by revision: {:?}", began.elapsed());
}

#[test]
fn one_lie_in_a_long_history_is_found_and_made_small() {
    for seed in 0..3 {
        let mut random = SeedTree::new(seed).branch("one lie").random();
        let history = draw_register(&mut random, &shape(10_000), 20, 100_000);
        let (nth, key) = read_after(&history, 8_000);
        let refused = |reply| {
            let lied =
                with_lie(&history, nth, |told| told.reply = Some(RegisterReply::Read(reply)));
            match judge(&Register, &lied) {
                Verdict::NotLinearizable(witness) => (lied, witness),
                verdict => panic!("seed {seed}: {verdict:?}"),
            }
        };
        let (_, witness) = refused(Some(-1));
        assert_eq!((witness.operations.len(), &witness.start), (1, &None), "{seed}: {witness:?}");

        let old = history.operations().into_iter().find_map(|operation| match operation.op {
            RegisterOp::Write { key: written, value } if written == key => Some(value),
            _ => None,
        });
        let (stale, witness) = refused(old);
        assert!(witness.operations.len() <= 4, "seed {seed}: {witness:?}");
        assert_eq!(judge(&Register, &stale), Verdict::NotLinearizable(witness), "the same again");
    }
}

/// The number of the first reply to a read after so many replies, and its key.
fn read_after(history: &History<RegisterOp>, replies: usize) -> (usize, String) {
    let mut open = BTreeMap::new();
    let mut nth = 0;
    for event in history.events() {
        match &event.what {
            What::Invoke(op) => _ = open.insert(event.process, op),
            What::Ok(_) => {
                let op = open.get(&event.process);
                if let (true, Some(RegisterOp::Read { key })) = (nth >= replies, op) {
                    return (nth, key.clone());
                }
                nth += 1;
            }
            What::Fail(_) | What::Info(..) => {}
        }
    }
    panic!("no read after {replies} replies");
}

#[test]
fn many_unknown_outcomes_on_one_key_stay_cheap() {
    for seed in 0..3 {
        let mut random = SeedTree::new(seed).branch("unknown").random();
        let shape = Shape { operations: 200, processes: 5, unknown: 10, failed: 0 };
        let history = draw_register(&mut random, &shape, 1, 10_000);
        assert_eq!(judge(&Register, &history), Verdict::Linearizable, "seed {seed}");
        let (nth, _) = read_after(&history, reply_count(&history) / 2);
        let lied = with_lie(&history, nth, |told| told.reply = Some(RegisterReply::Read(Some(-1))));
        let Verdict::NotLinearizable(witness) = judge(&Register, &lied) else {
            panic!("seed {seed}: the lie passed")
        };
        assert_eq!(witness.operations.len(), 1, "seed {seed}: {witness:?}");
    }
}

#[test]
fn a_search_without_budget_is_unknown() {
    let mut random = SeedTree::new(4).random();
    let history = draw_register(&mut random, &shape(100), 1, 5);
    let verdict = check(&Register, &history, Limits { steps: 10, reduction_steps: 0 });
    assert_eq!(verdict, Verdict::Unknown { steps: 10 });
    assert!(!verdict.holds());
}

#[test]
fn revisions_judge_long_histories_with_transactions() {
    let mut random = SeedTree::new(5).random();
    let history = draw_store(&mut random, &shape(20_000), 100);
    // No search could do that: it is not allowed a single step.
    let limits = Limits { steps: 0, reduction_steps: 0 };
    assert_eq!(check(&Store, &history, limits), Verdict::Linearizable);
    let nth = reply_count(&history) - 1;
    let stale = with_lie(&history, nth, |told| *told = Seen { revision: Some(1), ..told.clone() });
    let Verdict::NotLinearizable(witness) = check(&Store, &stale, limits) else {
        panic!("the stale reply passed")
    };
    assert!(witness.operations.len() <= 3, "{witness:?}");
}
