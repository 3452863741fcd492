//! Promise I8: two managers on one coordinator never own the same group in the same world.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use regrow_codec::Any;
use regrow_coord::{Bounds, Coordinator, Key, Prefix, Query, Quorum, Txn};
use regrow_ids::{Fence, InstanceId};
use regrow_manager::Catalog;
use regrow_manager::leader::MemoryLeader;
use regrow_manager::store::{Claim, Claims, CoordStore, Document, SpecStore, StoreError, Version};
use regrow_plugin::Plugin;
use regrow_plugin::spi::{
    Description, DestroyReason, GroupSpec, Instance, InstanceSpec, Result, Tags, World as Place,
};
use serde_json::json;

use crate::coordinated::faults::Faulty;
use crate::fakes::{World, group, spec, until};

/// Sequences of the random test, times the factor in `REGROW_SOAK` for a longer run.
const SEQUENCES: u64 = 40;
/// Pairs of changes in each, which run at the same time.
const PAIRS: usize = 12;

/// An instance plugin that says, or does not say, where its instances are.
#[derive(Clone)]
struct Instances {
    worlds: Vec<Place>,
    listed: Arc<Mutex<Vec<Arc<Description>>>>,
}

#[async_trait]
impl Instance for Instances {
    async fn validate(&self, _: &Any) -> Result<()> {
        Ok(())
    }

    async fn provision(&self, _: &InstanceSpec) -> Result<InstanceId> {
        Ok("made".into())
    }

    async fn label(&self, _: &InstanceId, _: &Tags) -> Result<()> {
        Ok(())
    }

    async fn destroy(&self, _: &InstanceId, _: DestroyReason) -> Result<()> {
        Ok(())
    }

    async fn describe_instances(&self, _: &Tags, _: bool) -> Result<Vec<Arc<Description>>> {
        Ok(self.listed.lock().expect("lock").clone())
    }

    async fn worlds(&self) -> Result<Vec<Place>> {
        Ok(self.worlds.clone())
    }
}

fn instances(world: World, name: &str, worlds: &[&str]) -> (World, Instances) {
    let worlds = worlds.iter().map(|world| Place::new(*world)).collect();
    let plugin = Instances { worlds, listed: Arc::default() };
    world.registry.add(Plugin::instance(name, plugin.clone()));
    (world, plugin)
}

fn coordinator() -> Arc<dyn Coordinator> {
    Arc::new(Quorum::memory(Bounds::default()).expect("memory"))
}

fn store(coordinator: &Arc<dyn Coordinator>, manager: &str) -> Arc<CoordStore> {
    Arc::new(CoordStore::new(Arc::clone(coordinator), manager, None).expect("store"))
}

/// A manager of this name that leads, whose plugins `a` and `b` show the worlds of one machine.
fn manager(coordinator: &Arc<dyn Coordinator>, name: &str) -> World {
    on_machine(coordinator, name, "m")
}

fn on_machine(coordinator: &Arc<dyn Coordinator>, name: &str, machine: &str) -> World {
    let world = World::new(MemoryLeader::leading(), store(coordinator, name));
    let (world, _) = instances(world, "a", &[&format!("a on {machine}")]);
    let (world, _) = instances(world, "b", &[&format!("b on {machine}")]);
    instances(world, "says-nothing", &[]).0
}

fn on(id: &str, plugin: &str) -> GroupSpec {
    let mut spec = group(id, 1);
    let mut properties = spec.properties.to_value();
    properties["Instance"] = json!({"Plugin": plugin});
    spec.properties = properties.into();
    spec
}

async fn commit(world: &World, id: &str, plugin: &str) -> std::result::Result<(), String> {
    let groups = world.group("mystack/groups").await;
    groups.commit_group(&on(id, plugin), false).await.map(drop).map_err(|fault| fault.to_string())
}

