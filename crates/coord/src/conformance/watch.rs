//! Watches: each change once, in order, none from the past, or `Compacted`.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::future::{BoxFuture, try_join_all};
use regrow_ids::Revision;

use crate::conformance::bench::{Bench, Checked, Failed, ensure, next_change, same, soon, text};
use crate::conformance::{checks, shows_every_change};
use crate::error::WatchError;
use crate::key::{Key, Span};
use crate::txn::Txn;
use crate::watch::{Batch, Change, Watch};

checks![
    changes_arrive_once_and_in_order,
    the_past_is_replayed_or_compacted,
    the_future_is_waited_for,
    only_the_span_is_watched,
    one_key_is_watched_alone,
    a_deletion_is_a_change,
    a_transaction_is_one_batch,
    a_list_and_a_watch_from_it_miss_nothing,
    many_watchers_see_the_same,
    a_watch_can_be_dropped_and_taken_up_again,
    the_end_of_a_lease_is_a_change,
];

/// The newest value of each key, after the batches of a watch up to the one that holds `last`.
async fn follow(watch: &mut Watch, last: &Key) -> Checked<(Vec<Batch>, BTreeMap<Key, Bytes>)> {
    let (mut batches, mut state) = (Vec::new(), BTreeMap::new());
    loop {
        let batch = next_change(watch).await?;
        let ends = batch.changes.iter().any(|change| change.key() == last);
        for change in &batch.changes {
            match change {
                Change::Put(entry) => state.insert(entry.key.clone(), entry.value.clone()),
                Change::Delete(key) => state.remove(key),
            };
        }
        batches.push(batch);
        if ends {
            return Ok((batches, state));
        }
    }
}

fn values(batches: &[Batch], key: &Key) -> Vec<String> {
    let changes = batches.iter().flat_map(|batch| &batch.changes);
    let value = |change: &Change| match change {
        Change::Put(entry) if entry.key == *key => {
            Some(String::from_utf8_lossy(&entry.value).into_owned())
        }
        _ => None,
    };
    changes.filter_map(value).collect()
}

fn in_order(batches: &[Batch]) -> Checked {
    let grows = batches.windows(2).all(|pair| pair[0].revision < pair[1].revision);
    ensure(grows, || format!("revisions do not grow: {batches:?}"))
}

async fn changes_arrive_once_and_in_order(bench: Bench) -> Checked {
    let mut watch = bench.watch().await?;
    for number in 0..20 {
        bench.put("k", &text(number)).await?;
    }
    bench.put("end", "").await?;
    let (batches, state) = follow(&mut watch, &bench.key("end")?).await?;
    in_order(&batches)?;
    let key = bench.key("k")?;
    same("last", state.get(&key).cloned(), Some(Bytes::from("19")))?;
    let seen = values(&batches, &key);
    if shows_every_change(&bench.capabilities()) {
        return same("values", seen, (0..20).map(text).collect());
    }
    let numbers: Vec<usize> = seen.iter().filter_map(|value| value.parse().ok()).collect();
    ensure(numbers.is_sorted_by(|a, b| a < b), || format!("not in order: {numbers:?}"))
}

async fn the_past_is_replayed_or_compacted(bench: Bench) -> Checked {
    let first = bench.put("k", "1").await?;
    bench.put("k", "2").await?;
    bench.put("end", "").await?;
    let mut watch = bench.a.watch(&bench.span()?, first.revision).await?;
    if shows_every_change(&bench.capabilities()) {
        let (batches, _) = follow(&mut watch, &bench.key("end")?).await?;
        in_order(&batches)?;
        same("first", batches[0].revision, first.revision)?;
        return same("values", values(&batches, &bench.key("k")?), vec!["1".into(), "2".into()]);
    }
    let next = soon("the watch answers", watch.next()).await?;
    ensure(matches!(next, Err(WatchError::Compacted { .. })), || format!("{next:?}"))
}

async fn the_future_is_waited_for(bench: Bench) -> Checked {
    let now = bench.put("k", "0").await?.revision;
    let from = Revision::new(now.get() + 5);
    let mut watch = bench.a.watch(&bench.span()?, from).await?;
    let mut reached = now;
    while reached < from {
        reached = bench.put("k", &text(reached.get() as usize)).await?.revision;
    }
    let batch = next_change(&mut watch).await?;
    ensure(batch.revision >= from, || format!("{batch:?} from {from}"))?;
    let modified = batch.changes.iter().all(|change| match change {
        Change::Put(entry) => entry.modified >= from,
        Change::Delete(_) => false,
    });
    ensure(modified, || format!("{batch:?} from {from}"))
}

async fn only_the_span_is_watched(bench: Bench) -> Checked {
    let from = bench.list().await?.revision.next();
    let mut watch = bench.a.watch(&Span::Prefix(bench.prefix("in/")?), from).await?;
    for name in ["in/1", "out/1", "in", "in0", "in/2"] {
        bench.put(name, "").await?;
    }
    let (batches, state) = follow(&mut watch, &bench.key("in/2")?).await?;
    in_order(&batches)?;
    let seen: Vec<_> = state.into_keys().collect();
    same("keys", seen, vec![bench.key("in/1")?, bench.key("in/2")?])
}

async fn one_key_is_watched_alone(bench: Bench) -> Checked {
    let from = bench.list().await?.revision.next();
    let mut watch = bench.a.watch(&Span::One(bench.key("k")?), from).await?;
    for name in ["kk", "k/1", "k"] {
        bench.put(name, "").await?;
    }
    let batch = next_change(&mut watch).await?;
    let keys: Vec<_> = batch.changes.iter().map(|change| change.key().clone()).collect();
    same("keys", keys, vec![bench.key("k")?])
}

