//! Quantiles of the last ten minutes in bounded memory.
//!
//! Time is cut into five parts of two minutes. Of each part up to [`KEPT`] values are kept, all of
//! them while there are not more, and beyond that a fair sample, which stands for as many values as
//! were seen.

use std::time::{Duration, Instant};

/// How far back a summary looks.
const SPAN: Duration = Duration::from_secs(600);
const PARTS: u32 = 5;
/// Values kept of a part: four kilobytes; one in a hundred of them is the error of a quantile.
pub const KEPT: usize = 512;

/// Values of the last ten minutes.
#[derive(Debug)]
pub struct Window {
    parts: [Part; PARTS as usize],
    /// Beginning of time, and the seed of its chance.
    begun: Instant,
    random: u64,
}

#[derive(Debug, Default)]
struct Part {
    /// Number of its two minutes since the beginning.
    number: u64,
    kept: Vec<f64>,
    seen: u64,
}

impl Window {
    /// An empty one.
    pub fn new(now: Instant) -> Self {
        Self { parts: Default::default(), begun: now, random: 0x9e37_79b9_7f4a_7c15 }
    }

    fn part_number(&self, now: Instant) -> u64 {
        let part = SPAN / PARTS;
        now.saturating_duration_since(self.begun).as_secs() / part.as_secs()
    }

    /// A value.
    pub fn observe(&mut self, value: f64, now: Instant) {
        let number = self.part_number(now);
        let place = self.place();
        let part = &mut self.parts[(number % u64::from(PARTS)) as usize];
        if part.number != number {
            *part = Part { number, ..Part::default() };
        }
        part.seen += 1;
        if part.kept.len() < KEPT {
            part.kept.push(value);
        } else if let Some(kept) = part.kept.get_mut((place % part.seen) as usize) {
            *kept = value;
        }
    }

    /// These quantiles; not numbers where there was no value.
    pub fn quantiles(&self, quantiles: &[f64], now: Instant) -> Vec<f64> {
        let number = self.part_number(now);
        let recent = |part: &&Part| number - part.number.min(number) < u64::from(PARTS);
        let mut values: Vec<(f64, f64)> = Vec::new();
        for part in self.parts.iter().filter(recent) {
            let weight = part.seen as f64 / part.kept.len().max(1) as f64;
            values.extend(part.kept.iter().map(|value| (*value, weight)));
        }
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total: f64 = values.iter().map(|(_, weight)| weight).sum();
        quantiles.iter().map(|quantile| at_rank(&values, quantile * total)).collect()
    }

    /// The next number of a xorshift generator: which value gives way need not be secret.
    fn place(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

/// The first value whose weight together with those before reaches `rank`.
fn at_rank(values: &[(f64, f64)], rank: f64) -> f64 {
    let mut before = 0.0;
    let reached = values.iter().find(|(_, weight)| {
        before += weight;
        before >= rank
    });
    reached.or(values.last()).map_or(f64::NAN, |(value, _)| *value)
}
