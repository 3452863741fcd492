//! Real processes: started, watched, stopped, found again.

mod adoption;
mod model;
mod running;

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use regrow_ids::InstanceId;
use regrow_plugin::spi::{Description, DestroyReason, Instance as _, InstanceSpec, Tags, tags};
use regrow_providers::process::{Options, Processes};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// Longest wait for what must come; it only keeps a failed test from hanging.
const PATIENCE: Duration = Duration::from_secs(40);

/// A provider's directory. Every process that belongs to it is killed when the test ends.
pub(super) struct Home(tempfile::TempDir);

impl Drop for Home {
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

impl Home {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().expect("directory"))
    }

    pub(super) fn path(&self) -> PathBuf {
        self.0.path().canonicalize().expect("path")
    }

    pub(super) fn options(&self) -> Options {
        Options { dir: Some(self.path()), ..Options::default() }
    }

    pub(super) async fn open(&self) -> Processes {
        // A dropped provider gives the directory up as soon as its last task has noticed, a killed one
        // as soon as the last process that it was about to start has begun.
        let start = Instant::now();
        loop {
            match Processes::open(&self.options()).await {
                Ok(processes) => return processes,
                Err(fault) if fault.to_string().contains("in use") => {
                    assert!(start.elapsed() < PATIENCE, "the directory stays locked: {fault}");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(fault) => panic!("{fault}"),
            }
        }
    }

    /// Living processes that carry this provider's name.
    pub(super) fn processes(&self) -> Vec<Pid> {
        let mut mark = b"REGROW_PROVIDER_DIR=".to_vec();
        mark.extend(self.path().as_os_str().as_bytes());
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            if environment.split(|byte| *byte == 0).any(|entry| entry == mark) {
                let pid = entry.file_name().to_str().and_then(|pid| pid.parse().ok());
                found.extend(pid.and_then(Pid::from_raw));
            }
        }
        found
    }

    /// Waits until so many run. A process that was just started has no environment for a moment.
    pub(super) async fn runs(&self, count: usize) {
        until("as many processes as expected", || self.processes().len() == count).await;
    }

    pub(super) async fn processes_vanish(&self) {
        until("all processes are gone", || self.processes().is_empty()).await;
    }
}

pub(super) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "not so after {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(super) fn spec(properties: Value, init: &str) -> InstanceSpec {
    let tags = Tags::from([(tags::GROUP.to_owned(), "g".to_owned())]);
    InstanceSpec {
        properties: properties.into(),
        init: init.to_owned(),
        tags,
        ..Default::default()
    }
}

pub(super) fn sleeper() -> InstanceSpec {
    spec(json!({"Command": ["sleep", "1000"]}), "")
}

pub(super) fn with_key(mut spec: InstanceSpec, key: &str) -> InstanceSpec {
    spec.tags.insert(tags::STEP_KEY.to_owned(), key.to_owned());
    spec
}

pub(super) async fn list(processes: &Processes) -> Vec<Arc<Description>> {
    processes.describe_instances(&Tags::new(), true).await.expect("list")
}

pub(super) fn pid_of(description: &Description) -> Pid {
    let pid = description.properties.to_value()["Pid"].as_i64().expect("Pid");
    Pid::from_raw(i32::try_from(pid).expect("pid")).expect("pid")
}

pub(super) async fn destroy(processes: &Processes, id: &InstanceId) {
    processes.destroy(id, DestroyReason::Terminate).await.expect("destroy");
}

pub(super) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Polls all futures until each is done; the answers come in the order of the futures.
pub(super) async fn futures_joined<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut answers: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, answer) in futures.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let std::task::Poll::Ready(done) = future.as_mut().poll(context)
            {
                *answer = Some(done);
            }
        }
        if answers.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    answers.into_iter().flatten().collect()
}
