//! Story 2: three managers as real processes, one group. The leader is killed and an instance with it;
//! the next one leads and heals, and makes no double. Once for each source of leadership.

#![expect(clippy::expect_used, reason = "helpers of tests fail like tests")]

#[path = "../../../../crates/coord/tests/it/etcd_server.rs"]
#[expect(dead_code, reason = "the backend's own tests do more with it")]
mod etcd_server;
mod managers;
mod provider;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::net::Net;
use e2e::{Cluster, ClusterOptions, share};
use serde_json::json;

use super::catalog::Catalog;
use managers::Managers;
use provider::Provider;

/// Members of the group.
const SIZE: usize = 2;
/// How long an instance lives by itself: longer than any run, and not for ever where a run is killed.
const LIFE_SECONDS: &str = "7200";
/// How long the group is looked at when all is over: some polls of every controller.
const CALM: Duration = Duration::from_secs(2);
/// What an agent runs beside itself.
const PLUGINS: &[&str] = &["--plugin", "manager", "--plugin", "group", "--plugin", "vanilla"];

/// Kills of a run: so many, or more where the longer runs were asked for (`REGROW_SOAK`).
fn kills(few: usize) -> usize {
    if std::env::var_os("REGROW_SOAK").is_some() { 20 } else { few }
}

async fn story(source: &str, mut managers: Managers, kills: usize) -> Result<()> {
    let provider = Provider::start().await?;
    let healed = rounds(&mut managers, &provider, kills).await;
    provider.clear().await?;
    let healed = healed.map_err(|error| error.context(managers.logs()))?;
    let seen = provider.seen();
    println!(
        "{source}: {kills} kills, from kill to heal p50 {:?}, max {:?}; of {SIZE} instances never more \
         than {} at once, {} made in all; {healed:?}",
        share(&healed, 0.5).unwrap_or_default(),
        share(&healed, 1.0).unwrap_or_default(),
        seen.at_once,
        seen.ever.len()
    );
    Ok(())
}

async fn rounds(
    managers: &mut Managers,
    provider: &Provider,
    kills: usize,
) -> Result<Vec<Duration>> {
    for at in 0..managers.len() {
        provider.lend_to(&managers.folder(at))?;
    }
    let properties = json!({
        "Instance": {"Plugin": "process", "Properties": {"Command": ["sleep", LIFE_SECONDS]}},
        "Flavor": {"Plugin": "vanilla", "Properties": {}},
        "Allocation": {"Size": SIZE},
    });
    managers.commit("cattle", properties).await?;
    provider.whole_without(SIZE, None).await?;
    let mut healed = Vec::new();
    for _ in 0..kills {
        let leader = managers.leader().await?;
        let killed = Instant::now();
        managers.crash(leader)?;
        let lost = provider.kill_one().await?;
        provider.whole_without(SIZE, Some(&lost)).await?;
        healed.push(killed.elapsed());
        managers.restart(leader).await?;
    }
    managers.leader().await?;
    tokio::time::sleep(CALM).await;
    provider.whole_without(SIZE, None).await?;
    let seen = provider.seen();
    ensure!(seen.at_once <= SIZE, "{} instances at once: a double", seen.at_once);
    let made = SIZE + kills;
    ensure!(seen.ever.len() == made, "made {:?}, expected {made}", seen.ever);
    Ok(healed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_leader_heals_by_our_own_quorum() -> Result<()> {
    let Some(net) = Net::or_say(3, "story 2 on our own quorum")? else { return Ok(()) };
    let options = ClusterOptions { flags: PLUGINS, ..ClusterOptions::new() };
    let cluster = Cluster::start(net, options).await?;
    story("quorum", Managers::agents(cluster).await?, kills(2)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_leader_heals_by_etcd() -> Result<()> {
    let Some(etcd) = etcd_server::EtcdServer::start("story 2 on etcd").await else {
        return Ok(());
    };
    let flags = ["--leader", "etcd", "--store", "etcd", "--coordinator", etcd.url()];
    story("etcd", Managers::processes(&flags).await?, kills(2)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_leader_heals_by_consul() -> Result<()> {
    let catalog = Catalog::start().await?;
    let flags = ["--leader", "consul", "--store", "consul", "--coordinator", catalog.url()];
    story("consul", Managers::processes(&flags).await?, kills(1)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_leader_heals_by_a_file() -> Result<()> {
    let flags = ["--leader", "file", "--store", "file"];
    story("file", Managers::processes(&flags).await?, kills(3)).await
}
