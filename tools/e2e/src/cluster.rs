//! Agents on machines of their own, each started by one command.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hyper::{Method, StatusCode};
use regrow_agent::door::{Reply, Request, StatusView, ask};
use regrow_pki::Role;
use tempfile::TempDir;

use crate::binary;
use crate::http::Http;
use crate::net::{Net, Process, address};

/// Where every agent serves Consul's HTTP, in its own network.
const HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8500);
/// Where the manager of an agent is asked, at the address of its machine.
pub const MANAGER_PORT: u16 = 24864;
/// Time in which an agent answers one question, on a busy machine too.
const ANSWER: Duration = Duration::from_secs(20);

/// Agents on the machines of a [`Net`], each started by one command.
pub struct Cluster {
    members: Vec<Member>,
    net: Net,
    within: Duration,
    flags: &'static [&'static str],
    _folder: TempDir,
}

struct Member {
    name: String,
    /// Its state folder, as it sees it.
    state: PathBuf,
    log: PathBuf,
    /// What it runs.
    program: PathBuf,
    process: Option<Process>,
}

/// How a node is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The process is killed: the kernel closes its connections, and the others hear of it.
    Process,
    /// The machine is gone, as when its power is cut: nobody closes anything.
    Machine,
}

/// How a cluster is made.
#[derive(Clone, Copy, Debug)]
pub struct ClusterOptions {
    /// Time in which anything must happen.
    pub within: Duration,
    /// A machine whose state is on a disk of so many MiB.
    pub small_disk: Option<(usize, u32)>,
    /// What every agent is told beside that: flags of `agent`.
    pub flags: &'static [&'static str],
}

impl ClusterOptions {
    /// Generous times, ordinary disks.
    pub const fn new() -> Self {
        Self { within: Duration::from_secs(60), small_disk: None, flags: &[] }
    }
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl Cluster {
    /// A cluster with an agent on each machine, all servers with a vote.
    ///
    /// # Errors
    /// An agent does not come up; the text holds the end of its log.
    pub async fn start(net: Net, options: ClusterOptions) -> Result<Self> {
        Self::start_as(&binary()?, net, options).await
    }

    /// The same with a program of one's own: another build of the binary.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub async fn start_as(program: &Path, net: Net, options: ClusterOptions) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder")?;
        let member = |at: usize| {
            let name = format!("n{at}");
            let state = folder.path().join(&name);
            std::fs::create_dir(&state)?;
            std::fs::set_permissions(&state, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
            Ok(Member {
                log: folder.path().join(format!("{name}.log")),
                name,
                state,
                program: program.to_owned(),
                process: None,
            })
        };
        let members = (0..net.len()).map(member).collect::<Result<Vec<_>>>()?;
        if let Some((at, mebibytes)) = options.small_disk {
            net.node(at).small_disk(&members[at].state, mebibytes)?;
        }
        let ClusterOptions { within, flags, .. } = options;
        let mut cluster = Self { members, net, within, flags, _folder: folder };
        cluster.launch(0, &["--bootstrap".to_owned()])?;
        cluster.serving(0).await?;
        for at in 1..cluster.members.len() {
            let token = cluster.token(0, Role::Server).await?;
            let join = format!("{token}@{}:7400", address(0));
            cluster.launch(at, &["--join".to_owned(), join])?;
            cluster.serving(at).await?;
        }
        cluster.all_vote().await?;
        Ok(cluster)
    }

    /// How many machines there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The machines.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// A node's state folder, as it is seen from outside.
    pub fn state(&self, at: usize) -> PathBuf {
        self.net.node(at).outside(&self.members[at].state)
    }

    /// The process of a node.
    ///
    /// # Errors
    /// It does not run.
    pub fn process(&mut self, at: usize) -> Result<&mut Process> {
        self.members[at].process.as_mut().context("the agent does not run")
    }

    /// A client on a node, of that node's Consul HTTP.
    pub fn http(&self, at: usize) -> Http {
        Http::new(self.net.node(at).portal().clone(), HTTP)
    }

    /// The log of a node, for the text of a failure.
    pub fn log(&self, at: usize) -> String {
        self.members[at].process.as_ref().map(Process::log).unwrap_or_default()
    }

    fn launch(&mut self, at: usize, how: &[String]) -> Result<()> {
        let member = &self.members[at];
        let state = member.state.to_string_lossy().into_owned();
        let own = ["agent", "--state", &state, "--name", &member.name];
        let listen = format!("{}:7400", address(at));
        let listen = ["--listen", &listen];
        let args: Vec<String> = own
            .into_iter()
            .chain(listen)
            .chain(self.flags.iter().copied())
            .map(str::to_owned)
            .chain(how.iter().cloned())
            .collect();
        let (place, environment) = (self.net.node(at), environment(at));
        let process = Process::start(place, &member.program, &args, &environment, &member.log)?;
        self.members[at].process = Some(process);
        Ok(())
    }

    /// Starts a node that was killed again; it goes on with what it has.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn restart(&mut self, at: usize) -> Result<()> {
        self.launch(at, &[])
    }

    /// Kills a node, and starts another program on what it has; it goes on with that one.
    ///
    /// # Errors
    /// It does not run, or cannot be started.
    pub fn replace(&mut self, at: usize, program: &Path) -> Result<()> {
        self.crash(at)?;
        self.members[at].program = program.to_owned();
        self.restart(at)
    }

