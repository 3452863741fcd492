//! C1, C4, C9: the leader is lost under load, again and again: its process, or its whole machine.

use std::time::Instant;

use anyhow::Result;
use e2e::{Cluster, Load, Loss, share};

use super::{clients, others, served, soak, three};

/// Clients on each node. In a soak so many that the run is not void although nobody is answered
/// between leaders; a few of them show the same on a busy machine.
const CLIENTS: usize = 2;
const CLIENTS_OF_A_SOAK: usize = 16;
/// Operations that are answered between two kills by each client, so that every leader is killed in
/// the middle of load.
const BETWEEN_KILLS: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_is_killed_again_and_again_and_no_reply_was_wrong() -> Result<()> {
    let Some(cluster) = three("C1, C4, C9 on real processes: kill of the leader").await? else {
        return Ok(());
    };
    rounds(cluster, Loss::Process, 5).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leaders_machine_is_gone_without_a_word_and_no_reply_was_wrong() -> Result<()> {
    let Some(cluster) = three("C1, C4, C9 on real processes: loss of the leader's machine").await?
    else {
        return Ok(());
    };
    rounds(cluster, Loss::Machine, 2).await
}

/// The leader is lost so many times, or 20 times in a soak; then the history is judged.
async fn rounds(mut cluster: Cluster, loss: Loss, few: usize) -> Result<()> {
    let (rounds, each) = if soak() { (20, CLIENTS_OF_A_SOAK) } else { (few, CLIENTS) };
    let on_all = clients(&cluster, &[0, 1, 2], each);
    let between = BETWEEN_KILLS * on_all.len() as u64;
    let load = Load::start(on_all, 1);
    let mut gaps = Vec::new();
    for _ in 0..rounds {
        let wanted = load.answered() + between;
        cluster.until("load between kills", async || load.answered() >= wanted).await?;
        let leader = cluster.leader().await?;
        let lost = Instant::now();
        cluster.lose(leader, loss)?;
        gaps.push(served(&cluster, &others(&cluster, leader), lost).await?);
        cluster.bring_back(leader, loss)?;
        cluster.serving(leader).await?;
    }
    let done = load.judge(clients(&cluster, &[0, 1, 2], 1), "leader lost").await?;
    println!(
        "{rounds} losses ({loss:?}), {done:?}, writes through both others again after p50 {:?}, p99 \
         {:?}",
        share(&gaps, 0.5).unwrap_or_default(),
        share(&gaps, 0.99).unwrap_or_default()
    );
    if soak() { done.not_void() } else { Ok(()) }
}
