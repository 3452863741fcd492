//! Agents as processes: a cluster of three that loses its leader, tokens that let nobody in, and
//! folders and ports that are somebody else's.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant, SystemTime};

use crate::support::{Daemon, Said, World};

mod damage;
mod door;
mod verbs;

/// Longest time for an election, a new member or a join on a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Runs a command until it succeeds, which it does not while a leader is being elected: on a busy machine
/// that may be at any time. What it printed.
fn until_done(world: &World, words: &[&str]) -> String {
    let mut done = None;
    until(&format!("{words:?} succeeds"), || {
        done = Some(world.run(words)).filter(|said| said.code == Some(0));
        done.is_some()
    });
    done.expect("it succeeded").out
}

/// An agent that runs, and where it is reached.
struct Agent {
    daemon: Daemon,
    name: String,
}

/// Words for an agent that takes free ports.
fn words<'w>(name: &'w str, more: &[&'w str]) -> Vec<&'w str> {
    let ports = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0"];
    [&["agent", "--name", name, "--state", name], ports.as_slice(), more].concat()
}

fn begin(world: &World, name: &str, more: &[&str]) -> Agent {
    let agent = Agent { daemon: world.spawn(&words(name, more)), name: name.to_owned() };
    until(&format!("{name} is ready"), || agent.daemon.output().contains("\nready\n"));
    agent
}

/// Starts an agent again where it was. Its port may be taken for a moment by a connection that somebody
/// makes: then once more.
fn again(world: &World, was: &Agent) -> Agent {
    let (name, address) = (was.name.clone(), was.address());
    let words = ["agent", "--name", &name, "--state", &name, "--listen", &address];
    let words = [words.as_slice(), &["--http", "127.0.0.1:0", "--dns", "none"]].concat();
    let start = Instant::now();
    loop {
        let daemon = world.spawn(&words);
        until(&format!("{name} is ready or refused"), || {
            let output = daemon.output();
            output.contains("\nready\n") || output.contains("choose another with --listen")
        });
        if daemon.output().contains("\nready\n") {
            return Agent { daemon, name };
        }
        assert!(start.elapsed() < LONG, "{}", daemon.output());
    }
}

/// An agent that must refuse to start.
fn refused(world: &World, name: &str, more: &[&str]) -> String {
    let Said { code, err, .. } = world.run(&words(name, more));
    assert_eq!(code, Some(1), "{err}");
    err
}

impl Agent {
    fn line(&self, start: &str) -> String {
        let output = self.daemon.output();
        let found = output.lines().find_map(|line| line.strip_prefix(start));
        found.unwrap_or_else(|| panic!("no line {start:?}:\n{output}")).to_owned()
    }

    fn address(&self) -> String {
        self.line("other nodes reach it at ")
    }

    fn http(&self) -> String {
        self.line("HTTP on ")
    }

    fn token(&self, world: &World, more: &[&str]) -> String {
        let words = [&["token", "create", "--state", &self.name], more].concat();
        until_done(world, &words).trim().to_owned()
    }

    fn invite(&self, world: &World, more: &[&str]) -> String {
        format!("{}@{}", self.token(world, more), self.address())
    }

    fn status(&self, world: &World) -> String {
        world.run(&["status", "--state", &self.name]).out
    }
}

/// The value of a row that `status` shows.
fn row(status: &str, name: &str) -> String {
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.trim_start_matches(name).trim().to_owned()
}

#[test]
fn three_agents_go_on_without_their_leader() {
    let world = World::new();
    let first = begin(&world, "a", &["--bootstrap"]);
    let invite = first.invite(&world, &["--role", "server", "--uses", "2"]);
    let second = begin(&world, "b", &["--join", &invite]);
    world.write("join", &invite);
    let third = begin(&world, "c", &["--join-file", "join"]);
    until("all three have a vote", || row(&third.status(&world), "voters") == "1, 2, 3");
    until_done(&world, &["kv", "put", "before", "1", "--http-addr", &third.http()]);

    let leader = row(&third.status(&world), "leader");
    let mut agents = vec![("1", first), ("2", second), ("3", third)];
    let at = agents.iter().position(|(number, _)| **number == leader).expect("a leader");
    let (_, mut lost) = agents.remove(at);
    lost.daemon.signal("KILL");
    lost.daemon.end();
    let (_, rest) = &agents[0];
    let http = rest.http();
    until("the others write", || {
        world.run(&["kv", "put", "after", "2", "--http-addr", &http]).code == Some(0)
    });
    assert_eq!(until_done(&world, &["kv", "get", "before", "--http-addr", &http]), "1");
    until("the lost one is critical", || {
        let health = world.run(&["service", "health", "consul", "--http-addr", &http]).out;
        health.lines().any(|line| line.contains(&lost.name) && line.contains("critical"))
    });
    let back = again(&world, &lost);
    until("it is alive again", || {
        let nodes = world.run(&["node", "ls", "--state", &rest.name]).out;
        nodes.lines().filter(|line| line.contains("alive")).count() == 3
    });
    assert_eq!(until_done(&world, &["kv", "get", "after", "--http-addr", &back.http()]), "2");
    for mut agent in agents.into_iter().map(|(_, agent)| agent).chain([back]) {
        assert_eq!(agent.daemon.stop(), Some(0), "{}", agent.daemon.output());
    }
}

#[test]
fn a_token_that_is_not_good_lets_nobody_in() {
    let world = World::new();
    let here = begin(&world, "a", &["--bootstrap"]);
    let elsewhere = begin(&world, "z", &["--bootstrap"]);
    let join = |name: &str, invite: &str| refused(&world, name, &["--join", invite]);

    let short = here.invite(&world, &["--ttl", "1s"]);
    let ends = SystemTime::now() + Duration::from_secs(2);
    let once = here.invite(&world, &["--uses", "1"]);
    let mut member = begin(&world, "b", &["--join", &once]);
    let error = join("c", &once);
    assert!(error.contains("used up"), "{error}");

    let revoked = here.token(&world, &[]);
    let id = revoked.split('-').nth(4).expect("an id");
    world.ok(&["token", "revoke", id, "--state", "a"]);
    let error = join("c", &format!("{revoked}@{}", here.address()));
    assert!(error.contains("not known here"), "{error}");

    let foreign = elsewhere.token(&world, &[]);
    let error = join("c", &format!("{foreign}@{}", here.address()));
    assert!(error.contains("join by way of"), "{error}");
    assert!(!error.contains(&foreign), "a secret is not repeated: {error}");

    until("the short one has ended", || SystemTime::now() > ends);
    let error = join("c", &short);
    assert!(error.contains("expired"), "{error}");
    assert!(!world.path().join("c/node.json").exists());

    assert_eq!(member.daemon.stop(), Some(0));
    let error = refused(&world, "b", &["--join", &elsewhere.invite(&world, &[])]);
    assert!(error.contains("belongs to cluster"), "{error}");
    let nodes = world.ok(&["node", "ls", "--state", "a"]);
    assert_eq!(nodes.lines().count(), 3, "{nodes}");
}

#[test]
fn folders_and_ports_of_others_are_left_alone() {
    let world = World::new();
    let mut agent = begin(&world, "a", &["--bootstrap"]);
    let error = refused(&world, "a", &["--bootstrap"]);
    assert!(error.contains("another agent uses it"), "{error}");

    let taken = agent.http();
    let bootstrap = ["agent", "--bootstrap", "--name", "b", "--state", "b", "--dns", "none"];
    let said =
        world.run(&[&bootstrap, ["--listen", "127.0.0.1:0", "--http", &taken].as_slice()].concat());
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("choose another with --http"), "{}", said.err);
    let taken = agent.address();
    let said = world.run(&[&bootstrap, ["--listen", &taken, "--http", "none"].as_slice()].concat());
    assert!(said.err.contains("choose another with --listen"), "{}", said.err);
    assert!(!world.path().join("b/node.json").exists(), "nothing was begun");

    assert_eq!(agent.daemon.stop(), Some(0));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o770);
    fs::set_permissions(world.path().join("a"), mode).expect("mode");
    let error = refused(&world, "a", &[]);
    assert!(error.contains("chmod 700"), "{error}");
}