    /// Kills a node as a crash would.
    ///
    /// # Errors
    /// It does not run.
    pub fn crash(&mut self, at: usize) -> Result<()> {
        self.process(at)?.crash()?;
        self.members[at].process = None;
        Ok(())
    }

    /// Takes a node away.
    ///
    /// # Errors
    /// It does not run, or the kernel refuses.
    pub fn lose(&mut self, at: usize, loss: Loss) -> Result<()> {
        if loss == Loss::Machine {
            self.net.unplug(at)?;
        }
        self.crash(at)
    }

    /// Brings a node back that was taken away; it goes on with what it has.
    ///
    /// # Errors
    /// It cannot be started, or the kernel refuses.
    pub fn bring_back(&mut self, at: usize, loss: Loss) -> Result<()> {
        if loss == Loss::Machine {
            self.net.plug(at)?;
        }
        self.restart(at)
    }

    /// Kills all nodes at once.
    ///
    /// # Errors
    /// One does not run.
    pub fn crash_all(&mut self) -> Result<()> {
        for at in 0..self.len() {
            self.process(at)?.kill()?;
        }
        (0..self.len()).try_for_each(|at| self.crash(at))
    }

    /// A new join token, asked for at a node's local door.
    ///
    /// # Errors
    /// It is not made in time.
    pub async fn token(&self, at: usize, role: Role) -> Result<String> {
        let request = Request::CreateToken { role, ttl_seconds: None, uses: None };
        let (state, mut made) = (self.state(at), None);
        // While a leader is being elected nobody can make one.
        self.until("a token is made", async || {
            let answer = ask(&state, &request).await.map(|answer| answer.reply);
            if let Ok(Reply::Token(token)) = answer {
                made = Some(token);
            }
            made.is_some()
        })
        .await?;
        made.context("the token")
    }

    /// How a node stands.
    ///
    /// # Errors
    /// It does not say.
    pub async fn status(&self, at: usize) -> Result<StatusView> {
        let state = self.state(at);
        let answer = ask(&state, &Request::Status);
        match tokio::time::timeout(ANSWER, answer).await.context("ask for the status")??.reply {
            Reply::Status(status) => Ok(*status),
            other => bail!("instead of a status: {other:?}"),
        }
    }

    /// Waits until a question is answered with yes.
    ///
    /// # Errors
    /// It is not in time; the text holds the ends of all logs.
    pub async fn until(&self, what: &str, mut yes: impl AsyncFnMut() -> bool) -> Result<()> {
        let end = Instant::now() + self.within;
        while !yes().await {
            if Instant::now() > end {
                let logs = (0..self.len()).map(|at| format!("\n-- n{at}:\n{}", self.log(at)));
                bail!("not within {:?}: {what}{}", self.within, logs.collect::<String>());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until a node answers a consistent read, and so has found a leader.
    ///
    /// # Errors
    /// It does not in time.
    pub async fn serving(&self, at: usize) -> Result<()> {
        let mut http = self.http(at);
        let what = format!("node {at} serves");
        self.until(&what, async || {
            let call = http.call(Method::GET, "/v1/kv/serving?consistent", "", ANSWER);
            call.await.is_ok_and(|answer| {
                [StatusCode::OK, StatusCode::NOT_FOUND].contains(&answer.status)
            })
        })
        .await
    }

    /// Waits until all nodes vote, as each of them knows.
    ///
    /// # Errors
    /// They do not in time.
    pub async fn all_vote(&self) -> Result<()> {
        let wanted = self.len();
        for at in 0..wanted {
            let what = format!("node {at} knows {wanted} voters");
            self.until(&what, async || {
                self.status(at).await.is_ok_and(|status| status.voters.len() == wanted)
            })
            .await?;
        }
        Ok(())
    }

    /// Waits for a leader among some nodes, on whom they agree; returns its place.
    ///
    /// # Errors
    /// There is none in time.
    pub async fn leader_among(&self, nodes: &[usize]) -> Result<usize> {
        let mut found = None;
        self.until("they agree on a leader", async || {
            let mut places = Vec::new();
            for at in nodes {
                let Ok(status) = self.status(*at).await else { return false };
                places.push((status.number, status.leader, *at));
            }
            let leader = places.first().and_then(|(_, leader, _)| *leader);
            let agreed = places.iter().all(|(_, of, _)| *of == leader);
            found = places.iter().find(|(number, ..)| Some(*number) == leader).map(|(.., at)| *at);
            agreed && found.is_some()
        })
        .await?;
        found.context("the leader")
    }

    /// Waits for a leader on whom all agree; returns its place.
    ///
    /// # Errors
    /// There is none in time.
    pub async fn leader(&self) -> Result<usize> {
        let all: Vec<usize> = (0..self.len()).collect();
        self.leader_among(&all).await
    }
}

/// What an agent of a test needs of the surroundings, and nothing that might lead it elsewhere.
fn environment(at: usize) -> Vec<(String, String)> {
    // For agents that run a manager; the others open no such port.
    let port = format!("{}:{MANAGER_PORT}", address(at));
    let all = [
        ("RUST_BACKTRACE", "1"),
        ("INFRAKIT_GROUP_POLL_INTERVAL", "1s"),
        ("INFRAKIT_MUX_LISTEN", &port),
        ("INFRAKIT_ADVERTISE", &port),
    ];
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}
