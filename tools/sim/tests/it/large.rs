//! Long histories: the time that a verdict takes, the budget, and the size of witnesses.

use std::time::Instant;

use sim::history::{Seen, What};
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

/// Run by hand, in a release build too: `cargo test -p sim --release -- --ignored --nocapture`.
#[test]
#[ignore = "measures time, for people"]
fn a_very_long_history_is_judged_in_seconds() {
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
    for seed in 0..5 {
        let mut random = SeedTree::new(seed).branch("one lie").random();
        let history = draw_register(&mut random, &shape(10_000), 5, 100_000);
        let nth = 8_000 + (0..).find(|nth| is_read(&history, 8_000 + nth)).expect("a read");
        let lied = with_lie(&history, nth, |told| told.reply = Some(RegisterReply::Read(Some(-1))));
        let Verdict::NotLinearizable(witness) = judge(&Register, &lied) else {
            panic!("seed {seed}: the lie passed")
        };
        assert_eq!(witness.operations.len(), 1, "seed {seed}: {witness:?}");
        assert!(witness.start.is_some(), "seed {seed}: {witness:?}");
        assert_eq!(
            judge(&Register, &lied),
            Verdict::NotLinearizable(witness),
            "seed {seed}: the same again"
        );
    }
}

fn is_read(history: &sim::history::History<RegisterOp>, nth: usize) -> bool {
    let replies = history.events().iter().filter_map(|event| match &event.what {
        What::Ok(seen) => seen.reply.clone(),
        _ => None,
    });
    matches!(replies.into_iter().nth(nth), Some(RegisterReply::Read(_)))
}

#[test]
fn many_unknown_outcomes_on_one_key_stay_cheap() {
    for seed in 0..5 {
        let mut random = SeedTree::new(seed).branch("unknown").random();
        let shape = Shape { operations: 600, processes: 10, unknown: 10, failed: 0 };
        let history = draw_register(&mut random, &shape, 1, 10_000);
        let b = Instant::now();
        assert_eq!(judge(&Register, &history), Verdict::Linearizable, "seed {seed}");
        eprintln!("T lin {:?}", b.elapsed());
        let nth = reply_count(&history) / 2
            + (0..).find(|nth| is_read(&history, reply_count(&history) / 2 + nth)).expect("a read");
        let lied = with_lie(&history, nth, |told| told.reply = Some(RegisterReply::Read(Some(-1))));
        let b = Instant::now();
        let v = check(&Register, &lied, Limits { reduction_steps: 0, ..Limits::default() });
        eprintln!("T broken {:?} {:?}", b.elapsed(), matches!(v, Verdict::NotLinearizable(_)));
        let b = Instant::now();
        let v = judge(&Register, &lied);
        if let Verdict::NotLinearizable(w) = v {
            eprintln!("T reduce {:?} {}", b.elapsed(), w.operations.len());
        }
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
