//! Clusters of agents in one process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use regrow_agent::door::{Reply, Request, ask};
use regrow_agent::{Agent, AgentError, AgentOptions, Start};
use regrow_consensus::Replica as _;
use regrow_pki::{JoinToken, Role};
use tempfile::TempDir;

/// Folders of nodes, removed at the end.
pub struct World {
    dir: TempDir,
}

/// Waits until `done` says so.
pub async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not within a minute: {what}");
}

impl World {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("directory") }
    }

    pub fn folder(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn options(&self, name: &str, start: Start) -> AgentOptions {
        let mut options = AgentOptions::new(self.folder(name), name.to_owned());
        options.listen = "127.0.0.1:0".into();
        options.start = start;
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
