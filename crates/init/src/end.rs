//! The end: nothing that we are responsible for is left.

use crate::run::Init;
use crate::sys::{self, now};

/// How long everything may take to end after it was told to, in milliseconds.
const PATIENCE: u64 = 5000;
/// Pause between two rounds of killing, where nothing ends meanwhile, in milliseconds.
const ROUND: u64 = 10;
/// Most parts of the list of children that one round reads, 4 KiB each: it may grow meanwhile.
const PARTS: u32 = 64;

impl Init {
    /// Kills what is left and exits.
    pub fn end(&mut self, code: i32) -> ! {
        self.put_down(libc::SIGKILL);
        sys::exit(code)
    }

    /// Sends a signal to everything that is left, again and again, until there are no children or
    /// patience ends: a child of a child becomes ours only when its parent has ended.
    pub fn put_down(&mut self, signal: i32) {
        let until = now().saturating_add(PATIENCE);
        loop {
            self.signal_all(signal);
            while let Ok(Some((pid, _))) = sys::peek() {
                sys::reap(pid);
                if now() >= until {
                    return;
                }
            }
            if sys::peek() == Err(libc::ECHILD) || now() >= until {
                return;
            }
            sys::wait([Some(&self.signal_file), None], Some(ROUND));
            self.signals.take(&self.signal_file);
        }
    }

    /// Signals every child, which only we can reap, and their groups where those are not our own: one
    /// signal to a group leaves it no moment to fork out of it.
    fn signal_all(&self, signal: i32) {
        if self.first {
            return sys::kill(-1, signal);
        }
        let Ok(list) = sys::open(c"/proc/thread-self/children") else { return };
        let mut bytes = [0_u8; 4096];
        let mut number: i32 = 0;
        // Many are of one group, and a group of many takes long to signal.
        let mut last = sys::group_of(0);
        for _ in 0..PARTS {
            let part = sys::read(&list, &mut bytes);
            if part.is_empty() {
                return;
            }
            for byte in part {
                if byte.is_ascii_digit() {
                    let digit = i32::from(byte.wrapping_sub(b'0'));
                    number = number.saturating_mul(10).saturating_add(digit);
                } else if number > 0 {
                    sys::kill(number, signal);
                    let group = sys::group_of(number);
                    if group > 1 && group != last && group != sys::group_of(0) {
                        sys::kill(group.saturating_neg(), signal);
                        last = group;
                    }
                    number = 0;
                }
            }
        }
    }
}
