//! C6: a node whose log or tables the disk damaged is refilled by the others under another number, and
//! never leads with a gap.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use regrow_agent::door::{Request, ask};
use regrow_agent::{Agent, AgentError, AgentOptions, Start, recover};
use regrow_consensus::{
    At, Consistency, Edit, Machine, ProposeError, Replica as _, Scope, Span, TableError,
};

use crate::world::{World, token, until};

/// Keeps what it is told: a key is its own value.
struct Shelf;

impl Machine for Shelf {
    fn apply(&self, _: At, command: &[u8], tables: &mut dyn Edit) -> Result<Vec<u8>, TableError> {
        tables.put(command, command)?;
        Ok(Vec::new())
    }
}

fn scope() -> Scope {
    Scope::new(9).expect("a scope")
}

fn with_shelf(mut options: AgentOptions) -> AgentOptions {
    options.machines.push((scope(), Arc::new(Shelf)));
    options
}

async fn three(world: &World) -> Vec<Arc<Agent>> {
    let first = Agent::start(with_shelf(world.options("a", Start::Bootstrap))).await;
    let first = first.expect("bootstrap");
    let mut agents = vec![first.clone()];
    for name in ["b", "c"] {
        let token = token(first.folder().path(), regrow_pki::Role::Server).await;
        let start = Start::Join { token, server: first.address() };
        agents.push(Agent::start(with_shelf(world.options(name, start))).await.expect("join"));
    }
    until("three voters", async || first.group().status().voters.len() == 3).await;
    let noted = |name: &str| {
        let text = fs::read_to_string(world.folder(name).join("voters.json")).unwrap_or_default();
        text.matches(':').count() == 2
    };
    until("each knows the others", async || ["a", "b", "c"].into_iter().all(noted)).await;
    agents
}

