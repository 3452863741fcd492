//! Lives of processes and workers.

use crate::world::{World, send, wait_until};

#[test]
fn a_process_runs_and_its_end_is_told_until_it_is_forgotten() {
    let mut world = World::new();
    assert_eq!(world.hello(), ["ready 0"]);
    let pid = world.start(7, "sh -c exit\u{1}3");
    assert_eq!(world.hear(), "ended 7 code 3");
    assert_eq!(world.hello(), [&format!("process 7 {pid} own"), "ended 7 code 3", "ready 0"]);
    world.tell("forget 7");
    assert_eq!(world.hello(), ["ready 0"]);
    world.bye(5);
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
    world.bye(0);
}

/// Promise S8. The load: processes that end while no worker is there. A hundred kills take a
/// minute and a half, because workers that die young come once a second; `REGROW_SOAK` asks for them.
#[test]
fn a_worker_killed_again_and_again_loses_no_process_no_end_and_no_state() {
    let mut world = World::new();
    world.hello();
    let lasting: Vec<i32> = (0..10).map(|process| world.start(process, "sleep 1000")).collect();
    world.tell("remember state");
    world.tell("recall");
    assert_eq!(world.hear(), "state");
    let rounds = if std::env::var_os("REGROW_SOAK").is_some() { 100 } else { 12 };
    for round in 1..=rounds {
        let process = 100 + round;
        let start = format!("start {process} own sh -c exit\u{1}{}", round % 100);
        world.tell(&start);
        if round % 2 == 0 {
            world.hear_start(process);
        }
        send(world.worker, libc::SIGKILL);
        world.next_worker();
        let mut heard = world.hello();
        let kept = |process: usize| format!("process {process} {} own", lasting[process]);
        assert!((0..10).all(|process| heard.contains(&kept(process))), "{heard:?}");
        assert_eq!(heard.last(), Some(&format!("ready {round}")));
        let known = heard.iter().any(|line| line.starts_with(&format!("process {process} ")));
        if !known {
            // The worker died before it asked; its successor does.
            assert!(round % 2 == 1, "{heard:?}");
            world.tell(&start);
            world.hear_start(process);
        }
        let end = format!("ended {process} code {}", round % 100);
        if !heard.contains(&end) {
            heard.push(world.hear());
        }
        assert_eq!(heard.iter().filter(|line| **line == end).count(), 1, "{heard:?}");
        world.tell("recall");
        assert_eq!(world.hear(), "state");
        world.tell(&format!("forget {process}"));
    }
    world.bye(0);
}

#[test]
fn what_a_worker_said_before_it_died_counts() {
    let mut world = World::new();
    world.hello();
    world.start(1, "sh -c exit\u{1}1");
    assert_eq!(world.hear(), "ended 1 code 1");
    // While init cannot listen.
    world.signal(libc::SIGSTOP);
    world.tell("forget 1");
    world.tell("start 2 own sleep 1000");
    world.tell("recall");
    world.hear();
    send(world.worker, libc::SIGKILL);
    world.signal(libc::SIGCONT);
    world.next_worker();
    let known = world.hello();
    assert!(known.len() == 2 && known[0].starts_with("process 2 "), "{known:?}");
    world.bye(0);
}

#[test]
fn a_process_that_is_known_is_not_started_again() {
    let mut world = World::new();
    world.hello();
    let pid = world.start(1, "sleep 1000");
    assert_eq!(world.start(1, "false"), pid);
    world.tell("kill 1 9");
    assert_eq!(world.hear(), "ended 1 signal 9");
    assert_eq!(world.start(1, "false"), pid);
    assert_eq!(world.hear(), "ended 1 signal 9");
    world.bye(0);
}

