//! C4: all are killed at once, and everything that was acknowledged is there afterwards.

use anyhow::Result;
use e2e::Load;

use super::{clients, soak, three};

/// Writes that must be acknowledged before each cut.
const BETWEEN_CUTS: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_die_at_once_and_nothing_acknowledged_is_lost() -> Result<()> {
    let Some(mut cluster) = three("C4 on real processes: all killed at once").await? else {
        return Ok(());
    };
    let load = Load::start(clients(&cluster, &[0, 1, 2], 3), 3);
    for round in 1..=if soak() { 20 } else { 2 } {
        let wanted = round * BETWEEN_CUTS;
        cluster.until("enough writes", async || load.acknowledged() >= wanted).await?;
        cluster.crash_all()?;
        for at in 0..cluster.len() {
            cluster.restart(at)?;
        }
        for at in 0..cluster.len() {
            cluster.serving(at).await?;
        }
    }
    let done = load.judge(clients(&cluster, &[0, 1, 2], 1), "all killed at once").await?;
    println!("{done:?}");
    Ok(())
}
