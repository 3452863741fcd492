//! A catalog of a test's own, which answers as Consul does.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use e2e::binary;
use tempfile::TempDir;

use crate::WITHIN;

/// Time between two looks whether it runs.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// `regrow catalog --dev`, ended when dropped.
pub struct Catalog {
    child: Child,
    url: String,
    _folder: TempDir,
}

impl Catalog {
    /// Starts one on a free port.
    pub async fn start() -> Result<Self> {
        Self::start_on("127.0.0.1:0").await
    }

    /// Kills it and starts another at the same address, which knows nothing.
    pub async fn restart(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        let address = self.url.trim_start_matches("http://").to_owned();
        *self = Self::start_on(&address).await?;
        Ok(())
    }

    async fn start_on(address: &str) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder")?;
        let log = folder.path().join("log");
        let child = Command::new(binary()?)
            .args(["catalog", "--dev", "--http", address, "--dns", "none"])
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(Stdio::null())
            .spawn()
            .context("start regrow")?;
        let mut catalog = Self { child, url: String::new(), _folder: folder };
        let end = Instant::now() + WITHIN;
        while Instant::now() < end {
            let said = std::fs::read_to_string(&log)?;
            let address = said.lines().find_map(|line| line.strip_prefix("HTTP on "));
            if let (Some(address), true) = (address, said.contains("\nready\n")) {
                catalog.url = format!("http://{address}");
                return Ok(catalog);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("the catalog did not come up")
    }

    /// Where it answers.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Catalog {
    fn drop(&mut self) {
        // Only this child, by its handle; it may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
