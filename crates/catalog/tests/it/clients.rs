//! Clients that others wrote: `py-consul` and `python-consul` from PyPI.
//!
//! `cargo xtask setup` puts them under `target/clients`. Where they are missing, the tests say so.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use crate::world::World;

/// A session of 10 seconds has to end on the way; the rest is for a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

fn package(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/clients").join(name);
    let folder = folder.canonicalize().ok()?;
    folder.join("consul").is_dir().then_some(folder)
}

async fn script(world: &World, package: &Path) -> Option<Output> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/behaviour.py");
    let child = tokio::process::Command::new("python3")
        .arg(script)
        .arg(world.address.ip().to_string())
        .arg(world.address.port().to_string())
        .env("PYTHONPATH", package)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    Some(output.expect("the script ends in time").expect("its output"))
}

async fn run(name: &str) {
    let missing = || {
        println!(
            "not run, promise untested: C11 with {name} (needs python3 and the package; run \
             `cargo xtask setup`)"
        );
    };
    let Some(package) = package(name) else { return missing() };
    let world = World::start().await;
    let Some(output) = script(&world, &package).await else { return missing() };
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.ends_with("all well\n"), "{name}: {said}{failed}");
}

#[tokio::test]
async fn py_consul_does_not_notice() {
    run("py-consul").await;
}

#[tokio::test]
async fn python_consul_does_not_notice() {
    run("python-consul").await;
}
