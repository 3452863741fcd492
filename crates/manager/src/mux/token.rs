use std::hint::black_box;
use std::path::Path;

use hyper::header::{self, HeaderMap};

use super::MuxError;
use crate::store::read_bounded;

/// Shortest token: 16 characters of hexadecimal are 64 bits.
const MIN_TOKEN_BYTES: usize = 16;
/// Largest token file.
const MAX_TOKEN_BYTES: u64 = 4096;

/// A secret that every request must carry.
pub(super) struct Token(Vec<u8>);

impl Token {
    pub(super) fn read(file: &Path) -> Result<Self, MuxError> {
        let fault = |reason: String| MuxError::Token { file: file.display().to_string(), reason };
        let bytes = read_bounded(file, MAX_TOKEN_BYTES)
            .map_err(|unread| fault(unread.to_string()))?
            .ok_or_else(|| fault("it is not there; make it with at least 16 characters".into()))?;
        let token = bytes.trim_ascii();
        if token.len() < MIN_TOKEN_BYTES {
            let text = format!("it has {} characters; expected at least 16", token.len());
            return Err(fault(text));
        }
        if !token.iter().all(u8::is_ascii_graphic) {
            return Err(fault("it has white space or other than ASCII characters inside".into()));
        }
        Ok(Self(token.to_vec()))
    }

    /// True when the request carries the token.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return false };
        let Some((scheme, token)) = value.as_bytes().split_at_checked("Bearer ".len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ") && self.equals(token.trim_ascii())
    }

    /// Compares in a time that depends on the lengths only.
    fn equals(&self, other: &[u8]) -> bool {
        if self.0.len() != other.len() {
            return false;
        }
        let pairs = self.0.iter().zip(other);
        pairs.fold(0, |differences, (a, b)| black_box(differences | (a ^ b))) == 0
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};

    use super::Token;

    #[test]
    fn only_the_whole_token_will_do() {
        let token = Token(b"0123456789abcdef".to_vec());
        for (value, good) in [
            ("Bearer 0123456789abcdef", true),
            ("bearer  0123456789abcdef", true),
            ("Bearer 0123456789abcdeF", false),
            ("Bearer 0123456789abcde", false),
            ("Bearer 0123456789abcdef0", false),
            ("Bearer ", false),
            ("Basic 0123456789abcdef", false),
            ("0123456789abcdef", false),
        ] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
            assert_eq!(token.is_in(&headers), good, "{value}");
        }
        assert!(!token.is_in(&HeaderMap::new()));
    }
}
