//! A large catalog: loading it, writing beside it, starting with it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use e2e::{Attempt, Cluster, Http};
use hyper::Method;
use tokio::task::JoinSet;

use crate::traffic::once;

/// Operations in a transaction: the most that Consul takes.
const BATCH: usize = 64;
/// Clients that load at the same time.
const LOADERS: usize = 24;
/// Size of a value, in bytes.
const VALUE_BYTES: usize = 64;

/// What loading and starting with much data took.
pub struct Many {
    pub load: Duration,
    /// Longest time of a single write beside the load and for a while afterwards.
    pub worst: Duration,
    /// From the start of a process that was killed until it answers a consistent read.
    pub start: Duration,
    /// Memory in use of the leader, KiB.
    pub resident_kib: u64,
}

/// Loads keys and services, with one client beside that writes one key after another; then kills a
/// follower and starts it again.
pub async fn measure(cluster: &mut Cluster, keys: usize, services: usize) -> Result<Many> {
    let stop = Arc::new(AtomicBool::new(false));
    let beside = tokio::spawn(steady(cluster.http(1), Arc::clone(&stop)));
    let began = Instant::now();
    load(cluster, keys.div_ceil(BATCH), keys_of).await.context("load keys")?;
    load(cluster, services, service).await.context("load services")?;
    let load = began.elapsed();
    // Snapshots that the load has caused may still be written.
    tokio::time::sleep(Duration::from_secs(10)).await;
    stop.store(true, Ordering::Relaxed);
    let worst = beside.await.context("the steady client")??;
    let leader = cluster.leader().await?;
    let resident_kib = e2e::Cost::of(cluster.process(leader)?.id())?.resident_kib;
    let follower = (leader + 1) % 3;
    cluster.crash(follower)?;
    let began = Instant::now();
    cluster.restart(follower)?;
    cluster.serving(follower).await?;
    Ok(Many { load, worst, start: began.elapsed(), resident_kib })
}

/// Longest time of a write, one after another.
async fn steady(mut http: Http, stop: Arc<AtomicBool>) -> Result<Duration> {
    let mut worst = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let put = (Method::PUT, "/v1/kv/steady".to_owned(), "x".to_owned());
        worst = worst.max(once(&mut http, put).await?);
    }
    Ok(worst)
}

async fn load(cluster: &Cluster, requests: usize, request: fn(usize) -> Attempt) -> Result<()> {
    let mut tasks = JoinSet::new();
    for loader in 0..LOADERS {
        let mut http = cluster.http(loader % cluster.len());
        tasks.spawn(async move {
            for number in (loader..requests).step_by(LOADERS) {
                once(&mut http, request(number)).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.context("a loader")??;
    }
    Ok(())
}

fn keys_of(batch: usize) -> Attempt {
    let value = BASE64_STANDARD.encode("v".repeat(VALUE_BYTES));
    let mut body = String::from("[");
    for key in batch * BATCH..(batch + 1) * BATCH {
        let comma = if body.len() > 1 { "," } else { "" };
        let _ = write!(
            body,
            r#"{comma}{{"KV":{{"Verb":"set","Key":"many/{key:08}","Value":"{value}"}}}}"#
        );
    }
    (Method::PUT, "/v1/txn".to_owned(), body + "]")
}

fn service(number: usize) -> Attempt {
    let (node, name) = (number / 100, number % 1000);
    let body = format!(
        r#"{{"Node":"host-{node}","Address":"10.1.0.1","Service":{{"ID":"s{number}","Service":"web-{name}","Port":80}}}}"#
    );
    (Method::PUT, "/v1/catalog/register".to_owned(), body)
}
