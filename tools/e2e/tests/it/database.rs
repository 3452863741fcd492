//! The database of `examples/mariadb`: three real MariaDB servers under real supervisors, whose primary
//! is killed under load. The example's own `measure.py` writes, kills and judges; its timeline
//! is the output of this test.
//!
//! Every member has a loopback address of its own, derived from the number of this process, so that
//! tests which run side by side never want the same port.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e::binary;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::catalog::Catalog;

/// Programs without which this cannot be tried.
const MEANS: &[&str] = &["mariadbd", "mariadb-install-db", "mariabackup", "curl", "python3"];

/// How often the primary is killed in a run of the gate, and in a soak.
fn kills() -> &'static str {
    if std::env::var_os("REGROW_SOAK").is_some() { "10" } else { "3" }
}

/// Time until a new database takes writes: initialised, backed up, cloned twice.
const FOUNDED_WITHIN: Duration = Duration::from_secs(180);
/// Time for a supervisor to end its server.
const ENDED_WITHIN: Duration = Duration::from_secs(60);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Supervisors of the members, told to end when dropped.
struct Database {
    members: Vec<Child>,
    catalog: Catalog,
    folder: TempDir,
}

fn example() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/mariadb")
}

fn missing() -> Option<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> =
        std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]).collect();
    let found = |name: &str| folders.iter().any(|folder| folder.join(name).exists());
    MEANS.iter().copied().find(|name| !found(name))
}

impl Database {
    async fn start(count: u8) -> Result<Self> {
        let (catalog, folder) = (Catalog::start().await?, tempfile::tempdir()?);
        let mut database = Self { members: Vec::new(), catalog, folder };
        for number in 1..=count {
            let member = database.member(number)?;
            database.members.push(member);
        }
        database.takes_writes().await?;
        Ok(database)
    }

    fn member(&self, number: u8) -> Result<Child> {
        let name = format!("db{number}");
        let home = self.folder.path().join(&name);
        fs::create_dir_all(&home)?;
        let log = File::create(home.join("log"))?;
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = format!("127.{high}.{low}.{number}");
        Command::new(binary()?)
            .args(["supervise", "-c"])
            .arg(example().join("app.json5"))
            .env("MEMBER", &name)
            .env("MARIADB_HOME", &home)
            .env("MARIADB_HOST", &address)
            .env("MARIADB_BIND", &address)
            .env("MARIADB_SCRIPTS", example())
            .env("MARIADB_BACKUPS", self.folder.path().join("backups"))
            .env("CONSUL_HTTP_ADDR", self.address())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start the supervisor of {name}"))
    }

    fn address(&self) -> &str {
        self.catalog.url().trim_start_matches("http://")
    }

    /// Waits until somebody leads and its server is open for writes.
    async fn takes_writes(&self) -> Result<()> {
        let end = Instant::now() + FOUNDED_WITHIN;
        while Instant::now() < end {
            if self.logs().contains("takes writes under fence") {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("the database does not take writes:\n{}", self.logs())
    }

    fn logs(&self) -> String {
        let read = |name: &Path| fs::read_to_string(name.join("log")).unwrap_or_default();
        (1..=self.members.len()).map(|n| read(&self.folder.path().join(format!("db{n}")))).collect()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Only our own children, by their handles: they end their servers before they end.
        for member in &self.members {
            if let Some(pid) = i32::try_from(member.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        let end = Instant::now() + ENDED_WITHIN;
        for member in &mut self.members {
            while matches!(member.try_wait(), Ok(None)) && Instant::now() < end {
                std::thread::sleep(LOOK_EVERY);
            }
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}

#[tokio::test]
async fn no_acknowledged_commit_is_lost_while_the_primary_is_killed() -> Result<()> {
    if let Some(program) = missing() {
        println!("not run, promise untested: the database that operates itself (needs {program})");
        return Ok(());
    }
    let database = Database::start(3).await?;
    let judged = tokio::process::Command::new(example().join("measure.py"))
        .args(["--kills", kills(), "--catalog", database.address(), "--folder"])
        .arg(database.folder.path())
        .output()
        .await
        .context("run measure.py")?;
    let said = String::from_utf8_lossy(&judged.stdout);
    println!("{said}{}", String::from_utf8_lossy(&judged.stderr));
    ensure!(judged.status.success(), "commits were lost or members differ:\n{}", database.logs());
    ensure!(said.contains(", lost 0,"), "measure.py did not count");
    Ok(())
}
