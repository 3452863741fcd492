//! Many watchers against the log of what was committed (promise C2): each change of the span once,
//! in order, none from the past, or `Compacted`. Watchers reconnect, fall behind, and begin in the
//! future.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use regrow_coord::{
    Bounds, Change, Coordinator, Key, Prefix, Query, Quorum, Span, Txn, WatchError,
};
use regrow_ids::Revision;

const WATCHERS: u64 = 1_000;
const REVISIONS: u64 = 700;
/// Kept for watchers: so few that one who sleeps through a burst has missed some.
const KEPT: usize = 64;

type Log = BTreeMap<u64, Vec<Change>>;

fn key(rng: &mut StdRng) -> Key {
    Key::new(format!("{}/{}", rng.random_range(0..4), rng.random_range(0..5))).expect("key")
}

/// Commits random changes, and writes down what each revision changed.
async fn write(quorum: Quorum, seed: u64) -> Log {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut log = Log::new();
    let mut last = 0;
    while last < REVISIONS {
        let (put, deleted) = (key(&mut rng), key(&mut rng));
        let mut txn = Txn::new().put(put.clone(), last.to_string()).read(deleted.clone());
        if deleted != put && rng.random_bool(0.3) {
            txn = txn.delete(deleted.clone());
        }
        let there = quorum.transact(&txn).await.expect("written");
        last = there.revision.get();
        let got = quorum.get(&put, Default::default()).await.expect("read").entry.expect("there");
        let mut changes = vec![Change::Put(got)];
        if txn.then.writes.len() == 2 && there.found[0].is_some() {
            changes.push(Change::Delete(deleted));
        }
        assert!(log.insert(last, changes).is_none(), "revision {last} twice");
        // Every few commits everybody gets a turn.
        if rng.random_bool(0.2) {
            tokio::task::yield_now().await;
        }
    }
    log
}

fn span(rng: &mut StdRng) -> Span {
    match rng.random_range(0..3) {
        0 => Span::all(),
        1 => Span::from(Prefix::new(rng.random_range(0..4).to_string()).expect("prefix")),
        _ => Span::One(key(rng)),
    }
}

/// What was seen without a gap: everything from one revision to before another.
struct Stretch {
    from: u64,
    batches: Vec<(u64, Vec<Change>)>,
    to: u64,
}

impl Stretch {
    const fn at(from: u64) -> Self {
        Self { from, batches: Vec::new(), to: from }
    }
}

/// What a watcher saw.
struct Seen {
    span: Span,
    stretches: Vec<Stretch>,
    compacted: usize,
}

/// Watches until the last revision is behind it.
async fn watch(quorum: Quorum, seed: u64) -> Seen {
    let mut rng = StdRng::seed_from_u64(seed);
    let span = span(&mut rng);
    let mut seen = Seen { span: span.clone(), stretches: Vec::new(), compacted: 0 };
    // Some begin in the future, some at the beginning.
    let mut next = if rng.random_bool(0.1) { rng.random_range(1..REVISIONS) } else { 1 };
    let mut stretch = Stretch::at(next);
    let mut watch = quorum.watch(&span, Revision::new(next)).await.expect("watch");
    while next <= REVISIONS {
        if rng.random_bool(0.02) {
            watch = quorum.watch(&span, Revision::new(next)).await.expect("watch again");
        }
        for _ in 0..if rng.random_bool(0.003) { 40 } else { 0 } {
            tokio::task::yield_now().await;
        }
        match watch.next().await {
            Ok(batch) => {
                next = batch.revision.get() + 1;
                if !batch.changes.is_empty() {
                    stretch.batches.push((batch.revision.get(), batch.changes));
                }
            }
            Err(WatchError::Compacted { oldest }) => {
                assert!(oldest.get() > next, "{oldest} could be watched from {next}");
                seen.compacted += 1;
                stretch.to = next;
                let listing = quorum.range(&Query::of(span.clone()).limit(1)).await.expect("list");
                next = listing.revision.get() + 1;
                seen.stretches.push(std::mem::replace(&mut stretch, Stretch::at(next)));
                watch = quorum.watch(&span, Revision::new(next)).await.expect("watch");
            }
            Err(error) => panic!("{error}"),
        }
    }
    stretch.to = next;
    seen.stretches.push(stretch);
    seen
}

