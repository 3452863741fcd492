//! C1, C3, C9: the network is cut in several ways, and the leader sleeps past its lease.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::{Cluster, Load, NoAnswer};
use hyper::{Method, StatusCode};

use super::{clients, others, served, three};

/// Longer than any lease of a leader, so that the others may have elected another one.
const PAST_THE_LEASE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_networks_and_a_sleeping_leader_lead_to_no_wrong_reply() -> Result<()> {
    let Some(mut cluster) = three("C1, C3 on real processes: partitions and pauses").await? else {
        return Ok(());
    };
    let load = Load::start(clients(&cluster, &[0, 1, 2], 2), 2);
    leader_alone(&cluster).await?;
    one_link(&cluster).await?;
    one_way(&cluster, true).await?;
    one_way(&cluster, false).await?;
    asleep(&mut cluster).await?;
    let done = load.judge(clients(&cluster, &[0, 1, 2], 1), "partitions and pauses").await?;
    println!("{done:?}");
    Ok(())
}

/// The majority goes on, and the one that led alone acknowledges nothing and answers no consistent
/// read.
async fn leader_alone(cluster: &Cluster) -> Result<()> {
    let leader = cluster.leader().await?;
    let rest = others(cluster, leader);
    cluster.net().isolate(leader)?;
    let since = Instant::now();
    let took = served(cluster, &rest, since).await?;
    let short = Duration::from_secs(3);
    let mut http = cluster.http(leader);
    let write = http.call(Method::PUT, "/v1/kv/alone", "x", short).await;
    ensure!(refused(&write), "acknowledged without a majority: {write:?}");
    let read = http.call(Method::GET, "/v1/kv/probe?consistent", "", short).await;
    ensure!(refused(&read), "read without a majority: {read:?}");
    heal(cluster).await?;
    println!("leader alone: served again after {took:?}");
    Ok(())
}

fn refused(answer: &Result<e2e::Answer, NoAnswer>) -> bool {
    match answer {
        Ok(answer) => answer.status != StatusCode::OK && answer.status != StatusCode::NOT_FOUND,
        Err(_) => true,
    }
}

/// The leader and one follower do not reach each other; both reach the third, so that a majority is
/// connected and writes go on through a node of it.
async fn one_link(cluster: &Cluster) -> Result<()> {
    let leader = cluster.leader().await?;
    let rest = others(cluster, leader);
    cluster.net().cut(leader, rest[0])?;
    let took = served(cluster, &rest[1..], Instant::now()).await?;
    heal(cluster).await?;
    println!("one link cut: served again after {took:?}");
    Ok(())
}

/// What the leader says does not arrive, or what is said to it.
async fn one_way(cluster: &Cluster, leader_mute: bool) -> Result<()> {
    let leader = cluster.leader().await?;
    let rest = others(cluster, leader);
    for other in &rest {
        let (from, to) = if leader_mute { (leader, *other) } else { (*other, leader) };
        cluster.net().cut_one_way(from, to)?;
    }
    let took = served(cluster, &rest, Instant::now()).await?;
    heal(cluster).await?;
    println!("one way cut, leader mute {leader_mute}: served again after {took:?}");
    Ok(())
}

/// The leader is stopped until others lead, and then goes on in the belief that no time has passed.
async fn asleep(cluster: &mut Cluster) -> Result<()> {
    let leader = cluster.leader().await?;
    let rest = others(cluster, leader);
    cluster.process(leader)?.pause()?;
    let since = Instant::now();
    let took = served(cluster, &rest, since).await?;
    cluster.leader_among(&rest).await?;
    // The time of a pause is the fault itself, not a wait for something.
    tokio::time::sleep(PAST_THE_LEASE.saturating_sub(since.elapsed())).await;
    cluster.process(leader)?.resume()?;
    cluster.serving(leader).await?;
    println!("leader asleep: served again after {took:?}");
    Ok(())
}

async fn heal(cluster: &Cluster) -> Result<()> {
    cluster.net().heal()?;
    for at in 0..cluster.len() {
        cluster.serving(at).await?;
    }
    Ok(())
}
