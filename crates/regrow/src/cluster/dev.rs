//! `regrow catalog --dev`: a catalog alone in one process, for development.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use clap::Args;
use regrow_catalog::Catalog;
use regrow_catalog::agent::AgentOptions;
use regrow_catalog::machine::CatalogMachine;
use regrow_consensus::transport::{Ask, Chunks, Peer, Transport, TransportError};
use regrow_consensus::{
    Group, GroupOptions, LocalReplica, Machines, Replica, Scoped, Storage, Tables,
};
use regrow_journal::{Journal, Options, StreamId};

use super::agent::host_name;
use super::faces::{FaceArgs, Faces, Serving};
use super::follow::say;
use super::parts::catalog_scope;
use crate::places::{Places, make_private};
use crate::signals;

/// Number of the group, and of its only member.
const GROUP: u32 = 1;
const NODE: u64 = 1;
/// Folder below the state folder: apart from an agent's, which has another layout.
const FOLDER: &str = "catalog-dev";
/// Pages of the tables kept in memory, in bytes.
const CACHE_BYTES: usize = 16 << 20;
/// Longest time for the only voter to lead.
const LEAD_WITHIN: Duration = Duration::from_secs(30);

/// Arguments of `catalog`.
#[derive(Args, Debug)]
#[command(
    after_help = "Without --state everything is in memory and gone at the end. With --state DIR \
    it is kept below DIR. Only this process holds it: for more than one node use `regrow agent`, \
    which has the same catalog."
)]
pub struct CatalogArgs {
    /// One process alone, for development; there is no other way
    #[arg(long, required = true)]
    dev: bool,
    #[command(flatten)]
    faces: FaceArgs,
    /// Name of its node [default: the host's name]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
}

/// Where the catalog is kept, while it runs.
enum Kept {
    Memory,
    Disk { group: Arc<Group>, _journal: Journal },
}

impl CatalogArgs {
    /// Runs the catalog until it is told to stop.
    pub async fn run(&self, places: &Places) -> Result<()> {
        debug_assert!(self.dev, "the flag is required");
        let mut told = signals::told("stopped at once; what was acknowledged is on disk")?;
        let faces = self.faces.bind().await?;
        let folder = places.chosen_state().map(|state| state.join(FOLDER));
        let node = self.node.clone().unwrap_or_else(host_name);
        let (catalog, kept) = alone(folder.as_deref(), node).await?;
        match &folder {
            None => say("a catalog in memory, gone when this ends")?,
            Some(folder) => say(&format!("a catalog in {}", folder.display()))?,
        }
        for line in faces.lines() {
            say(&line)?;
        }
        let serving = faces.serve(&catalog);
        say("ready")?;
        signals::stopped(&mut told).await;
        serving.stop().await;
        if let Kept::Disk { group, .. } = kept {
            group.shutdown().await;
        }
        Ok(())
    }
}

/// A catalog whose only member is this process, in memory where there is no folder.
async fn alone(folder: Option<&Path>, node: String) -> Result<(Catalog, Kept)> {
    let machine = CatalogMachine::new();
    let hub = machine.hub();
    let machines = Machines::new().with(catalog_scope()?, Arc::new(machine))?;
    let mut options = AgentOptions::new(node);
    options.state = folder.map(Path::to_owned);
    let (replica, kept) = match folder {
        None => (LocalReplica::start(machines)? as Arc<dyn Replica>, Kept::Memory),
        Some(folder) => on_disk(folder, machines).await?,
    };
    let replica = Arc::new(Scoped::new(replica, catalog_scope()?));
    Ok((Catalog::start(replica, hub, options).await?, kept))
}

/// A catalog inside a process that does other things, in memory, answering HTTP at an address.
pub struct Embedded {
    /// Where it answers.
    pub address: SocketAddr,
    _serving: Serving,
}

impl Embedded {
    /// Starts it.
    ///
    /// # Errors
    /// The address is taken, or the catalog cannot be started.
    pub async fn start(address: SocketAddr) -> Result<Self> {
        let faces = Faces::plain(address).await?;
        let address = faces.address().unwrap_or(address);
        let (catalog, _) = alone(None, host_name()).await?;
        Ok(Self { address, _serving: faces.serve(&catalog) })
    }
}

/// A group with one voter.
async fn on_disk(folder: &Path, machines: Machines) -> Result<(Arc<dyn Replica>, Kept)> {
    make_private(folder).with_context(|| format!("make folder {}", folder.display()))?;
    let (journal, report) = Journal::open(&folder.join("journal"), Options::default())
        .with_context(|| format!("open the journal in {}", folder.display()))?;
    tracing::debug!(?report, "opened the journal");
    let tables = Tables::open(&folder.join("tables"), CACHE_BYTES)
        .with_context(|| format!("open the tables in {}", folder.display()))?;
    let log = journal.stream(StreamId(GROUP));
    let storage = Storage { log, tables, spool: None };
    let group =
        Group::start(GroupOptions::new(GROUP, NODE), storage, machines, Arc::new(Alone)).await?;
    if group.is_blank().await? {
        group.bootstrap("alone").await?;
    }
    let mut leadership = group.leadership();
    let led = leadership.wait_for(|now| now.leading);
    match tokio::time::timeout(LEAD_WITHIN, led).await {
        Ok(Ok(_)) => {}
        _ => bail!("start the catalog: its only voter does not lead within {LEAD_WITHIN:?}"),
    }
    Ok((group.clone(), Kept::Disk { group, _journal: journal }))
}

/// There is nobody to speak with.
struct Alone;

fn nobody(to: &Peer) -> TransportError {
    TransportError::NotSent { node: to.node, reason: "this one is alone".to_owned() }
}

#[async_trait]
impl Transport for Alone {
    async fn call(
        &self,
        to: &Peer,
        _: u32,
        _: Ask,
        _: bytes::Bytes,
        _: Duration,
    ) -> Result<bytes::Bytes, TransportError> {
        Err(nobody(to))
    }

    async fn send_image(
        &self,
        to: &Peer,
        _: u32,
        _: bytes::Bytes,
        _: Chunks,
        _: Duration,
    ) -> Result<bytes::Bytes, TransportError> {
        Err(nobody(to))
    }
}
