//! Instances while their provider lives.

use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant};

use regrow_codec::Any;
use regrow_plugin::spi::{DestroyReason, Instance as _};
use regrow_providers::process::Options;
use rustix::process::{Signal, kill_process};
use serde_json::json;
use tokio_stream::StreamExt as _;

use super::{Home, destroy, futures_joined, list, pid_of, read, sleeper, spec, until, with_key};

#[tokio::test]
async fn an_instance_gets_its_name_place_and_logs() {
    let home = Home::new();
    let processes = home.open().await;
    let mut spec = spec(json!({"Env": {"EXTRA": "x y"}}), "env; pwd; echo bad >&2; sleep 1000");
    spec.tags.insert("infrakit.config.hash".into(), "abc".into());
    spec.logical_id = Some("10.0.0.1".into());
    let id = processes.provision(&spec).await.expect("provision");
    let dir = processes.directory_of(&id);
    until("the log is written", || read(&dir.join("stderr.log")) == "bad\n").await;
    let log = read(&dir.join("stdout.log"));
    for line in [
        format!("REGROW_INSTANCE_ID={id}"),
        "REGROW_GROUP=g".to_owned(),
        "REGROW_LOGICAL_ID=10.0.0.1".to_owned(),
        "REGROW_TAG_INFRAKIT_CONFIG_HASH=abc".to_owned(),
        "EXTRA=x y".to_owned(),
        dir.join("work").display().to_string(),
    ] {
        assert!(log.lines().any(|found| found == line), "{line} is not in\n{log}");
    }
    assert!(!log.contains("CARGO"), "our own environment is not handed on");
    let found = list(&processes).await;
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].id, &found[0].logical_id), (&id, &spec.logical_id));
    assert_eq!(found[0].tags, spec.tags);
    assert!(!found[0].properties.as_text().contains("x y"), "values of Env may be secrets");
    destroy(&processes, &id).await;
    assert!(list(&processes).await.is_empty() && home.processes().is_empty());
    let fault = processes.destroy(&id, DestroyReason::Terminate).await.expect_err("gone");
    assert!(fault.to_string().contains("not found"), "{fault}");
}

#[tokio::test]
async fn the_script_runs_first_and_must_succeed() {
    let home = Home::new();
    let processes = home.open().await;
    let mut hints = processes.watch().expect("hints");
    let command = json!({"Command": ["sh", "-c", "echo second \"$1\"; sleep 1000", "sh", "a b"]});
    let id = processes.provision(&spec(command.clone(), "echo first")).await.expect("provision");
    let log = processes.directory_of(&id).join("stdout.log");
    until("both have run", || read(&log) == "first\nsecond a b\n").await;
    destroy(&processes, &id).await;
    let id = processes.provision(&spec(command, "exit 7")).await.expect("provision");
    let lost = loop {
        let event = hints.next().await.expect("event");
        if event.kind == "lost" {
            break event;
        }
    };
    assert_eq!(lost.id, id.as_str());
    assert!(lost.message.starts_with("exit status 7"), "{}", lost.message);
}

#[tokio::test]
async fn what_cannot_start_is_refused_and_leaves_nothing() {
    let home = Home::new();
    let processes = home.open().await;
    let text = home.path().join("not-a-program");
    std::fs::write(&text, "x").expect("write");
    for (properties, part) in [
        (json!({"Command": ["/no/such/program"]}), "start program \"/no/such/program\""),
        (json!({"Command": [text]}), "Permission denied"),
        (json!({"Command": ["sleep", "1"], "WorkDir": "/no/such/dir"}), "/no/such/dir"),
        (json!({}), "give Command in Properties"),
        (json!({"Comand": []}), "did you mean \"Command\"?"),
    ] {
        let fault = processes.provision(&spec(properties, "")).await.expect_err("refused");
        assert!(fault.to_string().contains(part), "{part}: {fault}");
    }
    assert!(list(&processes).await.is_empty());
    std::fs::remove_file(text).expect("remove");
    let left = std::fs::read_dir(home.path()).expect("list").flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| name.as_bytes().starts_with(b".")), "{left:?}");
}

#[tokio::test]
async fn an_end_is_noticed_at_once_and_takes_the_group_along() {
    let home = Home::new();
    let processes = home.open().await;
    let mut hints = processes.watch().expect("hints");
    let id = processes.provision(&spec(json!({}), "sleep 1000 & sleep 1000")).await.expect("start");
    home.runs(3).await;
    let leader = pid_of(&list(&processes).await[0]);
    assert_eq!(hints.next().await.expect("event").kind, "created");
    let start = Instant::now();
    kill_process(leader, Signal::KILL).expect("kill");
    let event = hints.next().await.expect("event");
    let noticed = start.elapsed();
    assert_eq!((event.kind.as_str(), event.id.as_str()), ("lost", id.as_str()));
    assert!(event.message.starts_with("killed by signal 9"), "{}", event.message);
    assert!(list(&processes).await.is_empty());
    println!("noticed after {noticed:?}");
    home.processes_vanish().await;
    until("its logs are kept", || {
        std::fs::read_dir(home.path().join(".dead")).expect("list").count() == 1
    })
    .await;
}

