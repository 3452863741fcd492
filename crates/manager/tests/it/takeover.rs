//! Beginning to lead, and ceasing to.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use proptest::prelude::*;
use regrow_codec::Any;
use regrow_ids::Fence;
use regrow_manager::leader::MemoryLeader;
use regrow_manager::store::{Document, MemoryStore, SpecStore, StoreError, Stored, Version};
use regrow_manager::{Catalog, Key, Record};
use serde_json::json;

use crate::fakes::{FakeGroups, World, group, spec, until};

/// A store in which these groups were committed by somebody else.
async fn stored_groups(ids: &[String]) -> Arc<MemoryStore> {
    let mut catalog = Catalog::default();
    for id in ids {
        let spec = spec("group", id, json!({"Allocation": {"Size": 1}}));
        catalog.put(
            Key::group(id),
            Record { handler: "group-stateless".into(), spec, ..Record::default() },
        );
    }
    stored(&catalog).await
}

async fn stored(catalog: &Catalog) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::default());
    let document = catalog.to_document();
    let saved = store.save(&Document::Specs, &document, &Version::ABSENT, Fence::new(0)).await;
    saved.expect("save");
    store
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("g{number:04}")).collect()
}

/// Lines of the log of this thread.
fn log() -> (Arc<Mutex<Vec<u8>>>, tracing::subscriber::DefaultGuard) {
    #[derive(Clone)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Sink(Arc::clone(&lines));
    let subscriber =
        tracing_subscriber::fmt().with_writer(move || sink.clone()).with_ansi(false).finish();
    (lines, tracing::subscriber::set_default(subscriber))
}

#[tokio::test]
async fn a_thousand_groups_are_taken_over_without_a_stall() {
    let ids = names(1000);
    let leader = MemoryLeader::default();
    let world = World::new(leader.clone(), stored_groups(&ids).await);
    world.groups.with(|seen| seen.delay = Duration::from_millis(1));
    let start = Instant::now();
    leader.lead();
    until("all groups are watched", || world.groups.ids().len() == 1000).await;
    let took = start.elapsed();
    println!("1,000 stored groups taken over in {took:?}");
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert!(world.groups.with(|seen| seen.most_under_way) <= 16);
    assert_eq!(world.groups.with(|seen| seen.calls.len()), 1000, "each is committed once");
    let start = Instant::now();
    leader.follow();
    until("all groups are freed", || world.groups.ids().is_empty()).await;
    println!("and let go in {:?}", start.elapsed());
    assert_eq!(world.stored().await.len(), 1000, "letting go forgets nothing");
}

