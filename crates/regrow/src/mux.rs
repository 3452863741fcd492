//! `regrow util mux`: the port for remote clients as a process of its own, for plugins that run
//! without a manager of this program, or beside InfraKit's.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Subcommand};
use regrow_ids::GoDuration;
use regrow_manager::leader::{FileLeader, FileLeaderSettings, LeaderSource, MemoryLeader};
use regrow_manager::mux::{Mux, MuxBackend, SocketDir};
use regrow_manager::{MuxOptions, Options, TlsFiles};
use tokio::signal::unix::{SignalKind, signal};

use crate::absent::AbsentArgs;
use crate::output::print;
use crate::places::Places;

/// Shortest time between two looks at the plugins.
const LEAST_SCAN: Duration = Duration::from_millis(10);

/// Arguments of `util mux`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = false)]
pub struct MuxArgs {
    /// Address to listen at; :24864 is all interfaces, which InfraKit takes without being told
    #[arg(short, long, global = true, default_value = "127.0.0.1:24864", value_name = "HOST:PORT")]
    listen: String,
    /// URL at which others reach this port while this replica leads
    #[arg(
        short = 'u',
        long,
        global = true,
        default_value = "http://localhost:24864",
        value_name = "URL"
    )]
    locate_url: String,
    /// How often the leader file is read although nothing said that it changed
    #[arg(short, long, global = true, default_value = "5s", value_name = "DURATION")]
    poll_interval: GoDuration,
    /// How often --auto-stop looks whether plugins are left
    #[arg(short, long, global = true, default_value = "1m", value_name = "DURATION")]
    scan: GoDuration,
    /// End when no plugin is left
    #[arg(short, long, global = true)]
    auto_stop: bool,
    /// File with a token that every request must carry
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// PEM file with our certificate; the URL begins with https:// then
    #[arg(long, global = true, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM file with its key
    #[arg(long, global = true, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Who leads; without it this node does
    #[command(subcommand)]
    source: Option<MuxSource>,
}

/// Where leadership comes from.
#[derive(Subcommand, Debug)]
pub enum MuxSource {
    /// The replica whose name is in a file leads; the others forward to it
    Os(OsArgs),
    /// Not here
    #[command(hide = true)]
    Etcd(AbsentArgs),
    /// Not here
    #[command(hide = true)]
    Swarm(AbsentArgs),
}

/// Arguments of `util mux os`.
#[derive(Args, Debug)]
pub struct OsArgs {
    /// File with the name of the replica that leads [default: that of the manager]
    #[arg(long, value_name = "FILE")]
    leader_file: Option<PathBuf>,
    /// File with the URL of the leader: the leader file with .loc behind it
    #[arg(long, value_name = "FILE")]
    leader_location_file: Option<PathBuf>,
    /// Name of this replica [default: that of the manager]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl MuxArgs {
    /// Serves the port until it is told to stop.
    pub async fn run(&self, places: &Places) -> Result<()> {
        let source = self.source().await?;
        let sockets = Arc::new(SocketDir::new(places.plugins()?.path()));
        let backend: Arc<dyn MuxBackend> = Arc::clone(&sockets) as Arc<dyn MuxBackend>;
        let mut terminate = signal(SignalKind::terminate()).context("listen for signals")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("listen for signals")?;
        let mux = Mux::start(&self.options()?, backend, source).await?;
        print(&format!("serving plugins at {}\n", mux.address()))?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = self.emptied(&sockets) => print("no plugin is left\n")?,
        }
        mux.stop().await;
        Ok(())
    }

    fn options(&self) -> Result<MuxOptions> {
        let scheme = if self.tls_cert.is_some() { "https://" } else { "http://" };
        let advertise = self.locate_url.trim_end_matches('/');
        let advertise = match advertise.split_once("://") {
            None => advertise,
            Some(_) => advertise.strip_prefix(scheme).ok_or_else(|| {
                anyhow!("use --locate-url {advertise:?}: this port speaks {scheme}HOST:PORT")
            })?,
        };
        let tls = self.tls_cert.clone().zip(self.tls_key.clone());
        Ok(MuxOptions {
            listen: self.listen.clone(),
            advertise: advertise.to_owned(),
            tls: tls.map(|(cert, key)| TlsFiles { cert, key, client_ca: None }),
            token_file: self.token_file.clone(),
        })
    }

    async fn source(&self) -> Result<Arc<dyn LeaderSource>> {
        match &self.source {
            None => Ok(Arc::new(MemoryLeader::leading())),
            Some(MuxSource::Os(args)) => {
                Ok(Arc::new(FileLeader::start(args.settings(self.poll_interval.into())?).await?))
            }
            Some(MuxSource::Etcd(args)) => refuse(args, "util mux etcd"),
            Some(MuxSource::Swarm(args)) => refuse(args, "util mux swarm"),
        }
    }

    /// Ends when no plugin is left, if that is wanted at all.
    async fn emptied(&self, sockets: &SocketDir) {
        let scan = Duration::from(self.scan).max(LEAST_SCAN);
        loop {
            tokio::time::sleep(scan).await;
            if self.auto_stop && sockets.plugins().is_empty() {
                return;
            }
        }
    }
}

fn refuse(args: &AbsentArgs, command: &str) -> Result<Arc<dyn LeaderSource>> {
    args.refuse(command)?;
    bail!("{command}: not here")
}

impl OsArgs {
    fn settings(&self, poll_interval: Duration) -> Result<FileLeaderSettings> {
        // As a manager on this node has them, so that both follow the same file.
        let usual = Options::from_env(&|name| std::env::var(name).ok())?.settings;
        let leader_file = self.leader_file.clone().unwrap_or(usual.leader_file);
        let location = PathBuf::from(format!("{}.loc", leader_file.display()));
        if let Some(file) = self.leader_location_file.as_ref().filter(|file| **file != location) {
            bail!(
                "use --leader-location-file {}: the location is always beside the leader file, in {}",
                file.display(),
                location.display()
            );
        }
        let id = self.name.clone().unwrap_or(usual.id);
        Ok(FileLeaderSettings { leader_file, id, poll_interval })
    }
}