#[tokio::test]
async fn those_who_do_not_obey_are_killed() {
    let home = Home::new();
    let processes = home.open().await;
    let stubborn = "trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo up; while :; do sleep 1; done";
    for (script, grace, least, most) in [
        // Ends when asked.
        ("sleep 1000 & echo up; wait", "1m", 0, 50),
        // Ignores being asked.
        (stubborn, "1s", 1, 20),
        // Is stopped.
        ("echo up; kill -STOP $$", "1s", 0, 20),
        // Forks all the time.
        ("echo up; while :; do sleep 0.2 & done", "1s", 0, 20),
        // Left the group.
        ("setsid sleep 1000 & echo up; sleep 1000", "1s", 0, 20),
    ] {
        let properties = json!({"StopGrace": grace});
        let id = processes.provision(&spec(properties, script)).await.expect("start");
        let log = processes.directory_of(&id).join("stdout.log");
        until("it is up", || read(&log) == "up\n").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let start = Instant::now();
        destroy(&processes, &id).await;
        let took = start.elapsed();
        println!("{took:?} for {script}");
        assert!(home.processes().is_empty(), "something is left of {script}");
        let allowed = Duration::from_secs(least)..Duration::from_secs(most);
        assert!(allowed.contains(&took), "{took:?} for {script}");
    }
}

#[tokio::test]
async fn the_stop_signal_can_be_chosen_and_stops_join() {
    let home = Home::new();
    let processes = home.open().await;
    let script = "trap 'echo int; exit' INT; echo up; while :; do sleep 0.05; done";
    let properties = json!({"StopSignal": "SIGINT"});
    let id = processes.provision(&spec(properties, script)).await.expect("start");
    let log = processes.directory_of(&id).join("stdout.log");
    until("it is up", || read(&log) == "up\n").await;
    let stop = || processes.destroy(&id, DestroyReason::RollingUpdate);
    let (one, two) = tokio::join!(stop(), stop());
    one.expect("first");
    two.expect("joined");
    let grave = std::fs::read_dir(home.path().join(".dead")).expect("list").next();
    let grave = grave.expect("one").expect("entry").path();
    assert_eq!(read(&grave.join("stdout.log")), "up\nint\n");
}

#[tokio::test]
async fn one_key_one_instance() {
    let home = Home::new();
    let processes = home.open().await;
    let spec = with_key(sleeper(), "k");
    let calls = (0..10).map(|_| processes.provision(&spec));
    let mut ids = Vec::new();
    for id in futures_joined(calls.collect()).await {
        ids.push(id.expect("provision"));
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    home.runs(1).await;
    destroy(&processes, &ids[0]).await;
    assert_ne!(processes.provision(&spec).await.expect("anew"), ids[0]);
}

/// Instances that start and stop at the same time.
const MANY: usize = 80;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_start_and_stop_together() {
    let home = Home::new();
    let processes = home.open().await;
    let start = Instant::now();
    let spec = sleeper();
    let calls = (0..MANY).map(|_| processes.provision(&spec)).collect();
    let mut ids = Vec::new();
    for id in futures_joined(calls).await {
        ids.push(id.expect("provision"));
    }
    let started = start.elapsed();
    home.runs(MANY).await;
    let start = Instant::now();
    let stops =
        ids.iter().map(|id| processes.destroy(id, DestroyReason::Terminate)).collect::<Vec<_>>();
    for stopped in futures_joined(stops).await {
        stopped.expect("destroy");
    }
    println!("{MANY} started in {started:?}, stopped in {:?}", start.elapsed());
    assert!(home.processes().is_empty() && list(&processes).await.is_empty());
    let dead = std::fs::read_dir(home.path().join(".dead")).expect("list").count();
    assert_eq!(dead, Options::default().keep_dead);
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("fd").count()
}

#[tokio::test]
async fn no_descriptor_is_left_behind() {
    let home = Home::new();
    let processes = home.open().await;
    let id = processes.provision(&sleeper()).await.expect("provision");
    destroy(&processes, &id).await;
    let before = open_files();
    for _ in 0..20 {
        let id = processes.provision(&sleeper()).await.expect("provision");
        list(&processes).await;
        destroy(&processes, &id).await;
        processes.provision(&spec(json!({"Command": ["/none"]}), "")).await.expect_err("none");
    }
    assert_eq!(open_files(), before);
}

#[tokio::test]
async fn any_settings_can_be_checked_without_a_trace() {
    let home = Home::new();
    let processes = home.open().await;
    processes.validate(&processes.example_properties()).await.expect("the example is valid");
    let fault = processes.validate(&Any::from(json!({"StopGrace": 1.5}))).await.expect_err("wrong");
    assert!(fault.to_string().contains("/StopGrace"), "{fault}");
    assert!(home.processes().is_empty());
}
