//! Durations as files have them: Go's text form with a sign, or a bare number of seconds.

use std::time::Duration;

use regrow_ids::GoDuration;

/// A length of time that may be negative, as Go's are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Signed {
    nanos: i128,
}

impl Signed {
    /// The time, zero where it is negative.
    pub(super) fn or_zero(self) -> Duration {
        u64::try_from(self.nanos).map_or(Duration::ZERO, Duration::from_nanos)
    }

    pub(super) fn is_negative(self) -> bool {
        self.nanos < 0
    }
}

/// Reads a text; the fault is in Go's words.
pub(super) fn parse(text: &str) -> Result<Signed, String> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let bare = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    let length = if bare {
        rest.parse::<i64>().ok().and_then(|seconds| seconds.checked_mul(1_000_000_000))
    } else {
        // A second sign is not for the parser below.
        let parsed =
            if rest.starts_with(['+', '-']) { None } else { rest.parse::<GoDuration>().ok() };
        parsed.and_then(|length| i64::try_from(length.as_duration().as_nanos()).ok())
    };
    match length {
        Some(nanos) => Ok(Signed { nanos: sign * i128::from(nanos) }),
        None => Err(format!("time: invalid duration {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_go_text_or_seconds() {
        let millis = |text| parse(text).map(|length| length.nanos / 1_000_000);
        assert_eq!(millis("1h2m3.5s"), Ok(3_723_500));
        assert_eq!(millis("5"), Ok(5_000));
        assert_eq!(millis("-1ms"), Ok(-1));
        assert_eq!(millis("+2s"), Ok(2_000));
        assert_eq!(millis("0"), Ok(0));
        for wrong in ["xx", "", "1 s", "--1s", "-+1s", "99999999999999999999", "1.5", "1d"] {
            let text = format!("time: invalid duration {wrong:?}");
            assert_eq!(millis(wrong), Err(text));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(text in "[-+.0-9a-zµ]{0,30}") {
            if let Ok(length) = parse(&text) {
                proptest::prop_assert_eq!(length.is_negative(), length.nanos < 0);
            }
        }
    }
}
