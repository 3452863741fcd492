//! Three managers with a group controller each, in agents or in processes of their own.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use e2e::net::address;
use e2e::{Cluster, MANAGER_PORT, Stack, StackOptions, binary};
use regrow_ids::PluginName;
use regrow_plugin::{Directory, Lookup as _, SocketPlugins};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{WITHIN, group};

/// How many there are.
const REPLICAS: usize = 3;
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Three managers, of which some may be dead.
pub struct Managers {
    kind: Kind,
    alive: [bool; REPLICAS],
}

enum Kind {
    Agents(Cluster),
    Processes(Processes),
}

/// `plugin start` three times, and what all three share.
struct Processes {
    stacks: Vec<Option<Stack>>,
    /// Folders of those that were killed, for those that are started in their place.
    homes: [Option<TempDir>; REPLICAS],
    flags: Vec<String>,
    shared: TempDir,
}

impl Managers {
    /// The managers of three agents.
    pub async fn agents(cluster: Cluster) -> Result<Self> {
        let managers = Self { kind: Kind::Agents(cluster), alive: [true; REPLICAS] };
        managers.leader().await?;
        Ok(managers)
    }

    /// Three processes, started with flags that say who leads.
    pub async fn processes(flags: &[&str]) -> Result<Self> {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let shared = tempfile::tempdir().context("make a folder")?;
        let homes = Default::default();
        let mut processes = Processes { stacks: Vec::new(), homes, flags, shared };
        processes.appoint(0)?;
        for at in 0..REPLICAS {
            let stack = processes.start(at, None).await?;
            processes.stacks.push(Some(stack));
        }
        Ok(Self { kind: Kind::Processes(processes), alive: [true; REPLICAS] })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.alive.len()
    }

    /// The folder of a replica's sockets.
    pub fn folder(&self, at: usize) -> PathBuf {
        match &self.kind {
            Kind::Agents(cluster) => cluster.state(at).join("plugins"),
            Kind::Processes(processes) => {
                let home = processes.stacks[at].as_ref().map(Stack::home);
                home.map(|home| home.join("plugins")).unwrap_or_default()
            }
        }
    }

    /// The plugins of a replica.
    pub fn plugins(&self, at: usize) -> SocketPlugins {
        SocketPlugins::new(Directory::new(self.folder(at)))
    }

    /// Waits until all replicas that live answer and one of them leads; returns its place.
    pub async fn leader(&self) -> Result<usize> {
        let end = Instant::now() + WITHIN * 2;
        while Instant::now() < end {
            let mut leaders = Vec::new();
            let mut silent = 0;
            for at in (0..REPLICAS).filter(|at| self.alive[*at]) {
                match self.leads(at).await {
                    Ok(true) => leaders.push(at),
                    Ok(false) => {}
                    Err(_) => silent += 1,
                }
            }
            if let ([leader], 0) = (leaders.as_slice(), silent) {
                return Ok(*leader);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("nobody leads")
    }

    async fn leads(&self, at: usize) -> Result<bool> {
        let stack = self.plugins(at).stack(&PluginName::from("group")).await?;
        Ok(stack.is_leader().await?)
    }

    /// Commits a group: to an agent that does not lead, at its port, and so by way of the leader; at
    /// the socket of the leader where there are no ports.
    pub async fn commit(&self, id: &str, properties: Value) -> Result<()> {
        let leader = self.leader().await?;
        match &self.kind {
            Kind::Agents(cluster) => order(cluster, (leader + 1) % REPLICAS, id, &properties),
            Kind::Processes(_) => {
                let name = PluginName::from("group/groups");
                let groups = self.plugins(leader).group(&name).await?;
                groups.commit_group(&group(id, properties), false).await?;
                Ok(())
            }
        }
    }

    /// Kills a replica. Where a file says who leads, whoever writes it names the next one.
    pub fn crash(&mut self, at: usize) -> Result<()> {
        self.alive[at] = false;
        match &mut self.kind {
            Kind::Agents(cluster) => cluster.crash(at),
            Kind::Processes(processes) => {
                let stack = processes.stacks[at].take().context("it runs")?;
                processes.homes[at] = Some(stack.crash()?);
                processes.appoint((at + 1) % REPLICAS)
            }
        }
    }

    /// Starts a replica that was killed where it was.
    pub async fn restart(&mut self, at: usize) -> Result<()> {
        match &mut self.kind {
            Kind::Agents(cluster) => cluster.restart(at)?,
            Kind::Processes(processes) => {
                let home = processes.homes[at].take();
                processes.stacks[at] = Some(processes.start(at, home).await?);
            }
        }
        self.alive[at] = true;
        Ok(())
    }

    /// What all have logged, for the text of a failure.
    pub fn logs(&self) -> String {
        let log = |at| match &self.kind {
            Kind::Agents(cluster) => cluster.log(at),
            Kind::Processes(processes) => {
                processes.stacks[at].as_ref().map(Stack::log).unwrap_or_default()
            }
        };
        (0..REPLICAS).map(|at| format!("\n-- replica {at}:\n{}", log(at))).collect()
    }
}

/// `regrow group commit` on a machine, with the port of its own manager as the remote.
fn order(cluster: &Cluster, at: usize, id: &str, properties: &Value) -> Result<()> {
    let folder = tempfile::tempdir().context("make a folder")?;
    let spec = folder.path().join("spec.json");
    let document = json!({"kind": "group", "metadata": {"name": id}, "properties": properties});
    std::fs::write(&spec, document.to_string())?;
    let program = binary()?.display().to_string();
    let hosts = format!("INFRAKIT_HOSTS_FILE={}", folder.path().join("hosts").display());
    let url = format!("http://{}:{MANAGER_PORT}", address(at));
    let place = cluster.net().node(at);
    place.run("env", [hosts.as_str(), &program, "remote", "set", "own", &url])?;
    let spec = spec.display().to_string();
    place.run("env", [hosts.as_str(), "INFRAKIT_HOST=own", &program, "group", "commit", &spec])
}

impl Processes {
    async fn start(&self, at: usize, home: Option<TempDir>) -> Result<Stack> {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        let shared = |name: &str| self.shared.path().join(name).display().to_string();
        let mut options = StackOptions::of(&["manager", "group", "vanilla"])
            .flags(&flags)
            .with("INFRAKIT_ID", id(at))
            .with("INFRAKIT_LEADER_FILE", shared("leader"))
            .with("INFRAKIT_STORE_DIR", shared("configs"))
            .with("INFRAKIT_GROUP_POLL_INTERVAL", "1s");
        options.home = home;
        Stack::start(options).await
    }

    /// Writes whole who leads.
    fn appoint(&self, at: usize) -> Result<()> {
        let draft = self.shared.path().join("draft");
        std::fs::write(&draft, id(at))?;
        Ok(std::fs::rename(draft, self.shared.path().join("leader"))?)
    }
}

fn id(at: usize) -> String {
    format!("manager{at}")
}
