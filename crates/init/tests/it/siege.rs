//! Promise S7: init does not die.

use std::process::Command;

use crate::world::{PUPPET, World, send, soak};

/// Numbers that look random and are the same in each run of one seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

#[test]
fn random_messages_do_no_harm() {
    let seed = std::env::var("REGROW_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    println!("REGROW_SEED={seed}");
    let mut dice = Dice(seed);
    let mut world = World::new();
    world.hello();
    let pid = world.start(u64::MAX, "sleep 1000");
    for _ in 0..3000 * soak() {
        let mut bytes: Vec<u8> = (0..1 + dice.next(40)).map(|_| dice.next(256) as u8).collect();
        if dice.next(2) == 0 {
            // A whole message, of any kind but the one that ends the world.
            let kind = [1, 2, 3, 4, 5, 6, 8, 64, 200][dice.next(9) as usize];
            bytes = vec![1, kind, dice.next(3) as u8, 0];
            bytes.extend((dice.next(70) as i32).to_le_bytes());
            bytes.extend(dice.next(100).to_le_bytes());
        }
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        world.tell(&format!("raw {text}"));
    }
    // Whatever it answered until then comes before the second of these.
    for process in [1000, 1001] {
        world.tell(&format!("start {process} own true"));
        while world.hear() != format!("ended {process} code 0") {}
    }
    let known = world.hello();
    assert!(known.contains(&format!("process {} {pid} own", u64::MAX)), "{known:?}");
    world.bye(0);
}

#[test]
fn without_descriptors_processes_are_not_started_and_later_they_are() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 40; exec \"$0\"", PUPPET]);
    let mut world = World::of(command);
    world.hello();
    let mut process = 0;
    let refused = loop {
        process += 1;
        world.tell(&format!("start {process} wrapped sleep 1000"));
        if world.hear_start(process) == 0 {
            break process;
        }
    };
    assert_eq!(world.hear(), format!("ended {refused} errno {}", libc::EMFILE));
    assert!(refused > 3, "{refused} is too early");
    // There is still room for the next worker.
    send(world.worker, libc::SIGKILL);
    world.next_worker();
    world.hello();
    for process in 1..refused {
        world.tell(&format!("kill {process} 9"));
        assert_eq!(world.hear(), format!("ended {process} signal 9"));
        world.tell(&format!("drained {process}"));
        world.tell(&format!("forget {process}"));
    }
    world.tell("start 100 wrapped sh -c exit\u{1}2");
    assert!(world.hear_start(100) > 0);
    assert_eq!(world.hear(), "ended 100 code 2");
    world.bye(0);
}

#[test]
fn without_room_for_processes_none_is_started_and_later_they_are() {
    let Some(mut world) = World::in_name_space("S7") else { return };
    world.hello();
    // The kernel gives numbers below 300 once only, so room is what lies above.
    world.start(1, "sh -c echo\u{1}400>/proc/sys/kernel/pid_max");
    if world.hear() != "ended 1 code 0" {
        println!("not run, promise untested: S7 needs Linux 6.14 for a limit of one name space");
        return world.bye(0);
    }
    let mut process = 1;
    let refused = loop {
        process += 1;
        if world.start(process, "sleep 1000") == 0 {
            break process;
        }
        assert!(process < 1000, "the limit was to be reached");
    };
    assert_eq!(world.hear(), format!("ended {refused} errno {}", libc::EAGAIN));
    let last = refused - 1;
    world.tell(&format!("kill {last} 9"));
    assert_eq!(world.hear(), format!("ended {last} signal 9"));
    // There is room for one: the next worker.
    send_inside(&mut world, libc::SIGKILL);
    world.next_worker();
    let known = world.hello();
    assert_eq!(known.iter().filter(|line| line.starts_with("process ")).count(), refused as usize);
    let last = refused - 2;
    world.tell(&format!("kill {last} 9"));
    assert_eq!(world.hear(), format!("ended {last} signal 9"));
    assert!(world.start(2000, "true") > 0);
    assert_eq!(world.hear(), "ended 2000 code 0");
    world.bye(0);
}

/// Signals the worker of a name space, whose number we see as another.
fn send_inside(world: &mut World, signal: i32) {
    let inside = |pid: &i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let numbers =
            status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        numbers.split_whitespace().last() == Some(&world.worker.to_string())
    };
    let worker = crate::world::children(world.init).into_iter().find(inside);
    send(worker.expect("the worker is a child of init"), signal);
}

#[test]
fn a_worker_that_does_not_listen_holds_nobody_up_and_misses_nothing() {
    let mut world = World::new();
    world.hello();
    let count = 600;
    for process in 1..=count {
        world.tell(&format!("start {process} own sh -c exit\u{1}1"));
    }
    world.tell("start 1000 own sleep 1000");
    // The worker says all of it before it listens again, and its line holds more than the socket.
    let mut heard: Vec<String> = (0..2 * count + 1).map(|_| world.hear()).collect();
    heard.retain(|line| line.starts_with("ended "));
    heard.sort();
    let mut expected: Vec<String> =
        (1..=count).map(|process| format!("ended {process} code 1")).collect();
    expected.sort();
    assert_eq!(heard, expected);
    world.bye(0);
}
