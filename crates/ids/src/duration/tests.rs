use std::time::Duration;

use proptest::prelude::*;

use super::GoDuration;

#[test]
fn reads_and_prints_what_go_prints() {
    // Left: accepted text. Right: canonical text, as Go's Duration.String gives it.
    for (text, canonical) in [
        ("0", "0s"),
        ("0s", "0s"),
        ("10s", "10s"),
        ("+10s", "10s"),
        ("90s", "1m30s"),
        ("1m30s", "1m30s"),
        ("500ms", "500ms"),
        ("1.5s", "1.5s"),
        (".5s", "500ms"),
        ("1h", "1h0m0s"),
        ("25h3m", "25h3m0s"),
        ("2540400h10m10s", "2540400h10m10s"),
        ("1us", "1µs"),
        ("1µs", "1µs"),
        ("1μs", "1µs"),
        ("1ns", "1ns"),
        ("1.1us", "1.1µs"),
        ("2.2ms", "2.2ms"),
        ("3.3s", "3.3s"),
    ] {
        let parsed: GoDuration = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(parsed.to_string(), canonical, "{text}");
    }
}

#[test]
fn refuses_what_go_refuses_and_negative_ones() {
    for (text, part) in [
        ("", "empty"),
        ("3", "unit is missing"),
        ("s", "number is missing"),
        (".s", "number is missing"),
        ("1x", "unit is unknown"),
        ("-1s", "negative"),
        ("1s ", "unit is unknown"),
        ("9223372036854775808ns", "292 years"),
        ("100000000000000000000h", "too long"),
    ] {
        let error = text.parse::<GoDuration>().expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn json_takes_text_and_nanoseconds() {
    let read = |json: &str| serde_json::from_str::<GoDuration>(json);
    assert_eq!(read("\"2s\"").unwrap(), GoDuration::from_secs(2));
    assert_eq!(read("2000000000").unwrap(), GoDuration::from_secs(2));
    assert_eq!(serde_json::to_string(&GoDuration::from_secs(90)).unwrap(), "\"1m30s\"");
    assert!(read("-1").is_err());
}

proptest! {
    #[test]
    fn printing_then_reading_is_the_identity(nanos in 0..=i64::MAX as u64) {
        let duration = GoDuration::new(Duration::from_nanos(nanos));
        prop_assert_eq!(duration.to_string().parse::<GoDuration>().unwrap(), duration);
    }

    #[test]
    fn any_text_is_read_or_refused_without_a_panic(text in ".{0,40}") {
        let _ = text.parse::<GoDuration>();
    }
}
