//! The verbs that change a cluster, on agents that run: what the operator sees before and after.

use std::time::Instant;

use super::{Agent, again, begin, row, until};
use crate::support::World;

/// What `node ls` says of a node: role, state, vote.
fn node(world: &World, agent: &Agent, name: &str) -> [String; 3] {
    let nodes = world.run(&["node", "ls", "--state", &agent.name]).out;
    let line = nodes.lines().find(|line| line.split_whitespace().nth(1) == Some(name));
    let mut words = line.unwrap_or_default().split_whitespace().skip(2).map(str::to_owned);
    [(); 3].map(|()| words.next().unwrap_or_default())
}

/// Waits until `node ls` says this of a node; a leader has a vote too.
fn until_node(world: &World, agent: &Agent, name: &str, expected: [&str; 3]) {
    until(&format!("{name} is {expected:?}"), || {
        let [role, state, vote] = node(world, agent, name);
        let vote = if vote == "leader" { "voter".to_owned() } else { vote };
        [role.as_str(), state.as_str(), vote.as_str()] == expected
    });
}

/// A cluster of three servers with a vote and a worker.
fn four(world: &World, more: &[&str]) -> Vec<Agent> {
    let first = begin(world, "a", &[&["--bootstrap"], more].concat());
    let mut agents = vec![first];
    for (name, role) in [("b", "server"), ("c", "server"), ("w", "worker")] {
        let invite = agents[0].invite(world, &["--role", role]);
        agents.push(begin(world, name, &[&["--join", &invite], more].concat()));
    }
    until("three have a vote", || row(&agents[3].status(world), "voters") == "1, 2, 3");
    agents
}

fn put(world: &World, agent: &Agent, key: &str) -> bool {
    world.run(&["kv", "put", key, "1", "--http-addr", &agent.http()]).code == Some(0)
}

fn stop(agents: Vec<Agent>) {
    for mut agent in agents {
        assert_eq!(agent.daemon.stop(), Some(0), "{}", agent.daemon.output());
    }
}

#[test]
fn nodes_are_drained_demoted_promoted_and_removed() {
    let world = World::new();
    let mut agents = four(&world, &[]);
    // The leader is not among those that change: it is the one that is asked.
    let leader: usize = row(&agents[3].status(&world), "leader").parse().expect("a leader");
    let first = agents.remove(leader - 1);
    let [one, two] = [agents[0].name.clone(), agents[1].name.clone()];
    let say = |words: &[&str]| world.ok(&[words, &["--state", &first.name]].concat());

    say(&["node", "drain", &one]);
    until_node(&world, &first, &one, ["server", "draining", "-"]);
    until_node(&world, &first, "w", ["server", "alive", "voter"]);
    say(&["node", "undrain", &one]);
    until_node(&world, &first, &one, ["server", "alive", "-"]);

    let asked = world.fails(&["node", "demote", "w", "--state", &first.name]);
    assert!(asked.contains("--yes"), "{asked}");
    assert_eq!(node(&world, &first, "w")[2], "voter", "nothing is done before it is agreed");
    say(&["node", "demote", "w", "--yes"]);
    until_node(&world, &first, "w", ["worker", "alive", "-"]);
    until_node(&world, &first, &one, ["server", "alive", "voter"]);

    say(&["node", "promote", "w"]);
    until_node(&world, &first, "w", ["server", "alive", "-"]);
    let worker = agents.iter().find(|agent| agent.name == "w").expect("the worker");
    until("it has a server's papers and key", || {
        row(&worker.status(&world), "authority") == "steady"
    });

    say(&["node", "rm", &two, "--yes"]);
    until_node(&world, &first, &two, ["server", "removed", "-"]);
    until_node(&world, &first, "w", ["server", "alive", "voter"]);
    until("the removed one is refused", || {
        let removed = agents.iter().find(|agent| agent.name == two).expect("it");
        !put(&world, removed, "removed")
    });
    until("it writes", || put(&world, &first, "kept"));
    stop(agents.into_iter().chain([first]).collect());
}

#[test]
fn the_only_server_cannot_be_removed_or_demoted() {
    let world = World::new();
    let only = begin(&world, "a", &["--bootstrap"]);
    let worker = begin(&world, "w", &["--join", &only.invite(&world, &[])]);
    for verb in ["rm", "demote"] {
        let error = world.fails(&["node", verb, "a", "--yes", "--state", "a"]);
        assert!(error.contains("node 1 is the only server"), "{error}");
        assert!(error.contains("promote another first"), "{error}");
    }
    until("it writes", || put(&world, &worker, "goes-on"));
    stop(vec![worker, only]);
}

