//! When a node asks for its next certificate.

use std::time::SystemTime;

use crate::authority::BACK_DATE;
use crate::certificate::Validity;

/// The first moment of the window, in thousandths of the life.
const WINDOW_START: u32 = 500;
/// The length of the window, in thousandths of the life.
const WINDOW: u32 = 300;

/// When a certificate is due: one point of 50 to 80 % of its life, so that the nodes of a cluster
/// that started together do not ask together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    due: SystemTime,
}

impl Renewal {
    /// The point for a certificate; another seed gives another point. Life counts from the issue,
    /// which is [`BACK_DATE`] after the first moment.
    pub fn new(validity: Validity, seed: u64) -> Self {
        let issued = validity.not_before + BACK_DATE;
        let life = validity.not_after.duration_since(issued).unwrap_or_default();
        let point = WINDOW_START + (mix(seed) % u64::from(WINDOW + 1)) as u32;
        Self { due: issued + life * point / 1000 }
    }

    /// The first moment at which the node asks.
    pub fn due(&self) -> SystemTime {
        self.due
    }

    /// True if the node asks now.
    pub fn is_due(&self, now: SystemTime) -> bool {
        now >= self.due
    }
}

/// Spreads neighbouring seeds (splitmix64).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    fn validity(hours: u64) -> (SystemTime, Validity) {
        let issued = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let not_after = issued + Duration::from_secs(hours * 3600);
        (issued, Validity { not_before: issued - BACK_DATE, not_after })
    }

    proptest! {
        #[test]
        fn every_seed_falls_into_the_window(seed: u64, hours in 1_u64..10_000) {
            let (issued, validity) = validity(hours);
            let renewal = Renewal::new(validity, seed);
            let share = renewal.due().duration_since(issued).unwrap().as_secs_f64()
                / (hours as f64 * 3600.0);
            prop_assert!((0.5..=0.8).contains(&share), "{share}");
            prop_assert!(!renewal.is_due(renewal.due() - Duration::from_secs(1)));
            prop_assert!(renewal.is_due(renewal.due()));
        }
    }

    #[test]
    fn neighbouring_seeds_spread_over_the_window() {
        let (issued, validity) = validity(24);
        let hours = |seed| {
            let due = Renewal::new(validity, seed).due();
            due.duration_since(issued).unwrap().as_secs() / 3600
        };
        let seen: std::collections::BTreeSet<_> = (0..100).map(hours).collect();
        assert!(seen.len() >= 7, "{seen:?}");
    }

    #[test]
    fn a_certificate_without_life_is_due_at_once() {
        let validity = Validity { not_before: UNIX_EPOCH, not_after: UNIX_EPOCH };
        assert!(Renewal::new(validity, 1).is_due(UNIX_EPOCH + BACK_DATE));
    }
}
