//! Promise S6: the end comes in time, and nothing is left. `World::end` looks for what is.

use std::time::{Duration, Instant};

use crate::world::{PUPPET, World, send, soak, wait_until};

#[test]
fn nothing_is_left_of_what_does_not_want_to_end() {
    for mut world in (0..soak()).flat_map(|_| World::both("S6")) {
        world.hello();
        world.start(
            1,
            "sh -c trap\u{1}''\u{1}TERM\u{1}HUP\u{1}INT;while\u{1}:;do\u{1}sleep\u{1}1;done",
        );
        world.start(2, "sh -c setsid\u{1}sleep\u{1}1000&sleep\u{1}1000");
        world.start(3, "sleep 1000");
        world.tell("kill 3 19");
        world.start(4, &format!("{PUPPET} storm 20"));
        world.start(5, "sh -c (setsid\u{1}sh\u{1}-c\u{1}'sleep\u{1}1000&sleep\u{1}1000'&)");
        assert_eq!(world.hear(), "ended 5 code 0");
        std::thread::sleep(Duration::from_millis(100));
        let start = Instant::now();
        world.bye(9);
        let took = start.elapsed();
        println!("took {took:?}");
        assert!(took < Duration::from_secs(5), "patience ended before they did: {took:?}");
    }
}

#[test]
fn an_end_without_anything_to_wait_for_takes_no_time() {
    let mut world = World::new();
    world.hello();
    world.start(1, "sleep 1000");
    let start = Instant::now();
    world.bye(0);
    println!("took {:?}", start.elapsed());
}

#[test]
fn a_worker_that_said_bye_and_hangs_is_killed() {
    let mut world = World::new();
    world.hello();
    world.tell("hang 6");
    assert_eq!(world.end().code(), Some(6));
}

#[test]
fn a_stop_that_no_worker_lives_to_do_is_done_by_init() {
    for mut world in World::both("S6") {
        world.hello();
        world.start(1, "sleep 1000");
        world.signal(libc::SIGTERM);
        // Each worker dies before it took the signal.
        assert_eq!(world.hear(), "signal 15");
        world.tell("exit 101");
        for _ in 0..2 {
            world.next_worker();
            world.tell("exit 101");
        }
        assert_eq!(world.end().code(), Some(128 + libc::SIGTERM));
    }
}

#[test]
fn a_worker_that_hung_up_and_lives_is_followed() {
    let mut world = World::new();
    world.hello();
    let pid = world.start(1, "sleep 1000");
    let old = world.worker;
    world.tell("deaf");
    world.next_worker();
    assert_ne!(world.worker, old);
    assert_eq!(world.hello(), [&format!("process 1 {pid} own"), "ready 1"]);
    world.bye(0);
}

#[test]
fn workers_that_die_at_once_come_ever_slower() {
    let mut world = World::new();
    world.hello();
    let mut pauses = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        send(world.worker, libc::SIGKILL);
        world.next_worker();
        pauses.push(start.elapsed());
    }
    // 0, 100, 200, 400 and 800 ms at least.
    assert!(
        pauses[1..].iter().zip([100, 200, 400, 800]).all(|(p, ms)| p.as_millis() >= ms - 1),
        "{pauses:?}"
    );
    wait_until("it is told", || Some(world.hello()));
    world.bye(0);
}