#[test]
fn a_lost_server_is_replaced_after_the_time_that_was_given() {
    let world = World::new();
    let mut agents = four(&world, &["--replace-after", "12s"]);
    let leader: usize = row(&agents[3].status(&world), "leader").parse().expect("a leader");
    // A follower, or the leader itself where that is the last: both are replaced.
    let at = leader % 3;
    let mut lost = agents.remove(at);
    lost.daemon.signal("KILL");
    lost.daemon.end();
    let asked = &agents[0];
    until_node(&world, asked, &lost.name, ["server", "dead", "-"]);
    until_node(&world, asked, "w", ["server", "alive", "voter"]);
    // It comes back, as a server without a vote.
    let back = again(&world, &lost);
    until_node(&world, asked, &lost.name, ["server", "alive", "-"]);
    stop(agents.into_iter().chain([back]).collect());
}

#[test]
fn a_rotation_of_the_authority_is_begun_once_and_nodes_go_on() {
    let world = World::new();
    let first = begin(&world, "a", &["--bootstrap"]);
    let worker = begin(&world, "w", &["--join", &first.invite(&world, &[])]);
    assert_eq!(row(&first.status(&world), "authority"), "steady");
    world.ok(&["ca", "rotate", "--state", "a"]);
    let error = world.fails(&["ca", "rotate", "--state", "a"]);
    assert!(error.contains("under way"), "{error}");
    until("the new one signs", || row(&first.status(&world), "authority") == "new-issuing");
    let newcomer = begin(&world, "n", &["--join", &first.invite(&world, &[])]);
    until("all three are alive", || {
        let nodes = world.run(&["node", "ls", "--state", "w"]).out;
        nodes.lines().filter(|line| line.contains("alive")).count() == 3
    });
    until("it writes", || put(&world, &newcomer, "rotated"));
    let error = world.fails(&["ca", "rotate", "--state", "w"]);
    assert!(error.contains("no server"), "{error}");
    stop(vec![newcomer, worker, first]);
}

#[test]
fn tokens_are_listed_without_their_secrets() {
    let world = World::new();
    let here = begin(&world, "a", &["--bootstrap"]);
    let listed = || world.ok(&["token", "ls", "--state", "a"]);
    assert_eq!(listed().lines().count(), 1, "the head alone");
    let server = here.token(&world, &["--role", "server", "--ttl", "2h"]);
    let worker = here.token(&world, &["--uses", "2"]);
    let part = |token: &str, at| token.split('-').nth(at).expect("a part").to_owned();
    let row = |token: &str| {
        let id = part(token, 4);
        let listed = listed();
        let line = listed.lines().find(|line| line.starts_with(&id)).unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    for (token, role, uses) in [(&server, "server", "1"), (&worker, "worker", "2")] {
        let row = row(token);
        assert_eq!((row[1].as_str(), row.last().map(String::as_str)), (role, Some(uses)));
        assert!(!listed().contains(&part(token, 5)), "a secret is not shown");
    }
    let joined = begin(&world, "w", &["--join", &format!("{worker}@{}", here.address())]);
    assert_eq!(row(&worker).last().map(String::as_str), Some("1"));
    world.ok(&["token", "revoke", &part(&server, 4), "--state", "a"]);
    assert!(row(&server).is_empty());
    stop(vec![joined, here]);
}

#[test]
fn after_a_planned_stop_of_the_leader_writes_go_on() {
    let world = World::new();
    let mut agents = four(&world, &[]);
    let leader: usize = row(&agents[3].status(&world), "leader").parse().expect("a leader");
    let mut stopped = agents.remove(leader - 1);
    until("it writes", || put(&world, &agents[0], "before"));
    let told = Instant::now();
    assert_eq!(stopped.daemon.stop(), Some(0), "{}", stopped.daemon.output());
    let ended = Instant::now();
    until("the others write", || put(&world, &agents[0], "after"));
    println!(
        "the leader ended {} ms after it was told, and a write was done {} ms after that",
        ended.duration_since(told).as_millis(),
        ended.elapsed().as_millis()
    );
    stop(agents);
}
