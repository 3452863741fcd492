//! A group controller went back to the members of before: the next leader does not try again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::channel::mpsc;
use regrow_manager::leader::MemoryLeader;
use regrow_manager::store::MemoryStore;
use regrow_plugin::spi::{Event, EventStream, Events, Group, GroupSpec, Result};
use regrow_plugin::{FixedObjects, Plugin};
use serde_json::{Value, json};

use crate::fakes::{FakeGroups, World, until};

/// Somebody who publishes what the test says, to the last who asked.
#[derive(Default)]
struct Publisher(Mutex<Option<mpsc::UnboundedSender<Arc<Event>>>>);

impl Publisher {
    fn warn(&self) {
        let event = Event { kind: "warning".to_owned(), ..Event::default() };
        let sender = self.0.lock().expect("lock");
        sender.as_ref().expect("a reader").unbounded_send(Arc::new(event)).expect("sent");
    }

    fn has_reader(&self) -> bool {
        self.0.lock().expect("lock").is_some()
    }
}

#[async_trait]
impl Events for Publisher {
    async fn list(&self, _: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn subscribe(&self, topic: &str) -> Result<EventStream> {
        assert_eq!(topic, "groups/");
        let (sender, receiver) = mpsc::unbounded();
        *self.0.lock().expect("lock") = Some(sender);
        Ok(Box::pin(receiver))
    }
}

fn version(number: u32) -> GroupSpec {
    let properties = json!({
        "Instance": {"Plugin": "file", "Properties": {"v": number}},
        "Flavor": {"Plugin": "vanilla"},
        "Allocation": {"Size": 3},
    });
    GroupSpec { id: "q".into(), properties: properties.into() }
}

/// What a group controller shows after it took version 2 back.
fn back_to_one() -> GroupSpec {
    let mut spec = version(1);
    let mut properties = spec.properties.to_value();
    let tried = version(2).properties.to_value();
    properties["RolledBack"] =
        json!({"Instance": tried["Instance"], "Flavor": tried["Flavor"], "Failures": 3});
    spec.properties = properties.into();
    spec
}

async fn commit(world: &World, spec: &GroupSpec) -> Result<String> {
    world.group("mystack/groups").await.commit_group(spec, false).await
}

fn show(groups: &FakeGroups, spec: GroupSpec) {
    groups.watched.lock().expect("lock").insert(spec.id.clone(), spec);
}

fn in_force(groups: &FakeGroups) -> Option<Value> {
    groups.watched.lock().expect("lock").get("q").map(|spec| spec.properties.to_value())
}

async fn stored(world: &World) -> Value {
    let specs = world.stack().await.specs().await.expect("specs");
    specs[0].properties.to_value()
}

async fn until_stored(world: &World, wanted: &Value) {
    let wait = async {
        while stored(world).await != *wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(600), wait).await.expect("stored in time");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_outlives_the_term_in_which_it_happened() {
    let world = World::leading();
    let publisher = Arc::new(Publisher::default());
    let (groups, events) = (Arc::new(world.groups.clone()), Arc::clone(&publisher));
    let plugin = Plugin::new("group-stateless")
        .with_groups(FixedObjects::single(groups as Arc<dyn Group>))
        .with_events(FixedObjects::single(events as Arc<dyn Events>));
    world.registry.add(plugin);
    until("the manager listens", || publisher.has_reader()).await;
    commit(&world, &version(1)).await.expect("commit");
    commit(&world, &version(2)).await.expect("commit");
    show(&world.groups, back_to_one());
    publisher.warn();
    let begin = tokio::time::Instant::now();
    until_stored(&world, &back_to_one().properties.to_value()).await;
    assert!(begin.elapsed() < Duration::from_secs(5), "the event makes it quick");
    world.leader.follow();
    until("it is let go", || world.groups.ids().is_empty()).await;
    world.leader.lead();
    until("it is taken over", || !world.groups.ids().is_empty()).await;
    assert_eq!(in_force(&world.groups), Some(back_to_one().properties.to_value()));
    // The user wants it all the same: it is a commit like any other.
    commit(&world, &version(2)).await.expect("commit");
    assert_eq!(stored(&world).await, version(2).properties.to_value());
    assert_eq!(in_force(&world.groups), Some(version(2).properties.to_value()));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_is_found_by_looking_too() {
    let world = World::leading();
    commit(&world, &version(2)).await.expect("commit");
    show(&world.groups, back_to_one());
    until_stored(&world, &back_to_one().properties.to_value()).await;
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_comes_back_looks_before_it_hands_over() {
    let store = Arc::new(MemoryStore::default());
    let world = World::new(MemoryLeader::leading(), store.clone());
    commit(&world, &version(2)).await.expect("commit");
    let World { groups, manager, .. } = world;
    manager.stop().await;
    show(&groups, back_to_one());
    let world = World::with_groups(MemoryLeader::leading(), store, groups);
    let begun = world.groups.with(|seen| seen.calls.len());
    until("it is handed over", || world.groups.with(|seen| seen.calls.len()) > begun).await;
    assert_eq!(in_force(&world.groups), Some(back_to_one().properties.to_value()));
    assert_eq!(stored(&world).await, back_to_one().properties.to_value());
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_newer_than_the_rollback_stays() {
    let world = World::leading();
    commit(&world, &version(2)).await.expect("commit");
    world.groups.with(|seen| seen.hang.insert("q".into()));
    // Nobody knows what became of this one: it is stored, and the plugin shows the one before.
    commit(&world, &version(3)).await.expect_err("no answer");
    show(&world.groups, back_to_one());
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(stored(&world).await, version(3).properties.to_value());
}
