//! C3, I4: three managers on one coordinator, with clocks that stand still, calls that hang and calls
//! that come late. At most one of them has an effect at a time, in the order of their fences; no
//! instance is made twice; and when the faults are over, the group is whole.

#![expect(clippy::expect_used, reason = "helpers of tests fail like tests")]

// The same faults as in the tests of the manager alone.
#[path = "../../../../crates/manager/tests/it/coordinated/faults.rs"]
#[expect(dead_code, reason = "the tests of the manager do more with it")]
mod faults;
mod world;

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use regrow_codec::Any;
use regrow_coord::{Bounds, Coordinator, Quorum};
use regrow_groups::{Groups, Options as GroupOptions};
use regrow_ids::{GoDuration, GroupId};
use regrow_manager::intents::CoordIntents;
use regrow_manager::leader::{
    CoordLeader, CoordLeaderSettings, LeaderAuthority, LeaderSource, Leadership,
};
use regrow_manager::store::CoordStore;
use regrow_manager::{Environment, Manager, Options};
use regrow_plugin::spi::{Group, GroupSpec};
use regrow_plugin::{Lookup, Registry};
use serde_json::json;

use faults::Faulty;
use world::World;

/// Replicas that stand in the election.
const REPLICAS: usize = 3;
/// Members of the group.
const SIZE: usize = 3;
/// Time of a leader's lease.
const TTL: Duration = Duration::from_secs(3);
/// Runs with other faults each: what the gate has time for. `REGROW_RUNS=N` makes more, and
/// `REGROW_SEED=N` the one of that number.
const RUNS: u64 = 60;

/// One manager with its group controller, as one process has them.
struct Replica {
    faulty: Arc<Faulty>,
    leader: Arc<dyn LeaderSource>,
    plugins: Arc<Registry>,
    groups: Arc<Groups>,
    manager: Manager,
}

impl Replica {
    async fn start(
        number: usize,
        coordinator: &Arc<dyn Coordinator>,
        world: &Arc<Registry>,
    ) -> Self {
        let faulty = Arc::new(Faulty::new(Arc::clone(coordinator)));
        let own: Arc<dyn Coordinator> = faulty.clone();
        let id = format!("manager{number}");
        let settings = CoordLeaderSettings { id, ttl: TTL, ..CoordLeaderSettings::default() };
        let leader = CoordLeader::start(Arc::clone(&own), settings).await.expect("leader");
        let tenure = leader.tenure();
        let store = CoordStore::new(Arc::clone(&own), "manager", Some(tenure.clone()));
        let log = CoordIntents::start(own, "manager", tenure).await.expect("intents");
        let leader: Arc<dyn LeaderSource> = Arc::new(leader);
        let plugins = Arc::new(Registry::before(Arc::clone(world) as Arc<dyn Lookup>));
        let lookup: Arc<dyn Lookup> = plugins.clone();
        let options =
            GroupOptions { poll_interval: GoDuration::from_secs(5), ..GroupOptions::default() };
        let authority = Arc::new(LeaderAuthority::new(Arc::clone(&leader)));
        let groups = Groups::new(Arc::clone(&lookup), Arc::new(log), authority, &options);
        plugins.add(regrow_groups::plugin("group-stateless", &groups));
        let store = Arc::new(store.expect("store"));
        let with = Environment { leader: Arc::clone(&leader), store, lookup };
        let manager = Manager::start("mystack", &Options::default(), with);
        Self { faulty, leader, plugins, groups, manager }
    }

    fn leads(&self) -> bool {
        matches!(self.leader.now(), Leadership::Leading { .. })
    }

    fn api(&self) -> Arc<dyn Group> {
        let plugin = self.manager.plugin();
        plugin.groups().and_then(|groups| groups.get("groups")).expect("groups")
    }
}

struct Cluster {
    world: Arc<World>,
    replicas: Vec<Replica>,
}

impl Cluster {
    async fn start(coordinator: Arc<dyn Coordinator>, seed: u64) -> Self {
        let world = Arc::new(World::new(seed));
        let plugins = Arc::new(Registry::default());
        world.offer(&plugins);
        let mut replicas = Vec::new();
        for number in 1..=REPLICAS {
            replicas.push(Replica::start(number, &coordinator, &plugins).await);
        }
        Self { world, replicas }
    }