async fn a_deletion_is_a_change(bench: Bench) -> Checked {
    bench.put("k", "").await?;
    let mut watch = bench.watch().await?;
    let deleted = bench.delete("k").await?;
    let batch = next_change(&mut watch).await?;
    same("changes", batch.changes, vec![Change::Delete(bench.key("k")?)])?;
    if shows_every_change(&bench.capabilities()) {
        same("revision", batch.revision, deleted.revision)?;
    }
    Ok(())
}

async fn a_transaction_is_one_batch(bench: Bench) -> Checked {
    bench.put("c", "").await?;
    let mut watch = bench.watch().await?;
    let txn = Txn::new().put(bench.key("a")?, "1").put(bench.key("b")?, "2");
    bench.a.transact(&txn.delete(bench.key("c")?)).await?;
    let batch = next_change(&mut watch).await?;
    let mut keys: Vec<_> = batch.changes.iter().map(|change| change.key().clone()).collect();
    keys.sort();
    same("keys", keys, vec![bench.key("a")?, bench.key("b")?, bench.key("c")?])
}

async fn a_list_and_a_watch_from_it_miss_nothing(bench: Bench) -> Checked {
    let end = bench.key("end")?;
    let write = async {
        for number in 0..60 {
            let key = bench.key(&text(number % 7))?;
            let txn = if number % 5 == 4 {
                Txn::new().delete(key)
            } else {
                Txn::new().put(key, text(number))
            };
            bench.b.transact(&txn).await?;
        }
        bench.b.transact(&Txn::new().put(end.clone(), "")).await?;
        Checked::Ok(())
    };
    let read = async {
        let listing = bench.list().await?;
        let mut watch = bench.a.watch(&bench.span()?, listing.revision.next()).await?;
        let pair = |entry: crate::Entry| (entry.key, entry.value);
        let mut state: BTreeMap<_, _> = listing.entries.into_iter().map(pair).collect();
        while !state.contains_key(&end) {
            for change in next_change(&mut watch).await?.changes {
                match change {
                    Change::Put(entry) => state.insert(entry.key, entry.value),
                    Change::Delete(key) => state.remove(&key),
                };
            }
        }
        Checked::Ok(state)
    };
    let (written, state) = tokio::join!(write, read);
    written?;
    let pair = |entry: crate::Entry| (entry.key, entry.value);
    same("state", state?, bench.list().await?.entries.into_iter().map(pair).collect())
}

async fn many_watchers_see_the_same(bench: Bench) -> Checked {
    let mut watches = Vec::new();
    for _ in 0..20 {
        watches.push(bench.watch().await?);
    }
    for number in 0..10 {
        bench.put(&text(number), "").await?;
    }
    bench.put("end", "").await?;
    let end = bench.key("end")?;
    let seen = try_join_all(watches.iter_mut().map(|watch| follow(watch, &end))).await?;
    for (batches, state) in &seen {
        in_order(batches)?;
        same("keys", state.len(), 11)?;
        if shows_every_change(&bench.capabilities()) {
            same("batches", batches, &seen[0].0)?;
        }
    }
    Ok(())
}

async fn a_watch_can_be_dropped_and_taken_up_again(bench: Bench) -> Checked {
    let mut watch = bench.watch().await?;
    let mut numbers = Vec::new();
    let key = bench.key("k")?;
    for number in 0..10 {
        bench.put("k", &text(number)).await?;
        let batch = next_change(&mut watch).await?;
        numbers.extend(values(std::slice::from_ref(&batch), &key));
        watch = bench.b.watch(&bench.span()?, batch.revision.next()).await?;
    }
    same("values", numbers, (0..10).map(text).collect())
}

async fn the_end_of_a_lease_is_a_change(bench: Bench) -> Checked {
    let lease = bench.a.grant(bench.ttl()).await?.id;
    let key = bench.key("k")?;
    bench.a.transact(&Txn::new().put_leased(key.clone(), "", lease)).await?;
    let mut watch = bench.watch().await?;
    let batch = next_change(&mut watch).await?;
    same("changes", batch.changes, vec![Change::Delete(key)])
}

/// Runs alone: see [`run`](crate::conformance::run).
pub(super) async fn what_is_forgotten_is_compacted<'f>(
    bench: Bench,
    forget: &(dyn Fn(Revision) -> BoxFuture<'f, ()> + Sync),
) -> Checked {
    let first = bench.put("k", "1").await?.revision;
    let second = bench.put("k", "2").await?.revision;
    forget(second).await;
    let mut watch = bench.a.watch(&bench.span()?, first).await?;
    let oldest = match soon("the watch answers", watch.next()).await? {
        Err(WatchError::Compacted { oldest }) => oldest,
        other => return Err(Failed(format!("not compacted: {other:?}"))),
    };
    ensure(oldest > second, || format!("oldest is {oldest}, {second} was forgotten"))?;
    let again = soon("it says so again", watch.next()).await?;
    ensure(again.is_err(), || format!("went on with {again:?}"))?;
    let behind = bench.list().await?.revision.next();
    ensure(oldest <= behind, || format!("oldest is {oldest}, but {behind} is not there yet"))?;
    let mut watch = bench.a.watch(&bench.span()?, behind).await?;
    bench.put("k", "3").await?;
    let batch = next_change(&mut watch).await?;
    same("values", values(&[batch], &bench.key("k")?), vec!["3".to_owned()])
}
