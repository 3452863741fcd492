//! Certificates that end: of nodes that run, of nodes that were off, of a cluster that was.
//!
//! Fault model: any number of nodes is off, or without a leader, for longer than certificates live;
//! clocks agree; folders are whole.

use std::sync::Arc;
use std::time::Duration;

use regrow_agent::Agent;
use regrow_agent::door::Request;
use regrow_consensus::{Consistency, Replica as _};
use regrow_pki::{DEFAULT_LIFE, Role};

use crate::world::{World, done, until};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Waits until these nodes have certificates that are younger than when renewal begins.
async fn until_renewed(world: &World, names: &[&str]) {
    until(&format!("{names:?} have new certificates"), async || {
        names.iter().all(|name| world.left(name) > DEFAULT_LIFE / 2)
    })
    .await;
}

/// Waits until this node sees all of so many alive.
async fn until_alive(agent: &Agent, count: usize) {
    until(&format!("{count} nodes are alive"), async || {
        let nodes = agent.nodes().list(Consistency::Linearizable).await.unwrap_or_default();
        nodes.iter().filter(|node| node.alive).count() == count
    })
    .await;
}

async fn stop(agents: Vec<Arc<Agent>>) {
    for agent in agents {
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_was_off_for_three_days_comes_back() {
    let world = World::new();
    let mut agents = world.three().await;
    agents.push(world.join("w", &agents[0], Role::Worker).await);
    until_alive(&agents[0], 4).await;
    let was: Vec<_> =
        agents.iter().map(|agent| (agent.identity().name.clone(), agent.address())).collect();
    stop(agents).await;
    world.pass(3 * DAY);
    let mut agents = Vec::new();
    for (name, address) in &was {
        assert_eq!(world.left(name), Duration::ZERO);
        agents.push(world.resume(name, address).await);
    }
    until_renewed(&world, &["a", "b", "c", "w"]).await;
    until_alive(&agents[0], 4).await;
    let put = agents[3].nodes().list(Consistency::Linearizable).await;
    assert_eq!(put.expect("the worker reads").len(), 4);
    stop(agents).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_off_for_three_days_comes_back_unless_it_was_removed() {
    let world = World::new();
    let mut agents = world.three().await;
    for name in ["off", "gone"] {
        agents.push(world.join(name, &agents[0], Role::Worker).await);
    }
    until_alive(&agents[0], 5).await;
    let [gone, off, third] = [(); 3].map(|()| agents.pop().expect("a node"));
    let (off_at, gone_at, third_at) = (off.address(), gone.address(), third.address());
    stop(vec![gone, off, third]).await;
    done(agents[0].folder().path(), Request::Remove { node: "gone".into() }).await;
    // Those that run renew in time, again and again.
    for _ in 0..4 {
        world.pass(20 * HOUR);
        until_renewed(&world, &["a", "b"]).await;
    }
    for name in ["c", "off", "gone"] {
        assert_eq!(world.left(name), Duration::ZERO, "{name}");
    }
    let (third, off) = (world.resume("c", &third_at).await, world.resume("off", &off_at).await);
    until_renewed(&world, &["c", "off"]).await;
    until_alive(&agents[0], 4).await;
    let gone = world.resume("gone", &gone_at).await;
    let error = gone.renew().await.expect_err("it was removed").to_string();
    assert!(error.contains("renew"), "{error}");
    assert_eq!(world.left("gone"), Duration::ZERO);
    assert!(gone.nodes().list(Consistency::Linearizable).await.is_err());
    agents.extend([third, off, gone]);
    stop(agents).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_server_that_signs_for_itself_is_refused_all_the_same() {
    let world = World::new();
    let mut agents = world.three().await;
    let gone = agents.pop().expect("a server");
    let address = gone.address();
    gone.stop().await;
    drop(gone);
    done(agents[0].folder().path(), Request::Remove { node: "c".into() }).await;
    until("it lost its vote", async || agents[0].group().status().voters == [1, 2]).await;
    for _ in 0..4 {
        world.pass(20 * HOUR);
        until_renewed(&world, &["a", "b"]).await;
    }
    let gone = world.resume("c", &address).await;
    // It does not know of its removal, and holds the authority.
    assert!(world.left("c") > DEFAULT_LIFE / 2);
    assert!(gone.renew().await.is_err(), "nobody renews it");
    assert!(gone.nodes().list(Consistency::Linearizable).await.is_err());
    agents.push(gone);
    stop(agents).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_whose_clocks_jump_past_every_certificate_goes_on() {
    let world = World::new();
    let mut agents = world.three().await;
    agents.push(world.join("w", &agents[0], Role::Worker).await);
    until_alive(&agents[0], 4).await;
    // As after a night in which every machine slept.
    world.pass(3 * DAY);
    until_renewed(&world, &["a", "b", "c", "w"]).await;
    until_alive(&agents[3], 4).await;
    stop(agents).await;
}