/// What of the log a stretch must hold.
fn expected(log: &Log, span: &Span, from: u64, to: u64) -> Vec<(u64, Vec<Change>)> {
    let own = |changes: &Vec<Change>| -> Vec<Change> {
        changes.iter().filter(|change| span.contains(change.key())).cloned().collect()
    };
    log.range(from..to.max(from))
        .map(|(revision, changes)| (*revision, own(changes)))
        .filter(|(_, changes)| !changes.is_empty())
        .collect()
}

/// Runs a writer and watchers to the end of the log, and compares.
async fn compare(seed: u64, watchers: u64) -> (usize, usize) {
    let quorum = Quorum::memory(Bounds { revisions: KEPT, ..Bounds::default() }).expect("memory");
    let running: Vec<_> =
        (0..watchers).map(|number| tokio::spawn(watch(quorum.clone(), seed + number))).collect();
    // A task of its own, so that it takes turns with the watchers.
    let writing = tokio::spawn(write(quorum.clone(), seed));
    let mut log = writing.await.expect("writer");
    // Whoever waits for a span in which nothing happens any more learns that the end is reached.
    let ends: Vec<_> = (0..4)
        .flat_map(|folder| (0..5).map(move |name| Key::new(format!("{folder}/{name}"))))
        .collect::<Result<_, _>>()
        .expect("keys");
    let all = ends.iter().fold(Txn::new(), |txn, key| txn.put(key.clone(), "end"));
    let last = quorum.transact(&all).await.expect("written").revision.get();
    let listing = quorum.range(&Query::of(Span::all())).await.expect("list");
    log.insert(last, listing.entries.into_iter().map(Change::Put).collect());
    let log = Arc::new(log);
    let (mut events, mut compacted) = (0, 0);
    for watcher in running {
        let seen = watcher.await.expect("watcher");
        compacted += seen.compacted;
        for Stretch { from, batches, to } in seen.stretches {
            let mut sorted = batches;
            for (_, changes) in &mut sorted {
                changes.sort_by(|a, b| a.key().cmp(b.key()));
            }
            let mut expected = expected(&log, &seen.span, from, to);
            for (_, changes) in &mut expected {
                changes.sort_by(|a, b| a.key().cmp(b.key()));
            }
            events += sorted.iter().map(|(_, changes)| changes.len()).sum::<usize>();
            assert_eq!(sorted, expected, "{:?} from {from} to {to}, seed {seed}", seen.span);
        }
    }
    (events, compacted)
}

#[tokio::test(start_paused = true)]
async fn watchers_see_the_log_and_nothing_else() {
    let (events, compacted) = compare(1, WATCHERS).await;
    println!("{WATCHERS} watchers, {events} events, {compacted} times compacted");
    assert!(events > 100_000, "{events} events: too few to show anything");
    assert!(compacted > 100, "nobody fell behind: {compacted}");
}

#[tokio::test(start_paused = true)]
async fn a_watcher_learns_how_far_it_is_though_nothing_happens_in_its_span() {
    let quorum = Quorum::memory(Bounds::default()).expect("memory");
    let quiet = Span::One(Key::new("quiet").expect("key"));
    let mut watch = quorum.watch(&quiet, Revision::new(1)).await.expect("watch");
    let noise = tokio::spawn({
        let quorum = quorum.clone();
        async move {
            loop {
                let key = Key::new("noise").expect("key");
                quorum.transact(&Txn::new().put(key, "")).await.expect("written");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    });
    let batch = watch.next().await.expect("progress");
    noise.abort();
    assert!(batch.changes.is_empty() && batch.revision.get() > 1, "{batch:?}");
    let newest = quorum.get(&Key::new("noise").expect("key"), Default::default()).await;
    assert!(batch.revision <= newest.expect("read").revision);
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_its_replica_is_gone() {
    let quorum = Quorum::memory(Bounds::default()).expect("memory");
    let mut watch = quorum.watch(&Span::all(), Revision::new(1)).await.expect("watch");
    drop(quorum);
    // The replica's clock looks around once more before it notices.
    assert!(matches!(watch.next().await, Err(WatchError::Lost { .. })));
    assert!(matches!(watch.next().await, Err(WatchError::Lost { .. })));
}
