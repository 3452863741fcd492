//! HTTP Basic logins: names and passwords that are asked for before anything else.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::header::{self, HeaderMap};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

/// Most logins: each is compared with for every request.
const LOGINS_MAX: usize = 1000;

/// Why a text is no list of logins. What stands in it is not repeated: it holds secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginsError {
    /// A line is none.
    #[error("read logins: line {0}: expected USER:PASSWORD")]
    Line(usize),
    /// There are none.
    #[error("read logins: there are none, so nobody could log in; write USER:PASSWORD lines")]
    None,
    /// There are too many.
    #[error("read logins: more than {LOGINS_MAX}; put a server with a user directory in front")]
    TooMany,
}

/// Who may ask. Kept as hashes of `USER:PASSWORD`.
#[derive(Clone)]
pub struct Logins(Vec<[u8; 32]>);

impl std::fmt::Debug for Logins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Logins({})", self.0.len())
    }
}

impl Logins {
    /// Reads `USER:PASSWORD` lines; empty lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// A line is none, or there are none or too many.
    pub fn parse(text: &str) -> Result<Self, LoginsError> {
        let mut logins = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim_end_matches('\r');
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.split_once(':') {
                Some((user, password)) if !user.is_empty() && !password.is_empty() => {
                    logins.push(Sha256::digest(line.as_bytes()).into());
                }
                _ => return Err(LoginsError::Line(at + 1)),
            }
        }
        match logins.len() {
            0 => Err(LoginsError::None),
            1..=LOGINS_MAX => Ok(Self(logins)),
            _ => Err(LoginsError::TooMany),
        }
    }

    /// Whether a request shows one of the logins. It takes as long for a wrong one as for a right
    /// one.
    pub(super) fn admit(&self, headers: &HeaderMap) -> bool {
        let given = headers.get_all(header::AUTHORIZATION).iter().find_map(|value| {
            let (scheme, given) = value.to_str().ok()?.split_once(' ')?;
            if !scheme.eq_ignore_ascii_case("basic") {
                return None;
            }
            BASE64_STANDARD.decode(given.trim()).ok()
        });
        let Some(given) = given else { return false };
        let given: [u8; 32] = Sha256::digest(&given).into();
        let found = self.0.iter().fold(Choice::from(0), |found, login| found | login.ct_eq(&given));
        found.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(text: &str) -> HeaderMap {
        let value = format!("Basic {}", BASE64_STANDARD.encode(text));
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().expect("a value"))])
    }

    #[test]
    fn a_login_opens_and_nothing_else_does() {
        let logins = Logins::parse("# who\nann:a:b\r\n\nbob:secret\n").expect("logins");
        assert!(logins.admit(&basic("ann:a:b")) && logins.admit(&basic("bob:secret")));
        for wrong in ["bob:", "bob:secret2", "ann:a", "", "# who"] {
            assert!(!logins.admit(&basic(wrong)), "{wrong}");
        }
        assert!(!logins.admit(&HeaderMap::new()));
        assert!(!format!("{logins:?}").contains("secret"));
    }

    #[test]
    fn what_is_no_login_is_refused_and_not_repeated() {
        for (text, line) in [("a:b\nsecret", 2), (":secret", 1), ("secret:", 1)] {
            let error = Logins::parse(text).expect_err(text);
            assert_eq!(error, LoginsError::Line(line));
            assert!(!error.to_string().contains("secret"));
        }
        assert_eq!(Logins::parse("# none\n").err(), Some(LoginsError::None));
        let many = "a:b\n".repeat(LOGINS_MAX + 1);
        assert_eq!(Logins::parse(&many).err(), Some(LoginsError::TooMany));
    }
}
