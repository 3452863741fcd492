//! C1, C4, C9: the leader is killed under load, again and again.

use std::time::Instant;

use anyhow::Result;
use e2e::{Load, share};

use super::{clients, others, served, soak, three};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_is_killed_again_and_again_and_no_reply_was_wrong() -> Result<()> {
    let Some(mut cluster) = three("C1, C4, C9 on real processes: kill of the leader").await? else {
        return Ok(());
    };
    let rounds = if soak() { 20 } else { 5 };
    let load = Load::start(clients(&cluster, &[0, 1, 2], 2), 1);
    let mut gaps = Vec::new();
    for _ in 0..rounds {
        let leader = cluster.leader().await?;
        let killed = Instant::now();
        cluster.crash(leader)?;
        gaps.push(served(&cluster, &others(&cluster, leader), killed).await?);
        cluster.restart(leader)?;
        cluster.serving(leader).await?;
    }
    let done = load.judge(clients(&cluster, &[0, 1, 2], 1), "leader killed").await?;
    println!(
        "{rounds} kills, {done:?}, writes through both others again after p50 {:?}, p99 {:?}",
        share(&gaps, 0.5),
        share(&gaps, 0.99)
    );
    Ok(())
}
