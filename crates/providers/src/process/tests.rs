//! What a crash at any point leaves, put there by hand, and what the next run makes of it.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use regrow_codec::Any;
use regrow_ids::InstanceId;
use regrow_plugin::spi::{DestroyReason, Instance as _, Tags};
use serde_json::json;

use super::lock::LOCK_FILE;
use super::proc::{INSTANCE_VARIABLE, PROVIDER_VARIABLE, boot_id, stat};
use super::record::{Identity, InstanceRecord, RECORD_FILE, State};
use super::{Options, Processes};

/// Names of instances.
const A: &str = "process-000000000000000a";
const B: &str = "process-000000000000000b";

/// A directory and the processes that a test started; nothing of either outlives the test.
struct Scene {
    dir: tempfile::TempDir,
    children: Vec<Child>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("directory");
        std::fs::write(dir.path().join(LOCK_FILE), "").expect("the mark of an earlier run");
        Self { dir, children: Vec::new() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().canonicalize().expect("path")
    }

    fn options(&self) -> Options {
        Options { dir: Some(self.path()), ..Options::default() }
    }

    /// A process that looks like the instance `id`, or like nobody's.
    fn start(&mut self, id: Option<&str>) -> i32 {
        let mut command = Command::new("sleep");
        command.arg("1000").stdin(Stdio::null()).process_group(0);
        if let Some(id) = id {
            command.env(INSTANCE_VARIABLE, id).env(PROVIDER_VARIABLE, self.path());
        }
        let child = command.spawn().expect("sleep");
        let pid = i32::try_from(child.id()).expect("pid");
        self.children.push(child);
        pid
    }

    fn record(&self, id: &str, state: State, leader: Option<Identity>) {
        let dir = self.path().join(id);
        std::fs::create_dir_all(&dir).expect("directory");
        let record = InstanceRecord {
            id: InstanceId::from(id),
            state,
            logical_id: None,
            tags: Tags::from([("regrow.key".to_owned(), format!("key-{id}"))]),
            properties: Any::from(json!({"Command": ["sleep", "1000"], "StopGrace": "5s"})),
            created: "2026-01-01T00:00:00Z".to_owned(),
            leader,
            exit: None,
        };
        record.write(&dir).expect("record");
    }

    fn is_running(&mut self, at: usize) -> bool {
        self.children[at].try_wait().expect("wait").is_none()
    }

    fn dead(&self) -> usize {
        std::fs::read_dir(self.path().join(".dead")).expect("list").count()
    }
}

fn identity(pid: i32) -> Identity {
    let start = stat(rustix::process::Pid::from_raw(pid).expect("pid"))
        .expect("look")
        .expect("alive")
        .start;
    Identity { pid, start, boot_id: boot_id().expect("boot id") }
}

async fn ids(processes: &Processes) -> Vec<String> {
    let list = processes.describe_instances(&Tags::new(), true).await.expect("list");
    list.iter().map(|description| description.id.to_string()).collect()
}

#[tokio::test]
async fn died_before_the_start_was_recorded() {
    let mut scene = Scene::new();
    let pid = scene.start(Some(A));
    scene.record(A, State::Starting, None);
    let processes = Processes::open(&scene.options()).await.expect("open");
    assert_eq!(ids(&processes).await, [A]);
    let again = InstanceRecord::read(&scene.path().join(A)).expect("record");
    assert_eq!((again.state, again.leader), (State::Running, Some(identity(pid))));
    // The key finds it: there is no second one.
    let tags = Tags::from([("regrow.key".to_owned(), format!("key-{A}"))]);
    let spec = regrow_plugin::spi::InstanceSpec { tags, ..Default::default() };
    assert_eq!(processes.provision(&spec).await.expect("provision").as_str(), A);
}

#[tokio::test]
async fn died_before_the_start() {
    let scene = Scene::new();
    scene.record(A, State::Starting, None);
    std::fs::create_dir(scene.path().join(B)).expect("no record yet");
    let processes = Processes::open(&scene.options()).await.expect("open");
    assert!(ids(&processes).await.is_empty());
    assert_eq!(scene.dead(), 1);
    assert!(!scene.path().join(B).exists());
}

#[tokio::test]
async fn what_is_not_ours_is_left_alone() {
    let scene = Scene::new();
    let foreign = [scene.path().join("photos/holidays"), scene.path().join(A).join("letters")];
    for dir in &foreign {
        std::fs::create_dir_all(dir).expect("directory");
    }
    let processes = Processes::open(&scene.options()).await.expect("open");
    assert!(ids(&processes).await.is_empty());
    assert!(foreign.iter().all(|dir| dir.is_dir()));
    drop(processes);
    std::fs::remove_file(scene.path().join(LOCK_FILE)).expect("remove");
    let fault = Processes::open(&scene.options()).await.err().expect("not our directory");
    assert!(fault.to_string().contains(&*scene.path().to_string_lossy()), "{fault}");
    assert!(foreign.iter().all(|dir| dir.is_dir()));
}