/// Writes keys; returns those that were acknowledged.
async fn load(agent: &Agent, name: &str, count: usize) -> Vec<Vec<u8>> {
    let mut kept = Vec::new();
    while kept.len() < count {
        let mut key = format!("{name}-{}-", kept.len()).into_bytes();
        key.resize(700, b'.');
        match agent.scoped(scope()).propose(key.clone()).await {
            Ok(_) => kept.push(key),
            // It may be there, and is written again.
            Err(ProposeError::NoLeader | ProposeError::Unknown { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    kept
}

/// Whether a node shows all of these by itself.
async fn shows(agent: &Agent, keys: &[Vec<u8>]) -> bool {
    let Ok(snapshot) = agent.scoped(scope()).read(Consistency::Stale).await else { return false };
    let found = snapshot.view().list(&Span::all(), usize::MAX).expect("rows");
    keys.iter().all(|key| found.iter().any(|(found, _)| found == key))
}

/// What the disk does to a node's folder.
type Damage = fn(&Path);

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("file");
    bytes[at] ^= 0x10;
    fs::write(path, bytes).expect("file");
}

/// Flips a bit of a record that others follow.
fn damage_log(folder: &Path) {
    flip(&folder.join("journal/segment-0000000001"), 4096 + 5 * 512 + 100);
}

/// Damages the tables so that none of their pages is good.
fn damage_tables(folder: &Path) {
    let path = folder.join("tables");
    let mut bytes = fs::read(&path).expect("file");
    bytes.iter_mut().skip(4096).for_each(|byte| *byte = !*byte);
    fs::write(&path, bytes).expect("file");
}

fn lose_log(folder: &Path) {
    fs::remove_dir_all(folder.join("journal")).expect("folder");
}

async fn resume(world: &World, name: &str) -> Result<Arc<Agent>, AgentError> {
    Agent::start(with_shelf(world.options(name, Start::Resume))).await
}

fn evidence(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("damaged")).map(|all| all.flatten().collect());
    entries.unwrap_or_else(|_| Vec::new()).iter().map(fs::DirEntry::path).collect()
}

/// Stops a node, damages what it keeps, starts it, and waits until it votes under its new number and
/// shows everything. Returns how long that took.
async fn heals(
    world: &World,
    agents: &mut Vec<Arc<Agent>>,
    name: &str,
    damage: Damage,
    keys: &mut Vec<Vec<u8>>,
) -> Duration {
    let at = agents.iter().position(|agent| agent.identity().name == name).expect("it");
    let lost = agents.remove(at);
    let (old, folder) = (lost.number(), world.folder(name));
    lost.stop().await;
    drop(lost);
    keys.extend(load(&agents[0], &format!("without-{name}"), 20).await);
    damage(&folder);
    let begun = Instant::now();
    let back = resume(world, name).await.expect("it is refilled");
    let new = back.number();
    assert!(new > old, "{new} is a number that nobody had");
    until("it votes again, and the old number does not", async || {
        let voters = back.group().status().voters;
        voters.len() == 3 && voters.contains(&new.get()) && !voters.contains(&old.get())
    })
    .await;
    until("it shows everything", async || shows(&back, keys).await).await;
    let took = begun.elapsed();
    let nodes = back.nodes().list(Consistency::Linearizable).await.expect("nodes");
    let known = |number| nodes.iter().find(|node| node.number == number).expect("a record");
    assert!(known(old).removed && !known(new).removed);
    assert_eq!((&known(new).name, known(new).role), (&known(old).name, known(old).role));
    assert!(!folder.join("refill.json").exists() && !folder.join("joining.key").exists());
    agents.push(back);
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_nodes_are_refilled_one_after_the_other_and_nothing_is_lost() {
    let world = World::new();
    let mut agents = three(&world).await;
    let mut keys = load(&agents[1], "before", 200).await;
    let kinds: [(&str, Damage); 3] = [("c", damage_log), ("a", damage_tables), ("b", lose_log)];
    for (name, damage) in kinds {
        let took = heals(&world, &mut agents, name, damage, &mut keys).await;
        println!("{name}: {took:?} from its start until it voted again and showed everything");
        assert_eq!(evidence(&world.folder(name)).len(), 1);
    }
    // By now no disk is the one on which the first keys were acknowledged.
    keys.extend(load(&agents[0], "after", 20).await);
    for agent in &agents {
        until("every node shows everything", async || shows(agent, &keys).await).await;
    }
    assert_eq!(agents[0].group().status().voters, [4, 5, 6]);
    for agent in agents {
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_three_damaged_wait_until_the_third_goes_on_alone() {
    let world = Arc::new(World::new());
    let agents = three(&world).await;
    let keys = load(&agents[0], "key", 50).await;
    until("all show all", async || {
        shows(&agents[0], &keys).await
            && shows(&agents[1], &keys).await
            && shows(&agents[2], &keys).await
    })
    .await;
    let address = agents[0].address();
    for agent in &agents {
        agent.stop().await;
    }
    drop(agents);
    damage_log(&world.folder("b"));
    lose_log(&world.folder("c"));
    let third = start_at(&world, "a", &address).await;
    let waits = ["b", "c"].map(|name| {
        let world = world.clone();
        tokio::spawn(async move { resume(&world, name).await })
    });
    for name in ["b", "c"] {
        until("it says what it waits for", async || {
            let said = ask(&world.folder(name), &Request::Status).await.err();
            let said = said.map(|error| error.to_string()).unwrap_or_default();
            said.contains("regrow node recover") && said.contains("are damaged")
        })
        .await;
    }
    assert!(recover(&world.folder("b")).await.is_err(), "somebody uses it");
    assert!(waits.iter().all(|wait| !wait.is_finished()), "they wait");
    assert!(world.folder("b").join("journal").exists(), "nothing was touched");
    third.stop().await;
    drop(third);
    recover(&world.folder("a")).await.expect("the third is whole");
    let third = start_at(&world, "a", &address).await;
    let mut agents = vec![third];
    for wait in waits {
        agents.push(wait.await.expect("no panic").expect("refilled"));
    }
    until("three voters of which none is damaged", async || {
        let voters = agents[0].group().status().voters;
        voters.len() == 3 && !voters.contains(&2) && !voters.contains(&3)
    })
    .await;
    for agent in &agents {
        until("everything is there", async || shows(agent, &keys).await).await;
    }
    for agent in agents {
        agent.stop().await;
    }
}

/// Starts a node where it answered before; its port may be somebody's for a moment.
async fn start_at(world: &World, name: &str, address: &str) -> Arc<Agent> {
    for _ in 0..600 {
        let mut options = with_shelf(world.options(name, Start::Resume));
        options.listen = address.to_owned();
        match Agent::start(options).await {
            Err(AgentError::Listen { .. }) => tokio::time::sleep(Duration::from_millis(100)).await,
            started => return started.expect("resume"),
        }
    }
    panic!("{address} is not free within a minute");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_node_that_is_alone_refuses_to_start() {
    let world = World::new();
    let only = Agent::start(with_shelf(world.options("a", Start::Bootstrap))).await;
    let only = only.expect("bootstrap");
    load(&only, "key", 20).await;
    let worker = world_worker(&world, &only).await;
    worker.stop().await;
    only.stop().await;
    drop(only);
    let folder = world.folder("a");
    damage_log(&folder);
    let before = fs::read(folder.join("journal/segment-0000000001")).expect("segment");
    let error = resume(&world, "a").await.err().expect("refused");
    assert!(matches!(error, AgentError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("Restore a backup"), "{error}");
    assert!(!folder.join("refill.json").exists() && evidence(&folder).is_empty());
    let after = fs::read(folder.join("journal/segment-0000000001")).expect("segment");
    assert!(before == after, "every file is left as it was");
    assert!(recover(&folder).await.is_err(), "it must not lead either");
}

/// A worker has no vote, and so nothing of which one could be made of.
async fn world_worker(world: &World, server: &Agent) -> Arc<Agent> {
    let token = token(server.folder().path(), regrow_pki::Role::Worker).await;
    let start = Start::Join { token, server: server.address() };
    Agent::start(with_shelf(world.options("w", start))).await.expect("join")
}
