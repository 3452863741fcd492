//! The checker against brute force: every order of every choice of unknown outcomes, without memory and without cleverness.

use std::collections::{BTreeMap, BTreeSet};

use sim::history::{History, Operation, Outcome, Seen};
use sim::linear::{Model, Verdict};
use sim::models::lock::{LockOp, LockReply};
use sim::models::register::{RegisterOp, RegisterReply};
use sim::models::store::{Compare, Found, StoreOp, StoreReply};
use sim::models::{Lock, Register, Store};
use sim::seed::{Random, SeedTree};

use crate::support::{Shape, Told, judge, record, reply_count, with_lie};

/// Whether some order of the operations explains every reply; key by key where every operation has one key.
pub fn explains<M: Model>(model: &M, history: &History<M::Op>) -> bool {
    let operations = history.operations();
    let left: Vec<&Operation<M::Op>> =
        operations.iter().filter(|operation| matters(model, operation)).collect();
    let keys: BTreeSet<Vec<&str>> =
        left.iter().map(|operation| model.keys(&operation.op)).collect();
    if keys.iter().any(|keys| keys.len() != 1) || M::REVISIONS_ORDER {
        return some_order(model, &left, &model.initial());
    }
    keys.iter().all(|key| {
        let of_key: Vec<_> =
            left.iter().filter(|operation| model.keys(&operation.op) == *key).copied().collect();
        some_order(model, &of_key, &model.initial())
    })
}

/// What failed never took effect, and a read whose reply never came says nothing.
fn matters<M: Model>(model: &M, operation: &Operation<M::Op>) -> bool {
    match &operation.outcome {
        Outcome::Ok(_) => true,
        Outcome::Unknown(seen) => model.changes(&operation.op, seen),
        Outcome::Failed => false,
    }
}

fn some_order<M: Model>(model: &M, left: &[&Operation<M::Op>], state: &M::State) -> bool {
    let optional =
        |outcome: &Outcome<_>| matches!(outcome, Outcome::Unknown(seen) if seen.revision.is_none());
    if left.iter().all(|operation| optional(&operation.outcome)) {
        return true;
    }
    (0..left.len()).any(|index| {
        let operation = left[index];
        let overtakes = left.iter().any(|other| over_before(other, operation));
        let mut rest = left.to_vec();
        rest.remove(index);
        let seen: &Seen<_> = match &operation.outcome {
            Outcome::Ok(seen) | Outcome::Unknown(seen) => seen,
            Outcome::Failed => return false,
        };
        !overtakes
            && model
                .step(state.clone(), &operation.op, seen)
                .is_some_and(|next| some_order(model, &rest, &next))
    })
}

fn over_before<O: sim::history::Op>(first: &Operation<O>, second: &Operation<O>) -> bool {
    matches!(first.outcome, Outcome::Ok(_)) && first.end.is_some_and(|end| end < second.call)
}

/// A change of one reply.
type Lie<O> = Box<dyn Fn(&mut Told<O>)>;

fn small_shape(random: &mut Random) -> Shape {
    Shape {
        operations: random.between(1, 7) as usize,
        processes: random.between(1, 4),
        unknown: if random.chance(50) { 25 } else { 0 },
        failed: if random.chance(20) { 10 } else { 0 },
    }
}

/// Draws `count` histories, judges each as it was and with each of a few lies, and returns how many were refused.
fn compare<M: Model>(
    model: &M,
    count: u64,
    mut draw: impl FnMut(&mut Random) -> History<M::Op>,
    mut lie: impl FnMut(&mut Random) -> Lie<M::Op>,
) -> usize {
    let mut refused = 0;
    for index in 0..count {
        let mut random = SeedTree::new(1).member("history", index).random();
        let history = draw(&mut random);
        assert_eq!(
            judge(model, &history),
            Verdict::Linearizable,
            "a real execution, history {index}: {history:?}"
        );
        let lied = with_lie(
            &history,
            random.below(reply_count(&history) as u64) as usize,
            lie(&mut random),
        );
        let verdict = judge(model, &lied);
        assert!(!matches!(verdict, Verdict::Unknown { .. }), "history {index}: {lied:?}");
        assert_eq!(
            verdict.holds(),
            explains(model, &lied),
            "history {index}: {verdict:?} for {lied:?}"
        );
        refused += usize::from(!verdict.holds());
    }
    refused
}

