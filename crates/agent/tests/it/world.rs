//! Clusters of agents in one process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use regrow_agent::door::{Reply, Request, ask};
use regrow_agent::{Agent, AgentError, AgentOptions, Start};
use regrow_consensus::Replica as _;
use regrow_pki::{Clock, JoinToken, Papers, Role, Secret};
use tempfile::TempDir;

/// Folders of nodes, removed at the end, and the clock that all nodes look at.
pub struct World {
    dir: TempDir,
    /// Seconds that the clock is ahead of the system's.
    ahead: Arc<AtomicU64>,
}

/// Waits until `done` says so.
pub async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..1_200 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not within two minutes: {what}");
}

impl World {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("directory"), ahead: Arc::default() }
    }

    pub fn folder(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn clock(&self) -> Clock {
        let ahead = self.ahead.clone();
        Clock::new(move || SystemTime::now() + Duration::from_secs(ahead.load(Ordering::SeqCst)))
    }

    /// Lets time pass for all nodes.
    pub fn pass(&self, time: Duration) {
        self.ahead.fetch_add(time.as_secs(), Ordering::SeqCst);
    }

    /// How long a node's certificate, as its folder holds it, is still good; zero when it is not.
    pub fn left(&self, name: &str) -> Duration {
        let text = std::fs::read_to_string(self.folder(name).join("papers.json")).expect("papers");
        let papers = Papers::from_record(&Secret::new(text)).expect("papers");
        let end = papers.credential.validity().not_after;
        end.duration_since(self.clock().now()).unwrap_or_default()
    }

    /// Starts a node again where it answered before. Its port may be taken for a moment by a
    /// connection that somebody makes: then once more.
    pub async fn resume(&self, name: &str, address: &str) -> Arc<Agent> {
        for _ in 0..600 {
            let mut options = self.options(name, Start::Resume);
            options.listen = address.to_owned();
            match Agent::start(options).await {
                Err(AgentError::Listen { .. }) => {}
                started => return started.expect("resume"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{address} is not free within a minute");
    }

    pub fn options(&self, name: &str, start: Start) -> AgentOptions {
        let mut options = AgentOptions::new(self.folder(name), name.to_owned());
        options.listen = "127.0.0.1:0".into();
        options.start = start;
        options.clock = self.clock();
        options
    }

    pub async fn start(&self, name: &str, start: Start) -> Result<Arc<Agent>, AgentError> {
        Agent::start(self.options(name, start)).await
    }

    pub async fn bootstrap(&self, name: &str) -> Arc<Agent> {
        self.start(name, Start::Bootstrap).await.expect("bootstrap")
    }

    /// Joins by way of `server` with a token of this role.
    pub async fn join(&self, name: &str, server: &Agent, role: Role) -> Arc<Agent> {
        let token = token(server.folder().path(), role).await;
        self.start(name, Start::Join { token, server: server.address() }).await.expect("join")
    }

    /// A founder and two more servers that all have a vote.
    pub async fn three(&self) -> Vec<Arc<Agent>> {
        let first = self.bootstrap("a").await;
        let mut agents = vec![first.clone()];
        for name in ["b", "c"] {
            agents.push(self.join(name, &first, Role::Server).await);
        }
        until("three voters", async || first.group().status().voters.len() == 3).await;
        agents
    }
}

pub async fn token(state: &Path, role: Role) -> JoinToken {
    let request = Request::CreateToken { role, ttl_seconds: None, uses: None };
    match ask(state, &request).await.expect("ask").reply {
        Reply::Token(text) => JoinToken::parse(&text).expect("token"),
        other => panic!("no token: {other:?}"),
    }
}

pub async fn done(state: &Path, request: Request) {
    assert_eq!(ask(state, &request).await.expect("ask").reply, Reply::Done);
}
