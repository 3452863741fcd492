//! The quorum's machine against a model that is as simple as can be, in random runs.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use regrow_coord::{
    Bounds, Branch, Change, Compare, CoordError, Coordinator, Entry, Key, LeaseId, Prefix, Query,
    Quorum, Span, Txn, TxnReply, Watch, WatchError, Write,
};
use regrow_ids::Revision;

/// How late an ended lease may be noticed: the machine's clock ticks ten times a second.
const LATE: u64 = 200;

#[derive(Clone, Debug)]
enum Step {
    Transact(Vec<Test>, Side, Side),
    Grant(u64),
    Renew(usize),
    Revoke(usize),
    Pass(u64),
}

/// A compare whose revision is taken from the model when it runs: the right one, or one beside it.
#[derive(Clone, Debug)]
struct Test {
    key: u8,
    what: u8,
    right: bool,
}

#[derive(Clone, Debug)]
struct Side {
    reads: Vec<u8>,
    puts: BTreeMap<u8, (u8, Option<usize>)>,
    deletes: Vec<u8>,
    folder: Option<u8>,
}

fn name(number: u8) -> Key {
    let text = ["a", "a/1", "a/2", "a/b/1", "b", "b/1"][usize::from(number) % 6];
    Key::new(text).expect("key")
}

fn folder(number: u8) -> Prefix {
    Prefix::new(["a/", "b", ""][usize::from(number) % 3]).expect("prefix")
}

fn side() -> impl Strategy<Value = Side> {
    let puts =
        prop::collection::btree_map(0..6_u8, (any::<u8>(), prop::option::of(0..4_usize)), 0..4);
    let bytes = || prop::collection::vec(0..6_u8, 0..3);
    (bytes(), puts, bytes(), prop::option::weighted(0.2, 0..3_u8))
        .prop_map(|(reads, puts, deletes, folder)| Side { reads, puts, deletes, folder })
}

fn step() -> impl Strategy<Value = Step> {
    let test = (0..6_u8, 0..6_u8, prop::bool::weighted(0.8)).prop_map(|(key, what, right)| Test {
        key,
        what,
        right,
    });
    prop_oneof![
        6 => (prop::collection::vec(test, 0..3), side(), side())
            .prop_map(|(tests, then, otherwise)| Step::Transact(tests, then, otherwise)),
        1 => (1_000..5_000_u64).prop_map(Step::Grant),
        1 => (0..4_usize).prop_map(Step::Renew),
        1 => (0..4_usize).prop_map(Step::Revoke),
        2 => (1..3_000_u64).prop_map(Step::Pass),
    ]
}

#[derive(Clone, Debug)]
struct Kept {
    id: LeaseId,
    ttl: u64,
    ends: u64,
}

/// Everything there is, as plainly as it can be said.
#[derive(Default)]
struct Model {
    keys: BTreeMap<Key, Entry>,
    revision: u64,
    leases: Vec<Kept>,
    now: u64,
}

impl Model {
    fn lease(&self, number: Option<usize>) -> Option<LeaseId> {
        let number = number?;
        // A number that names no lease is a lease that nobody has.
        Some(self.leases.get(number).map_or(LeaseId::new(999), |kept| kept.id))
    }

    fn compare(&self, test: &Test) -> Compare {
        let key = name(test.key);
        let entry = self.keys.get(&key);
        let beside = u64::from(!test.right);
        let number =
            |revision: Option<Revision>| Revision::new(revision.map_or(1, Revision::get) + beside);
        match test.what {
            0 => Compare::Absent(key),
            1 => Compare::Present(key),
            2 => Compare::Created(key, number(entry.map(|entry| entry.created))),
            3 => Compare::Modified(key, number(entry.map(|entry| entry.modified))),
            4 => {
                let value = entry.map_or(Bytes::new(), |entry| entry.value.clone());
                Compare::Value(key, if test.right { value } else { Bytes::from("other") })
            }
            _ => Compare::Lease(key, entry.and_then(|entry| entry.lease).filter(|_| test.right)),
        }
    }

    fn branch(&self, side: &Side) -> Branch {
        let gone = |key: &Key| side.folder.is_some_and(|f| Span::Prefix(folder(f)).contains(key));
        let mut writes = BTreeMap::new();
        for number in &side.deletes {
            writes.insert(name(*number), Write::Delete(name(*number)));
        }
        for (number, (value, lease)) in &side.puts {
            let (key, value) = (name(*number), Bytes::from(vec![*value]));
            let put = Write::Put { key: key.clone(), value, lease: self.lease(*lease) };
            writes.insert(key, put);
        }
        let mut writes: Vec<_> =
            writes.into_iter().filter(|(key, _)| !gone(key)).map(|(_, write)| write).collect();
        writes.extend(side.folder.map(|number| Write::DeletePrefix(folder(number))));
        Branch { reads: side.reads.iter().map(|number| name(*number)).collect(), writes }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let entry = self.keys.get(compare.key());
        match (compare, entry) {
            (Compare::Absent(_), entry) => entry.is_none(),
            (_, None) => false,
            (Compare::Present(_), _) => true,
            (Compare::Created(_, revision), Some(entry)) => entry.created == *revision,
            (Compare::Modified(_, revision), Some(entry)) => entry.modified == *revision,
            (Compare::Value(_, value), Some(entry)) => entry.value == *value,
            (Compare::Lease(_, lease), Some(entry)) => entry.lease == *lease,
        }
    }

