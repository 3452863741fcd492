//! Programs as checks.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};

use crate::checks::Finding;
use crate::checks::probe::Probe;
use crate::model::{CheckDefinition, Status};

/// Longest wait for anything, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn shell(script: &str) -> CheckDefinition {
    CheckDefinition {
        args: ["/bin/sh", "-c", script].map(str::to_owned).into(),
        timeout: Some(PATIENCE),
        ..CheckDefinition::default()
    }
}

async fn look(check: &CheckDefinition) -> Finding {
    Probe::new(true).expect("a probe").look(check).await
}

#[tokio::test]
async fn the_exit_code_is_the_status() {
    for (script, status, output) in [
        ("echo fine", Status::Passing, "fine\n"),
        ("echo hm >&2; exit 1", Status::Warning, "hm\n"),
        ("echo no; exit 2", Status::Critical, "no\n"),
        ("kill -9 $$", Status::Critical, ""),
    ] {
        assert_eq!(look(&shell(script)).await, Finding::new(status, output), "{script}");
    }
    let absent = ["/nonexistent/program".to_owned()].into();
    let absent = CheckDefinition { args: absent, ..CheckDefinition::default() };
    let found = look(&absent).await;
    assert!(found.status == Status::Critical && found.output.contains("/nonexistent/program"));
}

#[tokio::test]
async fn output_is_cut_and_does_not_hold_the_program_up() {
    let script = "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; \
                  i=$((i+1)); done; exit 1";
    let found = look(&shell(script)).await;
    assert_eq!((found.status, found.output.len()), (Status::Warning, 4096));
    let bytes = look(&shell("head -c 9000 /dev/zero | tr '\\0' '\\377'")).await;
    assert!(bytes.output.len() <= 4096 && bytes.output.len() > 4000, "{}", bytes.output.len());
}

async fn pid(file: &Path) -> Pid {
    let reading = async {
        loop {
            let text = tokio::fs::read_to_string(file).await.unwrap_or_default();
            if let Some(line) = text.strip_suffix('\n') {
                return Pid::from_raw(line.parse().expect("a number")).expect("an id");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("a file")
}

/// Ended, or only waiting for its parent to notice.
async fn ended(pid: Pid) {
    let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let waiting = async {
        while test_kill_process(pid).is_ok() {
            let text = tokio::fs::read_to_string(&stat).await.unwrap_or_default();
            if text.contains(") Z ") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("ended");
}

/// A program that starts another one, tells its id, and waits for it.
fn family(folder: &Path) -> CheckDefinition {
    let file = folder.join("pid");
    let file = file.display();
    shell(&format!("echo begun; sleep 1000 & echo $! > {file}.new; mv {file}.new {file}; wait"))
}

#[tokio::test]
async fn what_takes_too_long_is_killed_with_all_that_it_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let timeout = Some(Duration::from_secs(600));
    let check = CheckDefinition { timeout, ..family(folder.path()) };
    let looking = tokio::spawn(async move { look(&check).await });
    let pid = pid(&folder.path().join("pid")).await;
    // What was said before is read by now.
    tokio::time::sleep(Duration::from_millis(20)).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(601)).await;
    let found = looking.await.expect("looked");
    tokio::time::resume();
    let expected = "/bin/sh was killed after 600s; it said: begun\n";
    assert_eq!(found, Finding::new(Status::Critical, expected));
    ended(pid).await;
}

#[tokio::test]
async fn a_look_that_is_given_up_kills_its_program() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = family(folder.path());
    let looking = tokio::spawn(async move { look(&check).await });
    let pid = pid(&folder.path().join("pid")).await;
    assert!(test_kill_process(pid).is_ok());
    looking.abort();
    ended(pid).await;
}

#[tokio::test]
async fn what_a_program_leaves_behind_does_not_hold_the_check_up() {
    let found = look(&shell("echo fine; sleep 1000 & echo $!")).await;
    assert_eq!(found.status, Status::Passing, "{found:?}");
    let left = found.output.lines().nth(1).and_then(|line| line.parse().ok());
    let left = left.and_then(Pid::from_raw).expect("an id");
    let _ = rustix::process::kill_process(left, rustix::process::Signal::KILL);
}

#[tokio::test]
async fn programs_do_not_run_where_they_are_not_allowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ran");
    let check = shell(&format!("touch {}", file.display()));
    let found = Probe::new(false).expect("a probe").look(&check).await;
    assert!(found.status == Status::Critical && found.output.contains("disabled"), "{found:?}");
    assert!(!file.exists());
    let docker = CheckDefinition { docker_container_id: "c1".to_owned(), ..check };
    let found = look(&docker).await;
    assert!(found.status == Status::Critical && found.output.contains("container"), "{found:?}");
    assert!(!file.exists());
}
