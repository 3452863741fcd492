//! Three commands make a cluster.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hyper::{Method, StatusCode};

use super::three;

#[tokio::test]
async fn three_commands_make_a_cluster_and_every_node_answers() -> Result<()> {
    let Some(mut cluster) = three("a cluster by three commands; KV through any node").await? else {
        return Ok(());
    };
    let within = Duration::from_secs(60);
    for at in 0..cluster.len() {
        let mut http = cluster.http(at);
        let path = format!("/v1/kv/from/{at}");
        let answer = http.settled(Method::PUT, &path, format!("by {at}"), within).await?;
        ensure!(answer.text().trim() == "true", "node {at}: {}", answer.text());
    }
    for at in 0..cluster.len() {
        for writer in 0..cluster.len() {
            let path = format!("/v1/kv/from/{writer}?raw&consistent");
            let answer = cluster.http(at).settled(Method::GET, &path, "", within).await?;
            ensure!(answer.status == StatusCode::OK, "node {at}: {}", answer.text());
            ensure!(answer.text() == format!("by {writer}"), "node {at}: {}", answer.text());
        }
        let answer = cluster.http(at).settled(Method::GET, "/v1/status/leader", "", within).await?;
        ensure!(answer.text().contains("10.77.0."), "leader by {at}: {}", answer.text());
        let answer = cluster.http(at).settled(Method::GET, "/v1/catalog/nodes", "", within).await?;
        let nodes: Vec<serde_json::Value> = serde_json::from_slice(&answer.body)?;
        ensure!(nodes.len() == cluster.len(), "nodes by {at}: {}", answer.text());
    }
    for at in 0..cluster.len() {
        ensure!(cluster.process(at)?.runs()?, "node {at} ended: {}", cluster.log(at));
    }
    let status = cluster.status(0).await.context("status")?;
    ensure!(status.voters.len() == 3 && status.halted.is_none(), "{status:?}");
    Ok(())
}
