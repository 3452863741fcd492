//! The database of `examples/mariadb`: three real MariaDB servers under real supervisors. Under load
//! the primary's server is killed, its whole member is killed or stands still, and all supervisors are
//! restarted in turn. The example's own `try.sh` starts and ends the members, its `measure.py`
//! writes, does that to them and judges; its timeline is the output of this test.
//!
//! `bucket` has its backups in S3.
//!
//! Every member has a loopback address of its own, derived from the number of this process, so that
//! tests which run side by side never want the same port.

mod bucket;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::{loopback, missing, search_path};
use tempfile::TempDir;

use crate::catalog::Catalog;

/// Programs without which this cannot be tried.
const MEANS: &[&str] = &["mariadbd", "mariadb-install-db", "mariabackup", "curl", "python3"];

/// What `measure.py` does to the members in a run of the gate, and in a soak.
fn trials() -> impl Iterator<Item = &'static str> {
    let soak = std::env::var_os("REGROW_SOAK").is_some();
    let all = if soak {
        "--kills 10 --unseen 3 --machines 3 --freezes 3 --rolls 2 --scale --pause 2"
    } else {
        "--kills 1 --unseen 1 --machines 1 --freezes 1 --rolls 1 --pause 1"
    };
    all.split_whitespace()
}

/// Time until a new database takes writes: initialised, backed up, cloned twice. Also for all else
/// that must come true.
const FOUNDED_WITHIN: Duration = Duration::from_secs(180);
/// All that can run; a soak scales to five.
const MEMBERS: &[&str] = &["db1", "db2", "db3", "db4", "db5"];
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Settings of all members beside those that every test has: names and values of environment variables.
type Settings = Vec<(&'static str, String)>;

/// Members with a supervisor each, told to end when dropped.
struct Database {
    catalog: Catalog,
    folder: TempDir,
    settings: Settings,
}

fn example() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/mariadb")
}

impl Database {
    async fn start(members: &[&str], settings: Settings) -> Result<Self> {
        let (catalog, folder) = (Catalog::start().await?, tempfile::tempdir()?);
        let database = Self { catalog, folder, settings };
        let started = database.run("try.sh")?.arg("start").args(members).status()?;
        ensure!(started.success(), "try.sh start ended with {started}");
        Ok(database)
    }

    /// A program of the example, in the surroundings of this database.
    fn run(&self, program: &str) -> Result<Command> {
        let [a, b, c, _] = loopback(0).octets();
        let mut command = Command::new(example().join(program));
        command
            .env("PATH", search_path()?)
            .env("REGROW_TRY", self.folder.path())
            .env("MARIADB_NET", format!("{a}.{b}.{c}"))
            .env("CONSUL_HTTP_ADDR", self.address())
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        Ok(command)
    }

    fn address(&self) -> &str {
        self.catalog.url().trim_start_matches("http://")
    }

    /// Waits until somebody leads and its server is open for writes.
    async fn takes_writes(&self) -> Result<()> {
        self.says(|logs| logs.contains("takes writes under fence")).await
    }

    /// Waits until the logs of all members together are so.
    async fn says(&self, so: impl Fn(&str) -> bool) -> Result<()> {
        let end = Instant::now() + FOUNDED_WITHIN;
        while !so(&self.logs()) {
            ensure!(Instant::now() < end, "not in {FOUNDED_WITHIN:?}:\n{}", self.logs());
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    fn logs(&self) -> String {
        let read = |name: &str| {
            fs::read_to_string(self.folder.path().join(name).join("log")).unwrap_or_default()
        };
        MEMBERS.iter().map(|name| read(name)).collect()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Only what `try.sh` started in this folder; it waits until they have ended their servers.
        let _ =
            self.run("try.sh").and_then(|mut stop| Ok(stop.arg("stop").args(MEMBERS).status()?));
    }
}

#[tokio::test]
async fn no_acknowledged_commit_is_lost_whatever_happens_to_the_primary() -> Result<()> {
    if let Some(program) = missing(MEANS) {
        println!("not run, promise untested: the database that operates itself (needs {program})");
        return Ok(());
    }
    let database = Database::start(&MEMBERS[..3], Vec::new()).await?;
    database.takes_writes().await?;
    let judged = tokio::process::Command::from(database.run("measure.py")?)
        .args(trials())
        .arg("--folder")
        .arg(database.folder.path())
        .output()
        .await
        .context("run measure.py")?;
    let said = String::from_utf8_lossy(&judged.stdout);
    println!("{said}{}", String::from_utf8_lossy(&judged.stderr));
    ensure!(judged.status.success(), "commits were lost or members differ:\n{}", database.logs());
    ensure!(said.contains(", lost 0,"), "measure.py did not count");
    ensure!(said.contains("acknowledged by a primary of before 0"), "nobody tried the old primary");
    for act in [
        "server killed",
        "server killed unseen",
        "machine lost",
        "stood still",
        "rolling, restarts",
        "rolling, switches",
    ] {
        ensure!(said.contains(&format!("without a write, {act} (")), "not tried: {act}");
    }
    Ok(())
}
