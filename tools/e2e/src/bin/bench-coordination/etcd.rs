//! Three members of etcd on machines of their own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use e2e::net::{Net, Process, address};
use e2e::{Http, Loss};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use tempfile::TempDir;

/// Where each member serves clients, in its own network.
const CLIENTS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2379);
/// Time in which anything must happen.
const WITHIN: Duration = Duration::from_secs(60);

/// Three members of Debian's etcd with their defaults, fsync included.
pub struct EtcdCluster {
    members: Vec<Option<Process>>,
    net: Net,
    folder: TempDir,
}

#[derive(Deserialize)]
struct Status {
    header: Header,
    #[serde(default)]
    leader: String,
}

#[derive(Deserialize)]
struct Header {
    member_id: String,
}

impl EtcdCluster {
    pub async fn start(net: Net) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder")?;
        let members = (0..net.len()).map(|_| None).collect();
        let mut cluster = Self { members, net, folder };
        for at in 0..cluster.members.len() {
            cluster.restart(at)?;
        }
        for at in 0..cluster.members.len() {
            cluster.serving(at).await?;
        }
        Ok(cluster)
    }

    pub fn http(&self, at: usize) -> Http {
        Http::new(self.net.node(at).portal().clone(), CLIENTS)
    }

    fn data(&self, at: usize) -> PathBuf {
        self.folder.path().join(format!("m{at}"))
    }

    fn restart(&mut self, at: usize) -> Result<()> {
        let peer = |at: usize| format!("http://{}:2380", address(at));
        let all = (0..self.members.len()).map(|at| format!("m{at}={}", peer(at)));
        let all = all.collect::<Vec<_>>().join(",");
        let (name, clients, peer) = (format!("m{at}"), format!("http://{CLIENTS}"), peer(at));
        let data = self.data(at).to_string_lossy().into_owned();
        let args = [
            ["--name", &name],
            ["--data-dir", &data],
            ["--listen-client-urls", &clients],
            ["--advertise-client-urls", &clients],
            ["--listen-peer-urls", &peer],
            ["--initial-advertise-peer-urls", &peer],
            ["--initial-cluster", &all],
            ["--log-level", "error"],
        ];
        let args: Vec<String> = args.concat().into_iter().map(str::to_owned).collect();
        let log = self.folder.path().join(format!("m{at}.log"));
        let place = self.net.node(at);
        self.members[at] = Some(Process::start(place, Path::new("etcd"), &args, &[], &log)?);
        Ok(())
    }

    pub fn lose(&mut self, at: usize, loss: Loss) -> Result<()> {
        if loss == Loss::Machine {
            self.net.unplug(at)?;
        }
        self.members[at].as_mut().context("the member does not run")?.crash()?;
        self.members[at] = None;
        Ok(())
    }

    pub fn bring_back(&mut self, at: usize, loss: Loss) -> Result<()> {
        if loss == Loss::Machine {
            self.net.plug(at)?;
        }
        self.restart(at)
    }

    pub fn pid(&self, at: usize) -> Result<u32> {
        Ok(self.members[at].as_ref().context("the member does not run")?.id())
    }

    pub async fn serving(&self, at: usize) -> Result<()> {
        let end = Instant::now() + WITHIN;
        let mut http = self.http(at);
        loop {
            let body = r#"{"key":"cw=="}"#;
            let answer = http.call(Method::POST, "/v3/kv/range", body, WITHIN).await;
            if answer.is_ok_and(|answer| answer.status == StatusCode::OK) {
                return Ok(());
            }
            if Instant::now() > end {
                let log = self.members[at].as_ref().map(Process::log).unwrap_or_default();
                bail!("etcd member {at} does not serve:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn leader(&self) -> Result<usize> {
        let end = Instant::now() + WITHIN;
        while Instant::now() < end {
            for at in 0..self.members.len() {
                let mut http = self.http(at);
                let call = http.call(Method::POST, "/v3/maintenance/status", "{}", WITHIN);
                let Ok(answer) = call.await else { continue };
                let Ok(status) = serde_json::from_slice::<Status>(&answer.body) else { continue };
                if status.leader == status.header.member_id {
                    return Ok(at);
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("etcd has no leader")
    }
}
