//! Agents as real processes on machines of their own, made of namespaces: formed, killed, cut off,
//! paused, out of space. What their clients were told is recorded and judged.

mod disk;
mod flood;
mod forms;
mod kills;
mod partitions;
mod power;
mod upgrade;

use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::net::Net;
use e2e::{Cluster, ClusterOptions, Http, recovery};
use futures::future::try_join_all;
use hyper::Method;

/// Whether the longer runs were asked for (`REGROW_SOAK`).
fn soak() -> bool {
    std::env::var_os("REGROW_SOAK").is_some()
}

/// Three servers, or nothing where this machine cannot have them.
async fn three(promise: &str) -> Result<Option<Cluster>> {
    match Net::or_say(3, promise)? {
        Some(net) => Cluster::start(net, ClusterOptions::new()).await.map(Some),
        None => Ok(None),
    }
}

/// The same number of clients on each of some nodes.
fn clients(cluster: &Cluster, nodes: &[usize], each: usize) -> Vec<Http> {
    nodes.iter().flat_map(|at| (0..each).map(|_| cluster.http(*at))).collect()
}

/// Time from `since` until writes are acknowledged through all of some nodes.
async fn served(cluster: &Cluster, nodes: &[usize], since: Instant) -> Result<Duration> {
    let attempt = (Method::PUT, "/v1/kv/probe".to_owned(), "x".to_owned());
    let probes = nodes.iter().map(|at| recovery(since, WITHIN, || cluster.http(*at), &attempt));
    Ok(try_join_all(probes).await?.into_iter().max().unwrap_or_default())
}

/// Time in which a cluster serves again at the latest. Far above what is promised: a slow machine is
/// no failure, and the promise is measured by `cargo xtask bench coordination`.
const WITHIN: Duration = Duration::from_secs(60);

fn others(cluster: &Cluster, than: usize) -> Vec<usize> {
    (0..cluster.len()).filter(|at| *at != than).collect()
}
