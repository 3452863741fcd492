//! Lives of processes and workers.

use crate::world::{World, send};

#[test]
fn a_process_runs_and_its_end_is_told_until_it_is_forgotten() {
    let mut world = World::new();
    assert_eq!(world.hello(), ["ready 0"]);
    let pid = world.start(7, "sh -c exit\u{1}3");
    assert_eq!(world.hear(), "ended 7 code 3");
    assert_eq!(world.hello(), [&format!("process 7 {pid} own"), "ended 7 code 3", "ready 0"]);
    world.tell("forget 7");
    assert_eq!(world.hello(), ["ready 0"]);
    world.tell("bye 5");
    assert_eq!(world.end().code(), Some(5));
}

#[test]
fn a_killed_worker_is_followed_by_one_that_finds_everything() {
    let mut world = World::new();
    world.hello();
    let lasting = world.start(1, "sleep 1000");
    let short = world.start(2, "sh -c exit\u{1}4");
    assert_eq!(world.hear(), "ended 2 code 4");
    world.tell("remember this");
    world.tell("recall");
    assert_eq!(world.hear(), "this");
    send(world.worker, libc::SIGKILL);
    world.next_worker();
    let known = world.hello();
    let expected = [
        &format!("process 1 {lasting} own"),
        &format!("process 2 {short} own"),
        "ended 2 code 4",
        "ready 1",
    ];
    assert_eq!(known, expected);
    world.tell("recall");
    assert_eq!(world.hear(), "this");
    world.tell("bye 0");
    assert_eq!(world.end().code(), Some(0));
}

#[test]
fn a_signal_arrives() {
    let mut world = World::new();
    world.hello();
    world.signal(libc::SIGUSR1);
    assert_eq!(world.hear(), format!("signal {}", libc::SIGUSR1));
    world.tell("bye 0");
    assert_eq!(world.end().code(), Some(0));
}
