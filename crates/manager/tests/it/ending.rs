//! Specs whose end is under way, or was never seen.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use regrow_manager::leader::MemoryLeader;
use serde_json::json;

use crate::fakes::{World, group, spec, until};
use crate::saves::failing;

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_destroyed_group_does_not_come_back_when_the_answer_is_lost() {
    let world = World::leading();
    let groups = world.group("mystack/groups").await;
    groups.commit_group(&group("q", 1), false).await.expect("commit");
    world.groups.with(|seen| seen.hang_destroy.insert("q".into()));
    let fault = groups.destroy_group(&"q".into()).await.expect_err("no answer").to_string();
    assert!(fault.contains("no answer"), "{fault}");
    // The plugin has done it all the same.
    world.groups.watched.lock().expect("lock").clear();
    world.groups.with(|seen| seen.hang_destroy.clear());
    let commits = world.groups.with(|seen| seen.count("commit q"));
    tokio::time::sleep(LONG).await;
    assert_eq!(world.groups.with(|seen| seen.count("commit q")), commits);
    assert_eq!(world.stored().await, ["q"], "the user sees it");
    // Nor does another leader bring it back.
    let next = World::new(MemoryLeader::leading(), Arc::clone(&world.store));
    tokio::time::sleep(LONG).await;
    assert_eq!(next.groups.with(|seen| seen.count("commit q")), 0);
    // Destroying it again says what can be done; committing it is to want it again.
    let fault = groups.destroy_group(&"q".into()).await.expect_err("not watched").to_string();
    assert!(fault.contains("free it to forget it, or commit it again"), "{fault}");
    groups.commit_group(&group("q", 1), false).await.expect("commit");
    world.groups.watched.lock().expect("lock").clear();
    until("it is looked after again", || world.groups.ids() == ["q"]).await;
    groups.destroy_group(&"q".into()).await.expect("destroy");
    assert_eq!(world.stored().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_destruction_is_refused_lives_on() {
    let world = World::leading();
    let groups = world.group("mystack/groups").await;
    groups.commit_group(&group("q", 1), false).await.expect("commit");
    world.groups.watched.lock().expect("lock").clear();
    groups.destroy_group(&"q".into()).await.expect_err("not watched");
    until("it is watched again", || world.groups.ids() == ["q"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_half_destroyed_group_can_be_freed() {
    let world = World::leading();
    let groups = world.group("mystack/groups").await;
    groups.commit_group(&group("q", 1), false).await.expect("commit");
    world.groups.with(|seen| seen.hang_destroy.insert("q".into()));
    groups.destroy_group(&"q".into()).await.expect_err("no answer");
    world.groups.watched.lock().expect("lock").clear();
    groups.free_group(&"q".into()).await.expect("free");
    assert_eq!(world.stored().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_group_that_cannot_be_forgotten_does_not_come_back() {
    for destroys in [true, false] {
        let store = failing(i64::MAX, false);
        let world = World::new(MemoryLeader::leading(), store.clone());
        let groups = world.group("mystack/groups").await;
        groups.commit_group(&group("q", 1), false).await.expect("commit");
        // The mark that it is ending is saved, and nothing after it.
        store.good.store(1, Ordering::Relaxed);
        let ended = if destroys {
            groups.destroy_group(&"q".into()).await
        } else {
            groups.free_group(&"q".into()).await
        };
        let fault = ended.expect_err("cannot store").to_string();
        assert!(fault.contains("disk full") && fault.contains("free it again"), "{fault}");
        tokio::time::sleep(LONG).await;
        assert_eq!(world.groups.ids(), Vec::<String>::new());
        store.good.store(i64::MAX, Ordering::Relaxed);
        groups.free_group(&"q".into()).await.expect("free again");
        assert_eq!(world.stored().await, Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn freeing_the_objects_of_a_controller_waits_for_commits_of_them() {
    let world = World::leading();
    let nfs = world.controller("mystack/nfs").await;
    let enforce = regrow_plugin::spi::Operation::Enforce;
    nfs.commit(enforce, &spec("nfs", "v", json!({}))).await.expect("commit");
    world.nfs.behaviour.lock().expect("lock").delay = Duration::from_secs(5);
    let again = spec("nfs", "v", json!({"again": true}));
    let committing = {
        let nfs = Arc::clone(&nfs);
        tokio::spawn(async move { nfs.commit(enforce, &again).await })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    nfs.free(None).await.expect("free");
    committing.await.expect("task").expect("commit");
    assert_eq!((world.nfs.names(), world.stored().await), (Vec::new(), Vec::new()));
}
