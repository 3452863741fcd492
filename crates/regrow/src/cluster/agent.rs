//! `regrow agent`: one node of a cluster.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use regrow_agent::plan::Wishes;
use regrow_agent::{Agent, AgentOptions, Start};
use regrow_catalog::Catalog;
use regrow_coord::Quorum;
use regrow_ids::GoDuration;
use regrow_pki::{JoinToken, Role};

use super::ask::said;
use super::faces::FaceArgs;
use super::follow::{changes, say};
use super::health::NodeHealth;
use super::notify::notify;
use super::parts::{Parts, catalog_scope};
use crate::kinds::{Host, InCluster};
use crate::places::{Places, make_private};
use crate::plugins::{Launch, LaunchArgs, Wish, parse_wish};
use crate::signals;

/// Largest file that can hold a token and an address, in bytes.
const JOIN_FILE_BYTES: u64 = 4 << 10;
/// Folder below the state folder for what the plugins of the node keep.
const PLUGINS: &str = "groups";

/// Arguments of `agent`.
#[derive(Args, Debug)]
#[command(
    after_help = "A node that belongs to a cluster already goes on with what its state folder \
    holds; --bootstrap and --join do nothing then, so that a service may always be started with \
    them.\n\nA token on the command line can be read by everybody on the machine while the agent \
    starts: --join-file keeps it out of the list of processes."
)]
pub struct AgentArgs {
    /// Begin a cluster, if this node is in none yet
    #[arg(long, conflicts_with_all = ["join", "join_file"])]
    bootstrap: bool,
    /// Join a cluster by way of a server, if this node is in none yet
    #[arg(long, value_name = "TOKEN@HOST:PORT")]
    join: Option<Given>,
    /// The same, read from a file that nobody else can read
    #[arg(long, value_name = "FILE", conflicts_with = "join")]
    join_file: Option<PathBuf>,
    /// Name of this node, which no other one of the cluster has [default: the host's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where to listen for other nodes
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:7400")]
    listen: String,
    /// Where other nodes reach this one [default: found out]
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// How many servers have a vote, once there are so many; give all nodes the same
    #[arg(long, value_name = "N", default_value = "3", value_parser = voters)]
    servers: usize,
    /// A server that was lost for so long is replaced by another node; 0 for never
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    replace_after: GoDuration,
    #[command(flatten)]
    faces: FaceArgs,
    /// Start a plugin in the agent, as `plugin start` does; a manager leads by the cluster's own
    /// quorum then
    #[arg(
        long = "plugin",
        value_name = "KIND[:NAME][=inproc|os]",
        value_parser = parse_wish
    )]
    plugins: Vec<Wish>,
    #[command(flatten)]
    launch: LaunchArgs,
}

/// A token and the server that is asked.
#[derive(Clone)]
struct Join {
    token: JoinToken,
    server: String,
}

impl std::fmt::Debug for Join {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Join({} by way of {})", self.token.id, self.server)
    }
}

/// Reads `TOKEN@HOST:PORT`. What was given is not repeated: it holds a secret.
fn join(text: &str) -> Result<Join, String> {
    let (token, server) = text
        .trim()
        .split_once('@')
        .ok_or("expected TOKEN@HOST:PORT, as `regrow token create` shows it")?;
    let token = JoinToken::parse(token).map_err(|error| error.to_string())?;
    let port = server.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(1..)) => Ok(Join { token, server: server.to_owned() }),
        _ => Err(format!("server {server:?}: expected HOST:PORT behind the @")),
    }
}

/// What was given on the command line. A fault in it is told later: the parser of the command line
/// would print the text, secret and all.
#[derive(Clone, Debug)]
struct Given(Result<Join, String>);

impl FromStr for Given {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(join(text)))
    }
}

impl Given {
    fn join(&self) -> Result<Join> {
        let refused = |reason: &String| {
            let text = format!("invalid value for '--join <TOKEN@HOST:PORT>': {reason}\n");
            clap::Error::raw(clap::error::ErrorKind::ValueValidation, text)
        };
        Ok(self.0.as_ref().map_err(refused)?.clone())
    }
}

fn voters(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        "5" => Ok(5),
        _ => Err("expected 1, 3 or 5".to_owned()),
    }
}

/// The name of this host, without its domain.
pub fn host_name() -> String {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy();
    name.split('.').next().unwrap_or_default().to_owned()
}

