//! The runner: what is registered is run, and what is found is in the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use regrow_consensus::{LocalReplica, Machines, Scope, Scoped};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::Catalog;
use crate::agent::AgentOptions;
use crate::checks::CheckOptions;
use crate::machine::CatalogMachine;
use crate::model::{Check, CheckDefinition, CheckSpec, Service, Status};
use crate::query::ReadOptions;
use crate::query::registry::node_entry;

/// Longest wait for anything, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn catalog() -> Catalog {
    let machine = Arc::new(CatalogMachine::new());
    let hub = machine.hub();
    let scope = Scope::new(7).expect("a scope");
    let machines = Machines::new().with(scope, machine).expect("one machine");
    let replica = LocalReplica::start(machines).expect("a replica");
    let options = AgentOptions::new("n1");
    Catalog::start(Arc::new(Scoped::new(replica, scope)), hub, options).await.expect("a catalog")
}

fn run(catalog: &Catalog, looks: usize) -> DropGuard {
    let stop = CancellationToken::new();
    let (running, token) = (catalog.clone(), stop.clone());
    tokio::spawn(
        async move { running.run_checks(CheckOptions { looks, scripts: true }, token).await },
    );
    stop.drop_guard()
}

fn spec(id: &str, definition: CheckDefinition) -> CheckSpec {
    let interval = Some(Duration::from_secs(1));
    CheckSpec {
        id: id.to_owned(),
        name: id.to_owned(),
        definition: CheckDefinition { interval, ..definition },
        ..CheckSpec::default()
    }
}

fn tcp(address: std::net::SocketAddr) -> CheckDefinition {
    CheckDefinition { tcp: address.to_string(), ..CheckDefinition::default() }
}

fn script(script: String) -> CheckDefinition {
    let args = vec!["/bin/sh".to_owned(), "-c".to_owned(), script];
    CheckDefinition { args, ..CheckDefinition::default() }
}

async fn checks(catalog: &Catalog) -> BTreeMap<String, Check> {
    let asked = catalog.client().ask(&node_entry("n1"), &ReadOptions::default()).await;
    asked.expect("an entry").value.checks
}

async fn until(catalog: &Catalog, what: &str, holds: impl Fn(&BTreeMap<String, Check>) -> bool) {
    let waiting = async {
        while !holds(&checks(catalog).await) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect(what);
}

#[tokio::test]
async fn definitions_are_followed_and_findings_told() {
    let catalog = catalog().await;
    let _running = run(&catalog, 8);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let service = Service { id: "web".to_owned(), name: "web".to_owned(), ..Service::default() };
    let check = CheckSpec { service_id: "web".to_owned(), ..spec("c", tcp(address)) };
    let agent = catalog.agent();
    agent.register(service, vec![check], false).await.expect("registered");
    until(&catalog, "passing", |checks| checks["c"].status == Status::Passing).await;
    assert_eq!(checks(&catalog).await["c"].output, format!("TCP connect {address}: Success"));
    // Another definition under the same id.
    let warns = CheckSpec {
        service_id: "web".to_owned(),
        ..spec("c", script("echo hm; exit 1".to_owned()))
    };
    agent.register_check(warns).await.expect("registered");
    until(&catalog, "a warning", |checks| {
        checks["c"].status == Status::Warning && checks["c"].output == "hm\n"
    })
    .await;
    // What others say about it does not last.
    agent.report("c", Status::Passing, "said by hand").await.expect("told");
    let again = CheckSpec {
        service_id: "web".to_owned(),
        status: Some(Status::Passing),
        ..spec("c", script("echo hm; exit 1".to_owned()))
    };
    agent.register_check(again).await.expect("registered");
    until(&catalog, "a warning again", |checks| checks["c"].status == Status::Warning).await;
    assert!(agent.deregister_check("c").await.expect("deregistered"));
    assert!(!checks(&catalog).await.contains_key("c"));
}

#[tokio::test]
async fn a_change_of_what_is_asked_is_seen() {
    let catalog = catalog().await;
    let _running = run(&catalog, 8);
    let folder = tempfile::tempdir().expect("a folder");
    let flag = folder.path().join("flag");
    let look = format!("test -e {} && exit 0; exit 2", flag.display());
    catalog.agent().register_check(spec("flag", script(look))).await.expect("registered");
    std::fs::write(&flag, "").expect("written");
    until(&catalog, "passing", |checks| checks["flag"].status == Status::Passing).await;
    std::fs::remove_file(&flag).expect("removed");
    until(&catalog, "critical", |checks| checks["flag"].status == Status::Critical).await;
}

/// Counts the connections that are open now, at most, and ever.
#[derive(Default)]
struct Counts {
    now: AtomicUsize,
    most: AtomicUsize,
    ever: AtomicUsize,
}

/// A server that takes `time` for each answer.
async fn slow(time: Duration) -> (std::net::SocketAddr, Arc<Counts>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let counts = Arc::new(Counts::default());
    let counted = Arc::clone(&counts);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counts = Arc::clone(&counted);
            tokio::spawn(async move {
                let now = counts.now.fetch_add(1, Ordering::SeqCst) + 1;
                counts.most.fetch_max(now, Ordering::SeqCst);
                counts.ever.fetch_add(1, Ordering::SeqCst);
                let _ = stream.read(&mut [0; 1024]).await;
                tokio::time::sleep(time).await;
                // Before the answer: the next look may come at once.
                counts.now.fetch_sub(1, Ordering::SeqCst);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            });
        }
    });
    (address, counts)
}

fn slow_check(id: &str, address: std::net::SocketAddr) -> CheckSpec {
    let http = format!("http://{address}/");
    spec(id, CheckDefinition { http, timeout: Some(PATIENCE), ..CheckDefinition::default() })
}

async fn until_ever(counts: &Counts, wanted: usize) {
    let waiting = async {
        while counts.ever.load(Ordering::SeqCst) < wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("looks");
}

#[tokio::test]
async fn a_check_that_takes_longer_than_its_interval_never_runs_twice_at_once() {
    let catalog = catalog().await;
    let _running = run(&catalog, 8);
    // Interval is one second.
    let (address, counts) = slow(Duration::from_millis(2500)).await;
    catalog.agent().register_check(slow_check("slow", address)).await.expect("registered");
    until_ever(&counts, 2).await;
    assert_eq!(counts.most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn all_checks_together_have_a_limit() {
    let catalog = catalog().await;
    let _running = run(&catalog, 2);
    let (address, counts) = slow(Duration::from_millis(300)).await;
    for at in 0..8 {
        let check = slow_check(&format!("c{at}"), address);
        catalog.agent().register_check(check).await.expect("registered");
    }
    until_ever(&counts, 16).await;
    assert_eq!(counts.most.load(Ordering::SeqCst), 2);
}
