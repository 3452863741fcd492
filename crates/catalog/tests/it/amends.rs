//! What an agent and a catalog that were apart make of it: notes about services that went away, and
//! registrations that one of them refuses.

use std::sync::Arc;
use std::time::Duration;

use regrow_catalog::Catalog;
use regrow_catalog::agent::{AgentOptions, Leaving, Local};
use regrow_catalog::machine::{Command, NodePart, Registration, Removal};
use regrow_catalog::model::{CheckSpec, SERF_HEALTH, Service, Status};
use regrow_catalog::query::registry::{NodeEntry, node_entry};
use regrow_catalog::query::{Client, ReadOptions};

use crate::gate::Gate;
use crate::lone::Lone;
use crate::machine::{node, register, service, ttl_check};
use crate::world::replica;

/// A catalog behind a gate, and a client that needs no leader.
async fn gated(options: AgentOptions) -> (Catalog, Arc<Gate>, Client) {
    let (replica, hub) = replica();
    let direct = Client::new(replica.clone(), hub.clone());
    let gate = Gate::new(replica);
    let catalog = Catalog::start(gate.clone(), hub, options).await.expect("a catalog");
    (catalog, gate, direct)
}

async fn entry(client: &Client) -> NodeEntry {
    client.ask(&node_entry("n1"), &ReadOptions::default()).await.expect("an entry").value
}

async fn until(client: &Client, what: &str, holds: impl Fn(&NodeEntry) -> bool) {
    let wait = async {
        while !holds(&entry(client).await) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect(what);
}

/// Critical, and gone a moment later.
fn doomed() -> CheckSpec {
    let mut check = ttl_check("c", "w", 100);
    check.status = Some(Status::Critical);
    check.definition.deregister_critical_after = Some(Duration::from_millis(1));
    check
}

#[tokio::test]
async fn a_service_that_went_away_leaves_no_note() {
    let (catalog, _gate, direct) = gated(AgentOptions::new("n1")).await;
    catalog.agent().register(service("w", "web"), vec![doomed()], false).await.expect("entered");
    until(&direct, "no note", |found| !found.services.contains_key("w") && found.reaped.is_empty())
        .await;
    let gone = async {
        while catalog.agent().local().services.contains_key("w") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("deregistered");
    until(&direct, "no note", |found| found.reaped.is_empty()).await;
}

#[tokio::test]
async fn what_is_registered_again_while_nobody_leads_outlives_an_older_note() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = AgentOptions { state: Some(folder.path().to_owned()), ..AgentOptions::new("n1") };
    let (catalog, gate, direct) = gated(options.clone()).await;
    catalog.agent().register(service("w", "web"), Vec::new(), false).await.expect("entered");
    gate.lead(false);
    // Its check turns critical by somebody else's word, so that the agent has no part in it.
    let keep = NodePart::Keep("n1".into());
    let checks = vec![doomed()];
    let registration = Registration { node: keep, service: None, checks, replace_checks: false };
    direct.execute(&Command::Register(registration)).await.expect("a critical check");
    until(&direct, "a note", |found| found.reaped.contains("w")).await;
    let again = Service { port: 81, ..service("w", "web") };
    let refused = catalog.agent().register(again.clone(), Vec::new(), false).await;
    assert!(refused.is_err(), "nobody leads");
    assert!(entry(&direct).await.reaped.contains("w"), "the note is still there");
    // An agent that starts anew has it from its file.
    drop(catalog);
    let hub = direct.hub().clone();
    gate.lead(true);
    let catalog = Catalog::start(gate, hub, options).await.expect("a catalog");
    until(&direct, "entered", |found| found.services.get("w") == Some(&again)).await;
    assert!(entry(&direct).await.reaped.is_empty());
    assert!(catalog.agent().local().services.contains_key("w"));
}

#[test]
fn a_removed_node_leaves_no_notes() {
    let mut lone = Lone::default();
    lone.run(&register(node("n1"), Some(service("w", "web")), vec![doomed()])).expect("entered");
    lone.pass(Duration::from_secs(1));
    assert!(lone.look(&node_entry("n1")).value.reaped.contains("w"));
    lone.run(&Command::Remove(Removal::Node { node: "n1".into() })).expect("removed");
    assert!(lone.look(&node_entry("n1")).value.reaped.is_empty());
}

#[tokio::test]
async fn a_name_that_no_catalog_takes_is_refused_while_nobody_leads() {
    let (catalog, gate, _) = gated(AgentOptions::new("n1")).await;
    gate.lead(false);
    let long = "x".repeat(5000);
    let bad = [service(&long, "web"), service("w", ""), service("a\0b", "web")];
    for bad in bad {
        let error = catalog.agent().register(bad, Vec::new(), false).await.expect_err("refused");
        assert!(error.to_string().starts_with("Invalid service "), "{error}");
    }
    let check = ttl_check(&long, "", 100);
    let error = catalog.agent().register_check(check).await.expect_err("refused");
    assert!(error.to_string().starts_with("Invalid check id"), "{error}");
    assert_eq!(*catalog.agent().local(), Local::default());
}

#[tokio::test]
async fn one_registration_that_is_refused_does_not_hold_up_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let long = "x".repeat(5000);
    let mut local = Local::default();
    local.add(service(&long, "early"), &[], false);
    local.add(service("w", "web"), &[ttl_check("c", "w", 100)], false);
    local.add_check(&ttl_check(&long, "", 100));
    let bytes = regrow_codec::record::encode(&local).expect("a record");
    std::fs::write(folder.path().join("registrations.rec"), bytes).expect("written");
    let options = AgentOptions { state: Some(folder.path().to_owned()), ..AgentOptions::new("n1") };
    let (catalog, _gate, direct) = gated(options).await;
    until(&direct, "entered", |found| {
        found.services.contains_key("w")
            && found.checks.contains_key("c")
            && found.checks.contains_key(SERF_HEALTH)
    })
    .await;
    let local = catalog.agent().local();
    assert_eq!(local.services.keys().collect::<Vec<_>>(), ["w"], "the refused one is dropped");
    assert_eq!(local.checks.keys().collect::<Vec<_>>(), ["c"]);
}

