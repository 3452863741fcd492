//! Groups and controllers through the manager: what is stored, what is refused, what is shown.

use std::sync::Arc;

use regrow_manager::leader::MemoryLeader;
use regrow_manager::store::{FileStore, MemoryStore};
use regrow_plugin::spi::{Interface, ObjectMeta, Operation};
use serde_json::json;

use crate::fakes::{World, group, spec, until};

#[tokio::test]
async fn a_new_manager_offers_what_plugin_ls_of_the_original_shows() {
    let mut options = regrow_manager::Options::default();
    options.controllers.clear();
    let world = World::leading();
    let plugin = regrow_manager::Manager::start(
        "mystack",
        &options,
        regrow_manager::Environment {
            leader: Arc::new(MemoryLeader::default()),
            store: Arc::new(MemoryStore::default()),
            lookup: world.registry.clone(),
        },
    )
    .plugin();
    let mut lines: Vec<_> = plugin
        .interfaces()
        .into_iter()
        .flat_map(|(interface, names)| {
            names.into_iter().map(move |name| format!("{} {name}", Interface::spec(interface)))
        })
        .collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "Controller/0.1.1 groups",
            "Group/0.1.1 groups",
            "Stack/0.1.1 .",
            "Updatable/0.1.1 status",
            "Updatable/0.1.1 vars",
        ]
    );
}

#[tokio::test]
async fn objects_come_and_go_with_groups() {
    let world = World::leading();
    let groups = world.group("mystack").await;
    groups.commit_group(&group("q", 3), false).await.expect("commit");
    let plugin = world.manager.plugin();
    assert_eq!(plugin.groups().expect("groups").names(), ["groups", "q"]);
    assert_eq!(plugin.controllers().expect("controllers").names(), ["groups", "nfs", "q"]);
    world.group("mystack/q").await.free_group(&"q".into()).await.expect("free");
    assert_eq!(plugin.groups().expect("groups").names(), ["groups"]);
    assert_eq!(world.stored().await, Vec::<String>::new());
    assert_eq!(world.groups.ids(), Vec::<String>::new());
}

#[tokio::test]
async fn a_rejected_commit_leaves_nothing_in_the_file() {
    let dir = tempfile::tempdir().expect("directory");
    let store = Arc::new(FileStore::new(dir.path()));
    let world = World::new(MemoryLeader::leading(), store);
    let groups = world.group("mystack/groups").await;
    groups.commit_group(&group("good", 1), false).await.expect("commit");
    let file = dir.path().join("global.config");
    let before = std::fs::read_to_string(&file).expect("file");
    world.groups.with(|seen| {
        seen.reject.insert("bad".into());
        seen.reject_late.extend(["late".to_owned(), "good".to_owned()]);
    });
    for id in ["bad", "late", "good"] {
        let fault = groups.commit_group(&group(id, 2), false).await.expect_err("rejected");
        assert_eq!(fault.to_string(), format!("no plugin for flavor of {id}"));
        assert_eq!(std::fs::read_to_string(&file).expect("file"), before, "{id}");
    }
    assert_eq!(world.groups.with(|seen| seen.count("commit bad")), 0);
}

#[tokio::test]
async fn pretending_stores_nothing() {
    let world = World::leading();
    let groups = world.group("mystack/groups").await;
    let details = groups.commit_group(&group("q", 3), true).await.expect("plan");
    assert_eq!(details, "Managing 3 instances");
    assert_eq!((world.stored().await.len(), world.groups.ids().len()), (0, 0));
}

