//! Signals on their way to the worker: none is lost with a worker, and there is always room.

use crate::sys;

/// Signals that the worker has not taken yet, one bit each. Equal ones become one and the lowest number
/// goes first, as in the kernel.
#[derive(Debug, Default)]
pub struct Signals {
    /// Those that nobody was told.
    waiting: u64,
    /// Those that the worker was told and has not taken.
    told: u64,
}

/// The bit of a signal, 1 to 64; none for other numbers.
fn bit(signal: i32) -> u64 {
    u32::try_from(signal).ok().and_then(|n| 1_u64.checked_shl(n.checked_sub(1)?)).unwrap_or(0)
}

impl Signals {
    pub fn arrive(&mut self, signal: i32) {
        self.waiting |= bit(signal);
    }

    pub fn waits(&self, signal: i32) -> bool {
        self.waiting & bit(signal) != 0
    }

    /// The signal to tell next.
    pub fn next(&self) -> Option<i32> {
        (1..=sys::SIGNAL_MAX).find(|signal| self.waits(*signal))
    }

    /// It was told to the worker.
    pub fn told(&mut self, signal: i32) {
        self.waiting &= !bit(signal);
        self.told |= bit(signal);
    }

    /// The worker has done what it asked for.
    pub fn took(&mut self, signal: i32) {
        self.told &= !bit(signal);
    }

    /// The worker died: what it was told and did not take waits again.
    pub fn untake(&mut self) {
        self.waiting |= std::mem::take(&mut self.told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(signals: &mut Signals) -> Vec<i32> {
        std::iter::from_fn(|| signals.next().inspect(|signal| signals.told(*signal))).collect()
    }

    #[test]
    fn every_number_has_a_bit_and_no_other_has() {
        let mut signals = Signals::default();
        for number in [-1, 0, 65, i32::MAX, i32::MIN] {
            signals.arrive(number);
        }
        assert_eq!(signals.next(), None);
        (1..=64).for_each(|number| signals.arrive(number));
        assert_eq!(drain(&mut signals), (1..=64).collect::<Vec<_>>());
    }

    #[test]
    fn what_was_told_and_not_taken_waits_for_the_next_worker() {
        let mut signals = Signals::default();
        signals.arrive(15);
        signals.arrive(1);
        assert_eq!(drain(&mut signals), [1, 15]);
        signals.took(1);
        signals.arrive(10);
        signals.untake();
        assert_eq!(drain(&mut signals), [10, 15]);
        signals.took(10);
        signals.took(15);
        signals.untake();
        assert_eq!(signals.next(), None);
    }
}
