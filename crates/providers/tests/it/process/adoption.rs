//! Instances that outlive their provider.

use std::time::{Duration, Instant};

use regrow_plugin::spi::{DestroyReason, Instance as _, Tags};
use regrow_providers::process::{Options, Processes};
use rustix::process::{Signal, kill_process};
use serde_json::json;
use tokio_stream::StreamExt as _;

use super::{Home, futures_joined, list, pid_of, sleeper, spec, until, with_key};

#[tokio::test]
async fn the_next_provider_goes_on() {
    let home = Home::new();
    let processes = home.open().await;
    let id = processes.provision(&with_key(sleeper(), "k")).await.expect("provision");
    let label = Tags::from([("color".to_owned(), "blue".to_owned())]);
    processes.label(&id, &label).await.expect("label");
    let before = list(&processes).await;
    let fault = Processes::open(&home.options()).await.err().expect("in use").to_string();
    assert!(fault.contains(&format!("process {}", std::process::id())), "{fault}");
    drop(processes);
    let processes = home.open().await;
    assert_eq!(list(&processes).await, before);
    assert_eq!(processes.describe_instances(&label, false).await.expect("list").len(), 1);
    assert_eq!(processes.provision(&with_key(sleeper(), "k")).await.expect("same"), id);
    let mut hints = processes.watch().expect("hints");
    kill_process(pid_of(&before[0]), Signal::TERM).expect("kill");
    let event = hints.next().await.expect("event");
    assert_eq!((event.kind.as_str(), event.id.as_str()), ("lost", id.as_str()));
}

/// Directory that [`helper`] works in; it does nothing without.
const HELPER_DIR: &str = "REGROW_TEST_PROCESS_DIR";
/// Instances that the helper provisions.
const HELPER_INSTANCES: usize = 6;

/// Not a test: the provider in a process of its own, to be killed.
#[tokio::test]
async fn helper() {
    let Some(dir) = std::env::var_os(HELPER_DIR) else { return };
    let options = Options { dir: Some(dir.into()), ..Options::default() };
    let processes = Processes::open(&options).await.expect("open");
    let scripts = spec(
        json!({"StopGrace": "500ms"}),
        "trap '' TERM; sleep 1000 & while :; do sleep 0.2 & sleep 0.01; done",
    );
    let specs: Vec<_> = (0..HELPER_INSTANCES)
        .map(|number| with_key(scripts.clone(), &format!("k{number}")))
        .collect();
    let calls = specs.iter().map(|spec| processes.provision(spec)).collect();
    for id in futures_joined(calls).await {
        id.expect("provision");
    }
    std::fs::write(options.dir.expect("set").join(".up"), "").expect("write");
    std::future::pending::<()>().await;
}

struct Helper(std::process::Child);

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_helper(home: &Home) -> Helper {
    let own = std::env::current_exe().expect("test binary");
    let child = std::process::Command::new(own)
        .args(["--exact", "process::adoption::helper", "--nocapture"])
        .env(HELPER_DIR, home.path())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn();
    Helper(child.expect("helper"))
}

#[tokio::test]
async fn a_killed_provider_is_followed_by_one_that_adopts() {
    let home = Home::new();
    let helper = start_helper(&home);
    let up = home.path().join(".up");
    until("the helper is up", || up.exists()).await;
    drop(helper);
    let processes = home.open().await;
    let found = list(&processes).await;
    assert_eq!(found.len(), HELPER_INSTANCES);
    assert!(found.iter().all(|one| one.properties.to_value()["Adopted"] == true));
    // One ends by itself: noticed, and its group with it.
    let mut hints = processes.watch().expect("hints");
    kill_process(pid_of(&found[0]), Signal::KILL).expect("kill");
    let event = hints.next().await.expect("event");
    assert_eq!((event.kind.as_str(), event.id.as_str()), ("lost", found[0].id.as_str()));
    // The others are stopped, although they fork all the time.
    let start = Instant::now();
    let stops: Vec<_> =
        found[1..].iter().map(|one| processes.destroy(&one.id, DestroyReason::Terminate)).collect();
    for stopped in futures_joined(stops).await {
        stopped.expect("destroy");
    }
    println!("stopped {} adopted instances in {:?}", found.len() - 1, start.elapsed());
    home.processes_vanish().await;
    assert!(list(&processes).await.is_empty());
}

#[tokio::test]
async fn a_provider_killed_at_any_moment_leaves_no_second_instance() {
    for round in 0..12u64 {
        let home = Home::new();
        let helper = start_helper(&home);
        tokio::time::sleep(Duration::from_micros(5_000 + round * 700)).await;
        drop(helper);
        let processes = home.open().await;
        let adopted = list(&processes).await.len();
        for number in 0..HELPER_INSTANCES {
            let spec = with_key(sleeper(), &format!("k{number}"));
            processes.provision(&spec).await.expect("provision");
        }
        let found = list(&processes).await;
        println!("round {round}: {adopted} adopted");
        assert_eq!(found.len(), HELPER_INSTANCES);
        let mut names: Vec<_> = found.iter().map(|one| one.id.to_string()).collect();
        for pid in home.processes() {
            let environment = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
            let environment = environment.unwrap_or_default();
            let text = String::from_utf8_lossy(&environment);
            let Some(entry) = text.split('\0').find_map(|e| e.strip_prefix("REGROW_INSTANCE_ID="))
            else {
                continue; // it has ended since
            };
            assert!(names.iter().any(|name| name == entry), "{entry} is on no list");
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), HELPER_INSTANCES);
    }
}
