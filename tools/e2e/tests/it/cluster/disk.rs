//! C5: the disk of a node is full. The node says so, the others go on, and it comes back once there is
//! space.

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e::net::Net;
use e2e::{Cluster, ClusterOptions, Load};
use hyper::{Method, StatusCode};

use super::{clients, served};

/// The node with the small disk, and how small it is: room for its journal's first segments.
const SMALL: (usize, u32) = (2, 192);
/// Time in which the others take a write.
const GO_ON: Duration = Duration::from_secs(60);
/// Size of the values that use space up.
const VALUE_BYTES: usize = 256 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_is_full_waits_and_goes_on_when_there_is_space() -> Result<()> {
    let Some(net) = Net::or_say(3, "C5 on real processes: a full disk")? else {
        return Ok(());
    };
    let options = ClusterOptions { small_disk: Some(SMALL), ..ClusterOptions::new() };
    let mut cluster = Cluster::start(net, options).await?;
    let small = SMALL.0;
    let rest = [0, 1];
    let load = Load::start(clients(&cluster, &rest, 2), 4);
    let filler = cluster.state(small).join("filler");
    fill(&filler)?;
    let word = use_space(&mut cluster, small).await?;
    println!("the node says: {word}");
    served(&cluster, &rest, Instant::now()).await?;

    std::fs::remove_file(&filler)?;
    ensure!(cluster.process(small)?.runs()?, "it ended: {}", cluster.log(small));
    cluster.serving(small).await?;
    let done = load.judge(clients(&cluster, &[0, 1, 2], 1), "a full disk").await?;
    println!("{done:?}");
    Ok(())
}

/// Takes all space that is left.
fn fill(path: &std::path::Path) -> Result<()> {
    let mut file = File::create(path)?;
    let block = vec![0; 1 << 20];
    while file.write_all(&block).is_ok() {}
    // The last bytes too.
    while file.write_all(&[0; 512]).is_ok() {}
    Ok(())
}

/// Writes until the node says that its disk is full; returns what it said.
async fn use_space(cluster: &mut Cluster, small: usize) -> Result<String> {
    let end = Instant::now() + Duration::from_secs(90);
    let value = vec![b'v'; VALUE_BYTES];
    for number in (0..8).cycle() {
        let path = format!("/v1/kv/big/{number}");
        let mut http = cluster.http(0);
        let answer = http.settled(Method::PUT, &path, value.clone(), GO_ON).await;
        let answer = answer.context("the others do not go on")?;
        ensure!(answer.status == StatusCode::OK, "{}: {}", answer.status, answer.text());
        if let Some(word) = complaint(cluster, small).await? {
            return Ok(word);
        }
        ensure!(Instant::now() < end, "no word of the full disk: {}", cluster.log(small));
    }
    bail!("no write was tried")
}

/// What a node says of its full disk: in its log, as its last word, or when it is asked how it stands.
async fn complaint(cluster: &mut Cluster, at: usize) -> Result<Option<String>> {
    let runs = cluster.process(at)?.runs()?;
    let log = cluster.log(at);
    let full = |text: &&str| {
        let text = text.to_lowercase();
        text.contains("no space") || text.contains("full")
    };
    if let Some(line) = log.lines().find(full) {
        return Ok(Some(line.to_owned()));
    }
    ensure!(runs, "it ended and did not say why: {log}");
    let Ok(status) = cluster.status(at).await else { return Ok(None) };
    Ok(status.halted.filter(|why| full(&why.as_str())))
}
