//! A real etcd of a test's own: free ports, a folder that goes away, a process that is ended.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use regrow_coord::{Etcd, EtcdSettings, Prefix};
use tempfile::TempDir;
use tokio::time::Instant;

/// How long etcd may take to start on a busy machine.
const START: Duration = Duration::from_secs(60);

/// Starts that are tried: between the choice of a free port and its use another process may take it.
const TRIES: usize = 5;

pub struct EtcdServer {
    child: Child,
    url: String,
    _data: TempDir,
}

impl EtcdServer {
    /// Starts one; `None`, with the promise named that stays untested, where there is no etcd.
    pub async fn start(promise: &str) -> Option<Self> {
        let version = Command::new("etcd").arg("--version").stdout(Stdio::null()).status();
        if version.is_err() {
            println!("not run, promise untested: {promise} (needs `etcd`)");
            return None;
        }
        for _ in 0..TRIES {
            if let Some(server) = Self::try_start().await {
                return Some(server);
            }
        }
        panic!("etcd did not start in {TRIES} tries");
    }

    async fn try_start() -> Option<Self> {
        let data = tempfile::tempdir().expect("folder");
        let (client, peer) = (free_url(), free_url());
        let child = Command::new("etcd")
            .arg("--data-dir")
            .arg(data.path())
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}"), "--log-level", "error"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd starts");
        let mut server = Self { child, url: client, _data: data };
        let until = Instant::now() + START;
        while Instant::now() < until {
            if server.child.try_wait().expect("its state").is_some() {
                return None;
            }
            let health = request("GET", &server.url, "/health", String::new()).await;
            if health.is_some_and(|answer| answer.contains("true")) {
                return Some(server);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        None
    }

    /// A client.
    pub fn client(&self) -> Etcd {
        let settings = EtcdSettings {
            endpoints: vec![self.url.clone()],
            prefix: Prefix::new("regrow/").expect("prefix"),
            deadline: Duration::from_secs(60),
            tls: None,
        };
        Etcd::new(settings).expect("settings")
    }
}

impl Drop for EtcdServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn free_url() -> String {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", socket.local_addr().expect("its address"))
}

/// The whole answer to a request that is written by hand; `None` where nobody answers.
async fn request(method: &str, url: &str, path: &str, body: String) -> Option<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut socket = tokio::net::TcpStream::connect(url.strip_prefix("http://")?).await.ok()?;
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(text.as_bytes()).await.ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}
