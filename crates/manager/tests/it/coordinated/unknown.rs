//! Saves whose outcome is not known, because a partition began while they were under way.

use std::sync::Arc;
use std::time::Duration;

use regrow_codec::Any;
use regrow_ids::Fence;
use regrow_manager::leader::MemoryLeader;
use regrow_manager::store::{CoordStore, Document, SpecStore, StoreError, Version};
use serde_json::json;

use super::faults::Faulty;
use super::memory;
use crate::fakes::{World, group, until};
use crate::vars::{set, settled, stored};

/// So many calls that only healing ends the partition.
const FOR_GOOD: u32 = u32::MAX;
/// The attempts after the first: the partition is over before the next call.
const SHORT: u32 = 2;

struct Scene {
    faulty: Arc<Faulty>,
    world: World,
    store: Arc<dyn SpecStore>,
}

/// A manager whose specs are on a coordinator, and the store of another replica.
fn scene() -> Scene {
    let coordinator = memory();
    let store =
        |on| -> Arc<dyn SpecStore> { Arc::new(CoordStore::new(on, "m", None).expect("store")) };
    let faulty = Arc::new(Faulty::new(Arc::clone(&coordinator)));
    let world = World::new(MemoryLeader::leading(), store(faulty.clone()));
    Scene { faulty, world, store: store(coordinator) }
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_an_unknown_outcome_is_not_said_to_have_changed_nothing() {
    for executed in [true, false] {
        let coordinator = memory();
        let faulty = Arc::new(Faulty::new(Arc::clone(&coordinator)));
        let store = CoordStore::new(faulty.clone(), "m", None).expect("store");
        let save = async |text: &str, on: &Version| {
            let fence = Fence::default();
            store.save(&Document::Specs, &Any::from(json!(text)), on, fence).await
        };
        faulty.lose_answer(executed, FOR_GOOD);
        let fault = save("a", &Version::ABSENT).await.expect_err("no answer");
        assert!(matches!(fault, StoreError::Unknown { .. }), "{fault}");
        // Where nothing was sent nothing changed.
        let fault = save("b", &Version::ABSENT).await.expect_err("away");
        assert!(matches!(fault, StoreError::Outside { .. }), "{fault}");
        faulty.heal();
        let stored = store.load(&Document::Specs).await.expect("load");
        assert_eq!(stored.contents.is_some(), executed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_with_an_unknown_outcome_is_in_force_if_it_is_stored() {
    for executed in [true, false] {
        let Scene { faulty, world, .. } = scene();
        let groups = world.group("mystack/groups").await;
        groups.commit_group(&group("q", 1), false).await.expect("commit");
        faulty.lose_answer(executed, FOR_GOOD);
        let fault = groups.commit_group(&group("q", 2), false).await.expect_err("unknown");
        assert!(fault.to_string().contains("whether it is saved is not known"), "{fault}");
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(groups.size(&"q".into()).await, Ok(1), "nobody acts on what may not be stored");
        faulty.heal();
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(groups.size(&"q".into()).await, Ok(if executed { 2 } else { 1 }));
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_mark_destroys_nothing_and_is_taken_away() {
    for executed in [true, false] {
        let Scene { faulty, world, store } = scene();
        let groups = world.group("mystack/groups").await;
        groups.commit_group(&group("q", 1), false).await.expect("commit");
        faulty.lose_answer(executed, SHORT);
        let fault = groups.destroy_group(&"q".into()).await.expect_err("unknown").to_string();
        assert!(fault.contains("whether it is saved is not known"), "{fault}");
        assert_eq!(world.groups.with(|seen| seen.count("destroy q")), 0);
        let next = World::new(MemoryLeader::leading(), store);
        until("the next leader looks after it", || next.groups.ids() == ["q"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_mark_that_cannot_be_taken_away_is_told() {
    let Scene { faulty, world, store } = scene();
    let groups = world.group("mystack/groups").await;
    groups.commit_group(&group("q", 1), false).await.expect("commit");
    for free in [true, false] {
        faulty.lose_answer(true, FOR_GOOD);
        let id = "q".into();
        let ended =
            if free { groups.free_group(&id).await } else { groups.destroy_group(&id).await };
        let fault = ended.expect_err("unknown").to_string();
        for text in ["nothing was destroyed or freed", "commit it again, it is not looked after"] {
            assert!(fault.contains(text), "{fault}");
        }
        assert_eq!(world.groups.ids(), ["q"]);
        faulty.heal();
        // As the text says.
        groups.commit_group(&group("q", 1), false).await.expect("commit");
    }
    let next = World::new(MemoryLeader::leading(), store);
    until("the next leader looks after it", || next.groups.ids() == ["q"]).await;
}

#[tokio::test(start_paused = true)]
async fn values_whose_save_is_unknown_are_those_that_are_stored() {
    for executed in [true, false] {
        let Scene { faulty, world, store } = scene();
        settled(&world).await;
        set(&world, "size", json!(1)).await.expect("commit");
        faulty.lose_answer(executed, SHORT);
        let fault = set(&world, "size", json!(2)).await.expect_err("unknown").to_string();
        assert!(fault.contains("whether it is saved is not known"), "{fault}");
        let size = json!(if executed { 2 } else { 1 });
        assert_eq!(world.vars.tree().root()["size"], size);
        assert_eq!(stored(&*store).await["size"], size);
        set(&world, "size", json!(3)).await.expect("goes on from there");
        assert_eq!(stored(&*store).await["size"], json!(3));
    }
}
