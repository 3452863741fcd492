//! The conformance kit: a good plugin passes, and for every check there is a bad one that fails it.

mod examples;
mod faults;
mod proxy;
pub mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use regrow_codec::Any;
use regrow_plugin::conformance::{Check, Counts, Level, Options, Outcome, Report, catalogue, run};
use regrow_plugin::{Endpoint, Listen, serve};
use serde_json::json;

use crate::support::{directory, start, typed_plugin};
use proxy::Proxy;

/// Small enough for a test of every fault.
pub fn options() -> Options {
    Options {
        patience: Duration::from_secs(10),
        connections: 200,
        oversize_bytes: 3 << 20,
        provision: Some(Any::from(json!({"Note": "made by a check"}))),
        ..Options::default()
    }
}

fn assert_all_pass(report: &Report, not_applicable: &[&str]) {
    for check in &report.checks {
        match &check.outcome {
            Outcome::Pass => {}
            Outcome::NotApplicable(_) if not_applicable.contains(&check.id) => {}
            _ => panic!("{}: {:?}\n{report}", check.id, check.outcome),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_plugin_passes_every_check() {
    let dir = directory();
    let running = start(world::plugin("world"), dir.path()).await;
    let report = run(running.endpoint().clone(), Options { connections: 1_000, ..options() }).await;
    assert_all_pass(&report, &[]);
    assert!(report.passed());
    let Counts { passed, .. } = report.counts();
    println!("{passed} checks passed");
    assert!(passed >= 60, "{passed}");
    assert_eq!(report.counts(), Counts { passed, ..Counts::default() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_on_tcp_passes() {
    let dir = directory();
    let listen = Listen::tcp("127.0.0.1:0", dir.path());
    let running = serve(world::plugin("world"), listen).await.expect("serve");
    let report = run(running.endpoint().clone(), options()).await;
    assert_all_pass(&report, &["transport.pid", "transport.private"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_plugin_lacks_is_neither_passed_nor_failed() {
    let dir = directory();
    let running = start(typed_plugin("simulator", &["compute", "disk"]), dir.path()).await;
    let report = run(running.endpoint().clone(), Options { provision: None, ..options() }).await;
    assert!(report.passed(), "{report}");
    for check in &report.checks {
        let expected = match check.id.split('.').next() {
            Some("transport" | "envelope" | "handshake" | "info") => true,
            // There is no instance whose tags could be asked for.
            Some("instance") => !["instance.values", "instance.filter"].contains(&check.id),
            _ => false,
        };
        let passed = check.outcome == Outcome::Pass;
        assert_eq!(passed, expected, "{}: {:?}", check.id, check.outcome);
    }
    let text = report.to_string();
    assert!(text.contains("not applicable"), "{text}");
}

/// Says so when a check does not find its fault.
async fn blind_to(fault: faults::Fault) -> Option<String> {
    let dir = directory();
    let _running = start(world::plugin("good"), dir.path()).await;
    let proxy = Proxy::start(dir.path(), fault.act);
    let options = Options { only: vec![fault.check.to_owned()], ..options() };
    let report = run(Endpoint::Unix(proxy.path().to_owned()), options).await;
    // Where one id begins like another, both are run.
    match report.outcome(fault.check) {
        Some(Outcome::Fail(why)) if !why.is_empty() => None,
        other => Some(format!("{} does not find its fault: {other:?}", fault.check)),
    }
}

/// A check that no plugin can fail is worth nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_check_finds_its_fault() {
    let faults = faults::all();
    let covered: BTreeSet<_> = faults.iter().map(|fault| fault.check).collect();
    // Those that answer nobody cost the whole patience each: some at a time.
    let found = stream::iter(faults).map(blind_to).buffer_unordered(8);
    let blind: Vec<_> = found.filter_map(std::future::ready).collect().await;
    assert!(blind.is_empty(), "{}", blind.join("\n"));
    let all: BTreeSet<_> = catalogue().map(|(id, _, _)| id).collect();
    let special = BTreeSet::from(["transport.connect", "transport.private"]);
    let missing: Vec<_> = all.difference(&covered).filter(|id| !special.contains(*id)).collect();
    assert!(missing.is_empty(), "no fault for {missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxy_itself_adds_no_fault() {
    let dir = directory();
    let _running = start(world::plugin("good"), dir.path()).await;
    let proxy = Proxy::start(dir.path(), Box::new(|_| proxy::Act::Forward));
    let report = run(Endpoint::Unix(proxy.path().to_owned()), options()).await;
    for check in report.failures() {
        // It has no pid file, and hands streams of events on only when they end.
        let known = ["transport.pid", "event.stream", "event.no-block"];
        assert!(known.contains(&check.id), "{check:?}");
    }
}

#[tokio::test]
async fn nobody_there_fails_quickly() {
    let dir = directory();
    let endpoint = Endpoint::Unix(dir.path().join("gone"));
    let report = run(endpoint, options()).await;
    assert!(!report.passed());
    assert!(matches!(report.outcome("transport.connect"), Some(Outcome::Fail(_))));
    assert!(matches!(report.outcome("handshake.hello"), Some(Outcome::Fail(_))));
    assert!(matches!(report.outcome("instance.list"), Some(Outcome::NotApplicable(_))));
    let musts = |check: &&Check| check.level == Level::Must;
    let Counts { failed, warnings, .. } = report.counts();
    assert_eq!(failed, report.failures().filter(musts).count());
    assert_eq!(failed + warnings, report.failures().count());
}

#[tokio::test]
async fn an_open_socket_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let dir = directory();
    let folder = dir.path().join("open");
    let running = start(typed_plugin("file", &["."]), &folder).await;
    let mode = |path: &std::path::Path, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, mode).expect("set mode");
    };
    mode(&folder, 0o755);
    mode(&folder.join("file"), 0o666);
    let only = vec!["transport.private".to_owned()];
    let report = run(running.endpoint().clone(), Options { only, ..options() }).await;
    assert!(matches!(report.outcome("transport.private"), Some(Outcome::Fail(_))), "{report}");
    assert!(report.passed(), "it is a warning");
    let text = report.to_string();
    assert!(text.ends_with(": 0 passed, 0 failed, 1 warning, 0 not applicable"), "{text}");
}