#[tokio::test]
async fn tags_that_others_may_change_stay_as_they_were_changed() {
    let (catalog, _gate, direct) = gated(AgentOptions::new("n1")).await;
    let own = Service { enable_tag_override: true, ..service("w", "web") };
    let fixed = service("f", "fixed");
    catalog.agent().register(own.clone(), Vec::new(), false).await.expect("entered");
    catalog.agent().register(fixed.clone(), Vec::new(), false).await.expect("entered");
    for changed in [&own, &fixed] {
        let changed = Service { tags: vec!["theirs".into()], ..changed.clone() };
        let node = NodePart::Keep("n1".into());
        let service = Some(changed);
        let change = Registration { node, service, checks: Vec::new(), replace_checks: false };
        direct.execute(&Command::Register(change)).await.expect("changed");
    }
    // The agent has compared once the tags of the other one are as it registered them.
    until(&direct, "compared", |found| found.services["f"] == fixed).await;
    assert_eq!(entry(&direct).await.services["w"].tags, ["theirs"]);
}

#[test]
fn registrations_of_version_1_are_read() {
    use regrow_codec::record;
    let bytes = include_bytes!("../records/registrations-v1.rec");
    let (local, _) = record::decode::<Local>(bytes).expect("a record of version 1");
    assert_eq!(local.services["w"], service("w", "web"));
    assert!(local.leaving.contains(&Leaving::Service("old".into())));
    assert!(local.unentered.is_empty());
}

#[test]
fn a_list_moves_with_all_that_it_shows() {
    use regrow_catalog::machine::Topic;
    use regrow_catalog::query::registry::{checks, services_on};
    let mut lone = Lone::default();
    let checked = vec![ttl_check("c", "w", 100)];
    lone.run(&register(node("n"), Some(service("w", "web")), checked)).expect("entered");
    let picked = services_on(|node| node.meta.contains_key("rack"));
    let before = lone.look(&picked);
    assert!(before.value.is_empty() && picked.topics().contains(&Topic::Nodes));
    let mut moved = node("n");
    moved.meta.insert("rack".into(), "7".into());
    lone.run(&register(moved.clone(), None, Vec::new())).expect("entered");
    let after = lone.look(&picked);
    assert!(after.index > before.index && after.value.contains_key("web"));
    let all = checks(None);
    let before = lone.look(&all).index;
    let tagged = Service { tags: vec!["new".into()], ..service("w", "web") };
    lone.run(&register(moved, Some(tagged), Vec::new())).expect("entered");
    let after = lone.look(&all);
    assert!(after.index > before && all.topics().contains(&Topic::Services));
    let tags: Vec<_> = after.value.iter().flat_map(|check| &check.value.service_tags).collect();
    assert_eq!(tags, ["new"]);
}

#[tokio::test]
async fn a_registration_that_changes_nothing_writes_nothing_and_wakes_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = AgentOptions { state: Some(folder.path().to_owned()), ..AgentOptions::new("n1") };
    let (catalog, _gate, _) = gated(options).await;
    catalog.agent().register(service("w", "web"), Vec::new(), false).await.expect("entered");
    // What is not written does not come back.
    let path = folder.path().join("registrations.rec");
    std::fs::remove_file(&path).expect("removed");
    let mut local = catalog.agent().watch();
    local.mark_unchanged();
    catalog.agent().register(service("w", "web"), Vec::new(), false).await.expect("the same");
    assert!(!path.exists() && !local.has_changed().expect("an agent"));
    catalog.agent().register(service("w", "other"), Vec::new(), false).await.expect("another");
    assert!(path.exists() && local.has_changed().expect("an agent"));
}

#[tokio::test]
async fn the_leader_is_shown_where_it_is_now() {
    use regrow_catalog::agent::Servers;
    use regrow_catalog::http::HttpOptions;
    use std::sync::Mutex;
    let place = Arc::new(Mutex::new("10.0.0.1:7400"));
    let told = place.clone();
    let servers =
        Servers::new(move || [(1, told.lock().expect("a lock").to_string())].into_iter().collect());
    let (catalog, _gate, _) = gated(AgentOptions { servers, ..AgentOptions::new("n1") }).await;
    let world = crate::world::World::with(catalog, HttpOptions::default()).await;
    let leader = async || crate::client::get(world.address, "/v1/status/leader").await.text();
    assert_eq!(leader().await, "\"10.0.0.1:7400\"");
    *place.lock().expect("a lock") = "10.0.0.2:7400";
    assert_eq!(leader().await, "\"10.0.0.2:7400\"");
    let peers = crate::client::get(world.address, "/v1/status/peers").await.text();
    assert_eq!(peers, "[\"10.0.0.2:7400\"]");
}