#[tokio::test(start_paused = true)]
async fn a_user_is_served_while_a_thousand_groups_are_taken_over() {
    let world = World::new(MemoryLeader::default(), stored_groups(&names(1000)).await);
    world.groups.with(|seen| seen.delay = Duration::from_millis(500));
    world.leader.lead();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let start = tokio::time::Instant::now();
    let groups = world.group("mystack/groups").await;
    groups.commit_group(&group("mine", 1), false).await.expect("commit");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(world.groups.ids().len() < 500, "the takeover is still going on");
    until("all are watched", || world.groups.ids().len() == 1001).await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_stored_spec_neither_spins_nor_floods_nor_blocks() {
    let (log, _guard) = log();
    let mut ids = names(50);
    ids.push("bad".into());
    let groups = FakeGroups::default();
    groups.with(|seen| seen.reject.insert("bad".into()));
    let store = stored_groups(&ids).await;
    let world = World::with_groups(MemoryLeader::leading(), store, groups);
    until("the others are watched", || world.groups.ids().len() == 50).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let attempts = world.groups.with(|seen| seen.count("commit bad"));
    println!("{attempts} attempts in an hour");
    assert!((12..60).contains(&attempts), "{attempts} attempts in an hour");
    let text = String::from_utf8(log.lock().expect("lock").clone()).expect("text");
    let lines = text.lines().filter(|line| line.contains("bad")).count();
    assert_eq!(lines, 1, "one line in an hour: {text}");
    let status = world.updatable("mystack/status").await;
    let failing = status.get("failing").await.expect("status").expect("failing").to_value();
    assert_eq!(failing["group bad"]["Error"], "no plugin for flavor of bad");
    // The user repairs it, and nothing is left of the trouble.
    world.groups.with(|seen| seen.reject.clear());
    let groups = world.group("mystack/groups").await;
    groups.commit_group(&group("bad", 1), false).await.expect("commit");
    assert_eq!(status.keys("failing").await, Ok(Vec::new()));
    let attempts = world.groups.with(|seen| seen.count("commit bad"));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(world.groups.with(|seen| seen.count("commit bad")), attempts);
}

#[tokio::test(start_paused = true)]
async fn a_bad_stored_spec_can_be_freed_and_is_gone() {
    let groups = FakeGroups::default();
    groups.with(|seen| seen.reject.insert("bad".into()));
    let store = stored_groups(&["bad".into()]).await;
    let world = World::with_groups(MemoryLeader::leading(), store, groups);
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.group("mystack/bad").await.free_group(&"bad".into()).await.expect("free");
    assert_eq!(world.stored().await, Vec::<String>::new());
    let attempts = world.groups.with(|seen| seen.count("commit bad"));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(world.groups.with(|seen| seen.count("commit bad")), attempts);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_holds_up_its_own_specs_only() {
    let mut ids = names(20);
    ids.extend((0..40).map(|number| format!("hang{number}")));
    let groups = FakeGroups::default();
    groups.with(|seen| seen.hang.extend((0..40).map(|number| format!("hang{number}"))));
    let mut catalog = Catalog::default();
    for id in &ids {
        let spec = spec("group", id, json!({"Allocation": {"Size": 1}}));
        catalog.put(
            Key::group(id),
            Record { handler: "group-stateless".into(), spec, ..Record::default() },
        );
    }
    let volume = spec("nfs", "v", json!({}));
    let key = Key { kind: "nfs".into(), name: "v".into() };
    catalog.put(key, Record { handler: "nfs".into(), spec: volume, ..Record::default() });
    let world = World::with_groups(MemoryLeader::leading(), stored(&catalog).await, groups);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.nfs.names(), ["v"], "another handler does not wait");
    until("the good groups are watched", || world.groups.ids().len() == 20).await;
}

#[tokio::test(start_paused = true)]
async fn a_group_plugin_that_was_restarted_gets_its_groups_again() {
    let world = World::new(MemoryLeader::leading(), stored_groups(&names(3)).await);
    until("the groups are watched", || world.groups.ids().len() == 3).await;
    world.groups.watched.lock().expect("lock").clear();
    until("the groups are watched again", || world.groups.ids().len() == 3).await;
}

#[tokio::test(start_paused = true)]
async fn losing_the_leadership_stops_everything_at_once() {
    let groups = FakeGroups::default();
    groups.with(|seen| {
        seen.delay = Duration::from_millis(100);
        seen.reject.extend(names(10));
    });
    let leader = MemoryLeader::leading();
    let world = World::with_groups(leader.clone(), stored_groups(&names(500)).await, groups);
    tokio::time::sleep(Duration::from_millis(950)).await;
    leader.lose_sight("the leader file is gone");
    let commits = |world: &World| {
        world.groups.with(|seen| seen.calls.iter().filter(|c| c.starts_with("commit")).count())
    };
    let made = commits(&world);
    assert!((16..500).contains(&made), "{made}");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(commits(&world), made, "no further attempt");
    assert_eq!(world.groups.ids(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_follower_goes_on_looking_for_groups_that_are_left_over() {
    let world = World::new(MemoryLeader::default(), stored_groups(&names(1)).await);
    tokio::time::sleep(Duration::from_secs(600)).await;
    for _ in 0..2 {
        // Late commits of a term that is over, or a plugin that comes with what it has kept.
        world.groups.watched.lock().expect("lock").insert("late".into(), group("late", 1));
        until("it is freed", || world.groups.ids().is_empty()).await;
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
}

/// A store that takes its time: leadership may change between any two steps of a change.
struct Slow(Arc<MemoryStore>);

#[async_trait]
impl SpecStore for Slow {
    fn place(&self, document: &Document) -> String {
        self.0.place(document)
    }

    async fn load(&self, document: &Document) -> Result<Stored, StoreError> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.0.load(document).await
    }

    async fn save(
        &self,
        document: &Document,
        contents: &Any,
        expected: &Version,
        fence: Fence,
    ) -> Result<Version, StoreError> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let saved = self.0.save(document, contents, expected, fence).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        saved
    }
}

/// Some of the names that users touch were stored before.
fn touched(number: u8) -> String {
    if number < 3 { format!("g{number:04}") } else { format!("u{number}") }
}

#[derive(Clone, Copy, Debug)]
enum Turn {
    Lead,
    Follow,
    Lose,
    Commit(u8),
    Free(u8),
    Destroy(u8),
    Wait(u16),
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        3 => Just(Turn::Lead),
        2 => Just(Turn::Follow),
        1 => Just(Turn::Lose),
        3 => (0u8..6).prop_map(Turn::Commit),
        1 => (0u8..6).prop_map(Turn::Free),
        1 => (0u8..6).prop_map(Turn::Destroy),
        4 => (0u16..80).prop_map(Turn::Wait),
    ];
    proptest::collection::vec(turn, 1..40)
}

/// Plays the turns without waiting for the calls; returns what the plugin saw and watches, and what
/// is stored, once everything is quiet.
async fn play(
    turns: Vec<Turn>,
    ends_leading: bool,
) -> (Vec<String>, BTreeSet<String>, BTreeSet<String>) {
    let leader = MemoryLeader::default();
    let world =
        Arc::new(World::new(leader.clone(), Arc::new(Slow(stored_groups(&names(8)).await))));
    world.groups.with(|seen| seen.delay = Duration::from_millis(30));
    let mut calls = tokio::task::JoinSet::new();
    for turn in turns {
        let world = Arc::clone(&world);
        match turn {
            Turn::Lead => {
                leader.lead();
            }
            Turn::Follow => leader.follow(),
            Turn::Lose => leader.lose_sight("test"),
            Turn::Wait(millis) => tokio::time::sleep(Duration::from_millis(millis.into())).await,
            Turn::Commit(id) => drop(calls.spawn(async move {
                let groups = world.group("mystack/groups").await;
                let document = group(&touched(id), 1);
                groups.commit_group(&document, false).await.map(drop)
            })),
            Turn::Free(id) => drop(calls.spawn(async move {
                let groups = world.group("mystack/groups").await;
                groups.free_group(&touched(id).into()).await
            })),
            Turn::Destroy(id) => drop(calls.spawn(async move {
                let groups = world.group("mystack/groups").await;
                groups.destroy_group(&touched(id).into()).await
            })),
        }
    }
    if ends_leading {
        leader.lead();
    } else {
        leader.follow();
    }
    while calls.join_next().await.is_some() {}
    tokio::time::sleep(Duration::from_secs(600)).await;
    let violations = world.groups.with(|seen| seen.violations.clone());
    // What was being destroyed when the leadership moved is listed and left alone.
    let document = world.store.load(&Document::Specs).await.expect("load").contents;
    let catalog = Catalog::read(document.as_ref()).expect("catalog");
    let stays = catalog.keys().filter(|key| !catalog.is_ending(key));
    let stored = stays.map(|key| key.name.clone()).collect();
    (violations, world.groups.ids().into_iter().collect(), stored)
}

/// Plays the turns in a time of their own and looks at what came of them.
fn check_flapping(turns: Vec<Turn>, ends_leading: bool) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("runtime");
    let (violations, watched, stored) = runtime.block_on(play(turns, ends_leading));
    prop_assert!(violations.is_empty(), "acted without leading: {violations:?}");
    if ends_leading {
        prop_assert_eq!(watched, stored);
    } else {
        prop_assert!(watched.is_empty(), "still watched: {watched:?}");
    }
    Ok(())
}

/// The term ends between the mark that the group is ending and the call that would free it; the
/// replica leads again before it has let go of the group.
#[test]
fn a_group_whose_end_was_begun_is_watched_by_nobody_after_a_flap() {
    use Turn::{Commit, Follow, Free, Lead, Wait};
    let turns =
        [Lead, Wait(50), Commit(0), Free(2), Commit(1), Free(2), Wait(21), Follow, Wait(40)];
    check_flapping(turns.to_vec(), true).expect("left alone");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// However the leadership flaps and whatever users do meanwhile: nothing is changed while this
    /// replica does not lead, and in the end the plugin watches what is stored, or nothing.
    #[test]
    fn flapping_leadership(turns in turns(), ends_leading in any::<bool>()) {
        check_flapping(turns, ends_leading)?;
    }
}