    async fn leader(&self) -> &Replica {
        until("somebody leads", || self.replicas.iter().any(Replica::leads)).await;
        self.replicas.iter().find(|replica| replica.leads()).expect("one leads")
    }

    /// Commits the group, again where the leader changes meanwhile.
    async fn commit(&self) {
        for _ in 0..20 {
            if self.leader().await.api().commit_group(&document(), false).await.is_ok() {
                return;
            }
            tokio::time::sleep(TTL).await;
        }
        panic!("nobody takes the group");
    }

    async fn whole(&self) {
        until("the group is whole", || self.world.live() == SIZE).await;
    }

    async fn stop(self) {
        for replica in self.replicas {
            replica.faulty.heal();
            replica.manager.stop().await;
            replica.groups.free_all().await;
            // The controller finds its plugins in the registry that it is in.
            replica.plugins.remove("group-stateless");
        }
    }
}

fn document() -> GroupSpec {
    let properties = json!({
        "Instance": {"Plugin": "machines", "Properties": {}},
        "Flavor": {"Plugin": "plain", "Properties": {}},
        "Allocation": {"Size": SIZE},
    });
    GroupSpec { id: GroupId::from("g"), properties: Any::from(properties) }
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let limit = Duration::from_secs(600);
    assert!(tokio::time::timeout(limit, wait).await.is_ok(), "{what}: not within {limit:?}");
}

fn memory() -> Arc<dyn Coordinator> {
    Arc::new(Quorum::memory(Bounds::default()).expect("memory"))
}

#[tokio::test(start_paused = true)]
async fn the_next_replica_takes_over_under_a_higher_fence_and_heals() {
    let cluster = Cluster::start(memory(), 1).await;
    cluster.commit().await;
    cluster.whole().await;
    let mut fences = Vec::new();
    for _ in 0..6 {
        let leader = cluster.leader().await;
        let Leadership::Leading { fence } = leader.leader.now() else { continue };
        fences.push(fence);
        leader.faulty.hang();
        cluster.world.lose_one();
        until("the leader steps down", || !leader.leads()).await;
        cluster.whole().await;
        leader.faulty.heal();
    }
    assert!(fences.is_sorted() && fences.len() == 6, "{fences:?}");
    cluster.world.check(0);
    assert_eq!(cluster.world.made(), SIZE + 6, "one for each that was lost");
    cluster.stop().await;
}

/// Some faults in a random order, then none: safety all the time, liveness at the end.
async fn run(seed: u64) -> usize {
    let mut chance = StdRng::seed_from_u64(seed);
    let cluster = Cluster::start(memory(), seed).await;
    cluster.commit().await;
    let mut lost = 0;
    for _ in 0..chance.random_range(2..6) {
        let victim = match chance.random_bool(0.8) {
            true => cluster.leader().await,
            false => &cluster.replicas[chance.random_range(0..REPLICAS)],
        };
        match chance.random_range(0..4) {
            0 => victim.faulty.hang(),
            1 => victim.faulty.stop_clock(),
            2 => cluster.world.delay_calls(Duration::from_millis(chance.random_range(0..12_000))),
            _ => {}
        }
        for _ in 0..chance.random_range(0..3) {
            tokio::time::sleep(Duration::from_millis(chance.random_range(0..4_000))).await;
            lost += usize::from(cluster.world.lose_one());
        }
        tokio::time::sleep(Duration::from_millis(chance.random_range(0..9_000))).await;
        victim.faulty.heal();
        cluster.world.delay_calls(Duration::ZERO);
    }
    cluster.whole().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(cluster.world.live(), SIZE, "seed {seed}: it stays whole");
    cluster.world.check(seed);
    cluster.stop().await;
    lost
}

#[test]
fn pauses_have_no_stale_effect() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("REGROW_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("REGROW_RUNS").unwrap_or(RUNS),
    };
    let mut lost = 0;
    for seed in seeds.clone() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().expect("runtime");
        lost += runtime.block_on(run(seed));
        if seed % 100 == 99 {
            eprintln!("{} runs", seed + 1);
        }
    }
    eprintln!("{} runs, {lost} instances lost and made again", seeds.count());
}
