//! Blocking queries: how soon they are told.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e::{Cluster, Http};
use hyper::Method;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::traffic::once;

/// Longest wait for a change.
const PATIENCE: Duration = Duration::from_secs(60);

/// Key that is watched.
const KEY: &str = "watched";

/// What a change took.
pub struct Change {
    /// From the beginning of the write to the last watcher.
    pub last: Duration,
    /// From the acknowledgement of the write to the median watcher; zero for one that was told before.
    pub wake: Duration,
}

/// Changes a key over and over while so many blocking queries wait for it, each on a connection of its
/// own, spread over the given nodes.
///
/// # Errors
/// A watcher misses a change.
pub async fn fan_out(
    cluster: &Cluster,
    nodes: &[usize],
    watchers: usize,
    changes: usize,
) -> Result<Vec<Change>> {
    let mut writer = cluster.http(nodes[0]);
    once(&mut writer, write(0)).await?;
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for number in 0..watchers {
        let http = cluster.http(nodes[number % nodes.len()]);
        tasks.spawn(watch(http, changes, tell.clone()));
    }
    // Each says once that it has read the present state and is about to wait.
    armed(&mut told, &mut tasks, watchers).await?;
    let mut done = Vec::new();
    for number in 1..=changes {
        // The queries are on their way to the server; they arrive long before a write is durable on
        // two disks, and one that does not is answered at once, later than the others.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let began = Instant::now();
        once(&mut writer, write(number)).await?;
        let acknowledged = Instant::now();
        let mut at = armed(&mut told, &mut tasks, watchers).await?;
        at.sort_unstable();
        let last = at.last().copied().unwrap_or(began) - began;
        let median = at[at.len() / 2];
        done.push(Change { last, wake: median.saturating_duration_since(acknowledged) });
    }
    while let Some(task) = tasks.join_next().await {
        task.context("a watcher")??;
    }
    Ok(done)
}

fn write(number: usize) -> e2e::Attempt {
    (Method::PUT, format!("/v1/kv/{KEY}"), number.to_string())
}

async fn armed(
    told: &mut mpsc::UnboundedReceiver<Instant>,
    tasks: &mut JoinSet<Result<()>>,
    watchers: usize,
) -> Result<Vec<Instant>> {
    let mut at = Vec::with_capacity(watchers);
    while at.len() < watchers {
        tokio::select! {
            next = told.recv() => at.push(next.context("the watchers ended")?),
            Some(ended) = tasks.join_next() => ended.context("a watcher")??,
            () = tokio::time::sleep(PATIENCE) => bail!("a watcher was not told"),
        }
    }
    Ok(at)
}

async fn watch(mut http: Http, changes: usize, tell: mpsc::UnboundedSender<Instant>) -> Result<()> {
    let mut index = 0;
    for number in 0..=changes {
        let path = format!("/v1/kv/{KEY}?raw&wait=60s&index={index}");
        let answer = http.call(Method::GET, &path, "", PATIENCE).await?;
        let now = Instant::now();
        ensure!(answer.text() == number.to_string(), "change {number}: got {}", answer.text());
        index = answer.index.context("an answer without an index")?;
        tell.send(now).context("tell of a change")?;
    }
    Ok(())
}
