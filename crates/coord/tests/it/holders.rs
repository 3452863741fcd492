//! Leases from both sides: the machine never ends one early, whoever leads (promise C10), and a
//! holder knows by its own clock that it lost before anybody else can win (promises C3, C8).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use regrow_consensus::tables::Flush;
use regrow_consensus::{
    At, LocalReplica, Machine as _, Machines, Replica as _, Scope, Scoped, Tables, Time,
};
use regrow_coord::{
    Bounds, Capabilities, Consistency, CoordError, Coordinator, DEADLINE, Election, HeldLease, Key,
    KeyMachine, Lease, LeaseId, Listing, Query, Quorum, Span, Txn, TxnReply, Watch,
};
use regrow_ids::Revision;
use tokio::time::Instant;

/// A backend from which its clients can be cut off.
struct Halting {
    inner: Quorum,
    cut: AtomicBool,
}

impl Halting {
    fn start() -> Arc<Self> {
        let inner = Quorum::memory(Bounds::default()).expect("memory");
        Arc::new(Self { inner, cut: AtomicBool::new(false) })
    }

    /// Cuts its clients off, or lets them in again.
    fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }

    /// Answers as the backend does; while it is cut off, not at all.
    async fn reached(&self) {
        if self.cut.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Coordinator for Halting {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn range(&self, query: &Query) -> Result<Listing, CoordError> {
        self.reached().await;
        self.inner.range(query).await
    }

    async fn transact(&self, txn: &Txn) -> Result<TxnReply, CoordError> {
        self.reached().await;
        self.inner.transact(txn).await
    }

    async fn watch(&self, span: &Span, from: Revision) -> Result<Watch, CoordError> {
        self.reached().await;
        self.inner.watch(span, from).await
    }

    async fn grant(&self, ttl: Duration) -> Result<Lease, CoordError> {
        self.reached().await;
        self.inner.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<Lease, CoordError> {
        self.reached().await;
        self.inner.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), CoordError> {
        self.reached().await;
        self.inner.revoke(lease).await
    }
}

async fn there(quorum: &Quorum, key: &Key) -> bool {
    quorum.get(key, Consistency::Linearizable).await.expect("read").entry.is_some()
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_is_cut_off_stops_before_the_next_one_leads() {
    for seed in 0..20 {
        let mut rng = StdRng::seed_from_u64(seed);
        let ttl = Duration::from_millis(rng.random_range(1_000..10_000));
        let backend = Halting::start();
        let first = Election::new(backend.clone(), "e").expect("name");
        let second = Election::new(Arc::new(backend.inner.clone()), "e").expect("name");
        let leading = first.campaign("first", ttl).await.expect("leads");
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..20_000))).await;
        assert!(leading.holds(), "a lease that is renewed holds, seed {seed}");
        backend.cut(true);
        let lost = async {
            leading.lost().await;
            assert!(!leading.holds());
            Instant::now()
        };
        let won = async {
            let next = second.campaign("second", ttl).await.expect("leads");
            (Instant::now(), next.fence())
        };
        let (lost, (won, fence)) = tokio::join!(lost, won);
        assert!(lost < won, "two leaders for {:?}, seed {seed}", lost - won);
        assert!(fence > leading.fence());
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_was_stopped_knows_it_at_once() {
    let backend = Halting::start();
    let ttl = Duration::from_secs(10);
    let held = HeldLease::grant(backend.clone(), ttl).await.expect("granted");
    assert!(held.holds());
    // The clock jumps and no task runs: the process was stopped and goes on just now.
    tokio::time::advance(ttl).await;
    assert!(!held.holds());
}

#[tokio::test(start_paused = true)]
async fn a_holder_survives_short_outages() {
    let backend = Halting::start();
    let ttl = Duration::from_secs(9);
    let held = HeldLease::grant(backend.clone(), ttl).await.expect("granted");
    // One renewal hangs, the next one gets through.
    for _ in 0..20 {
        backend.cut(true);
        tokio::time::sleep(ttl / 3).await;
        backend.cut(false);
        tokio::time::sleep(ttl).await;
        assert!(held.holds());
    }
}

/// A machine whose leader's clock is moved by hand.
struct Group {
    machine: KeyMachine,
    tables: Tables,
    index: u64,
    /// The cluster's clock, in milliseconds.
    time: u64,
}

impl Group {
    /// Applies commands in one batch; tells their replies and the leases that ended.
    fn apply(&mut self, commands: &[Vec<u8>]) -> (Vec<Vec<u8>>, Vec<u64>) {
        let time = Time::from_millis(self.time);
        let (machine, index) = (&self.machine, &mut self.index);
        let written = self.tables.write(Flush::Later, |batch| {
            let mut one = |command: &Vec<u8>| {
                *index += 1;
                batch.at(*index);
                machine.apply(At { index: *index, time }, command, batch)
            };
            commands.iter().map(&mut one).collect::<Result<Vec<_>, _>>()
        });
        let (replies, changes) = written.expect("applied");
        let ended = changes.iter().filter(|change| change.value.is_none());
        let ended = ended.filter_map(|change| change.key.strip_prefix(b"l"));
        let number = |key: &[u8]| key.try_into().map(u64::from_be_bytes).expect("a lease");
        (replies, ended.map(number).collect())
    }

    /// Ends what is due, as a leader does several times a second; tells which leases.
    fn tick(&mut self) -> Vec<u64> {
        let view = self.tables.view().expect("view");
        let due = self.machine.deadline(&view).expect("deadline");
        if due.is_some_and(|due| due.as_millis() <= self.time) {
            return self.apply(&[self.machine.expire()]).1;
        }
        Vec::new()
    }
}

/// Commands of version 1, as the stored samples show them.
fn grant(millis: u64) -> Vec<u8> {
    postcard::to_extend(&millis, vec![1, 1]).expect("encodes")
}

fn renew(lease: u128) -> Vec<u8> {
    postcard::to_extend(&lease, vec![1, 2]).expect("encodes")
}

/// A lease as its holder sees it.
struct Hope {
    ttl: u64,
    /// When the last renewal that succeeded was asked for, in real time.
    asked: u64,
    /// How long somebody has led since.
    led: u64,
}

#[test]
fn no_lease_ends_early_though_leaders_change() {
    const CASES: u64 = 10_000;
    const TICK: u64 = 100;
    let mut rng = StdRng::seed_from_u64(7);
    let tables = Tables::memory().expect("tables");
    let mut group =
        Group { machine: KeyMachine::new(Bounds::default()), tables, index: 0, time: 0 };
    let mut hopes: BTreeMap<u64, Hope> = BTreeMap::new();
    // Real time goes on while nobody leads and the cluster's clock stands still.
    let (mut real, mut granted) = (0, 0);
    while granted < CASES || !hopes.is_empty() {
        if rng.random_bool(0.02) {
            real += rng.random_range(0..10_000);
        }
        let step = rng.random_range(1..=TICK);
        (real, group.time) = (real + step, group.time + step);
        hopes.values_mut().for_each(|hope| hope.led += step);
        let mut commands = Vec::new();
        for _ in 0..rng.random_range(0..32).min(CASES - granted) {
            granted += 1;
            let ttl = rng.random_range(1_000..6_000);
            hopes.insert(granted, Hope { ttl, asked: real, led: 0 });
            commands.push(grant(ttl));
        }
        let renewed: Vec<u64> = hopes.keys().copied().filter(|_| rng.random_bool(0.005)).collect();
        commands.extend(renewed.iter().map(|lease| renew(u128::from(*lease))));
        let (replies, _) = group.apply(&commands);
        assert!(replies.iter().all(|reply| reply[..2] == [1, 1]), "a live lease was refused");
        for lease in renewed {
            let hope = hopes.get_mut(&lease).expect("alive");
            (hope.asked, hope.led) = (real, 0);
        }
        for lease in group.tick() {
            let Hope { ttl, asked, .. } = hopes.remove(&lease).expect("ends once");
            let lasted = real - asked;
            assert!(lasted >= ttl, "{lease} ended early: {lasted} of {ttl}");
        }
        let late = hopes.iter().find(|(_, hope)| hope.led >= hope.ttl + TICK);
        assert!(late.is_none(), "{:?} is late", late.map(|(lease, _)| lease));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_ends_within_a_fifth_of_its_time() {
    let quorum = Quorum::memory(Bounds::default()).expect("memory");
    let key = Key::new("k").expect("key");
    for millis in [1_000, 1_001, 2_345, 10_000, 60_000] {
        let ttl = Duration::from_millis(millis);
        let asked = Instant::now();
        let lease = quorum.grant(ttl).await.expect("granted");
        quorum.transact(&Txn::new().put_leased(key.clone(), "", lease.id)).await.expect("put");
        while there(&quorum, &key).await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let lasted = asked.elapsed();
        assert!((ttl..=ttl * 6 / 5).contains(&lasted), "{lasted:?} of {ttl:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_with_a_machine_of_its_own_scope_is_a_coordinator() {
    let scope = Scope::new(9).expect("scope");
    let machine = Arc::new(KeyMachine::new(Bounds::default()));
    let machines = Machines::new().with(scope, machine.clone()).expect("machines");
    let replica = LocalReplica::start(machines).expect("replica");
    let quorum = Quorum::new(Scoped::new(replica.clone(), scope), &machine, DEADLINE);
    let put = quorum.transact(&Txn::new().put(Key::new("k").expect("key"), "v")).await;
    assert_eq!(put.expect("put").revision, Revision::new(1));
    assert_eq!(replica.status().applied.index, 1);
}
