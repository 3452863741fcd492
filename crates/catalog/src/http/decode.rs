//! Bodies as JSON, read as Go reads them, with its words for what is wrong.

use std::time::Duration;

use regrow_codec::decode::{self, DecodeError};
use regrow_ids::GoDuration;
use serde::de::{self, DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer};

use super::reply::HttpError;

/// A body; names match without regard to case, unknown ones are skipped.
pub(super) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, HttpError> {
    let failed = |reason: String| HttpError::bad(format!("Request decode failed: {reason}"));
    parse(bytes).map_err(failed)
}

/// The same, without the words before the reason.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err("EOF".to_owned());
    }
    decode::from_slice(bytes).map_err(|error| reason(&error, bytes))
}

fn reason(error: &DecodeError, bytes: &[u8]) -> String {
    let reason = error.reason.as_str();
    if reason.starts_with("EOF") {
        return "unexpected EOF".to_owned();
    }
    if reason.starts_with("time: ") {
        return reason.to_owned();
    }
    let syntax =
        ["expected", "key must", "trailing", "invalid number", "invalid escape", "control"];
    if syntax.iter().any(|start| reason.starts_with(start))
        && let Some(found) = error.position.and_then(|place| char_at(bytes, place))
    {
        return format!("invalid character {found:?} looking for beginning of value ({reason})");
    }
    match error.pointer.as_str() {
        "" => format!("json: cannot unmarshal: {reason}"),
        pointer => format!("json: cannot unmarshal {pointer}: {reason}"),
    }
}

/// The character at a line and a column, both from 1.
fn char_at(bytes: &[u8], (line, column): (usize, usize)) -> Option<char> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().nth(line.checked_sub(1)?)?.chars().nth(column.saturating_sub(1))
}

/// A duration as Go writes it (`"10s"`), or a number of nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span(pub Duration);

/// Reads a duration; the error is Go's.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<GoDuration>().map(Duration::from).map_err(|error| {
        let reason = error.to_string();
        if reason.contains("a unit is missing") {
            format!("time: missing unit in duration {text:?}")
        } else if reason.contains("the unit is unknown") {
            let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
            format!("time: unknown unit {unit:?} in duration {text:?}")
        } else {
            format!("time: invalid duration {text:?}")
        }
    })
}

struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a duration such as \"10s\", or nanoseconds")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
        if text.is_empty() {
            return Ok(Span::default());
        }
        duration(text).map(Span).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, nanos: u64) -> Result<Span, E> {
        Ok(Span(Duration::from_nanos(nanos)))
    }

    fn visit_i64<E: de::Error>(self, nanos: i64) -> Result<Span, E> {
        let nanos = u64::try_from(nanos);
        nanos
            .map(|nanos| Span(Duration::from_nanos(nanos)))
            .map_err(|_| E::custom("a negative duration has no meaning here"))
    }

    fn visit_f64<E: de::Error>(self, nanos: f64) -> Result<Span, E> {
        let seconds = nanos / 1e9;
        Duration::try_from_secs_f64(seconds).map(Span).map_err(E::custom)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Span, E> {
        Ok(Span::default())
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Body {
        name: String,
        wait: Span,
        list: Option<Vec<String>>,
    }

    #[test]
    fn bodies_are_read_as_go_reads_them() {
        let body: Body =
            parse(br#"{"name":"a","WAIT":"1m30s","List":null,"Later":[{}]}"#).expect("a body");
        assert_eq!((body.name.as_str(), body.wait.0.as_secs(), body.list), ("a", 90, None));
        let body: Body = parse(br#"{"wait":1500000000}"#).expect("a body");
        assert_eq!(body.wait.0.as_millis(), 1500);
    }

    #[test]
    fn faults_have_the_words_of_go() {
        let fault = |text: &str| parse::<Body>(text.as_bytes()).expect_err(text);
        assert_eq!(fault(""), "EOF");
        assert_eq!(fault("{\"name\":"), "unexpected EOF");
        assert!(fault("{nope}").starts_with("invalid character 'n'"), "{}", fault("{nope}"));
        assert_eq!(fault(r#"{"wait":"zz"}"#), "time: invalid duration \"zz\"");
        assert_eq!(fault(r#"{"wait":"10"}"#), "time: missing unit in duration \"10\"");
        assert_eq!(fault(r#"{"wait":"1x"}"#), "time: unknown unit \"x\" in duration \"1x\"");
        assert!(fault(r#"{"name":7}"#).starts_with("json: cannot unmarshal /Name"));
    }
}