#[tokio::test]
async fn died_in_the_middle_of_a_stop() {
    let mut scene = Scene::new();
    let pid = scene.start(Some(A));
    scene.record(A, State::Stopping, Some(identity(pid)));
    let _processes = Processes::open(&scene.options()).await.expect("open");
    let start = Instant::now();
    while scene.dead() != 1 {
        assert!(start.elapsed() < Duration::from_secs(40), "the stop was not finished");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_stranger_with_the_same_number_is_left_alone() {
    for change in [
        |identity: &mut Identity| identity.start -= 1,
        |identity: &mut Identity| identity.boot_id = "another".to_owned(),
    ] {
        let mut scene = Scene::new();
        let mut identity = identity(scene.start(None));
        change(&mut identity);
        scene.record(A, State::Running, Some(identity.clone()));
        scene.record(B, State::Stopping, Some(identity));
        let processes = Processes::open(&scene.options()).await.expect("open");
        assert!(ids(&processes).await.is_empty());
        assert_eq!(scene.dead(), 2);
        drop(processes);
        assert!(scene.is_running(0));
    }
}

#[tokio::test]
async fn what_an_ended_leader_left_is_cleared_away() {
    let mut scene = Scene::new();
    let ended = {
        let mut child = Command::new("true").spawn().expect("true");
        let pid = i32::try_from(child.id()).expect("pid");
        child.wait().expect("wait");
        pid
    };
    scene.start(Some(A));
    scene.start(Some(B));
    scene.record(
        A,
        State::Running,
        Some(Identity { pid: ended, start: 1, boot_id: boot_id().expect("boot id") }),
    );
    let processes = Processes::open(&scene.options()).await.expect("open");
    assert!(ids(&processes).await.is_empty());
    assert!(!scene.is_running(0), "it was left by a");
    assert!(scene.is_running(1), "there is no record of b: it is not ours to touch");
}

#[tokio::test]
async fn a_bad_record_fails_the_list_and_stops_no_other() {
    type Damage = fn(&mut Vec<u8>);
    for damage in [(|bytes| *bytes.last_mut().expect("bytes") ^= 1) as Damage, Vec::clear] {
        let mut scene = Scene::new();
        let pid = scene.start(Some(B));
        scene.record(A, State::Running, None);
        scene.record(B, State::Running, Some(identity(pid)));
        let path = scene.path().join(A).join(RECORD_FILE);
        let mut bytes = std::fs::read(&path).expect("read");
        damage(&mut bytes);
        std::fs::write(&path, bytes).expect("write");
        let processes = Processes::open(&scene.options()).await.expect("open");
        let fault = processes.describe_instances(&Tags::new(), false).await.expect_err("not whole");
        assert!(fault.to_string().contains(&*path.to_string_lossy()), "{fault}");
        // Nobody knows its key.
        let spec = |key: &str| {
            let tags = Tags::from([("regrow.key".to_owned(), key.to_owned())]);
            regrow_plugin::spi::InstanceSpec { tags, ..Default::default() }
        };
        let fault = processes.provision(&spec("x")).await.expect_err("the key may be taken");
        assert!(fault.to_string().contains(A), "{fault}");
        assert_eq!(processes.provision(&spec(&format!("key-{B}"))).await.expect("known"), B.into());
        processes.destroy(&B.into(), DestroyReason::Terminate).await.expect("the other goes on");
        assert!(path.exists());
        std::fs::remove_dir_all(scene.path().join(A)).expect("remove");
        assert!(ids(&processes).await.is_empty());
    }
}

#[tokio::test]
async fn a_record_in_the_wrong_place_is_refused() {
    let scene = Scene::new();
    scene.record(A, State::Running, None);
    let (from, to) = (scene.path().join(A), scene.path().join(B));
    std::fs::rename(from, to).expect("rename");
    let processes = Processes::open(&scene.options()).await.expect("open");
    let fault = processes.describe_instances(&Tags::new(), false).await.expect_err("not whole");
    assert!(fault.to_string().contains("another name"), "{fault}");
}

#[test]
fn the_stored_form_is_fixed() {
    let stored = include_bytes!("testdata/instance-v1.rec");
    let dir = tempfile::tempdir().expect("directory");
    std::fs::write(dir.path().join(RECORD_FILE), stored).expect("write");
    let record = InstanceRecord::read(dir.path()).expect("the first version stays readable");
    assert_eq!(record.id.as_str(), "process-1");
    assert_eq!(record.leader.as_ref().map(|leader| leader.pid), Some(42));
    record.write(dir.path()).expect("write");
    assert_eq!(std::fs::read(Path::new(dir.path()).join(RECORD_FILE)).expect("read"), stored);
}