#[test]
fn a_join_that_hangs_ends_at_a_signal_and_can_be_begun_again() {
    let world = World::new();
    // It is called and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let token = format!("regrow-1-{}-w-{}-{}", "0".repeat(64), "0".repeat(8), "0".repeat(32));
    let invite = format!("{token}@{}", silent.local_addr().expect("its address"));
    let mut daemon = world.spawn(&words("a", &["--join", &invite]));
    let _open = silent.accept().expect("the agent calls");
    daemon.signal("INT");
    assert_eq!(daemon.end(), Some(1), "{}", daemon.output());
    assert!(daemon.output().contains("stopped by a signal"), "{}", daemon.output());
    assert!(!world.path().join("a/node.json").exists());
    let mut again = begin(&world, "a", &["--bootstrap"]);
    assert_eq!(again.daemon.stop(), Some(0));
}

#[test]
fn a_backup_is_private_replaces_nothing_and_begins_a_cluster_again() {
    let world = World::new();
    let mut agent = begin(&world, "a", &["--bootstrap"]);
    world.ok(&["kv", "put", "kept", "1", "--http-addr", &agent.http()]);
    world.ok(&["backup", "file", "--state", "a"]);
    let file = world.path().join("file");
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&file).expect("file")) & 0o777;
    assert_eq!(mode, 0o600);
    let error = world.fails(&["backup", "file", "--state", "a"]);
    assert!(error.contains("--force"), "{error}");
    world.ok(&["backup", "file", "--force", "--state", "a"]);
    let names =
        fs::read_dir(world.path()).expect("folder").flatten().map(|entry| entry.file_name());
    let drafts: Vec<_> = names.filter(|name| name.to_string_lossy().contains("file.")).collect();
    assert!(drafts.is_empty(), "{drafts:?}");
    assert_eq!(agent.daemon.stop(), Some(0));
    world.ok(&["restore", "file", "--state", "r", "--name", "r", "--advertise", "127.0.0.1:1"]);
    let mut again = begin(&world, "r", &[]);
    assert_eq!(world.ok(&["kv", "get", "kept", "--http-addr", &again.http()]), "1");
    assert_eq!(again.daemon.stop(), Some(0));
}
