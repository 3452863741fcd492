//! What InfraKit does wrong (its specification §11), and what we do instead.

use std::sync::atomic::Ordering;
use std::time::Duration;

use regrow_groups::Options;
use regrow_ids::{GoDuration, GroupId, InstanceId};
use regrow_plugin::spi::tags;
use serde_json::json;
use tokio::time::Instant;

use crate::fakes::{document, rig, rig_with, sized};

fn g() -> GroupId {
    GroupId::from("g")
}

/// Weakness 2b and 3: slow provisioning multiplies instances.
#[tokio::test(start_paused = true)]
async fn slow_provisioning_with_short_polls_makes_exactly_as_many_as_wanted() {
    let poll = GoDuration::from_millis(100);
    let rig = rig_with(&Options { poll_interval: poll, ..Options::default() }).await;
    *rig.machines.slow_provision.lock().unwrap() = Duration::from_secs(60);
    rig.commit(&sized(1, 5)).await;
    rig.converged().await;
    assert_eq!(rig.machines.made.load(Ordering::Relaxed), 5);
}

/// Weakness 4: one at a time, one poll each: 60 s for 5 instances.
#[tokio::test(start_paused = true)]
async fn an_update_does_not_wait_for_polls() {
    let rig = rig().await;
    rig.commit(&sized(1, 5)).await;
    rig.converged().await;
    let began = Instant::now();
    rig.commit(&sized(2, 5)).await;
    rig.converged().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let began = Instant::now();
    let surge = json!({"Allocation":{"Size":5},"Update":{"MaxSurge":1}});
    rig.commit(&document(3, &surge)).await;
    rig.converged().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let began = Instant::now();
    rig.api.destroy_group(&g()).await.expect("destroyed");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// Weakness 6: 5,000 calls at once overflow the plugin's socket.
#[tokio::test(start_paused = true)]
async fn calls_are_bounded_even_when_no_limit_was_set() {
    let rig = rig().await;
    *rig.machines.slow_provision.lock().unwrap() = Duration::from_millis(1);
    rig.commit(&sized(1, 1_000)).await;
    rig.converged().await;
    assert_eq!(rig.machines.count(), 1_000);
    assert_eq!(rig.machines.most_running.load(Ordering::Relaxed), 64);
}

/// The limit that InfraKit has, off by default.
#[tokio::test(start_paused = true)]
async fn calls_are_bounded_by_the_limit_of_the_environment() {
    let variable = |value: &'static str| {
        move |name: &str| (name == "INFRAKIT_GROUP_MAX_PARALLEL_NUM").then(|| value.to_owned())
    };
    let options = Options::from_environment(variable("3")).expect("a number");
    assert_eq!(options, Options { max_parallel_num: 3, ..Options::default() });
    let rig = rig_with(&options).await;
    *rig.machines.slow_provision.lock().unwrap() = Duration::from_secs(1);
    rig.commit(&sized(1, 20)).await;
    rig.converged().await;
    assert_eq!(rig.machines.count(), 20);
    assert_eq!(rig.machines.most_running.load(Ordering::Relaxed), 3);
    for bad in ["-1", "many", ""] {
        let fault = Options::from_environment(variable(bad)).expect_err("no number");
        assert!(fault.starts_with("INFRAKIT_GROUP_MAX_PARALLEL_NUM: "), "{fault}");
    }
}

/// A flavor that cannot prepare a member of a new configuration is a failed replacement.
#[tokio::test(start_paused = true)]
async fn refused_preparations_roll_back() {
    let rig = rig().await;
    let auto = json!({"Allocation":{"Size":3},"Update":{"AutoRollback":2}});
    rig.commit(&document(1, &auto)).await;
    rig.converged().await;
    let mut unready = document(2, &auto);
    let mut properties = unready.properties.to_value();
    properties["Flavor"]["Properties"] = json!({"Unready": true});
    unready.properties = properties.into();
    rig.commit(&unready).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    rig.converged().await;
    let shown = rig.api.inspect_groups().await.expect("groups")[0].properties.to_value();
    assert_eq!(shown["RolledBack"]["Failures"], 2, "{shown}");
    assert_eq!(shown["Flavor"]["Properties"], json!({}));
    assert_eq!(rig.machines.count(), 3);
}

/// Weakness 7: an unknown id kills a healthy member.
#[tokio::test(start_paused = true)]
async fn destroying_an_unknown_instance_destroys_nothing() {
    let rig = rig().await;
    rig.commit(&sized(1, 2)).await;
    rig.converged().await;
    let known = rig.machines.ids()[0].clone();
    let named = [known, InstanceId::from("nobody")];
    let refused = rig.api.destroy_instances(&g(), &named).await.expect_err("refused");
    assert_eq!(refused.to_string(), "not members of group 'g': nobody; nothing was destroyed");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((rig.machines.count(), rig.api.size(&g()).await.expect("size")), (2, 2));
}

/// Weakness 7: a group cannot be scaled to zero.
#[tokio::test(start_paused = true)]
async fn a_group_can_be_scaled_to_zero_and_back() {
    let rig = rig().await;
    rig.commit(&sized(1, 3)).await;
    rig.converged().await;
    rig.api.set_size(&g(), 0).await.expect("scaled");
    rig.converged().await;
    assert_eq!(rig.machines.count(), 0);
    rig.api.set_size(&g(), 2).await.expect("scaled");
    rig.converged().await;
    assert_eq!(rig.machines.count(), 2);
}

