use std::time::Duration;

/// Growing delays between attempts: exponential, with jitter over the upper half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Delay after the first failure.
    pub first: Duration,
    /// The longest delay.
    pub most: Duration,
}

impl Default for Backoff {
    /// From one second to five minutes.
    fn default() -> Self {
        Self { first: Duration::from_secs(1), most: Duration::from_secs(300) }
    }
}

impl Backoff {
    /// Delay after so many failures in a row. `chance` (from 0 up to 1) spreads it over the upper
    /// half, so that many failed at once do not return at once.
    pub fn delay(&self, failures: u32, chance: f64) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let whole = self.first.saturating_mul(factor).min(self.most);
        whole.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::Backoff;

    #[test]
    fn doubles_up_to_the_limit() {
        let backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(10) };
        let delays: Vec<_> = (0..7).map(|n| backoff.delay(n, 1.0).as_secs()).collect();
        assert_eq!(delays, [0, 1, 2, 4, 8, 10, 10]);
    }

    proptest! {
        #[test]
        fn stays_in_the_upper_half(failures in 1u32..100, chance in 0.0f64..1.0) {
            let backoff = Backoff::default();
            let (least, most) = (backoff.delay(failures, 0.0), backoff.delay(failures, 1.0));
            let delay = backoff.delay(failures, chance);
            prop_assert!(least <= delay && delay <= most && most <= backoff.most);
        }
    }
}
