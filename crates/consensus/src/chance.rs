//! The randomness of this crate: when a follower stands for election.
//!
//! It comes from the operating system, except on a thread that a simulated world has seeded: there
//! the same seed draws the same numbers, so that a run can be repeated.

use std::cell::Cell;
use std::convert::Infallible;

use rand::{Rng as _, TryRng};

thread_local! {
    /// State of the generator; `None` draws from the operating system.
    static SEEDED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Seeds this thread, or with `None` gives it the randomness of the operating system back. Returns
/// the state that was there before: a world that runs several nodes on one thread gives each its
/// own sequence by putting its state in before, and taking it out after.
///
/// For simulated worlds only. What is drawn decides who leads and when; no secret comes from it.
pub fn seed(state: Option<u64>) -> Option<u64> {
    SEEDED.replace(state)
}

/// The next number of whatever this thread has: for waits above this crate that a simulated world must
/// be able to repeat.
pub fn draw() -> u64 {
    Chance.next_u64()
}

/// Draws from whatever this thread has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance;

/// The next number of the `SplitMix64` sequence (Steele, Lea, Flood 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl TryRng for Chance {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let [a, b, c, d, ..] = self.try_next_u64()?.to_le_bytes();
        Ok(u32::from_le_bytes([a, b, c, d]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let Some(mut state) = SEEDED.get() else { return Ok(rand::rng().next_u64()) };
        let drawn = split_mix(&mut state);
        SEEDED.set(Some(state));
        Ok(drawn)
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        for part in to.chunks_mut(8) {
            let drawn = self.try_next_u64()?.to_le_bytes();
            part.iter_mut().zip(drawn).for_each(|(to, from)| *to = from);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> [u64; 3] {
        std::array::from_fn(|_| draw())
    }

    #[test]
    fn a_seeded_thread_repeats_itself_and_others_do_not() {
        assert_eq!(seed(Some(7)), None);
        let first = three();
        let between = seed(Some(7));
        assert_eq!(three(), first);
        seed(between);
        assert_ne!(three(), first);
        seed(None);
        assert_ne!(three(), three());
    }
}
