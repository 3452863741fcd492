//! `up`: the first heal, going on after a stop, ends.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::{PATIENCE, World, kill, repository, wait};

fn quickstart() -> String {
    repository("examples/quickstart/quickstart.yaml").display().to_string()
}

fn get(address: &str) -> String {
    let mut stream = TcpStream::connect(address.trim()).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("ask");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answer");
    answer
}

#[test]
fn five_servers_one_dies_and_comes_back() {
    let world = World::new();
    // The next poll is far away: what heals here is the provider's word.
    let mut up = world.spawn(&["up", &quickstart(), "--poll", "1h", "--on-exit", "leave"]);
    up.says("quickstart: converged, 5 of 5 alive");
    wait("five processes", || world.instances().len() == 5);
    let addresses = || {
        let entries = std::fs::read_dir(world.state().join("process")).expect("instances");
        let address = |entry: std::fs::DirEntry| entry.path().join("work/address");
        let read = entries.flatten().filter_map(|it| std::fs::read_to_string(address(it)).ok());
        read.collect::<Vec<_>>()
    };
    wait("five addresses", || addresses().len() == 5);
    for address in addresses() {
        let answer = get(&address);
        assert!(answer.contains("\"group\":\"quickstart\""), "{answer}");
    }
    // Where the loss and the new member are seen at once, nobody knows how long it took: then once more.
    let timed = (1..=5).any(|killed| {
        kill(world.instances()[2], "KILL");
        let healed = || up.output().lines().filter(|line| line.contains("healed slot")).count();
        wait("it is healed", || healed() == killed);
        wait("five again", || world.instances().len() == 5);
        let said = up.output();
        let line = said.lines().rfind(|line| line.contains("healed slot")).expect("line");
        println!("{line}");
        line.contains(" ms with instance ") || line.contains(" s with instance ")
    });
    assert!(timed, "{}", up.output());
    assert_eq!(up.stop(), Some(0));
    assert!(up.output().contains("left running"), "{}", up.output());
    assert_eq!(world.instances().len(), 5);
    assert_eq!(std::fs::read_dir(world.state().join("plugins")).expect("plugins").count(), 0);
}

#[test]
fn the_next_run_goes_on_with_the_same_processes() {
    let world = World::new();
    let until = |words: &[&str]| {
        let common = ["--until", "healthy", "--timeout", "150s"];
        world.ok(&[&["up"], words, &common].concat())
    };
    let said = until(&[&quickstart(), "--on-exit", "leave"]);
    assert!(said.contains("all members are healthy"), "{said}");
    assert!(said.contains("instances of quickstart are left running"), "{said}");
    let first = world.instances();
    assert_eq!(first.len(), 5);
    // Also without the spec: it is stored.
    for words in [&[quickstart()][..], &[]] {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let said = until(&words);
        assert!(said.contains("went on with 5 instances"), "{said}");
        assert_eq!(world.instances(), first);
    }
    until(&["--on-exit", "destroy"]);
    assert!(world.instances().is_empty());
    let fault = world.fails(&["up"]);
    assert!(fault.contains("no spec is given and none is stored"), "{fault}");
}