impl AgentArgs {
    /// Runs the agent until it is told to stop.
    pub async fn run(&self, places: &Places) -> Result<()> {
        let mut told = signals::told("stopped at once; what was acknowledged is on disk")?;
        let (health, parts) = (Arc::new(NodeHealth::default()), Parts::new()?);
        let options = self.options(places, &parts, &health)?;
        // Before a use of a token is spent.
        let faces = self.faces.bind().await?;
        let launch = self.launch.read(&self.plugins).await?;
        let begun = tokio::select! {
            begun = begin(options, parts) => begun?,
            () = signals::stopped(&mut told) => {
                bail!("start the agent: stopped by a signal before it was ready; nothing is lost, start it again")
            }
        };
        let Begun { agent, catalog, quorum } = begun;
        health.tell(agent.identity().cluster, catalog.clone());
        introduce(&agent)?;
        for line in faces.lines() {
            say(&line)?;
        }
        let serving = faces.serve(&catalog);
        say("ready")?;
        notify("READY=1");
        let host = host(places, Arc::clone(&agent), quorum)?;
        let ended = tokio::select! {
            ended = changes(&agent) => ended,
            failed = keep(&launch, &host) => failed,
            () = signals::stopped(&mut told) => Ok(()),
        };
        notify("STOPPING=1");
        // Nobody may read it any more.
        let _ = say("stopping");
        host.stop().await;
        serving.stop().await;
        agent.stop().await;
        ended
    }

    fn options(
        &self,
        places: &Places,
        parts: &Parts,
        health: &Arc<NodeHealth>,
    ) -> Result<AgentOptions> {
        let mut options =
            AgentOptions::new(places.state(), self.name.clone().unwrap_or_else(host_name));
        options.named = self.name.is_some();
        options.start = self.start()?;
        options.listen.clone_from(&self.listen);
        options.advertise.clone_from(&self.advertise);
        let replace_after = self.replace_after.as_duration();
        options.wishes = Wishes {
            voters: self.servers,
            replace_after: (!replace_after.is_zero()).then_some(replace_after),
        };
        options.machines = parts.machines();
        options.worker_scopes =
            vec![(catalog_scope()?, regrow_catalog::machine::command::is_known)];
        options.observer = Some(health.clone());
        Ok(options)
    }

    fn start(&self) -> Result<Start> {
        let joining = match (&self.join, &self.join_file) {
            (Some(given), _) => Some(given.join()?),
            (None, Some(path)) => Some(read_join(path)?),
            (None, None) => None,
        };
        Ok(match joining {
            Some(Join { token, server }) => Start::Join { token, server },
            None if self.bootstrap => Start::Bootstrap,
            None => Start::Resume,
        })
    }
}

fn read_join(path: &PathBuf) -> Result<Join> {
    use std::io::Read as _;
    let about = || format!("read {}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).with_context(about)?;
    file.take(JOIN_FILE_BYTES).read_to_string(&mut text).with_context(about)?;
    join(&text).map_err(anyhow::Error::msg).with_context(about)
}

/// What runs on a node.
struct Begun {
    agent: Arc<Agent>,
    catalog: Catalog,
    quorum: Quorum,
}

async fn begin(options: AgentOptions, parts: Parts) -> Result<Begun> {
    let agent = Agent::start(options).await.map_err(said)?;
    let quorum = parts.quorum(&agent)?;
    let catalog = parts.catalog(&agent).await?;
    Ok(Begun { agent, catalog, quorum })
}

/// Where the plugins of this node run. What they keep is apart from what the agent keeps.
fn host(places: &Places, agent: Arc<Agent>, quorum: Quorum) -> Result<Host> {
    let folder = agent.folder().file(PLUGINS);
    make_private(&folder).with_context(|| format!("make folder {}", folder.display()))?;
    let (node, address) = (agent.identity().name.clone(), agent.address());
    let is_server = Arc::new(move || agent.role() == Role::Server);
    let cluster = InCluster { quorum, is_server, node, address };
    Ok(Host::new(places.plugins()?, folder).in_cluster(cluster))
}

/// Starts the plugins and keeps them; ends only where one does not start.
async fn keep(launch: &Launch, host: &Host) -> Result<()> {
    if launch.start(host).await? > 0 {
        say("plugins run")?;
    }
    std::future::pending().await
}

fn introduce(agent: &Agent) -> Result<()> {
    let identity = agent.identity();
    say(&format!(
        "node {} ({}), a {} of cluster {}",
        identity.number,
        identity.name,
        agent.role(),
        identity.cluster
    ))?;
    say(&format!("state in {}", agent.folder().path().display()))?;
    say(&format!("other nodes reach it at {}", agent.address()))
}

#[cfg(test)]
mod tests {
    use regrow_pki::RootDigest;

    use super::*;

    #[test]
    fn a_token_stands_before_the_address_and_is_never_repeated() {
        let token = JoinToken::new(RootDigest([1; 32]), Role::Worker);
        let text = token.text();
        let good = join(&format!("{}@host:7400\n", text.expose())).expect("good");
        assert_eq!((good.server.as_str(), good.token.id), ("host:7400", token.id));
        assert!(!format!("{good:?}").contains(text.expose().as_str()));
        for bad in ["", "@", "@:1", "@h", "@h:0", "@h:x", "@:7400"] {
            let error = join(&format!("{}{bad}", text.expose())).expect_err(bad);
            assert!(!error.contains(text.expose().as_str()), "{error}");
        }
    }
}
