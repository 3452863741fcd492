//! `plugin start`: any number of plugins in one process.

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::launch::{LaunchArgs, Wish, parse_wish};
use crate::kinds::Host;
use crate::places::Places;

/// Time between looks whether any plugin can still be reached.
const SCAN: Duration = Duration::from_secs(1);

/// InfraKit opens the port at once; whoever reaches it controls everything.
const ABOUT_PORT: &str = "A manager opens its port for remote clients only when INFRAKIT_MUX_LISTEN or \
INFRAKIT_ADVERTISE is set, or a rule has Mux. (InfraKit opens :24864 on all interfaces unless told \
otherwise: INFRAKIT_MUX_LISTEN=:24864 does the same here.)";

/// Arguments of `plugin start`.
#[derive(Args, Debug)]
#[command(after_help = ABOUT_PORT)]
pub struct StartArgs {
    /// What to start: a kind, a name for its socket, and where it runs (inproc or os)
    #[arg(required = true, value_name = "KIND[:NAME][=inproc|os]", value_parser = parse_wish)]
    wishes: Vec<Wish>,
    #[command(flatten)]
    launch: LaunchArgs,
}

impl StartArgs {
    /// Serves until a signal comes or no plugin is left.
    pub async fn run(&self, places: &Places) -> Result<()> {
        let launch = self.launch.read(&self.wishes).await?;
        let host = Host::new(places.plugins()?, places.make_state()?);
        match launch.start(&host).await {
            Ok(0) => Ok(()),
            Ok(_) => serve_until_told(&host).await,
            Err(error) => {
                host.stop().await;
                Err(error)
            }
        }
    }
}

/// Serves until a signal comes or no plugin of this process can be reached any more.
async fn serve_until_told(host: &Host) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for signals")?;
    let mut scan = tokio::time::interval(SCAN);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = scan.tick() => {
                if !host.is_reachable() {
                    tracing::info!("no plugin is left; stopping");
                    break;
                }
            }
        }
    }
    host.stop().await;
    Ok(())
}
