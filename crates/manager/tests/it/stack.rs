//! The stack as a whole: all specs or none.

use regrow_manager::leader::{LeaderSource, parse_location};
use regrow_plugin::spi::Spec;
use serde_json::json;

use crate::fakes::{World, spec};

fn group_spec(name: &str, size: u32) -> Spec {
    spec("group", name, json!({"Allocation": {"Size": size}}))
}

#[tokio::test]
async fn all_specs_are_enforced_in_one_write() {
    let world = World::leading();
    let specs =
        [group_spec("a", 1), group_spec("mystack/b", 2), spec("nfs", "mystack/v", json!({}))];
    let stack = world.stack().await;
    stack.enforce(&specs).await.expect("enforce");
    assert_eq!(world.stored().await, ["a", "b", "mystack/v"]);
    assert_eq!(world.groups.ids(), ["a", "b"]);
    assert_eq!(world.nfs.names(), ["mystack/v"]);
    // And again: nothing new.
    stack.enforce(&specs).await.expect("enforce");
    let objects = stack.inspect().await.expect("inspect");
    let states: Vec<_> = objects.iter().map(|object| object.state.to_value()).collect();
    assert_eq!(states[1]["Instances"].as_array().map(Vec::len), Some(2));
    assert_eq!(states[2], json!({"ok": true}));
    stack.terminate(&specs).await.expect("terminate");
    assert_eq!(world.stored().await, Vec::<String>::new());
    assert_eq!((world.groups.ids().len(), world.nfs.names().len()), (0, 0));
}

#[tokio::test]
async fn one_bad_spec_stops_all_and_every_bad_one_is_named() {
    let world = World::leading();
    world.groups.with(|seen| seen.reject.extend(["b".to_owned(), "c".to_owned()]));
    let stack = world.stack().await;
    let specs = [
        group_spec("a", 1),
        group_spec("b", 1),
        group_spec("c", 1),
        spec("unheard-of", "x", json!({})),
    ];
    let fault = stack.enforce(&specs).await.expect_err("refused").to_string();
    assert_eq!(
        fault,
        "enforce: 3 of 4 specs failed, nothing is stored or changed:\n\
         group \"b\": no plugin for flavor of b\n\
         group \"c\": no plugin for flavor of c\n\
         unheard-of \"x\": plugin not found:unheard-of"
    );
    let malformed = [spec("", "x", json!({})), group_spec("", 1), group_spec("a", 1)];
    let twice = [&malformed[..], &[group_spec("mystack/a", 2)]].concat();
    let fault = stack.enforce(&twice).await.expect_err("refused").to_string();
    for text in ["3 of 4", "it has no kind", "no group name", "stands twice"] {
        assert!(fault.contains(text), "{fault}");
    }
    assert_eq!((world.stored().await.len(), world.groups.ids().len()), (0, 0));
}

#[tokio::test]
async fn what_is_refused_late_is_taken_out_again() {
    let world = World::leading();
    let stack = world.stack().await;
    stack.enforce(&[group_spec("old", 1)]).await.expect("enforce");
    world.groups.with(|seen| seen.reject_late.extend(["new".to_owned(), "old".to_owned()]));
    let specs = [group_spec("a", 1), group_spec("new", 1), group_spec("old", 9)];
    let fault = stack.enforce(&specs).await.expect_err("refused").to_string();
    assert!(fault.contains("2 of 3 specs failed, the others are in force"), "{fault}");
    assert_eq!(world.stored().await, ["a", "old"]);
    let stored = stack.specs().await.expect("specs");
    assert_eq!(stored[1].properties.to_value()["Allocation"]["Size"], 1);
}

#[tokio::test]
async fn terminate_names_what_it_could_not_destroy() {
    let world = World::leading();
    let stack = world.stack().await;
    stack.enforce(&[group_spec("a", 1)]).await.expect("enforce");
    let specs = [group_spec("a", 1), group_spec("nobody", 1)];
    let fault = stack.terminate(&specs).await.expect_err("one is unknown").to_string();
    assert!(fault.contains("1 of 2 specs failed") && fault.contains("\"nobody\""), "{fault}");
    assert_eq!(world.stored().await.len(), 0);
}

#[tokio::test]
async fn leadership_can_be_asked() {
    let world = World::leading();
    let stack = world.stack().await;
    assert_eq!(stack.is_leader().await, Ok(true));
    assert_eq!(stack.leader_location().await, Ok(None));
    let location = parse_location("http://localhost:24999", "test").expect("location");
    world.leader.set_location(&location).await.expect("set");
    assert_eq!(stack.leader_location().await, Ok(Some(location)));
    world.leader.follow();
    assert_eq!(stack.is_leader().await, Ok(false));
    world.leader.lose_sight("the file is gone");
    let fault = stack.is_leader().await.expect_err("unknown");
    assert_eq!(fault.to_string(), "cannot determine leader");
}

#[tokio::test]
async fn the_status_tree_shows_leader_configs_and_trouble() {
    let world = World::leading();
    world.stack().await.enforce(&[group_spec("a", 1)]).await.expect("enforce");
    let status = world.updatable("mystack/status").await;
    let get = |path: &'static str| {
        let status = std::sync::Arc::clone(&status);
        async move { status.get(path).await.expect(path).map(|any| any.to_value()) }
    };
    assert_eq!(get("leader").await, Some(json!(true)));
    assert_eq!(get("configs[0]/Key").await, Some(json!({"Kind": "group", "Name": "a"})));
    assert_eq!(get("leadership/fence").await, Some(json!(1)));
    let keys = status.keys("").await.expect("keys");
    assert_eq!(keys, ["configs", "failing", "leader", "leadership"]);
    world.leader.lose_sight("the file is gone");
    assert_eq!(get("leader").await, Some(json!(false)));
    assert_eq!(get("leadership/why").await, Some(json!("the file is gone")));
    assert_eq!(status.changes(&[]).await.expect_err("readonly").to_string(), "readonly");
}
