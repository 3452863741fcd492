//! The end: nothing that we are responsible for is left.

use crate::run::Init;
use crate::sys::{self, now};

/// How long everything may take to end after it was told to, in milliseconds.
const PATIENCE: u64 = 5000;
/// Pause between two rounds of killing, where nothing ends meanwhile, in milliseconds.
const ROUND: u64 = 10;
/// Most parts of the list of children that one round reads, 4 KiB each: it may grow meanwhile.
const PARTS: u32 = 16;

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
        while now() < until {
            self.signal_all(signal);
            while now() < until
                && let Ok(Some((pid, _))) = sys::peek()
            {
                sys::reap(pid);
            }
            if sys::peek() == Err(libc::ECHILD) {
                return;
            }
            sys::wait([Some(&self.signal_file), None], ROUND);
            sys::take_signal(&self.signal_file);
        }
    }

    /// Signals every child, which only we can reap, by its group where that is not our own: one signal to
    /// a group leaves it no moment to fork out of it.
    fn signal_all(&self, signal: i32) {
        if std::process::id() == 1 {
            return sys::kill(-1, signal);
        }
        let Ok(list) = sys::open(c"/proc/thread-self/children") else { return };
        let mut bytes = [0_u8; 4096];
        let mut number: i32 = 0;
        // Many are of one group, and a group of many takes long to signal.
        let mut last = 0;
        for _ in 0..PARTS {
            for byte in sys::read(&list, &mut bytes) {
                if byte.is_ascii_digit() {
                    let digit = i32::from(byte.wrapping_sub(b'0'));
                    number = number.saturating_mul(10).saturating_add(digit);
                } else if number > 0 {
                    let group = sys::group_of(number);
                    let own = group <= 1 || group == sys::group_of(0);
                    let target = if own { number } else { group.saturating_neg() };
                    if target != last {
                        sys::kill(target, signal);
                    }
                    (last, number) = (target, 0);
                }
            }
        }
    }
}
