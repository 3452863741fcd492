//! `plugin stop`: ends the processes that serve plugins.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use clap::Args;
use regrow_plugin::{Directory, Endpoint};
use rustix::process::{Pid, Signal, kill_process};

use crate::output::print;
use crate::places::Places;

/// How long a process may take to remove its sockets.
const STOP_WAIT: Duration = Duration::from_secs(20);
/// Time between looks.
const LOOK: Duration = Duration::from_millis(10);

/// Arguments of `plugin stop`.
#[derive(Args, Debug)]
pub struct StopArgs {
    /// Plugins; the other plugins of the same process stop with them
    #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    names: Vec<String>,
    /// All plugins of the directory
    #[arg(long)]
    all: bool,
}

impl StopArgs {
    /// Stops them and waits until they are gone.
    pub async fn run(&self, places: &Places) -> Result<()> {
        let directory = places.plugins()?;
        let known = directory.list()?;
        let names: Vec<String> =
            if self.all { known.keys().cloned().collect() } else { self.names.clone() };
        let mut faults = Vec::new();
        let mut owners = BTreeMap::new();
        // All owners first: the first signal may take several names away.
        for name in &names {
            match owner(&directory, name) {
                Ok(pid) => {
                    owners.entry(pid.as_raw_nonzero()).or_insert((pid, name));
                }
                Err(fault) => faults.push(format!("{name}: {fault}")),
            }
        }
        for (number, (pid, name)) in owners {
            if let Err(errno) = kill_process(pid, Signal::TERM) {
                faults.push(format!("{name}: signal process {number}: {errno}"));
            }
        }
        let end = Instant::now() + STOP_WAIT;
        for name in &names {
            if faults.iter().any(|fault| fault.starts_with(&format!("{name}: "))) {
                continue;
            }
            while directory.find(name).is_ok() {
                if Instant::now() > end {
                    bail!("stop plugin {name}: it is still there after {} s", STOP_WAIT.as_secs());
                }
                tokio::time::sleep(LOOK).await;
            }
            print(&format!("stopped {name}\n"))?;
        }
        if faults.is_empty() { Ok(()) } else { bail!("stop plugins: {}", faults.join("; ")) }
    }
}

/// The process that answers at a socket. The pid file is asked only where the system cannot tell: it
/// may name a stranger.
fn owner(directory: &Directory, name: &str) -> Result<Pid> {
    match directory.find(name)? {
        Endpoint::Unix(path) => {
            let stream = UnixStream::connect(&path).map_err(|error| {
                anyhow!(
                    "nobody answers at {} ({error}); the next start of that name removes it",
                    path.display()
                )
            })?;
            Ok(rustix::net::sockopt::socket_peercred(&stream)?.pid)
        }
        _ => {
            let path = directory.pid_path(name);
            let text = std::fs::read_to_string(&path)
                .map_err(|error| anyhow!("read {}: {error}", path.display()))?;
            let pid = text.trim().parse().ok().and_then(Pid::from_raw);
            pid.ok_or_else(|| anyhow!("read {}: it holds no process id", path.display()))
        }
    }
}
