//! Jobs that tests start.

use std::time::{Duration, Instant};

pub fn run(words: &[String]) {
    let number = |at: usize| words[at].parse::<u32>().expect("a number");
    match words[0].as_str() {
        "orphans" => orphans(number(1), number(2), number(3)),
        "strangers" => strangers(number(1)),
        "storm" => storm(number(1)),
        other => panic!("what is {other}?"),
    }
}

/// Leaves this many orphans that end at once, in bursts, so many bursts a second (0: at once).
fn orphans(count: u32, burst: u32, bursts_a_second: u32) {
    let started = Instant::now();
    for made in 0..count {
        // SAFETY: this process has one thread; the children only fork and exit.
        unsafe {
            match libc::fork() {
                0 => {
                    libc::fork();
                    libc::_exit(0);
                }
                pid => libc::waitpid(pid, std::ptr::null_mut(), 0),
            };
        }
        if bursts_a_second > 0 && (made + 1) % burst == 0 {
            let due = Duration::from_secs(1) * ((made + 1) / burst) / bursts_a_second;
            std::thread::sleep(due.saturating_sub(started.elapsed()));
        }
    }
}

/// Makes this many children, thirty at a time, each leader of its own group, that live for a moment.
/// Fails where one of them was hit by a signal.
fn strangers(count: u32) {
    for _ in 0..count / 30 {
        // SAFETY: this process has one thread; the child only makes a group, waits and exits.
        let children = std::array::from_fn::<_, 30, _>(|_| unsafe {
            let pid = libc::fork();
            if pid == 0 {
                libc::setpgid(0, 0);
                libc::usleep(1000);
                libc::_exit(0);
            }
            pid
        });
        // Where no number was free just then there is no child.
        for pid in children.into_iter().filter(|pid| *pid > 0) {
            let mut status = 0;
            // SAFETY: the kernel fills `status`.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            assert_eq!(status, 0, "a stranger was hit");
        }
    }
}

/// So many lines of processes that each fork the next and exit, for ever.
fn storm(lines: u32) {
    // SAFETY: this process has one thread; the children only fork and exit.
    unsafe {
        for _ in 0..lines {
            if libc::fork() == 0 {
                loop {
                    if libc::fork() > 0 {
                        libc::_exit(0);
                    }
                }
            }
        }
        libc::pause();
    }
}