pub fn draw_register(
    random: &mut Random,
    shape: &Shape,
    keys: u64,
    values: u64,
) -> History<RegisterOp> {
    let mut held = BTreeMap::<String, i64>::new();
    let op = |random: &mut Random| {
        let key = format!("k{}", random.below(keys));
        let value = |random: &mut Random| random.below(values) as i64;
        match random.below(5) {
            0 | 1 => RegisterOp::Read { key },
            2 | 3 => RegisterOp::Write { key, value: value(random) },
            _ => RegisterOp::Cas {
                key,
                from: random.chance(80).then(|| value(random)),
                to: value(random),
            },
        }
    };
    record(random, shape, op, |op, _| {
        Seen::reply(match op {
            RegisterOp::Read { key } => RegisterReply::Read(held.get(key).copied()),
            RegisterOp::Write { key, value } => {
                held.insert(key.clone(), *value);
                RegisterReply::Write
            }
            RegisterOp::Cas { key, from, to } => {
                let matched = held.get(key).copied() == *from;
                if matched {
                    held.insert(key.clone(), *to);
                }
                RegisterReply::Cas(matched)
            }
        })
    })
}

#[test]
fn registers_agree_with_brute_force() {
    let refused = compare(
        &Register,
        15_000,
        |random| {
            let shape = small_shape(random);
            draw_register(random, &shape, 2, 3)
        },
        |random| {
            let value = random.below(4) as i64;
            Box::new(move |told| match &mut told.reply {
                Some(RegisterReply::Read(read)) => *read = (value < 3).then_some(value),
                Some(RegisterReply::Cas(matched)) => *matched = !*matched,
                Some(RegisterReply::Write) | None => {}
            })
        },
    );
    assert!(
        (2_000..13_000).contains(&refused),
        "{refused} of 15,000 refused: the draw tests too little"
    );
}

/// A store with two keys; `revisions` is the percent of replies that carry a revision.
pub fn draw_store(random: &mut Random, shape: &Shape, revisions: u64) -> History<StoreOp> {
    let mut held = BTreeMap::<String, (i64, u64)>::new();
    let mut revision = 0;
    let mut tells = SeedTree::new(random.next_u64()).random();
    let keys = ["a", "b"];
    let op = |random: &mut Random| {
        let key = (*random.pick(&keys).expect("a key")).to_owned();
        let other = if key == "a" { "b" } else { "a" }.to_owned();
        let value = random.below(3) as i64;
        match random.below(7) {
            0 | 1 => StoreOp::Get { key },
            2 => StoreOp::Put { key, value },
            3 => StoreOp::Delete { key },
            4 => StoreOp::Range { from: "a".to_owned(), to: "c".to_owned() },
            _ => StoreOp::Txn {
                when: vec![Compare::Value(key, random.chance(50).then_some(value))],
                then: vec![
                    StoreOp::Put { key: other.clone(), value: value + 1 },
                    StoreOp::Delete { key: other.clone() },
                ],
                otherwise: vec![StoreOp::Get { key: other }],
            },
        }
    };
    record(random, shape, op, |op, unknown| {
        let reply = execute(&mut held, revision + 2, op);
        let changes = Store.changes(op, &Seen::reply(reply.clone()));
        revision += if changes { 2 } else { 0 };
        // Of an operation that nobody heard of, the log has what it changed.
        let told = tells.chance(revisions) && (changes || !unknown);
        Seen { reply: Some(reply), revision: told.then_some(revision), fence: None }
    })
}

