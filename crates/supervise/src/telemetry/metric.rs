//! A metric of the user's: counter, gauge, histogram or summary.

use std::time::Instant;

use super::MetricError;
use super::expose::{Family, Page, number as shown};
use super::window::Window;
use crate::config::{Metric, MetricKind};

/// Upper bounds of the buckets of a histogram.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// What a summary tells.
const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

/// A metric and its value.
#[derive(Debug)]
pub struct Registered {
    /// Its name in the page: the parts that are not empty.
    name: String,
    /// All three parts, as ContainerPilot wants it in `putmetric`.
    full: String,
    help: String,
    value: Value,
    /// It is not in the configuration any more.
    retired: bool,
}

#[derive(Debug)]
enum Value {
    Counter(f64),
    Gauge(f64),
    Histogram { buckets: [u64; BUCKETS.len()], sum: f64, count: u64 },
    Summary { window: Window, sum: f64, count: u64 },
}

impl Registered {
    /// A metric at zero. Characters that no name may have become `_`.
    pub fn new(metric: &Metric, now: Instant) -> Self {
        let parts = [&metric.namespace, &metric.subsystem, &metric.name].map(String::as_str);
        let there: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let value = match metric.kind {
            MetricKind::Counter => Value::Counter(0.0),
            MetricKind::Gauge => Value::Gauge(0.0),
            MetricKind::Histogram => {
                Value::Histogram { buckets: [0; BUCKETS.len()], sum: 0.0, count: 0 }
            }
            MetricKind::Summary => Value::Summary { window: Window::new(now), sum: 0.0, count: 0 },
        };
        let (name, full) = (clean(&there.join("_")), parts.join("_"));
        Self { name, full, help: metric.help.clone(), value, retired: false }
    }

    /// Its name in the page.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// It is not in the configuration any more.
    pub fn retire(&mut self) {
        self.retired = true;
    }

    /// Is this the metric that is meant.
    pub fn answers_to(&self, key: &str) -> bool {
        !self.retired && (key == self.full || key == self.name)
    }

    /// Adds, sets or observes a value.
    pub fn take(&mut self, taken: f64, now: Instant) -> Result<(), MetricError> {
        match &mut self.value {
            Value::Counter(value) if taken.is_finite() && taken >= 0.0 => *value += taken,
            Value::Counter(_) => {
                let (name, value) = (self.name.clone(), shown(taken));
                return Err(MetricError::NotCounted { name, value });
            }
            Value::Gauge(value) => *value = taken,
            Value::Histogram { buckets, sum, count } => {
                for (bucket, bound) in buckets.iter_mut().zip(BUCKETS) {
                    *bucket += u64::from(taken <= bound);
                }
                *sum += taken;
                *count += 1;
            }
            Value::Summary { window, sum, count } => {
                window.observe(taken, now);
                *sum += taken;
                *count += 1;
            }
        }
        Ok(())
    }

    /// Adds it to the page.
    pub fn expose(&self, page: &mut Page, now: Instant) {
        let family = |kind| Family { name: &self.name, help: &self.help, kind };
        match &self.value {
            Value::Counter(value) => page.value(&family("counter"), *value),
            Value::Gauge(value) => page.value(&family("gauge"), *value),
            Value::Histogram { buckets, sum, count } => {
                page.family(&family("histogram"), |lines| {
                    let bucket = format!("{}_bucket", self.name);
                    for (bound, below) in BUCKETS.iter().zip(buckets) {
                        lines.line(&bucket, &[("le", &shown(*bound))], *below as f64);
                    }
                    lines.line(&bucket, &[("le", "+Inf")], *count as f64);
                    self.totals(lines, *sum, *count);
                });
            }
            Value::Summary { window, sum, count } => page.family(&family("summary"), |lines| {
                let values = window.quantiles(&QUANTILES, now);
                for (quantile, value) in QUANTILES.iter().zip(values) {
                    lines.line(&self.name, &[("quantile", &shown(*quantile))], value);
                }
                self.totals(lines, *sum, *count);
            }),
        }
    }

    fn totals(&self, lines: &mut super::expose::Lines, sum: f64, count: u64) {
        lines.line(&format!("{}_sum", self.name), &[], sum);
        lines.line(&format!("{}_count", self.name), &[], count as f64);
    }
}

/// The number that a text is, white space around it aside.
pub fn number(text: &str) -> Result<f64, MetricError> {
    let trimmed = text.trim();
    let reason = match trimmed.parse::<f64>() {
        // Only digits that are too many make an infinite number of a text that does not say so.
        Ok(number) if number.is_infinite() && trimmed.contains(|c: char| c.is_ascii_digit()) => {
            "value out of range"
        }
        Ok(number) => return Ok(number),
        Err(_) => "invalid syntax",
    };
    let reason = format!("strconv.ParseFloat: parsing {trimmed:?}: {reason}");
    Err(MetricError::NotNumeric { value: text.to_owned(), reason })
}

fn clean(name: &str) -> String {
    let allowed = |at: usize, c: char| {
        c.is_ascii_alphabetic() || c == '_' || c == ':' || (at > 0 && c.is_ascii_digit())
    };
    name.chars().enumerate().map(|(at, c)| if allowed(at, c) { c } else { '_' }).collect()
}