#[test]
fn commands_reach_a_running_up() {
    let world = World::new();
    let mut up = world.spawn(&["up", &quickstart(), "--on-exit", "destroy"]);
    up.says("converged, 5 of 5 alive");
    assert!(world.ok(&["group", "ls"]).contains("quickstart  5       5      converged"));
    world.ok(&["group", "scale", "quickstart", "3"]);
    wait("three", || world.instances().len() == 3);
    // The same folder cannot be used twice at the same time.
    let fault = world.fails(&["up", &quickstart(), "--until", "converged"]);
    assert!(fault.contains("already serves it") || fault.contains("in use"), "{fault}");
    let leader = world.ok(&["manager", "leader"]);
    assert!(leader.starts_with("IsLeader       : true\nLeaderLocation : "), "{leader}");
    // No port is open: what is known beside is told.
    let known = "announced a port for remote clients; this manager is leading, fence 1)\n";
    assert!(leader.ends_with(known), "{leader}");
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_killed_up_leaves_nothing_in_the_way() {
    let world = World::new();
    let mut up = world.spawn(&["up", &quickstart()]);
    up.says("converged, 5 of 5 alive");
    let first = world.instances();
    up.signal("KILL");
    up.end();
    assert!(world.state().join("plugins/group").exists(), "a stale socket is left");
    let words = ["up", "--until", "converged", "--on-exit", "destroy", "--timeout", "150s"];
    let said = world.ok(&words);
    assert!(said.contains("went on with 5 instances"), "{said}");
    assert_eq!(first.len(), 5);
    assert!(world.instances().is_empty());
}

#[test]
fn what_cannot_be_reached_in_time_fails() {
    let world = World::new();
    let spec = world.write(
        "never.yaml",
        "kind: group\nmetadata: {name: never}\nproperties:\n  Allocation: {Size: 1}\n  \
         Instance: {Plugin: process, Properties: {Command: [/nonexistent/program]}}\n  \
         Flavor: {Plugin: vanilla}\n",
    );
    let spec = spec.display().to_string();
    // On a busy machine it may take a while until the first member is tried.
    for timeout in ["600ms", "5s", "20s"] {
        let said = world.run(&["up", &spec, "--until", "converged", "--timeout", timeout]);
        assert_eq!(said.code, Some(1), "{said:?}");
        let fault = format!("wait until all groups have converged: not so after {timeout}");
        assert!(said.err.contains(&fault), "{said:?}");
        if said.out.contains("making the member of slot 0 failed") {
            return;
        }
    }
    panic!("nothing says why");
}

#[test]
fn for_programs_each_line_is_a_document() {
    let world = World::new();
    let words = ["up", &quickstart(), "--json", "--until", "converged", "--on-exit", "destroy"];
    let said = world.ok(&words);
    let lines: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).expect("json")).collect();
    let good = lines.iter().filter(|line| line["level"] == "good").count();
    assert!(good >= 2 && lines.iter().all(|line| line["at_ms"].is_u64()), "{said}");
    // The last word comes last.
    let text = |line: &serde_json::Value| line["text"].as_str().expect("text").to_owned();
    let texts: Vec<_> = lines.iter().map(text).collect();
    let converged = texts.iter().position(|text| text.contains(": converged, 5 of 5"));
    let before = &texts[..converged.expect("converged")];
    assert_eq!(before.iter().filter(|text| text.contains("made instance")).count(), 5, "{said}");
}

#[test]
fn interrupted_twice_it_ends_at_once() {
    let world = World::new();
    // A member that does not stop: the orderly end would take long.
    let spec = world.write(
        "stubborn.yaml",
        "kind: group\nmetadata: {name: stubborn}\nproperties:\n  Allocation: {Size: 1}\n  \
         Instance: {Plugin: process, Properties: {Command: [sh, -c, 'trap \"touch told\" TERM; \
         touch up; while :; do sleep 1; done'], StopGrace: 300s}}\n  Flavor: {Plugin: vanilla}\n",
    );
    let spec = spec.display().to_string();
    let mut up = world.spawn(&["up", &spec, "--on-exit", "destroy"]);
    up.says("converged, 1 of 1 alive");
    let member_has = |file: &str| {
        let entries = std::fs::read_dir(world.state().join("process")).expect("instances");
        entries.flatten().any(|entry| entry.path().join("work").join(file).exists())
    };
    wait("the member is up", || member_has("up"));
    up.signal("INT");
    wait("the member is told to stop", || member_has("told"));
    up.signal("INT");
    assert_eq!(up.end(), Some(130));
    assert!(up.output().contains("stopped at once"), "{}", up.output());
}

#[test]
fn a_destruction_that_waits_for_its_budget_says_so() {
    let world = World::new();
    let spec = world.write(
        "slow.yaml",
        "kind: group\nmetadata: {name: slow}\nproperties:\n  Allocation: {Size: 3}\n  \
         Limits: {DestroyBudget: {Most: 1, Window: 1h}}\n  \
         Instance: {Plugin: simulator/compute, Properties: {}}\n  Flavor: {Plugin: vanilla}\n",
    );
    let spec = spec.display().to_string();
    let mut up = world.spawn(&["up", &spec, "--on-exit", "destroy"]);
    up.says("converged, 3 of 3 alive");
    up.signal("INT");
    up.says("slow: 2 left to destroy; waits: 2 destructions wait: the budget is 1 in 3600 s");
    up.signal("INT");
    assert_eq!(up.end(), Some(130));
    let said = up.output();
    assert!(said.contains("stopped at once; not destroyed yet: 2 of slow"), "{said}");
}
