//! Stands in for the statistics crate `base2histogram` below the consensus engine (openraft).
//!
//! What it is: the part of that crate's interface that the engine names. The engine counts the sizes
//! of its batches with it; nobody reads these counts here, since the engine's feature `runtime-stats`
//! is off. The original fills tables for sixteen scales at first use, which stay in memory: 25 MiB,
//! half of an idle agent. This one keeps the number of values and nothing else.
//!
//! What it must never do: be used by the crates of this workspace. It goes when the original makes its
//! tables one scale at a time.
//!
//! Where to start reading: [`Histogram`].

use std::fmt;
use std::marker::PhantomData;

/// Counts values without keeping how they are spread. `T` names a slot type of the original and has
/// no part here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    samples: u64,
    slots: PhantomData<T>,
}

impl<T> Histogram<T> {
    /// Nothing counted yet.
    pub const fn new() -> Self {
        Self { samples: 0, slots: PhantomData }
    }

    /// Counts one value.
    pub const fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts one value so many times.
    pub const fn record_n(&mut self, _value: u64, times: u64) {
        self.samples = self.samples.saturating_add(times);
    }

    /// The number of values; every percentile is zero, since none is known.
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats { samples: self.samples, ..PercentileStats::default() }
    }
}

/// What a histogram knows of its values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PercentileStats {
    /// How many values were counted.
    pub samples: u64,
    /// The value below which 0.1 % lie: not known, zero. So are the others.
    pub p0_1: u64,
    /// As `p0_1`, for 1 %.
    pub p1: u64,
    /// As `p0_1`, for 5 %.
    pub p5: u64,
    /// As `p0_1`, for 10 %.
    pub p10: u64,
    /// As `p0_1`, for 50 %.
    pub p50: u64,
    /// As `p0_1`, for 90 %.
    pub p90: u64,
    /// As `p0_1`, for 99 %.
    pub p99: u64,
    /// As `p0_1`, for 99.9 %.
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} values", self.samples)
    }
}

/// A chart of histograms: how many values each has.
#[derive(Clone, Debug, Default)]
pub struct AsciiChart {
    series: Vec<(String, Histogram)>,
}

impl AsciiChart {
    /// A chart of nothing.
    pub const fn new() -> Self {
        Self { series: Vec::new() }
    }

    /// The chart with one more histogram.
    #[must_use]
    pub fn add(mut self, name: impl Into<String>, histogram: Histogram) -> Self {
        self.series.push((name.into(), histogram));
        self
    }

    /// The chart with all its details, of which there are none.
    #[must_use]
    pub const fn detailed(self) -> Self {
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, histogram) in &self.series {
            writeln!(f, "{name}: {}", histogram.percentile_stats())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_and_knows_nothing_else() {
        let mut histogram: Histogram = Histogram::new();
        histogram.record(7);
        histogram.record(u64::MAX);
        let stats = histogram.percentile_stats();
        assert_eq!((stats.samples, stats.p50), (2, 0));
        let chart = AsciiChart::new().add("batches", histogram).detailed();
        assert_eq!(chart.to_string(), "batches: 2 values\n");
    }
}