#[test]
fn what_cannot_be_executed_was_not_started() {
    // Folders that everybody may search: others answer with EACCES.
    let mut command = std::process::Command::new(crate::world::PUPPET);
    command.env("PATH", "/usr/bin:/bin");
    let mut world = World::of(command);
    world.hello();
    for (process, program, errno) in [
        (1, "/no/such/program", libc::ENOENT),
        (2, "no-such-program", libc::ENOENT),
        (3, "/proc/self/status", libc::EACCES),
        (4, "/dev", libc::EACCES),
    ] {
        assert!(world.start(process, program) > 0);
        assert_eq!(world.hear(), format!("ended {process} errno {errno}"));
    }
    // A program may return what a child returns that could not execute.
    world.start(5, "sh -c exit\u{1}127");
    assert_eq!(world.hear(), "ended 5 code 127");
    world.bye(0);
}

#[test]
fn output_waits_for_the_next_worker_until_it_is_drained() {
    let mut world = World::new();
    world.hello();
    world.tell("start 1 wrapped sh -c echo\u{1}out;echo\u{1}err\u{1}>&2");
    // The puppet reads the pipes whenever it hears of them.
    let mut texts = vec![world.hear()];
    assert_eq!(world.hear(), "ended 1 code 0");
    // The end is forgotten, its pipes are not.
    world.tell("forget 1");
    texts.extend(world.hello());
    send(world.worker, libc::SIGKILL);
    world.next_worker();
    let heard = world.hello();
    assert!(!heard.iter().any(|line| line.starts_with("ended 1")), "{heard:?}");
    texts.extend(heard);
    let texts = texts.concat();
    assert_eq!((texts.matches("out").count(), texts.matches("err").count()), (1, 1), "{texts}");
    world.tell("drained 1");
    let known = world.hello();
    assert_eq!(known, ["ready 1"]);
    world.bye(0);
}

#[test]
fn a_process_gets_default_signals_no_descriptor_and_the_limit_of_its_starter() {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -Sn 300; trap '' PIPE HUP; exec \"$0\"", crate::world::PUPPET]);
    let mut world = World::of(command);
    world.hello();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("seen");
    let look = "ulimit -Sn; ls /proc/self/fd; grep -E '^Sig(Blk|Ign)' /proc/self/status";
    let script = format!("({look})>{0}.new;mv {0}.new {0}", path.display()).replace(' ', "\u{1}");
    world.start(1, &format!("sh -c {script}"));
    let seen = wait_until("the process has looked", || std::fs::read_to_string(&path).ok());
    // What this test itself hands on, whatever that is.
    let own = std::process::Command::new("sh").args(["-c", &format!("({look})")]).output();
    let own = String::from_utf8(own.expect("sh").stdout).expect("text");
    let files =
        |text: &str| text.lines().filter(|line| line.parse::<u32>().is_ok()).skip(1).count();
    assert_eq!(files(&seen), files(&own), "{seen}");
    assert_eq!(seen.lines().next(), Some("300"));
    let mask = |name: &str| {
        let text = seen.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        // The C library keeps 32 and 33 for itself and lets nobody touch them.
        u64::from_str_radix(text, 16).expect("a mask") & !(0b11 << 31)
    };
    assert_eq!((mask("SigBlk:\t"), mask("SigIgn:\t")), (0, 0), "{seen}");
    assert_eq!(world.hear(), "ended 1 code 0");
    world.bye(0);
}

#[test]
fn a_worker_that_never_said_hello_ends_init_with_its_own_end() {
    let mut world = World::new();
    world.tell("exit 3");
    assert_eq!(world.end().code(), Some(3));
    let mut world = World::new();
    world.signal(libc::SIGTERM);
    assert_eq!(world.end().code(), Some(128 + libc::SIGTERM));
}

#[test]
fn an_idle_init_takes_little_memory() {
    let mut world = World::new();
    world.hello();
    world.start(1, "sleep 1000");
    println!("resident at work: {} KiB", world.memory("VmRSS"));
    wait_until("it lets go of what it does not need", || {
        (world.memory("VmRSS") <= 1024).then_some(())
    });
    println!("resident: {} KiB", world.memory("VmRSS"));
    // It is all there when it is needed.
    send(world.worker, libc::SIGKILL);
    world.next_worker();
    assert_eq!(world.hello().len(), 2);
    world.bye(0);
}