/// Weakness 7: from a size to identities plans to terminate everything.
#[tokio::test(start_paused = true)]
async fn a_change_that_would_terminate_everybody_is_refused() {
    let rig = rig().await;
    rig.commit(&sized(1, 3)).await;
    rig.converged().await;
    let pets = document(1, &json!({"Allocation":{"LogicalIDs":["a"]}}));
    let refused = rig.api.commit_group(&pets, false).await.expect_err("refused");
    assert!(refused.to_string().contains("would terminate all its members"), "{refused}");
    assert_eq!(rig.machines.count(), 3);
}

/// Weakness: an error abandons an update silently and `Converged` reads true.
#[tokio::test(start_paused = true)]
async fn an_update_that_waits_says_so() {
    let rig = rig().await;
    rig.commit(&sized(1, 3)).await;
    rig.converged().await;
    rig.flavor.sick.store(true, Ordering::Relaxed);
    rig.commit(&sized(2, 3)).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(!rig.api.describe_group(&g()).await.expect("described").converged);
    let blocked = rig.groups.status(&g()).expect("status").blocked;
    assert_eq!(blocked, ["the update waits for 1 new members to work"]);
    rig.flavor.sick.store(false, Ordering::Relaxed);
    rig.converged().await;
}

/// Weakness: `Converged` means "no update running", not "the wanted number exists".
#[tokio::test(start_paused = true)]
async fn converged_means_that_the_members_exist() {
    let rig = rig().await;
    *rig.machines.slow_provision.lock().unwrap() = Duration::from_secs(5);
    rig.commit(&sized(1, 3)).await;
    assert!(!rig.api.describe_group(&g()).await.expect("described").converged);
    rig.converged().await;
    assert!(rig.api.describe_group(&g()).await.expect("described").converged);
}

/// Weakness: one lock during a commit: a slow plugin stalls commits of all groups.
#[tokio::test(start_paused = true)]
async fn a_slow_plugin_holds_up_its_own_commits_only() {
    let rig = rig().await;
    rig.commit(&sized(1, 1)).await;
    rig.converged().await;
    *rig.machines.slow_validate.lock().unwrap() = Duration::from_secs(100);
    let slow = rig.api.clone();
    let stuck = tokio::spawn(async move { slow.commit_group(&sized(1, 2), false).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    *rig.machines.slow_validate.lock().unwrap() = Duration::ZERO;
    let began = Instant::now();
    let mut other = sized(1, 1);
    other.id = GroupId::from("other");
    rig.commit(&other).await;
    assert!(began.elapsed() < Duration::from_secs(1));
    stuck.await.expect("ended").expect("committed");
}

/// Weakness: Sequence in Index is the same for all members.
#[tokio::test(start_paused = true)]
async fn each_member_has_a_place_of_its_own() {
    let rig = rig().await;
    rig.commit(&sized(1, 4)).await;
    rig.converged().await;
    let mut sequences = rig.flavor.sequences.lock().unwrap().clone();
    sequences.sort_unstable();
    assert_eq!(sequences, [0, 1, 2, 3]);
}

/// A flavor that loses tags cannot make members that are never found again.
#[tokio::test(start_paused = true)]
async fn members_carry_their_tags_whatever_the_flavor_does() {
    let rig = rig().await;
    rig.commit(&sized(1, 2)).await;
    rig.converged().await;
    for member in rig.machines.live.lock().unwrap().values() {
        for tag in [tags::GROUP, tags::CONFIG_HASH, tags::STEP_KEY, "place"] {
            assert!(member.tags.contains_key(tag), "{tag}: {member:?}");
        }
    }
}

/// A provider that cannot list stops everything and is named in the status.
#[tokio::test(start_paused = true)]
async fn a_failed_list_leads_to_nothing() {
    let rig = rig().await;
    rig.commit(&sized(1, 3)).await;
    rig.converged().await;
    rig.machines.lists_fail.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(30)).await;
    rig.machines.live.lock().unwrap().pop_first();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.machines.made.load(Ordering::Relaxed), 3);
    let blocked = rig.groups.status(&g()).expect("status").blocked;
    assert!(blocked[0].contains("list instances of machines: the cloud is down"), "{blocked:?}");
    rig.machines.lists_fail.store(false, Ordering::Relaxed);
    rig.converged().await;
    assert_eq!(rig.machines.count(), 3);
}

/// InfraKit lets go of all members when the instance plugin is exchanged.
#[tokio::test(start_paused = true)]
async fn the_instance_plugin_cannot_be_exchanged_under_its_members() {
    let rig = rig().await;
    rig.commit(&sized(1, 2)).await;
    rig.converged().await;
    let machines = rig.plugins.get("machines").expect("machines");
    let objects = machines.instances().and_then(|objects| objects.get(".")).expect("default");
    let copy = regrow_plugin::FixedObjects::single(objects);
    rig.plugins.add(regrow_plugin::Plugin::new("other").with_instances(copy));
    let moved = document(1, &json!({"Allocation":{"Size":2},"Instance":{"Plugin":"other"}}));
    let refused = rig.api.commit_group(&moved, false).await.expect_err("refused");
    assert!(refused.to_string().contains("would abandon the members"), "{refused}");
}

/// What happens is published as events.
#[tokio::test(start_paused = true)]
async fn what_happens_to_a_group_is_published() {
    use futures::StreamExt;
    let rig = rig().await;
    let events = rig.plugins.get("group").expect("group");
    let events = events.events().and_then(|objects| objects.get(".")).expect("events");
    let mut stream = events.subscribe("groups/g").await.expect("subscribed");
    rig.commit(&sized(1, 1)).await;
    let event = stream.next().await.expect("an event");
    assert_eq!((event.topic.as_str(), event.id.as_str()), ("groups/g", "g"));
    assert!(event.message.starts_with("made instance m-00001 for slot 0"), "{}", event.message);
    assert_eq!(events.list("groups").await.expect("listed"), ["g"]);
}
