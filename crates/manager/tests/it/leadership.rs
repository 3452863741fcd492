//! Leadership by a file: who leads, how soon it is noticed, and what is kept beside it.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use regrow_ids::Fence;
use regrow_manager::leader::{
    FileLeader, FileLeaderSettings, LeaderSource, Leadership, parse_location,
};
use tokio::sync::watch;

struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn new(content: &str) -> Self {
        let files = Self { dir: tempfile::tempdir().expect("directory") };
        fs::write(files.leader(), content).expect("write");
        files
    }

    fn leader(&self) -> PathBuf {
        self.dir.path().join("leader")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).expect(name)
    }

    async fn start(&self, poll_interval: Duration) -> FileLeader {
        let settings =
            FileLeaderSettings { leader_file: self.leader(), id: "manager1".into(), poll_interval };
        FileLeader::start(settings).await.expect("start")
    }
}

const NO_POLL: Duration = Duration::from_secs(3600);

fn leading(fence: u64) -> Leadership {
    Leadership::Leading { fence: Fence::new(fence) }
}

async fn next(
    watch: &mut watch::Receiver<Leadership>,
    wanted: impl Fn(&Leadership) -> bool,
) -> Duration {
    let start = Instant::now();
    let wait = watch.wait_for(wanted);
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("in time").expect("alive");
    start.elapsed()
}

#[tokio::test]
async fn a_replica_leads_when_the_trimmed_content_is_its_id() {
    for (content, leads) in
        [("manager1", true), (" manager1\n\n", true), ("manager10", false), ("", false)]
    {
        let source = Files::new(content).start(NO_POLL).await;
        assert_eq!(matches!(*source.watch().borrow(), Leadership::Leading { .. }), leads);
    }
}

#[tokio::test]
async fn changes_are_noticed_without_polling() {
    let files = Files::new("manager2");
    let source = files.start(NO_POLL).await;
    let mut watch = source.watch();
    fs::write(files.leader(), "manager1\n").expect("write in place");
    next(&mut watch, |now| *now == leading(1)).await;
    let other = files.dir.path().join("new");
    fs::write(&other, "manager2").expect("write");
    fs::rename(other, files.leader()).expect("replace");
    next(&mut watch, |now| *now == Leadership::Following).await;
    fs::write(files.leader(), "manager1").expect("write");
    next(&mut watch, |now| *now == leading(2)).await;
    fs::remove_file(files.leader()).expect("remove");
    next(&mut watch, |now| matches!(now, Leadership::Unknown(why) if why.contains("gone"))).await;
    fs::write(files.leader(), "manager1").expect("write");
    next(&mut watch, |now| *now == leading(3)).await;
    // Rewriting the same content is no new term.
    fs::write(files.leader(), "manager1").expect("write");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(*watch.borrow(), leading(3));
    assert_eq!(files.read("leader.fence"), "3");
}

#[tokio::test]
async fn polling_sees_what_a_watch_of_the_folder_does_not() {
    let elsewhere = Files::new("manager2");
    let files = Files::new("");
    fs::remove_file(files.leader()).expect("remove");
    std::os::unix::fs::symlink(elsewhere.leader(), files.leader()).expect("link");
    let source = files.start(Duration::from_millis(50)).await;
    fs::write(elsewhere.leader(), "manager1").expect("write");
    next(&mut source.watch(), |now| *now == leading(1)).await;
}

#[tokio::test]
async fn polling_without_a_pause_keeps_no_processor_busy() {
    let files = Files::new("manager2");
    let source = files.start(Duration::ZERO).await;
    // On this thread: were there no pause, nothing else would ever run.
    tokio::time::sleep(Duration::from_millis(100)).await;
    fs::write(files.leader(), "manager1").expect("write");
    next(&mut source.watch(), |now| *now == leading(1)).await;
}

#[tokio::test]
async fn an_unreadable_leader_file_is_unknown_leadership() {
    let files = Files::new("manager1");
    let source = files.start(NO_POLL).await;
    fs::write(files.leader(), "x".repeat(5000)).expect("write");
    let large =
        |now: &Leadership| matches!(now, Leadership::Unknown(why) if why.contains("larger"));
    next(&mut source.watch(), large).await;
}

#[tokio::test]
async fn fences_grow_over_restarts_and_a_bad_one_is_not_guessed() {
    let files = Files::new("manager1");
    for fence in 1..4 {
        let source = files.start(NO_POLL).await;
        assert_eq!(*source.watch().borrow(), leading(fence));
    }
    fs::write(files.dir.path().join("leader.fence"), "many").expect("write");
    let source = files.start(NO_POLL).await;
    let now = source.watch().borrow().clone();
    assert!(matches!(&now, Leadership::Unknown(why) if why.contains("leader.fence")), "{now:?}");
}

#[tokio::test]
async fn the_location_is_a_url_beside_the_leader_file() {
    let files = Files::new("manager2");
    let source = files.start(NO_POLL).await;
    assert!(source.location().await.expect("none").is_none());
    let location = parse_location("http://localhost:24999", "test").expect("location");
    source.set_location(&location).await.expect("set");
    assert_eq!(files.read("leader.loc"), "http://localhost:24999");
    fs::write(files.dir.path().join("leader.loc"), "http://other:1\n").expect("write");
    let found = source.location().await.expect("location").expect("some");
    assert_eq!(found.host, "other:1");
    fs::write(files.dir.path().join("leader.loc"), "nonsense").expect("write");
    let fault = source.location().await.expect_err("not a URL").to_string();
    assert!(fault.contains("leader.loc") && fault.contains("expected http://"), "{fault}");
}

#[tokio::test]
async fn a_start_without_file_or_id_says_what_to_do() {
    let files = Files::new("x");
    let settings = |leader_file, id: &str| FileLeaderSettings {
        leader_file,
        id: id.into(),
        poll_interval: NO_POLL,
    };
    let fault = FileLeader::start(settings(files.dir.path().join("none"), "a")).await.err();
    let text = fault.expect("no file").to_string();
    assert!(text.contains("none") && text.contains("INFRAKIT_LEADER_FILE"), "{text}");
    let fault = FileLeader::start(settings(files.leader(), " ")).await.err();
    assert!(fault.expect("no id").to_string().contains("INFRAKIT_ID"));
}
