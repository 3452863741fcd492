//! Instances that are no children of this process: what is done to them when things fail.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use regrow_codec::Any;
use regrow_ids::InstanceId;
use regrow_plugin::spi::{DestroyReason, Instance as _, Tags};
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};
use serde_json::json;

use super::lock::LOCK_FILE;
use super::proc::{INSTANCE_VARIABLE, PROVIDER_VARIABLE, boot_id, stat};
use super::record::{Identity, InstanceRecord, State};
use super::{Options, Processes};

const ID: &str = "process-000000000000000a";
/// Longest wait for what must come; it only keeps a failed test from hanging.
const PATIENCE: Duration = Duration::from_secs(40);

/// An instance that an earlier run started. Its processes end with the test.
struct Scene {
    dir: tempfile::TempDir,
    pids: Vec<Pid>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        for pid in &self.pids {
            let _ = kill_process(*pid, Signal::KILL);
        }
    }
}

impl Scene {
    /// Runs a script as the leader of a group; it must write the numbers of its processes, its own
    /// first, into the file `$1`.
    async fn new(script: &str, count: usize) -> Self {
        let dir = tempfile::tempdir().expect("directory");
        let mut scene = Self { dir, pids: Vec::new() };
        std::fs::write(scene.path().join(LOCK_FILE), "").expect("mark");
        let pids = scene.path().join("pids");
        // The shell in between ends at once, so that the leader is nobody's child.
        let status = Command::new("sh")
            .args(["-c", "setsid sh -c \"$0\" sh \"$1\" &", script])
            .arg(&pids)
            .env(INSTANCE_VARIABLE, ID)
            .env(PROVIDER_VARIABLE, scene.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        assert!(status.expect("sh").success());
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let text = std::fs::read_to_string(&pids).unwrap_or_default();
            if text.lines().count() == count && text.ends_with('\n') {
                let number = |line: &str| Pid::from_raw(line.parse().expect("number"));
                scene.pids = text.lines().map(|line| number(line).expect("pid")).collect();
                scene.record();
                return scene;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the script did not come up");
    }

    fn path(&self) -> PathBuf {
        self.dir.path().canonicalize().expect("path")
    }

    fn record(&self) {
        let dir = self.path().join(ID);
        std::fs::create_dir_all(&dir).expect("directory");
        let start = stat(self.pids[0]).expect("look").expect("alive").start;
        let pid = self.pids[0].as_raw_nonzero().get();
        let record = InstanceRecord {
            id: InstanceId::from(ID),
            state: State::Running,
            logical_id: None,
            tags: Tags::new(),
            properties: Any::from(json!({"Command": ["sh"], "StopGrace": "300ms"})),
            created: "2026-01-01T00:00:00Z".to_owned(),
            leader: Some(Identity { pid, start, boot_id: boot_id().expect("boot id") }),
            exit: None,
        };
        record.write(&dir).expect("record");
    }

    async fn open(&self) -> Processes {
        let options = Options { dir: Some(self.path()), ..Options::default() };
        Processes::open(&options).await.expect("open")
    }

    fn living(&self) -> usize {
        let lives = |pid: &&Pid| stat(**pid).expect("look").is_some_and(|stat| !stat.is_dead());
        self.pids.iter().filter(lives).count()
    }

    async fn all_end(&self) {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if self.living() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{} processes are left", self.living());
    }
}

/// A leader that obeys, and a member without an environment that does not.
const HIDDEN_MEMBER: &str = r#"echo $$ >"$1"
    env -i PATH="$PATH" sh -c 'trap "" TERM; echo $$ >>"$0"; while :; do sleep 1; done' "$1" &
    exec sleep 1000"#;

#[tokio::test]
async fn a_stop_takes_members_along_that_hide_their_name() {
    let scene = Scene::new(HIDDEN_MEMBER, 2).await;
    let processes = scene.open().await;
    processes.destroy(&ID.into(), DestroyReason::Terminate).await.expect("destroy");
    assert_eq!(scene.living(), 0);
}

#[tokio::test]
async fn an_unrecorded_start_is_found_without_its_name() {
    for log in ["1>>", "2>>"] {
        // The logs are there before the process is.
        let script = format!(
            r#"dir=$(dirname "$1")/{ID}; mkdir -p "$dir"; echo $$ >"$1"
            exec env -i "$(command -v sleep)" 1000 {log}"$dir"/{}"#,
            if log == "1>>" { "stdout.log" } else { "stderr.log" }
        );
        let scene = Scene::new(&script, 1).await;
        let dir = scene.path().join(ID);
        let mut record = InstanceRecord::read(&dir).expect("record");
        (record.state, record.leader) = (State::Starting, None);
        record.write(&dir).expect("record");
        let processes = scene.open().await;
        let found = processes.describe_instances(&Tags::new(), true).await.expect("list");
        let pid = found.first().map(|one| one.properties.to_value()["Pid"].clone());
        assert_eq!(pid, Some(json!(scene.pids[0].as_raw_nonzero().get())), "{log}");
    }
}

#[tokio::test]
async fn an_end_takes_members_along_that_hide_their_name() {
    let scene = Scene::new(HIDDEN_MEMBER, 2).await;
    let processes = scene.open().await;
    kill_process(scene.pids[0], Signal::KILL).expect("kill");
    scene.all_end().await;
    drop(processes);
}

/// Takes all descriptors away from this process. The tests of this crate run in a process each.
struct NoDescriptors(rustix::process::Rlimit);

impl NoDescriptors {
    fn new() -> Self {
        let before = getrlimit(Resource::Nofile);
        let none = rustix::process::Rlimit { current: Some(0), ..before };
        setrlimit(Resource::Nofile, none).expect("limit");
        Self(before)
    }
}

impl Drop for NoDescriptors {
    fn drop(&mut self) {
        let _ = setrlimit(Resource::Nofile, self.0);
    }
}

#[tokio::test]
async fn a_failed_stop_can_be_tried_again() {
    let script = r#"trap "" TERM; echo $$ >"$1"; while :; do sleep 1; done"#;
    let scene = Scene::new(script, 1).await;
    let processes = std::sync::Arc::new(scene.open().await);
    let destroy = |processes: std::sync::Arc<Processes>| async move {
        processes.destroy(&ID.into(), DestroyReason::Terminate).await
    };
    // While time stands still, the grace that it is given does not end before the descriptors are gone.
    tokio::time::pause();
    let first = tokio::spawn(destroy(std::sync::Arc::clone(&processes)));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let none = NoDescriptors::new();
    let fault = first.await.expect("task").expect_err("no descriptors").to_string();
    assert!(fault.contains("Too many open files"), "{fault}");
    drop(none);
    tokio::time::resume();
    assert_eq!(scene.living(), 1, "what cannot be looked at is not gone");
    let again = (0..3).map(|_| tokio::spawn(destroy(std::sync::Arc::clone(&processes))));
    for again in again.collect::<Vec<_>>() {
        again.await.expect("task").expect("destroyed");
    }
    assert_eq!(scene.living(), 0);
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_not_taken_for_gone() {
    let scene = Scene::new(r#"echo $$ >"$1"; exec sleep 1000"#, 1).await;
    let record = InstanceRecord::read(&scene.path().join(ID)).expect("record");
    let identity = record.leader.expect("leader");
    let none = NoDescriptors::new();
    assert!(super::leader::Leader::adopt(&identity, &identity.boot_id).is_err());
    assert!(super::proc::census(&scene.path()).is_err());
    drop(none);
    let leader = super::leader::Leader::adopt(&identity, &identity.boot_id).expect("look");
    let _none = NoDescriptors::new();
    assert!(!leader.expect("there").has_ended());
}
