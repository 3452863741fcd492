//! C6 on real processes: an agent whose log was damaged while it was stopped comes back by itself.

use std::fs;
use std::time::Instant;

use super::{again, begin, refused, row, until};
use crate::support::World;

/// Flips a bit of a record that others follow.
fn damage(world: &World, state: &str) {
    let path = world.path().join(state).join("journal/segment-0000000001");
    let mut bytes = fs::read(&path).expect("a segment");
    bytes[4096 + 5 * 512 + 100] ^= 0x10;
    fs::write(&path, bytes).expect("a segment");
}

#[test]
fn an_agent_whose_log_is_damaged_is_refilled_under_another_number_and_votes_again() {
    let world = World::new();
    let first = begin(&world, "a", &["--bootstrap"]);
    let invite = first.invite(&world, &["--role", "server", "--uses", "2"]);
    let second = begin(&world, "b", &["--join", &invite]);
    let mut third = begin(&world, "c", &["--join", &invite]);
    until("all three have a vote", || row(&third.status(&world), "voters") == "1, 2, 3");
    let put = |key: &str, http: &str| world.ok(&["kv", "put", key, key, "--http-addr", http]);
    for number in 0..50 {
        put(&format!("before/{number}"), &third.http());
    }
    third.daemon.signal("KILL");
    third.daemon.end();
    put("meanwhile", &second.http());
    damage(&world, "c");

    let begun = Instant::now();
    let mut back = again(&world, &third);
    until("it has a vote under another number", || {
        row(&back.status(&world), "voters") == "1, 2, 4"
    });
    println!("{:?} from its start until it had a vote again", begun.elapsed());
    until("the old number is removed", || {
        let nodes = world.ok(&["node", "ls", "--state", "c"]);
        nodes.lines().filter(|line| line.contains("removed")).count() == 1
    });
    let get = |key: &str| world.ok(&["kv", "get", key, "--http-addr", &back.http()]);
    until("it shows what it missed", || get("meanwhile") == "meanwhile");
    for number in 0..50 {
        assert_eq!(get(&format!("before/{number}")), format!("before/{number}"));
    }
    let evidence = fs::read_dir(world.path().join("c/damaged")).expect("evidence");
    assert_eq!(evidence.count(), 1);
    until("its check passes", || {
        let health = world.ok(&["service", "health", "consul", "--http-addr", &first.http()]);
        health.lines().filter(|line| line.contains("passing")).count() == 3
    });
    assert_eq!(back.daemon.stop(), Some(0), "{}", back.daemon.output());
    for mut agent in [first, second] {
        assert_eq!(agent.daemon.stop(), Some(0), "{}", agent.daemon.output());
    }
}

#[test]
fn an_agent_that_is_alone_refuses_a_damaged_log_and_names_the_way_out() {
    let world = World::new();
    let mut agent = begin(&world, "a", &["--bootstrap"]);
    for number in 0..20 {
        world.ok(&["kv", "put", &number.to_string(), "x", "--http-addr", &agent.http()]);
    }
    assert_eq!(agent.daemon.stop(), Some(0));
    damage(&world, "a");
    let error = refused(&world, "a", &[]);
    assert!(error.contains("regrow restore"), "{error}");
    assert!(!world.path().join("a/damaged").exists(), "nothing was touched");
}
