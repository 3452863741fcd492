//! C12: nodes of two versions make one cluster, on the way up and on the way back.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use e2e::net::Net;
use e2e::{Cluster, ClusterOptions, Load, binary};

use super::{clients, soak};

/// Names the binary of the other version.
const OLD: &str = "REGROW_OLD_BINARY";
/// Clients on each node.
const CLIENTS: usize = 4;
/// Operations that are answered before the next node changes its version.
const BETWEEN: u64 = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_goes_from_version_to_version_and_back_under_load() -> Result<()> {
    let promise = "C12: a rolling upgrade and its way back";
    let Some(old) = std::env::var_os(OLD).map(PathBuf::from) else {
        println!("not run, promise untested: {promise} (needs {OLD}, a binary of another version)");
        return Ok(());
    };
    ensure!(old.is_file(), "{OLD}={}: no such file", old.display());
    let Some(net) = Net::or_say(3, promise)? else { return Ok(()) };
    let new = binary()?;
    let mut cluster = Cluster::start_as(&old, net, ClusterOptions::new()).await?;
    let load = Load::start(clients(&cluster, &[0, 1, 2], CLIENTS), 5);
    let turns = if soak() { 20 } else { 3 };
    for program in [&new, &old].into_iter().cycle().take(turns) {
        for at in 0..cluster.len() {
            exchange(&mut cluster, &load, at, program).await?;
        }
    }
    let done = load.judge(clients(&cluster, &[0, 1, 2], 1), "versions mixed").await?;
    println!("{turns} times all nodes, up first and then back and up again: {done:?}");
    Ok(())
}

/// One node runs another program; all nodes serve, and the load goes on.
async fn exchange(cluster: &mut Cluster, load: &Load, at: usize, program: &Path) -> Result<()> {
    cluster.replace(at, program)?;
    let about = || format!("node {at} by {}", program.display());
    for at in 0..cluster.len() {
        cluster.serving(at).await.with_context(about)?;
    }
    let wanted = load.answered() + BETWEEN;
    cluster.until("load goes on", async || load.answered() >= wanted).await.with_context(about)
}
