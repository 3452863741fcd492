//! The examples, as processes of their own.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use regrow_codec::Any;
use regrow_plugin::conformance::{Outcome, run};
use regrow_plugin::spi::{DestroyReason, InstanceSpec};
use regrow_plugin::{Directory, Lookup, SocketPlugins};
use serde_json::json;

use super::options;
use crate::support::{directory, name, tags, timeouts};

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn terminate(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signal");
        assert!(self.0.wait().expect("wait").success());
    }
}

async fn start(mut command: Command, directory: &Path) -> Process {
    command.env("INFRAKIT_PLUGINS_DIR", directory).stdin(Stdio::null());
    let process = Process(command.spawn().expect("start"));
    let begin = Instant::now();
    let listens = || std::os::unix::net::UnixStream::connect(directory.join("mine")).is_ok();
    // Its number is recorded once it listens.
    while !(listens() && directory.join("mine.pid").exists()) {
        assert!(begin.elapsed() < Duration::from_secs(40), "it does not listen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    process
}

async fn provision_and_destroy(directory: &Path) {
    let plugins = SocketPlugins::with(Directory::new(directory), timeouts());
    let instances = plugins.instance(&name("mine")).await.expect("lookup");
    let properties = Any::from(json!({"Note": "x"}));
    let tags = tags([("infrakit.group", "g")]);
    let spec = InstanceSpec { properties, tags: tags.clone(), ..InstanceSpec::default() };
    let id = instances.provision(&spec).await.expect("provision");
    let found = instances.describe_instances(&tags, true).await.expect("list");
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].id, found[0].properties.to_value()), (&id, json!({"Note": "x"})));
    instances.destroy(&id, DestroyReason::Terminate).await.expect("destroy");
    assert!(instances.describe_instances(&tags, true).await.expect("list").is_empty());
}

async fn check(directory: &Path, may_warn: &[&str]) {
    let report = run(Directory::new(directory).find("mine").expect("found"), options()).await;
    assert!(report.passed(), "{report}");
    for check in report.failures() {
        assert!(may_warn.contains(&check.id), "{}: {:?}\n{report}", check.id, check.outcome);
    }
    let applies = |start: &str| {
        let of = report.checks.iter().filter(|check| check.id.starts_with(start));
        of.filter(|check| check.outcome == Outcome::Pass).count()
    };
    assert!(applies("lifecycle.") >= 12, "{report}");
    println!("{report}");
}

fn folder() -> tempfile::TempDir {
    let dir = directory();
    let mode = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(dir.path(), mode).expect("mode");
    dir
}

/// Examples stand beside the tests in the build folder.
fn example() -> PathBuf {
    let test = std::env::current_exe().expect("own path");
    let build = test.ancestors().nth(2).expect("build folder");
    build.join("examples").join("instance-plugin")
}

fn rust() -> Command {
    let mut command = Command::new(example());
    command.arg("mine");
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rust_example_conforms() {
    let plugins = folder();
    let mut process = start(rust(), plugins.path()).await;
    provision_and_destroy(plugins.path()).await;
    check(plugins.path(), &[]).await;
    process.terminate();
    assert_eq!(std::fs::read_dir(plugins.path()).expect("list").count(), 0, "files are left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_plugin_leaves_nothing_in_the_way() {
    let plugins = folder();
    let mut process = start(rust(), plugins.path()).await;
    process.0.kill().expect("kill");
    process.0.wait().expect("wait");
    assert!(plugins.path().join("mine").exists(), "its files are left");
    assert!(plugins.path().join("mine.pid").exists());
    let mut successor = start(rust(), plugins.path()).await;
    provision_and_destroy(plugins.path()).await;
    // While it lives, a second one is told who has the name.
    let mut command = rust();
    let output = command.env("INFRAKIT_PLUGINS_DIR", plugins.path()).output().expect("run");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("already serves it"), "{text}");
    assert!(text.contains(&successor.0.id().to_string()), "{text}");
    assert!(text.contains("instance-plugin"), "{text}");
    successor.terminate();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_example_conforms() {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("not run, promise untested: P4 with the Python example (needs python3)");
        return;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/plugins/python/instance_plugin.py");
    let plugins = folder();
    let mut command = Command::new("python3");
    command.arg(source).arg("mine");
    let mut process = start(command, plugins.path()).await;
    provision_and_destroy(plugins.path()).await;
    // It describes nothing but its methods.
    check(plugins.path(), &["info.api", "info.methods", "info.functions"]).await;
    process.terminate();
    assert_eq!(std::fs::read_dir(plugins.path()).expect("list").count(), 0, "files are left");
}