    fn transact(&mut self, txn: &Txn) -> Option<TxnReply> {
        let succeeded = txn.compares.iter().all(|compare| self.holds(compare));
        let branch = if succeeded { &txn.then } else { &txn.otherwise };
        let known = |write: &Write| match write {
            Write::Put { lease: Some(lease), .. } => {
                self.leases.iter().any(|kept| kept.id == *lease)
            }
            _ => true,
        };
        if !branch.writes.iter().all(known) {
            return None;
        }
        let found = branch.reads.iter().map(|key| self.keys.get(key).cloned()).collect();
        let modified = Revision::new(self.revision + 1);
        let mut changed = false;
        for write in &branch.writes {
            if let Write::Put { key, value, lease } = write {
                let created = self.keys.get(key).map_or(modified, |entry| entry.created);
                let (key, value, lease) = (key.clone(), value.clone(), *lease);
                let entry = Entry { key: key.clone(), value, created, modified, lease };
                self.keys.insert(key, entry);
                changed = true;
            } else {
                let before = self.keys.len();
                self.keys.retain(|key, _| !write.span().contains(key));
                changed |= self.keys.len() < before;
            }
        }
        self.revision += u64::from(changed);
        Some(TxnReply { succeeded, revision: Revision::new(self.revision), found })
    }

    /// Some lease may have ended by now, or not.
    fn in_doubt(&self) -> bool {
        self.leases.iter().any(|kept| (kept.ends..=kept.ends + LATE).contains(&self.now))
    }

    fn end(&mut self, number: usize) {
        let ended = self.leases.remove(number);
        self.keys.retain(|_, entry| entry.lease != Some(ended.id));
    }

    /// What a change that was seen does.
    fn see(&mut self, revision: Revision, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Put(entry) => self.keys.insert(entry.key.clone(), entry),
                Change::Delete(key) => self.keys.remove(&key),
            };
        }
        self.revision = revision.get();
    }
}

/// Takes over the ends of leases that the machine may have noticed: those that are due for certain
/// must have ended, those that are not due yet must not.
async fn time_passes(model: &mut Model, quorum: &Quorum, millis: u64) -> Result<(), TestCaseError> {
    tokio::time::sleep(Duration::from_millis(millis)).await;
    model.now += millis;
    let listing = quorum.range(&Query::of(Prefix::default())).await.expect("range");
    let (entries, before) = (listing.entries, model.keys.len());
    let mut number = 0;
    while let Some(kept) = model.leases.get(number).cloned() {
        let has_keys = model.keys.values().any(|entry| entry.lease == Some(kept.id));
        let shown = entries.iter().any(|entry| entry.lease == Some(kept.id));
        let gone = has_keys && !shown;
        prop_assert!(!gone || model.now >= kept.ends, "{kept:?} ended early, at {}", model.now);
        prop_assert!(!shown || model.now <= kept.ends + LATE, "{kept:?} is late, at {}", model.now);
        if gone || model.now > kept.ends + LATE {
            model.end(number);
        } else {
            number += 1;
        }
    }
    if model.keys.len() < before {
        // Leases that end together share a revision, or not.
        prop_assert!(listing.revision.get() > model.revision);
        model.revision = listing.revision.get();
    }
    Ok(())
}

/// All that a watch from the beginning shows until now.
async fn replay(watch: &mut Watch, until: u64) -> Result<Model, WatchError> {
    let mut seen = Model::default();
    while seen.revision < until {
        let batch = watch.next().await?;
        assert_eq!(batch.revision.get(), seen.revision + 1, "each revision once, in order");
        seen.see(batch.revision, batch.changes);
    }
    Ok(seen)
}

async fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let quorum = Quorum::memory(Bounds::default()).expect("memory");
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Transact(tests, then, otherwise) => {
                let compares = tests.iter().map(|test| model.compare(test)).collect();
                let (then, otherwise) = (model.branch(&then), model.branch(&otherwise));
                let txn = Txn { compares, then, otherwise };
                let reply = quorum.transact(&txn).await;
                if let Err(error) = &reply
                    && !matches!(error, CoordError::UnknownLease { .. })
                {
                    return Err(TestCaseError::fail(format!("{error}: {txn:?}")));
                }
                prop_assert_eq!(reply.ok(), model.transact(&txn), "{:?}", txn);
            }
            Step::Grant(ttl) if model.leases.len() < 4 => {
                let lease = quorum.grant(Duration::from_millis(ttl)).await.expect("grant");
                model.leases.push(Kept { id: lease.id, ttl, ends: model.now + ttl });
            }
            Step::Grant(_) => {}
            Step::Renew(number) => {
                let now = model.now;
                let Some(kept) = model.leases.get_mut(number) else { continue };
                kept.ends = now + kept.ttl;
                prop_assert!(quorum.keep_alive(kept.id).await.is_ok(), "{kept:?}");
            }
            Step::Revoke(number) => {
                let Some(kept) = model.leases.get(number) else { continue };
                quorum.revoke(kept.id).await.expect("revoke");
                let had_keys = model.keys.values().any(|entry| entry.lease == Some(kept.id));
                model.revision += u64::from(had_keys);
                model.end(number);
            }
            Step::Pass(millis) => {
                // Leases are watched closely, so that each end is seen before anything else is done.
                let until = model.now + millis;
                while model.now < until || model.in_doubt() {
                    time_passes(&mut model, &quorum, LATE).await?;
                }
            }
        }
        let listing = quorum.range(&Query::of(Prefix::default())).await.expect("range");
        prop_assert_eq!(listing.revision.get(), model.revision);
        prop_assert_eq!(&listing.entries, &model.keys.values().cloned().collect::<Vec<_>>());
    }
    let mut watch = quorum.watch(&Span::all(), Revision::new(1)).await.expect("watch");
    let seen = replay(&mut watch, model.revision).await.expect("nothing was forgotten");
    prop_assert_eq!(seen.keys, model.keys);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_machine_does_what_the_model_says(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("runtime");
        runtime.block_on(run(steps))?;
    }
}