fn execute(held: &mut BTreeMap<String, (i64, u64)>, revision: u64, op: &StoreOp) -> StoreReply {
    match op {
        StoreOp::Get { key } => StoreReply::Get(
            held.get(key).map(|(value, at)| Found { value: *value, revision: Some(*at) }),
        ),
        StoreOp::Range { .. } => {
            StoreReply::Range(held.iter().map(|(key, (value, _))| (key.clone(), *value)).collect())
        }
        StoreOp::Put { key, value } => {
            held.insert(key.clone(), (*value, revision));
            StoreReply::Put
        }
        StoreOp::Delete { key } => StoreReply::Delete(held.remove(key).is_some()),
        StoreOp::Txn { when, then, otherwise } => {
            let holds = when.iter().all(|compare| match compare {
                Compare::Value(key, value) => held.get(key).map(|(value, _)| *value) == *value,
                Compare::Revision(key, at) => held.get(key).map_or(0, |(_, at)| *at) == *at,
            });
            let branch = if holds { then } else { otherwise };
            StoreReply::Txn(holds, branch.iter().map(|op| execute(held, revision, op)).collect())
        }
    }
}

fn store_lie(random: &mut Random) -> Lie<StoreOp> {
    let value = random.below(4) as i64;
    let shift = random.below(3);
    Box::new(move |told| match &mut told.reply {
        Some(StoreReply::Get(Some(found))) => found.value = value,
        Some(StoreReply::Get(found)) => *found = Some(Found { value, revision: None }),
        Some(StoreReply::Delete(there)) => *there = !*there,
        Some(StoreReply::Range(found)) => _ = found.pop(),
        Some(StoreReply::Txn(_, replies)) => _ = replies.pop(),
        Some(StoreReply::Put) | None => {
            told.revision = told.revision.map(|revision| revision.saturating_sub(2 * shift));
        }
    })
}

#[test]
fn stores_agree_with_brute_force() {
    for revisions in [0, 100, 60] {
        let refused = compare(
            &Store,
            3_000,
            |random| {
                let shape = small_shape(random);
                draw_store(random, &shape, revisions)
            },
            store_lie,
        );
        assert!(
            (500..2_900).contains(&refused),
            "{refused} of 3,000 refused at {revisions} percent"
        );
    }
}

#[test]
fn locks_agree_with_brute_force() {
    let draw = |random: &mut Random| {
        let shape = small_shape(random);
        let (mut holder, mut fence) = (None::<(String, u64)>, 0);
        let op = |random: &mut Random| {
            let (key, holder) = ("l".to_owned(), format!("h{}", random.below(3)));
            match random.below(5) {
                0 | 1 => LockOp::Acquire { key, holder },
                2 | 3 => LockOp::Release { key, holder },
                _ => LockOp::Holder { key },
            }
        };
        record(random, &shape, op, |op, _| match op {
            LockOp::Acquire { holder: name, .. } => {
                let granted = holder.is_none();
                if granted {
                    fence += 1;
                    holder = Some((name.clone(), fence));
                }
                Seen { fence: granted.then_some(fence), ..Seen::reply(LockReply::Acquire(granted)) }
            }
            LockOp::Release { holder: name, .. } => {
                let had = holder.take_if(|(known, _)| known == name).is_some();
                Seen::reply(LockReply::Release(had))
            }
            LockOp::Holder { .. } => Seen {
                fence: holder.as_ref().map(|(_, fence)| *fence),
                ..Seen::reply(LockReply::Holder(holder.as_ref().map(|(name, _)| name.clone())))
            },
        })
    };
    let lie = |random: &mut Random| -> Lie<LockOp> {
        let lower = random.chance(50);
        Box::new(move |told| match &mut told.reply {
            Some(LockReply::Acquire(true)) if lower => {
                told.fence = told.fence.map(|fence| fence - 1);
            }
            Some(LockReply::Acquire(told) | LockReply::Release(told)) => *told = !*told,
            Some(LockReply::Holder(name)) => *name = Some("h0".to_owned()),
            None => {}
        })
    };
    let refused = compare(&Lock, 5_000, draw, lie);
    assert!((1_000..4_900).contains(&refused), "{refused} of 5,000 refused");
}
