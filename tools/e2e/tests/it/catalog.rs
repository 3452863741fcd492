//! A catalog of a test's own, which answers as Consul does.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use e2e::binary;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::handshake;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;

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

    /// Asks it once; what is not JSON is null.
    pub async fn ask(&self, method: Method, path: &str) -> Result<Value> {
        let address = self.url.trim_start_matches("http://");
        let stream = TcpStream::connect(address).await.context("reach the catalog")?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("host", address);
        let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        let body = answer.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&body).unwrap_or(Value::Null))
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
