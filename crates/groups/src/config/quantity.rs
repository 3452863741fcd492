use std::fmt;

use serde::{Deserialize, Serialize};

/// A number of members: absolute, or a share of the group's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "String")]
pub enum Quantity {
    /// So many.
    Count(u32),
    /// So many of a hundred, at most 100.
    Percent(u8),
}

impl Quantity {
    /// The number for a group of that size, rounding up.
    pub fn of_rounded_up(self, size: u32) -> u32 {
        self.of(size, u64::div_ceil)
    }

    /// The number for a group of that size, rounding down.
    pub fn of_rounded_down(self, size: u32) -> u32 {
        self.of(size, |a, b| a / b)
    }

    fn of(self, size: u32, divide: impl Fn(u64, u64) -> u64) -> u32 {
        match self {
            Self::Count(count) => count,
            // A share of a u32 is a u32.
            Self::Percent(share) => {
                u32::try_from(divide(u64::from(size) * u64::from(share), 100)).unwrap_or(u32::MAX)
            }
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(share) => write!(f, "{share}%"),
        }
    }
}

impl From<Quantity> for String {
    fn from(quantity: Quantity) -> Self {
        quantity.to_string()
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Raw {
    Number(u32),
    Text(String),
}

impl TryFrom<Raw> for Quantity {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let text = match raw {
            Raw::Number(count) => return Ok(Self::Count(count)),
            Raw::Text(text) => text,
        };
        let parsed = match text.strip_suffix('%') {
            Some(share) => share.parse().ok().filter(|share| *share <= 100).map(Self::Percent),
            None => text.parse().ok().map(Self::Count),
        };
        parsed.ok_or_else(|| format!("{text:?} is neither a number nor a share such as \"10%\""))
    }
}

#[cfg(test)]
mod tests {
    use super::Quantity;

    #[test]
    fn reads_numbers_and_shares() {
        let read = |json: &str| serde_json::from_str::<Quantity>(json);
        assert_eq!(read("3").ok(), Some(Quantity::Count(3)));
        assert_eq!(read("\"3\"").ok(), Some(Quantity::Count(3)));
        assert_eq!(read("\"10%\"").ok(), Some(Quantity::Percent(10)));
        for bad in ["-1", "\"101%\"", "\"x\"", "\"%\"", "true"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_round_as_asked() {
        assert_eq!(Quantity::Percent(10).of_rounded_up(5), 1);
        assert_eq!(Quantity::Percent(10).of_rounded_down(5), 0);
        assert_eq!(Quantity::Percent(100).of_rounded_up(u32::MAX), u32::MAX);
    }
}
