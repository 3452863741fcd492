//! The words of InfraKit's answers.

use regrow_ids::{GroupId, InstanceId};
use regrow_plugin::PluginError;
use serde_json::json;

use crate::fakes::{document, rig, sized};

fn text<T>(result: Result<T, PluginError>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(fault) => fault.to_string(),
    }
}

#[tokio::test(start_paused = true)]
async fn plans_are_worded_as_infrakit_words_them() {
    let rig = rig().await;
    assert_eq!(rig.pretend(&sized(1, 2)).await, "Managing 2 instances");
    assert_eq!(rig.machines.count(), 0, "pretending does nothing");
    assert_eq!(rig.commit(&sized(1, 2)).await, "Managing 2 instances");
    rig.converged().await;
    for (spec, expected) in [
        (sized(1, 2), "Noop"),
        (sized(1, 5), "Adding 3 instances to increase the group size to 5"),
        (sized(1, 1), "Terminating 1 instances to reduce the group size to 1"),
        (sized(2, 2), "Performing a rolling update on 2 instances"),
        (
            sized(2, 3),
            "Performing a rolling update on 2 instances, then adding 1 instances to increase the \
             group size to 3",
        ),
        (
            sized(2, 1),
            "Terminating 1 instances to reduce the group size to 1, then performing a rolling \
             update on 1 instances",
        ),
    ] {
        assert_eq!(rig.pretend(&spec).await, expected);
    }
    assert_eq!(rig.commit(&sized(1, 2)).await, "Noop");
}

#[tokio::test(start_paused = true)]
async fn refusals_have_infrakits_texts_and_change_nothing() {
    let rig = rig().await;
    for (rest, expected) in [
        (json!({}), "Allocation must not be blank"),
        (
            json!({"Allocation":{"Size":1},"Flavor":{"Plugin":"zzz"}}),
            "Failed to find Flavor plugin 'zzz':plugin not found:zzz",
        ),
        (
            json!({"Allocation":{"Size":1},"Instance":{"Plugin":"zzz/a"}}),
            "Failed to find Instance plugin 'zzz/a':plugin not found:zzz",
        ),
        (
            json!({"Allocation":{"Size":1},"Flavor":{"Plugin":"plain","Properties":{"Bad":1}}}),
            "bad flavor: 1",
        ),
        (
            json!({"Allocation":{"Size":1},"Instance":{"Plugin":"machines","Properties":{"Bad":2}}}),
            "bad properties: 2",
        ),
    ] {
        let spec = document(1, &rest);
        assert_eq!(text(rig.api.commit_group(&spec, false).await), expected);
        assert_eq!(text(rig.api.commit_group(&spec, true).await), expected);
    }
    let id = GroupId::from("g");
    let not_watched = "Group 'g' is not being watched";
    assert_eq!(text(rig.api.free_group(&id).await), not_watched);
    assert_eq!(text(rig.api.describe_group(&id).await), not_watched);
    assert_eq!(text(rig.api.destroy_group(&id).await), not_watched);
    assert_eq!(text(rig.api.destroy_instances(&id, &[]).await), not_watched);
    assert_eq!(text(rig.api.size(&id).await), "group g not found");
    assert_eq!(text(rig.api.set_size(&id, 3).await), "group not found g");
    assert_eq!(rig.api.inspect_groups().await.expect("groups"), vec![]);
}

#[tokio::test(start_paused = true)]
async fn identities_cannot_be_resized_or_exchanged() {
    let rig = rig().await;
    let pets = |ids: &[&str]| document(1, &json!({"Allocation":{"LogicalIDs":ids}}));
    rig.commit(&pets(&["a", "b", "c"])).await;
    rig.converged().await;
    let id = GroupId::from("g");
    assert_eq!(
        text(rig.api.set_size(&id, 5).await),
        "cannot set size if logic ids are explicitly set"
    );
    assert_eq!(
        text(rig.api.commit_group(&pets(&["a", "b", "d"]), false).await),
        "Logical ID changes to a quorum is not currently supported"
    );
    assert_eq!(rig.commit(&pets(&["c", "b", "a"])).await, "Noop", "their order means nothing");
    rig.converged().await;
    let described = rig.api.describe_group(&id).await.expect("described");
    let ids: Vec<_> = described.instances.iter().filter_map(|d| d.logical_id.clone()).collect();
    assert_eq!(ids.len(), 3);
    assert!(described.converged);
}

#[tokio::test(start_paused = true)]
async fn free_leaves_the_members_and_a_new_commit_adopts_them() {
    let rig = rig().await;
    rig.commit(&sized(1, 3)).await;
    rig.converged().await;
    let before = rig.machines.ids();
    rig.api.free_group(&GroupId::from("g")).await.expect("freed");
    assert_eq!(rig.machines.ids(), before);
    rig.commit(&sized(1, 3)).await;
    rig.converged().await;
    assert_eq!(rig.machines.ids(), before);
}

#[tokio::test(start_paused = true)]
async fn destroying_a_group_destroys_its_members_and_no_others() {
    let rig = rig().await;
    rig.commit(&sized(1, 3)).await;
    rig.converged().await;
    let stranger = regrow_plugin::spi::InstanceSpec::default();
    let instances = rig.plugins.get("machines").and_then(|p| p.instances()?.get("."));
    let stranger = instances.expect("machines").provision(&stranger).await.expect("made");
    rig.api.destroy_group(&GroupId::from("g")).await.expect("destroyed");
    assert_eq!(rig.machines.ids(), [stranger]);
    assert_eq!(rig.groups.watched(), Vec::<GroupId>::new());
}

#[tokio::test(start_paused = true)]
async fn named_members_are_destroyed_and_the_group_shrinks() {
    let rig = rig().await;
    rig.commit(&sized(1, 4)).await;
    rig.converged().await;
    let id = GroupId::from("g");
    let named: Vec<InstanceId> = rig.machines.ids().into_iter().skip(1).take(2).collect();
    rig.api.destroy_instances(&id, &named).await.expect("destroyed");
    assert_eq!(*rig.machines.destroyed.lock().unwrap(), named);
    assert_eq!(rig.api.size(&id).await.expect("size"), 2);
    assert_eq!(rig.machines.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_size_that_the_document_forbids_is_not_shrunk_to() {
    let rig = rig().await;
    let rest = json!({"Allocation":{"Size":4},"Update":{"MinHealthy":3}});
    rig.commit(&document(1, &rest)).await;
    rig.converged().await;
    let (id, named) = (GroupId::from("g"), rig.machines.ids()[0].clone());
    let fault = text(rig.api.destroy_instances(&id, std::slice::from_ref(&named)).await);
    assert!(fault.starts_with("shrink group 'g' by 1: Invalid properties: at /Update"), "{fault}");
    assert!(fault.ends_with("; nothing was destroyed"), "{fault}");
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert_eq!(rig.api.size(&id).await.expect("size"), 4);
    assert!(rig.machines.ids().contains(&named));
}
