//! Jobs that tests start.

use std::time::{Duration, Instant};

pub fn run(words: &[String]) {
    let number = |at: usize| words[at].parse::<u32>().expect("a number");
    match words[0].as_str() {
        "orphans" => orphans(number(1), number(2), number(3)),
        "idle" => std::thread::sleep(Duration::from_secs(3600)),
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
