//! Promise S2: no signal is lost on its way. Promise S5: none goes to a stranger.

use std::collections::BTreeMap;

use crate::world::{PUPPET, World, children, send, soak, wait_until};

/// Every signal that can be sent and is for the worker.
fn forwarded() -> impl Iterator<Item = i32> {
    let kept = [libc::SIGKILL, libc::SIGSTOP, libc::SIGCHLD, libc::SIGTTIN, libc::SIGTTOU];
    // 32 and 33 belong to the C library.
    (1..=64).filter(move |signal| !kept.contains(signal) && !(32..=33).contains(signal))
}

#[test]
fn every_signal_arrives() {
    let mut world = World::new();
    world.hello();
    for signal in (0..soak()).flat_map(|_| forwarded()) {
        world.signal(signal);
        assert_eq!(world.hear(), format!("signal {signal}"));
        world.tell(&format!("took {signal}"));
    }
    world.signal(libc::SIGCHLD);
    world.signal(libc::SIGTTIN);
    world.signal(libc::SIGUSR1);
    assert_eq!(world.hear(), format!("signal {}", libc::SIGUSR1));
    world.bye(0);
}

#[test]
fn signals_between_two_workers_are_for_the_next() {
    let mut world = World::new();
    world.hello();
    world.signal(libc::SIGHUP);
    world.signal(libc::SIGUSR2);
    let mut heard = [world.hear(), world.hear()];
    heard.sort();
    assert_eq!(heard, ["signal 1", "signal 12"]);
    // One was done, the other was only heard.
    world.tell("took 1");
    world.hello();
    send(world.worker, libc::SIGKILL);
    world.next_worker();
    let later = [libc::SIGUSR1, libc::SIGTERM, libc::SIGINT, 40];
    for signal in later {
        world.signal(signal);
        world.signal(signal);
        // What is sent while another is taken may be taken in any order.
        wait_until("init has it", || (!is_pending(world.init, signal)).then_some(()));
    }
    assert_eq!(world.hello(), ["ready 1"]);
    // The lowest number first, as in the kernel.
    for signal in [libc::SIGINT, libc::SIGUSR1, libc::SIGUSR2, libc::SIGTERM, 40] {
        assert_eq!(world.hear(), format!("signal {signal}"));
    }
    world.bye(0);
}

/// Whether the kernel still keeps a signal for a process.
fn is_pending(pid: i32, signal: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let mask = status.lines().find_map(|line| line.strip_prefix("ShdPnd:\t")).expect("ShdPnd");
    u64::from_str_radix(mask, 16).expect("a mask") & (1 << (signal - 1)) != 0
}

#[test]
fn a_signal_right_behind_the_start_hits_the_process() {
    let mut world = World::new();
    world.hello();
    for process in 1..=200 {
        world.tell(&format!("start {process} own sleep 1000"));
        world.tell(&format!("kill {process} 15"));
        world.hear_start(process);
        assert_eq!(world.hear(), format!("ended {process} signal 15"));
        world.tell(&format!("forget {process}"));
    }
    world.bye(0);
}

#[test]
fn a_signal_reaches_the_whole_group_which_ends_with_its_leader() {
    let mut world = World::new();
    world.hello();
    // Both wait for USR1; the child alone is never told.
    let script = "trap\u{1}'exit\u{1}7'\u{1}USR1;sleep\u{1}1000&\u{1}wait";
    let ready = |leader: i32| wait_until("its child", || children(leader).first().copied());
    let leader = world.start(1, &format!("sh -c {script}"));
    let child = ready(leader);
    send(leader, libc::SIGUSR1);
    assert_eq!(world.hear(), "ended 1 code 7");
    // Not hit by the signal; what ends it is that its leader ended.
    wait_until("the rest of the group ends too", || (!exists(child)).then_some(()));
    let leader = world.start(2, &format!("sh -c {script}"));
    let child = ready(leader);
    world.tell("kill 2 9");
    assert_eq!(world.hear(), "ended 2 signal 9");
    wait_until("the child was hit too", || (!exists(child)).then_some(()));
    world.bye(0);
}

fn exists(pid: i32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

/// Promise S5. There are a hundred numbers; strangers take them while processes with the same numbers end
/// and are signalled too late, again and again.
#[test]
fn a_signal_that_comes_too_late_hits_no_stranger() {
    let Some(mut world) = World::in_name_space("S5") else { return };
    world.hello();
    let narrow =
        "[\u{1}-w\u{1}/proc/sys/kernel/pid_max\u{1}]&&echo\u{1}400>/proc/sys/kernel/pid_max";
    let before = std::fs::read_to_string("/proc/sys/kernel/pid_max").expect("pid_max");
    if !kernel_has_own_pid_max() {
        println!("not run, promise untested: S5 needs Linux 6.14 for a limit of one name space");
        return world.bye(0);
    }
    world.start(1, &format!("sh -c {narrow}"));
    assert_eq!(world.hear(), "ended 1 code 0");
    let after = std::fs::read_to_string("/proc/sys/kernel/pid_max").expect("pid_max");
    assert_eq!(before, after, "the limit was to be that of the name space alone");
    world.start(2, &format!("{PUPPET} strangers {}", 10_000 * soak()));
    let mut numbers = BTreeMap::<String, u32>::new();
    let mut process = 1000;
    let mut strangers_done = false;
    while !strangers_done {
        process += 1;
        world.tell(&format!("start {process} own true"));
        let end = format!("ended {process} code 0");
        loop {
            let heard = world.hear();
            if heard == end {
                break;
            }
            match heard.split(' ').collect::<Vec<_>>()[..] {
                ["process", _, pid, _] => *numbers.entry(pid.to_owned()).or_default() += 1,
                // The strangers tell by their code whether one of them was hit.
                ["ended", "2", "code", "0"] => strangers_done = true,
                // No number was free just then.
                ["ended", _, "errno", "11"] => break,
                _ => panic!("{heard}"),
            }
        }
        for late in (0..100).step_by(7).map(|age| process - age) {
            world.tell(&format!("kill {late} 9"));
        }
        world.tell(&format!("forget {}", process - 100));
    }
    let again = numbers.values().filter(|uses| **uses > 1).count();
    println!(
        "{} processes on {} numbers, {again} of them used again",
        process - 1000,
        numbers.len()
    );
    assert!(again > 10, "numbers were to be used again: {numbers:?}");
    world.bye(0);
}

/// Linux 6.14 gave each name space its own.
fn kernel_has_own_pid_max() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("osrelease");
    let mut parts = release.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next(), parts.next()) >= (Some(6), Some(14))
}
