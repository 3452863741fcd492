//! Leadership, specs and intents on a coordinator: what a leader does that is over and does not know.

// The same server as in the tests of the backend.
#[path = "../../../coord/tests/it/etcd_server.rs"]
#[expect(dead_code, reason = "the backend's own tests do more with it")]
mod etcd_server;
pub mod faults;
mod unknown;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use regrow_codec::Any;
use regrow_coord::{Bounds, Coordinator, Key, Quorum, Txn};
use regrow_ids::{Fence, StepKey};
use regrow_manager::intents::CoordIntents;
use regrow_manager::leader::{CoordLeader, CoordLeaderSettings, LeaderSource, Leadership};
use regrow_manager::store::{CoordStore, Document, SpecStore, StoreError, Version};
use regrow_manager::{Environment, Manager, Options};
use regrow_plugin::Registry;
use regrow_plugin::spi::LeaderLocation;
use regrow_reconcile::intents::{Intent, IntentError, IntentLog, StepClass};
use serde_json::json;

use crate::fakes::{group, until};
use faults::Faulty;

fn memory() -> Arc<dyn Coordinator> {
    Arc::new(Quorum::memory(Bounds::default()).expect("memory"))
}

struct Replica {
    faulty: Arc<Faulty>,
    leader: CoordLeader,
    store: CoordStore,
    intents: CoordIntents,
}

/// Short where time costs nothing; on a real server long enough for a machine that is busy.
const SHORT: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(10);

async fn replica(coordinator: &Arc<dyn Coordinator>, id: &str, ttl: Duration) -> Replica {
    let faulty = Arc::new(Faulty::new(Arc::clone(coordinator)));
    let own: Arc<dyn Coordinator> = faulty.clone();
    let machine = (id == "one").then(|| "10.0.0.1:7400".to_owned());
    let settings = CoordLeaderSettings { name: "m".into(), id: id.into(), machine, ttl };
    let leader = CoordLeader::start(Arc::clone(&own), settings).await.expect("leader");
    let tenure = leader.tenure();
    let store = CoordStore::new(Arc::clone(&own), "m", Some(tenure.clone())).expect("store");
    let intents = CoordIntents::start(own, "m", tenure).await.expect("intents");
    Replica { faulty, leader, store, intents }
}

impl Replica {
    fn fence(&self) -> Option<Fence> {
        match self.leader.now() {
            Leadership::Leading { fence } => Some(fence),
            Leadership::Following | Leadership::Unknown(_) => None,
        }
    }

    async fn leads(&self) -> Fence {
        until("it leads", || self.fence().is_some()).await;
        self.fence().expect("it leads")
    }

    async fn save(
        &self,
        contents: &str,
        on: &Version,
        fence: Fence,
    ) -> Result<Version, StoreError> {
        self.store.save(&Document::Specs, &Any::from(json!(contents)), on, fence).await
    }
}

fn intent(number: u32, fence: Fence) -> Intent {
    Intent {
        key: StepKey::from_tag(format!("key/{number}")),
        owner: "us-east/g".into(),
        class: StepClass::Create,
        body: Any::from(json!({"slot": number})),
        fence,
    }
}

