//! What a node registered outlives the agent's process, and the catalog's memory.

use std::time::Duration;

use regrow_catalog::Catalog;
use regrow_catalog::agent::AgentOptions;
use regrow_catalog::machine::{Command, Removal};
use regrow_catalog::model::{CheckSpec, SERF_HEALTH, Status};
use regrow_catalog::query::ReadOptions;
use regrow_catalog::query::registry::{NodeEntry, node_entry};

use crate::machine::{service, ttl_check};
use crate::world::{catalog, replica};

async fn entry(catalog: &Catalog) -> NodeEntry {
    let read = node_entry("n1");
    catalog.client().ask(&read, &ReadOptions::default()).await.expect("an entry").value
}

async fn until(catalog: &Catalog, what: &str, holds: impl Fn(&NodeEntry) -> bool) {
    let wait = async {
        while !holds(&entry(catalog).await) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect(what);
}

async fn start(state: &std::path::Path) -> Catalog {
    let (replica, hub) = replica();
    let options = AgentOptions { state: Some(state.to_owned()), ..AgentOptions::new("n1") };
    Catalog::start(replica, hub, options).await.expect("a catalog")
}

#[tokio::test]
async fn a_restarted_agent_enters_what_it_registered_in_an_empty_catalog() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("agent");
    let first = start(&state).await;
    let checks = vec![ttl_check("c", "w", 100)];
    first.agent().register(service("w", "web"), checks, false).await.expect("registered");
    first.agent().register(service("d", "db"), Vec::new(), false).await.expect("registered");
    first.agent().register_check(ttl_check("disk", "", 100)).await.expect("registered");
    assert!(first.agent().deregister("d").await.expect("deregistered"));
    drop(first);
    let second = start(&state).await;
    let found = entry(&second).await;
    assert_eq!(found.services.keys().collect::<Vec<_>>(), ["consul", "w"]);
    assert_eq!(found.checks.keys().collect::<Vec<_>>(), ["c", "disk", SERF_HEALTH]);
    assert_eq!(found.services["w"], service("w", "web"));
    assert_eq!(found.checks["c"].status, Status::Passing);
    assert!(!second.agent().deregister("d").await.expect("not there"));
}

#[tokio::test]
async fn a_catalog_that_forgets_is_told_again() {
    let catalog = catalog().await;
    let checks = vec![CheckSpec { status: None, output: None, ..ttl_check("c", "w", 100) }];
    catalog.agent().register(service("w", "web"), checks, false).await.expect("registered");
    catalog.agent().heartbeat("c", Status::Warning, "hm").await.expect("a beat");
    let losses = [
        Removal::Node { node: "n1".into() },
        Removal::Service { node: "n1".into(), id: "w".into() },
        Removal::Check { node: "n1".into(), id: "c".into() },
        Removal::Check { node: "n1".into(), id: SERF_HEALTH.into() },
    ];
    for loss in losses {
        catalog.client().execute(&Command::Remove(loss)).await.expect("lost");
        until(&catalog, "entered again", |found| {
            found.node.is_some()
                && found.services.contains_key("w")
                && found.services.contains_key("consul")
                && found.checks.get("c").is_some_and(|check| check.status == Status::Warning)
                && found.checks.contains_key(SERF_HEALTH)
        })
        .await;
    }
}

#[tokio::test]
async fn a_heartbeat_to_a_catalog_that_forgot_its_check_enters_it() {
    let catalog = catalog().await;
    let checks = vec![ttl_check("c", "w", 100)];
    catalog.agent().register(service("w", "web"), checks, false).await.expect("registered");
    let lost = Removal::Service { node: "n1".into(), id: "w".into() };
    catalog.client().execute(&Command::Remove(lost)).await.expect("lost");
    catalog.agent().heartbeat("c", Status::Critical, "no").await.expect("a beat");
    let found = entry(&catalog).await;
    assert_eq!(found.checks["c"].status, Status::Critical);
    assert_eq!(found.checks["c"].output, "no");
}

#[tokio::test]
async fn what_others_entered_for_the_node_stays() {
    use regrow_catalog::machine::{NodePart, Registration};
    let catalog = catalog().await;
    let foreign = Registration {
        node: NodePart::Keep("n1".into()),
        service: Some(service("x", "foreign")),
        checks: Vec::new(),
        replace_checks: false,
    };
    catalog.client().execute(&Command::Register(foreign)).await.expect("entered");
    let lost = Removal::Check { node: "n1".into(), id: SERF_HEALTH.into() };
    catalog.client().execute(&Command::Remove(lost)).await.expect("lost");
    until(&catalog, "compared", |found| found.checks.contains_key(SERF_HEALTH)).await;
    assert!(entry(&catalog).await.services.contains_key("x"));
}

#[tokio::test]
async fn a_dead_node_stays_dead_until_the_detector_says_otherwise() {
    let catalog = catalog().await;
    catalog.node_alive("n1", false).await.expect("said");
    catalog.agent().register(service("w", "web"), Vec::new(), false).await.expect("registered");
    assert_eq!(entry(&catalog).await.checks[SERF_HEALTH].status, Status::Critical);
    catalog.node_alive("n1", true).await.expect("said");
    assert_eq!(entry(&catalog).await.checks[SERF_HEALTH].status, Status::Passing);
}

#[tokio::test]
async fn a_refused_registration_is_not_kept() {
    let catalog = catalog().await;
    let long = "x".repeat(5000);
    catalog.agent().register(service(&long, "web"), Vec::new(), false).await.expect_err("refused");
    assert!(catalog.agent().local().services.is_empty());
}

#[tokio::test]
async fn a_damaged_file_of_registrations_stops_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = start(folder.path()).await;
    first.agent().register(service("w", "web"), Vec::new(), false).await.expect("registered");
    drop(first);
    let path = folder.path().join("registrations.rec");
    let mut bytes = std::fs::read(&path).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("damaged");
    let (replica, hub) = replica();
    let options = AgentOptions { state: Some(folder.path().to_owned()), ..AgentOptions::new("n1") };
    let error = Catalog::start(replica, hub, options).await.err().expect("refused");
    assert!(error.to_string().contains("registrations.rec"), "{error}");
}
