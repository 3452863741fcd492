//! What a cluster of agents does when its nodes come, go and are lost.

use std::io::Write as _;
use std::time::Duration;

use regrow_agent::door::{Reply, Request, ask};
use regrow_agent::{Agent, AgentOptions, RestoreOptions, Start, recover, restore};
use regrow_consensus::{Consistency, Replica as _};
use regrow_pki::Role;
use tokio::io::AsyncReadExt as _;

use crate::world::{World, done, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_servers_lose_their_leader_and_go_on() {
    let world = World::new();
    let mut agents = world.three().await;
    let leader = agents[0].group().leadership().borrow().leader.expect("a leader");
    let at = agents.iter().position(|agent| agent.number().get() == leader).expect("it");
    let lost = agents.remove(at);
    lost.stop().await;
    let rest = &agents[0];
    until("another leader", async || {
        rest.group().leadership().borrow().leader.is_some_and(|now| now != leader)
    })
    .await;
    until("the lost one is dead", async || {
        let nodes = rest.nodes().list(Consistency::Stale).await.unwrap_or_default();
        nodes.iter().any(|node| node.number.get() == leader && !node.alive)
    })
    .await;
    let name = lost.identity().name.clone();
    drop(lost);
    let back = world.start(&name, Start::Resume).await.expect("resume");
    until("it is back", async || {
        let nodes = rest.nodes().list(Consistency::Stale).await.unwrap_or_default();
        nodes.iter().all(|node| node.alive)
    })
    .await;
    for agent in agents.into_iter().chain([back]) {
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_hands_over_first() {
    let world = World::new();
    let mut agents = world.three().await;
    let leader = agents[0].group().leadership().borrow().leader.expect("a leader");
    let at = agents.iter().position(|agent| agent.number().get() == leader).expect("it");
    let stopped = agents.remove(at);
    stopped.stop().await;
    // It saw its heir lead before it answered nobody any more.
    let heir = stopped.group().leadership().borrow().leader;
    assert!(heir.is_some_and(|heir| heir != leader), "{heir:?}");
    for agent in agents {
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_nobody_reaches_keeps_no_other_from_its_vote() {
    let world = World::new();
    let first = world.bootstrap("a").await;
    // It tells that it lives, and nobody reaches it: it never catches up.
    let token = crate::world::token(first.folder().path(), Role::Server).await;
    let mut options = world.options("s", Start::Join { token, server: first.address() });
    options.advertise = Some("127.0.0.1:1".into());
    let stuck = Agent::start(options).await.expect("join");
    let worker = world.join("w", &first, Role::Worker).await;
    let good = world.join("g", &first, Role::Server).await;
    assert!(stuck.number() < good.number(), "it would be the first to get a vote");
    until("the other one votes", async || first.group().status().voters == [1, 4]).await;
    let number = worker.number();
    worker.stop().await;
    until("the worker is dead", async || {
        let node = first.nodes().find(number, Consistency::Stale).await.ok().flatten();
        node.is_some_and(|node| !node.alive)
    })
    .await;
    let node = first.nodes().find(stuck.number(), Consistency::Stale).await.expect("nodes");
    assert!(node.is_some_and(|node| node.alive), "it is heard");
    for agent in [stuck, good, first] {
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_ended_are_forgotten() {
    let world = World::new();
    let first = world.bootstrap("a").await;
    let state = first.folder().path();
    for (role, ttl_seconds) in [(Role::Worker, 60), (Role::Worker, 20 * 3_600)] {
        let request = Request::CreateToken { role, ttl_seconds: Some(ttl_seconds), uses: None };
        ask(state, &request).await.expect("a token");
    }
    let lives = async || match ask(state, &Request::Tokens).await.expect("tokens").reply {
        Reply::Tokens(tokens) => tokens.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(lives().await, 2);
    world.pass(Duration::from_secs(2 * 3_600));
    until("one is left", async || lives().await == 1).await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_node_is_refused_at_once_and_its_number_is_not_used_again() {
    let world = World::new();
    let agents = world.three().await;
    let state = agents[0].folder().path();
    done(state, Request::Remove { node: "c".into() }).await;
    until("it lost its vote", async || agents[0].group().status().voters == [1, 2]).await;
    until("it hears nobody", async || {
        agents[2].nodes().list(Consistency::Linearizable).await.is_err()
    })
    .await;
    let next = world.join("d", &agents[0], Role::Worker).await;
    assert_eq!(next.number().get(), 4);
    until("all others are alive", async || {
        let Reply::Nodes(nodes) = ask(state, &Request::Nodes).await.expect("nodes").reply else {
            panic!("no nodes");
        };
        let states: Vec<_> = nodes.iter().map(|node| node.state.as_str()).collect();
        states == ["alive", "alive", "removed", "alive"]
    })
    .await;
    for agent in agents.into_iter().chain([next]) {
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_promoted_becomes_a_server_with_papers_and_a_vote() {
    let world = World::new();
    let first = world.bootstrap("a").await;
    let worker = world.join("b", &first, Role::Worker).await;
    done(first.folder().path(), Request::Promote { node: "b".into() }).await;
    until("its papers say so", async || worker.role() == Role::Server).await;
    until("it has a vote", async || first.group().status().voters == [1, 2]).await;
    until("it can sign", async || {
        let request = Request::CreateToken { role: Role::Worker, ttl_seconds: None, uses: None };
        ask(worker.folder().path(), &request).await.is_ok()
    })
    .await;
    done(first.folder().path(), Request::Demote { node: "b".into() }).await;
    until("it lost its vote", async || first.group().status().voters == [1]).await;
    worker.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_lost_for_good_is_replaced_by_a_worker() {
    let world = World::new();
    let patience = |options: &mut AgentOptions| {
        options.wishes.replace_after = Some(Duration::from_secs(7));
    };
    let mut first = world.options("a", Start::Bootstrap);
    patience(&mut first);
    let first = Agent::start(first).await.expect("bootstrap");
    let mut others = Vec::new();
    for (name, role) in [("b", Role::Server), ("c", Role::Server), ("w", Role::Worker)] {
        let token = crate::world::token(first.folder().path(), role).await;
        let mut options = world.options(name, Start::Join { token, server: first.address() });
        patience(&mut options);
        others.push(Agent::start(options).await.expect("join"));
    }
    until("three voters", async || first.group().status().voters == [1, 2, 3]).await;
    others.remove(1).stop().await;
    until("the worker has its vote", async || first.group().status().voters == [1, 2, 4]).await;
    assert_eq!(others[1].role(), Role::Server);
    for agent in others.into_iter().chain([first]) {
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_reaches_every_node_and_newcomers_still_get_in() {
    let world = World::new();
    let agents = world.three().await;
    let before = crate::world::token(agents[0].folder().path(), Role::Worker).await;
    done(agents[0].folder().path(), Request::RotateAuthority).await;
    let error = ask(agents[0].folder().path(), &Request::RotateAuthority).await.err();
    let error = error.map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("under way"), "{error}");
    until("the new authority signs", async || {
        match ask(agents[1].folder().path(), &Request::Status).await.map(|answer| answer.reply) {
            Ok(Reply::Status(status)) => status.authority.as_deref() == Some("new-issuing"),
            _ => false,
        }
    })
    .await;
    let start = Start::Join { token: before, server: agents[2].address() };
    let early = world.start("e", start).await.expect("join with a token of before");
    early.stop().await;
    let newcomer = world.join("d", &agents[1], Role::Worker).await;
    until("all are alive", async || {
        let nodes = newcomer.nodes().list(Consistency::Linearizable).await.unwrap_or_default();
        nodes.len() == 5 && nodes.iter().filter(|node| node.alive).count() == 4
    })
    .await;
    for agent in agents.into_iter().chain([newcomer]) {
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_makes_a_cluster_again_after_everything_is_lost() {
    let world = World::new();
    let first = world.bootstrap("a").await;
    let cluster = first.identity().cluster;
    let mut answer = ask(first.folder().path(), &Request::Backup).await.expect("backup");
    let mut bytes = Vec::new();
    answer.rest.read_to_end(&mut bytes).await.expect("bytes");
    first.stop().await;
    drop(first);
    let file = world.folder("backup");
    std::fs::File::create(&file).and_then(|mut file| file.write_all(&bytes)).expect("file");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("address").to_string();
    drop(listener);
    let options = RestoreOptions {
        state: world.folder("r"),
        name: "r".into(),
        address: address.clone(),
        life: Duration::from_secs(3_600),
    };
    restore(&file, &options).await.expect("restore");
    assert!(restore(&file, &options).await.is_err(), "it is in use");
    let again = world.resume("r", &address).await;
    assert_eq!((again.identity().cluster, again.number().get()), (cluster, 2));
    let nodes = again.nodes().list(Consistency::Linearizable).await.expect("nodes");
    assert_eq!(nodes.iter().map(|node| node.removed).collect::<Vec<_>>(), [true, false]);
    let second = world.join("s", &again, Role::Server).await;
    until("two voters", async || again.group().status().voters == [2, 3]).await;
    second.stop().await;
    again.stop().await;
    let half = bytes.len() / 2;
    for end in [0, 5, 20, half, bytes.len() - 1] {
        std::fs::write(&file, &bytes[..end]).expect("write");
        let options =
            RestoreOptions { state: world.folder(&format!("cut-{end}")), ..options.clone() };
        assert!(restore(&file, &options).await.is_err(), "cut at {end}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_version_1_is_taken_over() {
    let world = World::new();
    let options = RestoreOptions {
        state: world.folder("r"),
        name: "r".into(),
        address: "127.0.0.1:1".into(),
        life: Duration::from_secs(3_600),
    };
    // Of a cluster of one node, `a`, with a token that lives for ten years.
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/samples/backup-v1.bin");
    restore(std::path::Path::new(sample), &options).await.expect("restore");
    let again = world.start("r", Start::Resume).await.expect("start");
    assert_eq!(again.number().get(), 2);
    let nodes = again.nodes().list(Consistency::Linearizable).await.expect("nodes");
    let names: Vec<_> = nodes.iter().map(|node| (node.name.as_str(), node.removed)).collect();
    assert_eq!(names, [("a", true), ("r", false)]);
    let tokens = again.nodes().tokens(Consistency::Linearizable).await.expect("tokens");
    assert_eq!(tokens.iter().map(|token| token.uses_left).collect::<Vec<_>>(), [7]);
    let worker = world.join("w", &again, Role::Worker).await;
    for agent in [worker, again] {
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_goes_on_after_the_others_are_lost_for_good() {
    let world = World::new();
    let mut agents = world.three().await;
    let leader = agents[0].group().leadership().borrow().leader.expect("a leader");
    let at = agents.iter().position(|agent| agent.number().get() == leader).expect("it");
    let left = agents.remove(at);
    for agent in &agents {
        agent.stop().await;
    }
    until("the leader knows that it has no majority", async || {
        left.group().status().leadership.leader.is_none()
    })
    .await;
    let folder = left.folder().path().to_owned();
    let Reply::Status(status) = ask(&folder, &Request::Status).await.expect("ask").reply else {
        panic!("no status");
    };
    assert!(status.leader.is_none() && status.last_contact_ms > Some(2_000), "{status:?}");
    match ask(&folder, &Request::Nodes).await.expect("ask").reply {
        Reply::OldNodes { nodes, reason } => {
            assert!(nodes.len() == 3 && nodes.iter().all(|node| !node.leader), "{nodes:?}");
            let named = |agent: &Agent| reason.contains(&agent.address());
            assert!(agents.iter().all(|agent| named(agent)) && !named(&left), "{reason}");
            assert!(reason.contains("regrow node recover"), "{reason}");
        }
        other => panic!("nobody leads: {other:?}"),
    }
    drop(agents);
    left.stop().await;
    let name = left.identity().name.clone();
    drop(left);
    let (identity, _) = recover(&folder).await.expect("recover");
    assert_eq!(identity.name, name);
    let alone = world.start(&name, Start::Resume).await.expect("start");
    let nodes = alone.nodes().list(Consistency::Linearizable).await.expect("nodes");
    assert_eq!(nodes.len(), 3);
    assert_eq!(alone.group().status().voters, [leader]);
    assert!(folder.join("recoveries").exists());
    alone.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_under_another_address_is_reached_there() {
    let world = World::new();
    let first = world.bootstrap("a").await;
    let second = world.join("b", &first, Role::Server).await;
    let third = world.join("c", &first, Role::Server).await;
    until("three voters", async || first.group().status().voters == [1, 2, 3]).await;
    let before = third.address();
    third.stop().await;
    drop(third);
    // It takes a free port again, which is another one.
    let third = world.start("c", Start::Resume).await.expect("resume");
    assert_ne!(third.address(), before);
    until("it shows what is written now", async || {
        let wanted = first.group().status().applied.index;
        third.group().status().applied.index >= wanted
            && third.nodes().list(Consistency::Linearizable).await.is_ok()
    })
    .await;
    for agent in [third, second, first] {
        agent.stop().await;
    }
}