/// A leader whose clock stands still, and the one that took over.
async fn an_old_leader_has_no_effect(coordinator: Arc<dyn Coordinator>, ttl: Duration) {
    let old = replica(&coordinator, "old", ttl).await;
    let first = old.leads().await;
    let version = old.save("old", &Version::ABSENT, first).await.expect("leads");
    old.intents.record(&[intent(1, first), intent(2, first)]).await.expect("leads");
    let new = replica(&coordinator, "new", ttl).await;
    assert_eq!(new.leader.lineage(), old.leader.lineage(), "fences can be compared");
    assert_eq!(new.intents.lineage(), old.intents.lineage());

    old.faulty.stop_clock();
    let second = new.leads().await;
    assert!(second > first);
    assert_eq!(old.fence(), Some(first), "it believes to lead");
    let fault = old.save("too late", &version, first).await.expect_err("over");
    assert!(matches!(fault, StoreError::Over { .. }), "{fault}");
    let fault = old.intents.record(&[intent(3, first)]).await.expect_err("over");
    assert!(matches!(fault, IntentError::Stale { .. }), "{fault}");
    old.intents.close("us-east/g", &[intent(1, first).key]).await.expect("does nothing");

    let open = new.intents.open("us-east/g").await.expect("read");
    assert_eq!(open, [intent(1, first), intent(2, first)]);
    new.intents.close("us-east/g", &[intent(1, first).key]).await.expect("leads");
    new.intents.record(&[intent(4, second)]).await.expect("leads");
    let open = new.intents.open("us-east/g").await.expect("read");
    assert_eq!(open, [intent(2, first), intent(4, second)]);
    assert_eq!(new.intents.open("us-east").await.expect("read"), []);
    let epochs = (new.intents.next_epoch().await, old.intents.next_epoch().await);
    assert!(epochs.1.expect("epoch") > epochs.0.expect("epoch"));

    let stored = new.store.load(&Document::Specs).await.expect("load");
    assert_eq!(stored.contents, Some(Any::from(json!("old"))));
    new.save("new", &stored.version, second).await.expect("leads");
    let fault = new.save("again", &stored.version, second).await.expect_err("changed");
    assert!(matches!(fault, StoreError::Conflict { .. }), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn in_memory_an_old_leader_has_no_effect() {
    an_old_leader_has_no_effect(memory(), SHORT).await;
}

#[tokio::test]
async fn on_etcd_an_old_leader_has_no_effect() {
    let promise = "C3 on etcd: an old leader saves and promises nothing";
    let Some(server) = etcd_server::EtcdServer::start(promise).await else { return };
    an_old_leader_has_no_effect(Arc::new(server.client()), LONG).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_steps_down_by_its_own_clock_and_the_place_goes_with_it() {
    let coordinator = memory();
    let one = replica(&coordinator, "one", SHORT).await;
    let first = one.leads().await;
    assert_eq!(one.leader.location().await.expect("asked"), None);
    let at = |host: &str| LeaderLocation {
        scheme: "https".into(),
        host: host.into(),
        path: String::new(),
    };
    one.leader.set_location(&at("one:1")).await.expect("leads");
    let two = replica(&coordinator, "two", SHORT).await;
    assert_eq!(two.leader.location().await.expect("asked"), Some(at("one:1")));
    two.leader.set_location(&at("two:2")).await.expect_err("does not lead");
    one.faulty.hang();
    until("it steps down", || one.fence().is_none()).await;
    assert_eq!(two.fence(), None, "a tenth of the lease before anybody else");
    let second = two.leads().await;
    assert!(second > first);
    assert_eq!(two.leader.location().await.expect("asked"), None);
    one.faulty.heal();
    drop(two);
    assert!(one.leads().await > second, "whoever goes makes room");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_follows_says_who_leads_and_where() {
    let coordinator = memory();
    let one = replica(&coordinator, "one", SHORT).await;
    one.leads().await;
    let two = replica(&coordinator, "two", SHORT).await;
    let with = Environment {
        leader: Arc::new(two.leader),
        store: Arc::new(two.store),
        lookup: Arc::new(Registry::default()),
    };
    let manager = Manager::start("mystack", &Options::default(), with);
    let plugin = manager.plugin();
    let groups = plugin.groups().and_then(|groups| groups.get("groups")).expect("groups");
    let refused = async || {
        let commit = groups.commit_group(&group("q", 1), false).await.expect_err("follows");
        let destroy = groups.destroy_group(&"q".into()).await.expect_err("follows");
        assert_eq!(commit, destroy);
        commit.to_string()
    };
    let leads = "not a leader; replica \"one\" leads on machine 10.0.0.1:7400";
    assert_eq!(refused().await, format!("{leads}; repeat the command on its machine"));
    let at = LeaderLocation { scheme: "http".into(), host: "one:1".into(), path: String::new() };
    one.leader.set_location(&at).await.expect("leads");
    let next = "and answers at http://one:1; repeat the command there (`regrow remote add`)";
    assert_eq!(refused().await, format!("{leads} {next}"));
    let status = plugin.updatables().and_then(|trees| trees.get("status")).expect("status");
    let shown = status.get("leadership/leader").await.expect("read").expect("there");
    assert_eq!(shown.to_value(), json!({"id": "one", "machine": "10.0.0.1:7400"}));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_work_is_said_at_the_start() {
    let with = async |name: &str, ttl| {
        let settings =
            CoordLeaderSettings { name: name.into(), id: "x".into(), machine: None, ttl };
        let started = CoordLeader::start(memory(), settings).await;
        started.err().map(|fault| fault.to_string()).unwrap_or_default()
    };
    let fault = with("a/b", Duration::from_secs(5)).await;
    assert!(fault.contains("has no slash"), "{fault}");
    let fault = with("m", Duration::from_millis(1)).await;
    assert!(fault.contains("its lease of 1ms is not from 1s"), "{fault}");
    let coordinator = memory();
    let key = Key::new("managers/m/lineage").expect("key");
    coordinator.transact(&Txn::new().put(key, "seven")).await.expect("put");
    let started = CoordLeader::start(
        coordinator,
        CoordLeaderSettings { name: "m".into(), ..CoordLeaderSettings::default() },
    );
    let fault = started.await.err().expect("refused").to_string();
    assert!(fault.contains("holds no number"), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn many_and_large_intents_take_as_few_transactions_as_the_limits_allow() {
    let one = replica(&memory(), "one", SHORT).await;
    let fence = one.leads().await;
    let large = |number| {
        let body = json!({"slot": number, "filler": "x".repeat(300 << 10)});
        Intent { body: Any::from(body), ..intent(number, fence) }
    };
    let many: Vec<_> = (0..381).map(|number| intent(number, fence)).collect();
    let some: Vec<_> = (381..386).map(large).collect();
    let keys: Vec<_> = many.iter().chain(&some).map(|intent| intent.key.clone()).collect();
    // The leader has its lease to renew meanwhile, which takes none.
    let sent = async |work: &mut (dyn Future<Output = Result<(), IntentError>> + Unpin + Send)| {
        let before = one.faulty.sent.load(Ordering::Relaxed);
        work.await.expect("leads");
        one.faulty.sent.load(Ordering::Relaxed) - before
    };
    assert_eq!(sent(&mut one.intents.record(&many)).await, 3, "127 writes and the compare");
    assert_eq!(sent(&mut one.intents.record(&some)).await, 2, "three in a MiB");
    assert_eq!(one.intents.open("us-east/g").await.expect("read").len(), 386);
    let twice = [keys.as_slice(), keys.as_slice()].concat();
    assert_eq!(sent(&mut one.intents.close("us-east/g", &twice)).await, 4);
    assert_eq!(one.intents.open("us-east/g").await.expect("read"), []);
    let huge = Intent { body: Any::from(json!("x".repeat(600 << 10))), ..intent(0, fence) };
    let fault = one.intents.record(&[huge]).await.expect_err("too large").to_string();
    assert!(fault.starts_with("record intents: "), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn documents_that_do_not_fit_or_are_damaged_are_refused() {
    let coordinator = memory();
    let one = replica(&coordinator, "one", SHORT).await;
    let fence = one.leads().await;
    let fault = one.save(&"x".repeat(600 << 10), &Version::ABSENT, fence).await.expect_err("large");
    assert!(matches!(fault, StoreError::TooLarge { most: 524_288, .. }), "{fault}");
    let key = Key::new("managers/m/specs").expect("key");
    for value in ["", "{", "{\"Format\":2,\"Contents\":[]}"] {
        coordinator.transact(&Txn::new().put(key.clone(), value)).await.expect("put");
        let fault = one.store.load(&Document::Specs).await.expect_err("damaged");
        assert!(matches!(fault, StoreError::Damaged { .. }), "{fault}");
        let fault = one.save("over it", &Version::ABSENT, fence).await.expect_err("there");
        assert!(matches!(fault, StoreError::Conflict { .. }), "{fault}");
    }
    let stored = json!({"Format": 1, "Contents": {"n": 9_007_199_254_740_993_u64}}).to_string();
    coordinator.transact(&Txn::new().put(key, stored)).await.expect("put");
    let found = one.store.load(&Document::Specs).await.expect("a stored sample");
    assert_eq!(found.contents.expect("there").as_text(), r#"{"n":9007199254740993}"#);
}
