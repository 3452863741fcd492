//! Managers inside agents: who asks one that follows hears which machine the leader runs on.

use crate::support::{Daemon, World, wait};

/// An agent with a manager, which knows its own place.
fn agent(world: &World, name: &str, more: &[&str]) -> Daemon {
    let ports = ["--listen", "127.0.0.1:0", "--http", "none", "--dns", "none"];
    let words = ["agent", "--name", name, "--state", name, "--plugin", "manager"];
    let mut command = world.command(&[words.as_slice(), &ports, more].concat());
    // Without a port for remote clients, as agents are started.
    command.env_remove("INFRAKIT_MUX_LISTEN");
    let daemon = world.spawn_command(command);
    wait("the agent is ready", || daemon.output().contains("\nready\n"));
    daemon
}

fn address(agent: &Daemon) -> String {
    let output = agent.output();
    let line = output.lines().find_map(|line| line.strip_prefix("other nodes reach it at "));
    line.expect("an address").to_owned()
}

#[test]
fn a_manager_of_an_agent_that_follows_names_the_machine_of_the_leader() {
    let (first, second, third) = (World::new(), World::new(), World::new());
    let mut one = agent(&first, "one", &["--bootstrap"]);
    let leads = || first.run(&["manager", "leader"]).out.contains("IsLeader       : true");
    wait("the first one leads", leads);
    let token = first.ok(&["token", "create", "--role", "server", "--uses", "2", "--state", "one"]);
    let invite = format!("{}@{}", token.trim(), address(&one));
    // Managers stand where there is a vote, and there are three votes or one.
    let mut others = [("two", &second), ("three", &third)]
        .map(|(name, world)| agent(world, name, &["--join", &invite]));
    let known = format!("LeaderLocation : machine {}, replica one (", address(&one));
    wait("the second one knows it", || second.run(&["manager", "leader"]).out.contains(&known));
    let spec = "{kind: group, metadata: {name: web}, properties: {Allocation: {Size: 1}, \
                Instance: {Plugin: file}, Flavor: {Plugin: vanilla}}}";
    let spec = second.write("web.yml", spec).display().to_string();
    let fault = second.fails(&["group", "commit", &spec]);
    let text = format!("replica \"one\" leads on machine {}; repeat the", address(&one));
    assert!(fault.contains("not a leader") && fault.contains(&text), "{fault}");
    for agent in others.iter_mut().chain([&mut one]) {
        assert_eq!(agent.stop(), Some(0));
    }
}

#[test]
fn a_manager_on_a_worker_says_why_it_waits_and_begins_when_the_node_is_promoted() {
    let (first, second) = (World::new(), World::new());
    let mut one = agent(&first, "one", &["--bootstrap"]);
    one.says("plugins run");
    let token = first.ok(&["token", "create", "--role", "worker", "--state", "one"]);
    let mut two =
        agent(&second, "two", &["--join", &format!("{}@{}", token.trim(), address(&one))]);
    two.says("the manager waits: two is a worker");
    assert!(!two.output().contains("plugins run"), "{}", two.output());
    first.ok(&["node", "promote", "two", "--state", "one"]);
    two.says("plugins run");
    let known = format!("LeaderLocation : machine {}, replica one (", address(&one));
    wait("it follows", || second.run(&["manager", "leader"]).out.contains(&known));
    for agent in [&mut two, &mut one] {
        assert_eq!(agent.stop(), Some(0));
    }
}
