//! Keys and ranges of keys, valid on every backend.

use std::fmt;

use regrow_consensus::Span as ByteSpan;
use serde::{Deserialize, Serialize};

use crate::error::Invalid;

/// Longest key or prefix in bytes. Keys travel in URLs and are kept in memory by watchers.
pub const MAX_KEY_BYTES: usize = 512;

/// A key: 1 to [`MAX_KEY_BYTES`] bytes of UTF-8, ordered by bytes.
///
/// A key travels as the path of a URL on some backends, and paths are cleaned on the way. So it does
/// not begin with `/`, and has no control characters, no empty part between two slashes, and no part
/// `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

/// The beginning of keys; empty for all keys. What a key may hold, a prefix may.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(String);

impl Key {
    /// Checks a key.
    ///
    /// # Errors
    /// It is empty, too long, or a URL could not carry it.
    pub fn new(text: impl Into<String>) -> Result<Self, Invalid> {
        let text = text.into();
        if text.is_empty() {
            return Err(Invalid::EmptyKey);
        }
        check(&text)?;
        Ok(Self(text))
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Prefix {
    /// Checks a prefix.
    ///
    /// # Errors
    /// It is too long, or no key can begin with it.
    pub fn new(text: impl Into<String>) -> Result<Self, Invalid> {
        let text = text.into();
        check(&text)?;
        Ok(Self(text))
    }

    /// The prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key made of this prefix and `rest`.
    ///
    /// # Errors
    /// The whole is no key.
    pub fn key(&self, rest: &str) -> Result<Key, Invalid> {
        Key::new(format!("{}{rest}", self.0))
    }
}

fn check(text: &str) -> Result<(), Invalid> {
    let bad = |reason| Err(Invalid::Key { key: shown(text), reason });
    if text.len() > MAX_KEY_BYTES {
        return Err(Invalid::LongKey { key: shown(text), bytes: text.len() });
    }
    if text.chars().any(char::is_control) {
        return bad("it has a control character");
    }
    if text.starts_with('/') {
        return bad("it begins with a slash");
    }
    if text.contains("//") {
        return bad("it has two slashes in a row");
    }
    if text.split('/').any(|part| part == "." || part == "..") {
        return bad("it has a part that is only dots");
    }
    Ok(())
}

/// The first characters of a text, for messages.
fn shown(text: &str) -> String {
    const SHOWN: usize = 64;
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}

macro_rules! text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Invalid> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                Self::new(text)
            }
        }
    };
}

text!(Key);
text!(Prefix);

/// Which keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Span {
    /// One key.
    One(Key),
    /// All keys that begin so.
    Prefix(Prefix),
}

impl Span {
    /// All keys.
    pub fn all() -> Self {
        Self::Prefix(Prefix::default())
    }

    /// True for a span all of whose keys are in this one.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::One(key)) => self.contains(key),
            (Self::One(_), Self::Prefix(_)) => false,
            (Self::Prefix(prefix), Self::Prefix(other)) => {
                other.as_str().starts_with(prefix.as_str())
            }
        }
    }

    /// True for a key in the span.
    pub fn contains(&self, key: &Key) -> bool {
        match self {
            Self::One(one) => one == key,
            Self::Prefix(prefix) => key.as_str().starts_with(prefix.as_str()),
        }
    }
}

impl From<Key> for Span {
    fn from(key: Key) -> Self {
        Self::One(key)
    }
}

impl From<Prefix> for Span {
    fn from(prefix: Prefix) -> Self {
        Self::Prefix(prefix)
    }
}

/// The span as bytes of a table or of a store whose keys begin with `lead`; behind `after` only.
pub(crate) fn byte_range(lead: &[u8], span: &Span, after: Option<&Key>) -> ByteSpan {
    let whole = |text: &str| [lead, text.as_bytes()].concat();
    let behind = |key: &Key| [lead, key.as_str().as_bytes(), &[0]].concat();
    let mut bytes = match span {
        Span::One(key) => ByteSpan { from: whole(key.as_str()), to: Some(behind(key)) },
        Span::Prefix(prefix) => ByteSpan::prefix(&whole(prefix.as_str())),
    };
    if let Some(after) = after {
        bytes.from = bytes.from.max(behind(after));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_a_url_would_change_are_refused() {
        for bad in ["", "/a", "a//b", "a/./b", "..", "a/..", "a\nb", "a\u{7f}"] {
            assert!(Key::new(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "a/", "a/b.c", "...", "käse", "a b", "a%2fb"] {
            assert!(Key::new(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_key_has_a_longest_length() {
        assert!(Key::new("k".repeat(MAX_KEY_BYTES)).is_ok());
        let error = Key::new("k".repeat(MAX_KEY_BYTES + 1)).expect_err("too long");
        assert!(error.to_string().contains("513"), "{error}");
    }

    #[test]
    fn a_stored_key_is_checked_when_it_is_read() {
        let bytes = postcard::to_stdvec("a//b").expect("encodes");
        assert!(postcard::from_bytes::<Key>(&bytes).is_err());
        assert!(postcard::from_bytes::<Prefix>(&bytes).is_err());
    }

    #[test]
    fn spans_hold_what_they_name() {
        let key = Key::new("a/b").expect("key");
        assert!(Span::all().contains(&key));
        assert!(Span::from(key.clone()).contains(&key));
        assert!(Span::from(Prefix::new("a/").expect("prefix")).contains(&key));
        assert!(!Span::from(Prefix::new("b").expect("prefix")).contains(&key));
    }
}