/// The keys of all owners, and what they hold.
async fn owners(coordinator: &Arc<dyn Coordinator>) -> BTreeMap<String, String> {
    let prefix = Prefix::new("owners/").expect("prefix");
    let listing = coordinator.range(&Query::of(prefix)).await.expect("read");
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    listing.entries.iter().map(|e| (e.key.to_string(), text(&e.value))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_second_manager_is_refused_until_the_first_gives_the_group_up() {
    let coordinator = coordinator();
    let (one, two) = (manager(&coordinator, "one"), manager(&coordinator, "two"));
    commit(&one, "web", "a").await.expect("free");
    let fault = commit(&two, "web", "a").await.expect_err("owned");
    for text in ["group \"web\" in a on m", "manager \"one\" owns it", "another name", "free it"] {
        assert!(fault.contains(text), "{fault}");
    }
    let groups = two.group("mystack/groups").await;
    let fault = groups.commit_group(&on("web", "a"), true).await.expect_err("owned").to_string();
    assert!(fault.contains("manager \"one\" owns it"), "the plan says so too: {fault}");
    let specs = ["db", "web"].map(|id| spec("group", id, on(id, "a").properties.to_value()));
    two.stack().await.enforce(&specs).await.expect_err("owned");
    assert_eq!(two.stored().await, Vec::<String>::new(), "all of an enforce or none");
    assert_eq!(two.groups.with(|seen| seen.count("commit web")), 0);
    commit(&two, "web", "b").await.expect("another world");
    commit(&two, "db", "a").await.expect("another group");
    groups.destroy_group(&"web".into()).await.expect("destroyed");
    commit(&one, "web", "b").await.expect("given up by destruction");
    one.group("mystack/groups").await.free_group(&"web".into()).await.expect("freed");
    commit(&two, "web", "a").await.expect("given up by freeing");
    assert_eq!(owners(&coordinator).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_moves_owns_both_worlds_until_the_old_one_is_empty() {
    let coordinator = coordinator();
    let two = manager(&coordinator, "two");
    let one = manager(&coordinator, "one");
    let (one, old) = instances(one, "old", &["a on m"]);
    commit(&one, "web", "old").await.expect("free");
    let tags = Tags::from([("infrakit.group".to_owned(), "web".to_owned())]);
    let member = Description { id: "i".into(), tags, ..Description::default() };
    old.listed.lock().expect("lock").push(Arc::new(member));
    commit(&one, "web", "b").await.expect("ours");
    tokio::time::sleep(Duration::from_secs(300)).await;
    commit(&two, "web", "a").await.expect_err("something is left there");
    commit(&two, "web", "b").await.expect_err("it is there now");
    old.listed.lock().expect("lock").clear();
    tokio::time::sleep(Duration::from_secs(300)).await;
    commit(&two, "web", "b").await.expect_err("it is there still");
    commit(&two, "web", "a").await.expect("nothing is left there");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_stored_in_the_end_is_not_owned() {
    let coordinator = coordinator();
    let (one, two) = (manager(&coordinator, "one"), manager(&coordinator, "two"));
    one.groups.with(|seen| seen.reject_late.insert("web".into()));
    commit(&one, "web", "a").await.expect_err("rejected");
    commit(&two, "web", "a").await.expect("nobody's");
    // A change that is taken back leaves what was owned before.
    commit(&one, "db", "a").await.expect("free");
    one.groups.with(|seen| seen.reject_late.insert("db".into()));
    commit(&one, "db", "b").await.expect_err("rejected");
    commit(&two, "db", "b").await.expect("nobody's");
    commit(&two, "db", "a").await.expect_err("still owned");
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_says_nothing_is_known_by_its_name() {
    let coordinator = coordinator();
    let (one, two) = (manager(&coordinator, "one"), on_machine(&coordinator, "two", "n"));
    commit(&one, "web", "says-nothing").await.expect("free");
    let fault = commit(&two, "web", "says-nothing").await.expect_err("owned");
    assert!(fault.contains("in plugin says-nothing"), "{fault}");
    commit(&one, "db", "a").await.expect("free");
    commit(&two, "db", "a").await.expect("another machine");
}

#[tokio::test(start_paused = true)]
async fn the_next_leader_owns_what_its_own_plugins_show() {
    let coordinator = coordinator();
    let one = manager(&coordinator, "one");
    commit(&one, "web", "a").await.expect("free");
    one.leader.follow();
    let taken_over = on_machine(&coordinator, "one", "n");
    until("it is handed over", || taken_over.groups.ids() == ["web"]).await;
    let two = on_machine(&coordinator, "two", "n");
    commit(&two, "web", "a").await.expect_err("owned there");
    let here = manager(&coordinator, "three");
    commit(&here, "web", "a").await.expect_err("and here still");
    taken_over.group("mystack/groups").await.destroy_group(&"web".into()).await.expect("gone");
    assert_eq!(owners(&coordinator).await, BTreeMap::new());
}

#[tokio::test(start_paused = true)]
async fn what_another_took_meanwhile_is_not_brought_into_force() {
    let coordinator = coordinator();
    let one = manager(&coordinator, "one");
    commit(&one, "web", "a").await.expect("free");
    let elsewhere = on_machine(&coordinator, "two", "n");
    commit(&elsewhere, "web", "a").await.expect("another machine");
    one.leader.follow();
    let next = on_machine(&coordinator, "one", "n");
    let status = next.updatable("mystack/status").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(next.groups.ids(), Vec::<String>::new());
    let shown = status.get("").await.expect("read").expect("there").as_text().to_owned();
    assert!(shown.contains("manager \\\"two\\\" owns it"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_comes_late_is_noticed_soon() {
    let coordinator = coordinator();
    let one = manager(&coordinator, "one");
    commit(&one, "web", "a").await.expect("free");
    one.leader.follow();
    let next = World::new(MemoryLeader::leading(), store(&coordinator, "one"));
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(next.groups.ids(), Vec::<String>::new(), "where it is to be is not known");
    let (next, _) = instances(next, "a", &["a on n"]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(next.groups.ids(), ["web"]);
}

#[tokio::test(start_paused = true)]
async fn more_groups_than_a_transaction_holds_are_taken_and_given_up() {
    let coordinator = coordinator();
    let claims = |range: std::ops::Range<u32>| -> BTreeSet<Claim> {
        let claim = |n| Claim { group: format!("g{n}"), world: Place::new("a") };
        range.map(claim).collect()
    };
    let save = async |store: &CoordStore, on: &Version, text: &str, taken, given_up| {
        let claims = Claims { taken, given_up };
        let contents = Any::from(json!(text));
        store.save_owning(&Document::Specs, &contents, on, Fence::new(1), &claims).await
    };
    let (one, two) = (store(&coordinator, "one"), store(&coordinator, "two"));
    let none = BTreeSet::new();
    let first = save(&one, &Version::ABSENT, "1", claims(0..200), none.clone()).await;
    let first = first.expect("free");
    assert_eq!(owners(&coordinator).await.len(), 200);
    let fault = save(&two, &Version::ABSENT, "1", claims(199..300), none.clone()).await;
    assert!(matches!(fault, Err(StoreError::Owned { .. })), "{fault:?}");
    let second = save(&one, &first, "2", claims(190..210), claims(0..190)).await;
    let second = second.expect("ours in part");
    assert_eq!(owners(&coordinator).await.len(), 20);
    save(&two, &Version::ABSENT, "1", claims(0..190), none.clone()).await.expect("free");
    save(&one, &second, "3", none, claims(0..210)).await.expect("another's are left alone");
    assert_eq!(owners(&coordinator).await.len(), 190);
}

#[tokio::test(start_paused = true)]
async fn an_owner_reads_as_it_was_stored() {
    let coordinator = coordinator();
    commit(&manager(&coordinator, "one"), "us/web", "a").await.expect("free");
    let sample = BTreeMap::from([(
        "owners/ab6fd911bfefdbf39b9214ec0a2437aa/us%2Fweb".to_owned(),
        r#"{"Format":1,"Manager":"one","World":"a on m"}"#.to_owned(),
    )]);
    assert_eq!(owners(&coordinator).await, sample);
    let stored = store(&coordinator, "one").load(&Document::Specs).await.expect("read");
    let text = stored.contents.expect("there").as_text().to_owned();
    assert!(text.contains(r#""Worlds":{"a on m":"a"}"#), "{text}");
    let key = sample.into_keys().next().expect("one");
    let newer = r#"{"Format":2,"Manager":"one","World":"a on m"}"#;
    let txn = Txn::new().put(Key::new(key).expect("key"), newer);
    coordinator.transact(&txn).await.expect("put");
    let fault = commit(&manager(&coordinator, "two"), "us/web", "a").await.expect_err("newer");
    assert!(fault.contains("format 2 is not 1"), "{fault}");
}

/// A change that one of the managers makes.
async fn act(world: &World, draw: u8) {
    let id = ["web", "db"][usize::from(draw % 2)];
    let groups = world.group("mystack/groups").await;
    // Refusals are a part of it.
    let _ = match draw / 2 % 4 {
        0 => commit(world, id, "a").await,
        1 => commit(world, id, "b").await,
        2 => groups.destroy_group(&id.into()).await.map_err(|fault| fault.to_string()),
        _ => groups.free_group(&id.into()).await.map_err(|fault| fault.to_string()),
    };
}

/// What the document of a manager says it owns.
async fn owned(coordinator: &Arc<dyn Coordinator>, name: &str) -> BTreeSet<(String, Place)> {
    let stored = store(coordinator, name).load(&Document::Specs).await.expect("read");
    let catalog = Catalog::read(stored.contents.as_ref()).expect("specs");
    let claims = |(key, record): (&regrow_manager::Key, &regrow_manager::Record)| {
        let name = key.name.clone();
        record.worlds.keys().map(move |world| (name.clone(), world.clone())).collect::<Vec<_>>()
    };
    catalog.iter().flat_map(claims).collect()
}

#[tokio::test(start_paused = true)]
async fn whatever_two_managers_do_at_once_nothing_has_two_owners() {
    let mut fights = 0;
    let factor = std::env::var("REGROW_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    for seed in 0..SEQUENCES * factor {
        let mut rng = StdRng::seed_from_u64(seed);
        let faulty = Faulty::new(coordinator());
        faulty.delay(seed);
        let coordinator: Arc<dyn Coordinator> = Arc::new(faulty);
        let (one, two) = (manager(&coordinator, "one"), manager(&coordinator, "two"));
        for _ in 0..PAIRS {
            let (first, second) = (rng.random(), rng.random());
            tokio::join!(act(&one, first), act(&two, second));
            let (a, b) = (owned(&coordinator, "one").await, owned(&coordinator, "two").await);
            let both: Vec<_> = a.intersection(&b).collect();
            assert!(both.is_empty(), "seed {seed}: two own {both:?}");
            let keys = owners(&coordinator).await.len();
            assert_eq!(keys, a.len() + b.len(), "seed {seed}: {a:?} {b:?}");
            fights += usize::from(first % 8 == second % 8 && first % 8 < 4);
        }
    }
    assert!(fights > 20, "only {fights} times both wanted the same");
}