#[tokio::test]
async fn sizes_are_stored() {
    let world = World::leading();
    let groups = world.group("mystack/groups").await;
    groups.commit_group(&group("q", 3), false).await.expect("commit");
    groups.set_size(&"q".into(), 5).await.expect("size");
    let size = || async {
        let specs = world.stack().await.specs().await.expect("specs");
        specs[0].properties.to_value()["Allocation"]["Size"].clone()
    };
    assert_eq!(size().await, 5);
    assert_eq!(groups.size(&"q".into()).await, Ok(5));
    let gone = ["q-0".into(), "q-1".into()];
    groups.destroy_instances(&"q".into(), &gone).await.expect("destroy");
    assert_eq!(size().await, 3);
    let fault = groups.set_size(&"nope".into(), 1).await.expect_err("unknown");
    assert!(fault.to_string().contains("commit it first"), "{fault}");
    let mut pets = group("pets", 0);
    pets.properties = json!({"Allocation": {"LogicalIDs": ["a", "b"]}}).into();
    groups.commit_group(&pets, false).await.expect("commit");
    let fault = groups.set_size(&"pets".into(), 1).await.expect_err("pets have no size");
    assert!(fault.to_string().contains("logical ids"), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn instances_that_take_long_to_go_do_not_come_back_with_the_next_leader() {
    let world = World::leading();
    let groups = world.group("mystack/groups").await;
    groups.commit_group(&group("q", 3), false).await.expect("commit");
    let size = || async {
        let specs = world.stack().await.specs().await.expect("specs");
        specs[0].properties.to_value()["Allocation"]["Size"].clone()
    };
    // A drain of three minutes is no failure.
    world.groups.with(|seen| seen.delay = std::time::Duration::from_secs(180));
    groups.destroy_instances(&"q".into(), &["q-0".into()]).await.expect("destroy");
    assert_eq!(size().await, 2);
    // An answer that never comes is one, and the size is known all the same.
    world.groups.with(|seen| seen.hang_destroy.insert("q".into()));
    let fault = groups.destroy_instances(&"q".into(), &["q-1".into()]).await;
    let fault = fault.expect_err("no answer").to_string();
    assert!(fault.contains("no answer within 10m"), "{fault}");
    assert_eq!(size().await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_to_destroy_instances_records_nothing() {
    let world = World::leading();
    let groups = world.group("mystack/groups").await;
    groups.commit_group(&group("q", 3), false).await.expect("commit");
    world.groups.watched.lock().expect("lock").clear();
    let fault = groups.destroy_instances(&"q".into(), &["q-0".into()]).await.expect_err("refused");
    assert_eq!(fault.to_string(), "Group 'q' is not being watched");
}

#[tokio::test]
async fn a_group_controller_answers_as_the_original_does() {
    let world = World::leading();
    let groups = world.controller("mystack/groups").await;
    let asked = spec("group", "mystack/q", json!({"Allocation": {"Size": 2}}));
    let (object, plan) = groups.plan(Operation::Enforce, &asked).await.expect("plan");
    assert_eq!(plan.message, Some(vec!["Managing 2 instances".to_owned()]));
    assert_eq!(object.metadata.name, "mystack/q");
    let (object, plan) = groups.commit(Operation::Enforce, &asked).await.expect("commit");
    assert_eq!(plan.message, None);
    assert_eq!(
        serde_json::to_value(&object).expect("json"),
        json!({"kind": "group", "version": "", "metadata": {"name": "mystack/q", "tags": null},
               "properties": {"Allocation": {"Size": 2}},
               "state": {"Instances": null, "Converged": false}})
    );
    assert_eq!(world.stored().await, ["q"]);
    let described = groups.describe(None).await.expect("describe");
    assert_eq!(described.len(), 1);
    let meta = &described[0].metadata;
    assert_eq!((meta.id.as_str(), meta.name.as_str()), ("q", "mystack/q"));
    assert_eq!(described[0].version, "Group/0.1.1");
    assert_eq!(described[0].state.to_value()["Converged"], true);
    let other = ObjectMeta { name: "mystack/other".into(), ..ObjectMeta::default() };
    assert_eq!(groups.describe(Some(&other)).await.expect("describe").len(), 0);
}

#[tokio::test]
async fn group_names_are_checked_and_destroy_accepts_the_prefix() {
    let world = World::leading();
    let groups = world.controller("mystack/groups").await;
    let nameless = spec("group", "mystack/", json!({}));
    let fault = groups.commit(Operation::Enforce, &nameless).await.expect_err("no name");
    assert_eq!(fault.to_string(), "no group name");
    let asked = spec("group", "mystack/q", json!({"Allocation": {"Size": 2}}));
    groups.commit(Operation::Enforce, &asked).await.expect("commit");
    let scoped = world.controller("mystack/q").await;
    let other = spec("group", "mystack/other", json!({}));
    let fault = scoped.commit(Operation::Enforce, &other).await.expect_err("another group");
    assert!(fault.to_string().starts_with("wrong group: "), "{fault}");
    let (_, plan) = scoped.plan(Operation::Destroy, &asked).await.expect("plan");
    assert_eq!(plan.message, Some(vec!["Destroys group q with its 2 instances".to_owned()]));
    groups.commit(Operation::Destroy, &asked).await.expect("destroy");
    assert_eq!(world.groups.with(|seen| seen.count("destroy q")), 1);
    assert_eq!((world.stored().await.len(), world.groups.ids().len()), (0, 0));
}

#[tokio::test]
async fn freeing_through_the_controller_forgets_the_specs() {
    let world = World::leading();
    let groups = world.group("mystack/groups").await;
    for id in ["a", "b"] {
        groups.commit_group(&group(id, 1), false).await.expect("commit");
    }
    let controller = world.controller("mystack/groups").await;
    let only = ObjectMeta { name: "a".into(), ..ObjectMeta::default() };
    assert_eq!(controller.free(Some(&only)).await.expect("free").len(), 1);
    assert_eq!(world.stored().await, ["b"]);
    assert_eq!(controller.free(None).await.expect("free").len(), 1);
    assert_eq!(world.stored().await, Vec::<String>::new());
}

#[tokio::test]
async fn configured_controllers_are_proxied_and_kept() {
    let world = World::leading();
    let nfs = world.controller("mystack/nfs").await;
    let volume = spec("nfs", "mystack/v1", json!({"size": 1}));
    let (_, plan) = nfs.plan(Operation::Enforce, &volume).await.expect("plan");
    assert_eq!(plan.message, Some(vec!["would do it".to_owned()]));
    assert_eq!(world.stored().await.len(), 0);
    nfs.commit(Operation::Enforce, &volume).await.expect("commit");
    assert_eq!(world.stored().await, ["mystack/v1"]);
    assert_eq!(nfs.describe(None).await.expect("describe").len(), 1);
    world.nfs.behaviour.lock().expect("lock").reject.insert("v2".into());
    let bad = spec("nfs", "v2", json!({}));
    assert!(nfs.commit(Operation::Enforce, &bad).await.is_err());
    assert_eq!(world.stored().await.len(), 1);
    nfs.commit(Operation::Destroy, &volume).await.expect("destroy");
    assert_eq!((world.stored().await.len(), world.nfs.names().len()), (0, 0));
    for name in ["v3", "v4", "v5"] {
        nfs.commit(Operation::Enforce, &spec("nfs", name, json!({}))).await.expect("commit");
    }
    let one = ObjectMeta { name: "v4".into(), ..ObjectMeta::default() };
    nfs.free(Some(&one)).await.expect("free");
    assert_eq!(world.stored().await, ["v3", "v5"]);
    nfs.free(None).await.expect("free");
    assert_eq!((world.stored().await.len(), world.nfs.names().len()), (0, 0));
}

#[tokio::test]
async fn who_does_not_lead_refuses_changes_and_serves_reads() {
    let world = World::new(MemoryLeader::default(), Arc::new(MemoryStore::default()));
    let groups = world.group("mystack/groups").await;
    let nfs = world.controller("mystack/nfs").await;
    for (text, lose) in [("not a leader", false), ("cannot determine leader", true)] {
        if lose {
            world.leader.lose_sight("the file is gone");
        }
        let spec = spec("nfs", "v", json!({}));
        let id = "q".into();
        for fault in [
            groups.commit_group(&group("q", 1), false).await.expect_err("commit"),
            groups.commit_group(&group("q", 1), true).await.expect_err("pretend"),
            groups.free_group(&id).await.expect_err("free"),
            groups.destroy_group(&id).await.expect_err("destroy"),
            groups.set_size(&id, 1).await.expect_err("size"),
            groups.destroy_instances(&id, &[]).await.expect_err("instances"),
            nfs.commit(Operation::Enforce, &spec).await.expect_err("commit"),
            nfs.free(None).await.expect_err("free"),
            world.stack().await.enforce(&[]).await.expect_err("enforce"),
            world.stack().await.terminate(&[]).await.expect_err("terminate"),
        ] {
            assert_eq!(fault.to_string(), text);
        }
        assert_eq!(groups.inspect_groups().await, Ok(Vec::new()));
        assert_eq!(nfs.describe(None).await, Ok(Vec::new()));
        let described = world.controller("mystack/groups").await.describe(None).await;
        assert_eq!(described, Ok(Vec::new()));
    }
    assert_eq!(world.groups.with(|seen| std::mem::take(&mut seen.calls)), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_commit_without_an_answer_stays_stored_and_is_tried_again() {
    let world = World::leading();
    world.groups.with(|seen| seen.hang.insert("slow".into()));
    let groups = world.group("mystack/groups").await;
    let fault = groups.commit_group(&group("slow", 1), false).await.expect_err("no answer");
    assert!(fault.to_string().contains("is stored and the leader will try it again"), "{fault}");
    assert_eq!(world.stored().await, ["slow"]);
    // Nobody else waits for it.
    groups.commit_group(&group("quick", 1), false).await.expect("commit");
    world.groups.with(|seen| seen.hang.clear());
    until("the slow one is watched", || world.groups.ids().len() == 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_no_half_done_commit() {
    let world = World::leading();
    world.groups.with(|seen| seen.delay = std::time::Duration::from_secs(1));
    let groups = world.group("mystack/groups").await;
    let document = group("q", 1);
    let commit = groups.commit_group(&document, false);
    let gone = tokio::time::timeout(std::time::Duration::from_millis(100), commit).await;
    assert!(gone.is_err());
    until("the group is watched", || world.groups.ids() == ["q"]).await;
    assert_eq!(world.stored().await, ["q"]);
}
