use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A non-negative duration in the text form of Go's `time.Duration`: `"1m30s"`, `"500ms"`, `"0s"`.
///
/// Reads the text form or a plain number of nanoseconds; writes the text form as Go prints it.
/// Negative durations are refused: nothing that we configure can be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(Duration);

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parse duration {text:?}: {reason}; write it like \"10s\", \"1m30s\" or \"500ms\"")]
pub struct DurationError {
    text: String,
    reason: &'static str,
}

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000), // U+00B5, micro sign
    ("μs", 1_000), // U+03BC, Greek mu
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl GoDuration {
    /// Zero.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// Wraps a duration.
    pub const fn new(duration: Duration) -> Self {
        Self(duration)
    }

    /// Whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// Whole milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The standard library's type.
    pub const fn as_duration(self) -> Duration {
        self.0
    }

    /// True for zero, which means "not given" in InfraKit's specs.
    pub const fn is_zero(&self) -> bool {
        self.0.is_zero()
    }
}

impl From<GoDuration> for Duration {
    fn from(duration: GoDuration) -> Self {
        duration.0
    }
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let fail = |reason| DurationError { text: text.to_owned(), reason };
        let mut rest = text.strip_prefix('+').unwrap_or(text);
        if rest.starts_with('-') {
            return Err(fail("a negative duration has no meaning here"));
        }
        if rest == "0" {
            return Ok(Self::ZERO);
        }
        if rest.is_empty() {
            return Err(fail("it is empty"));
        }
        let mut total = 0u128;
        while !rest.is_empty() {
            let (nanos, tail) = one_term(rest).map_err(fail)?;
            total += nanos;
            rest = tail;
        }
        // Go's limit: a signed 64-bit count of nanoseconds, about 292 years.
        let nanos = i64::try_from(total).map_err(|_| fail("it is longer than 292 years"))?;
        Ok(Self(Duration::from_nanos(nanos.unsigned_abs())))
    }
}

/// Reads one `number unit` pair and returns its nanoseconds and the rest.
fn one_term(text: &str) -> Result<(u128, &str), &'static str> {
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let whole_len = digits(text);
    let (whole, mut rest) = text.split_at(whole_len);
    let mut fraction = "";
    if let Some(after_dot) = rest.strip_prefix('.') {
        let (digits, tail) = after_dot.split_at(digits(after_dot));
        (fraction, rest) = (digits, tail);
    }
    if whole.is_empty() && fraction.is_empty() {
        return Err("a number is missing");
    }
    if whole.len() > 19 || fraction.len() > 18 {
        return Err("a number is too long");
    }
    let unit_len = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, tail) = rest.split_at(unit_len);
    let scale = match UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, scale)) => u128::from(*scale),
        None if unit.is_empty() => return Err("a unit is missing (ns, us, ms, s, m, h)"),
        None => return Err("the unit is unknown (ns, us, ms, s, m, h)"),
    };
    let whole: u128 =
        if whole.is_empty() { 0 } else { whole.parse().map_err(|_| "not a number")? };
    let fraction_nanos = if fraction.is_empty() {
        0
    } else {
        let value: u128 = fraction.parse().map_err(|_| "not a number")?;
        value * scale / 10u128.pow(fraction.len() as u32)
    };
    Ok((whole * scale + fraction_nanos, tail))
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.pad("0s");
        }
        if nanos < 1_000_000_000 {
            let (scale, unit) = match nanos {
                0..1_000 => (1, "ns"),
                1_000..1_000_000 => (1_000, "µs"),
                _ => (1_000_000, "ms"),
            };
            return f.pad(&format!("{}{unit}", decimal(nanos, scale)));
        }
        let minute = 60_000_000_000;
        let (minutes, seconds) = (nanos / minute, nanos % minute);
        let mut text = String::new();
        if minutes >= 60 {
            text += &format!("{}h", minutes / 60);
        }
        if minutes > 0 {
            text += &format!("{}m", minutes % 60);
        }
        text += &format!("{}s", decimal(seconds, 1_000_000_000));
        f.pad(&text)
    }
}

/// `value / scale` (a power of ten) as a decimal without trailing zeros.
fn decimal(value: u128, scale: u128) -> String {
    let fraction = value % scale;
    if fraction == 0 {
        return (value / scale).to_string();
    }
    let width = scale.ilog10() as usize;
    let digits = format!("{fraction:0width$}");
    format!("{}.{}", value / scale, digits.trim_end_matches('0'))
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DurationVisitor;
        impl Visitor<'_> for DurationVisitor {
            type Value = GoDuration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"10s\", or nanoseconds")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<GoDuration, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, nanos: u64) -> Result<GoDuration, E> {
                Ok(GoDuration(Duration::from_nanos(nanos)))
            }
            fn visit_i64<E: de::Error>(self, nanos: i64) -> Result<GoDuration, E> {
                u64::try_from(nanos)
                    .map(|nanos| GoDuration(Duration::from_nanos(nanos)))
                    .map_err(|_| E::custom("a negative duration has no meaning here"))
            }
            fn visit_unit<E: de::Error>(self) -> Result<GoDuration, E> {
                Ok(GoDuration::ZERO)
            }
        }
        deserializer.deserialize_any(DurationVisitor)
    }
}

#[cfg(test)]
mod tests;
