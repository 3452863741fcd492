//! Sessions: the life that locks hang on.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A UUID: of a session or an event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u128);

/// Why a text is not a session id. The texts are those of the original.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionIdError {
    /// It has another length.
    #[error("UUID must be 36 characters")]
    Length,
    /// It has that length and is none.
    #[error("UUID {0:?} is invalid; take the one that session create returned")]
    Form(String),
}

impl SessionId {
    /// A new one, unlike any other.
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().as_u128())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_u128(self.0).hyphenated().fmt(f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SessionId {
    type Err = SessionIdError;

    fn from_str(text: &str) -> Result<Self, SessionIdError> {
        if text.len() != 36 {
            return Err(SessionIdError::Length);
        }
        uuid::Uuid::try_parse(text)
            .map(|uuid| Self(uuid.as_u128()))
            .map_err(|_| SessionIdError::Form(text.to_owned()))
    }
}

/// What becomes of locked keys when their session ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Behavior {
    /// They stay and are unlocked.
    #[default]
    Release,
    /// They are deleted.
    Delete,
}

impl Behavior {
    /// As readers see it: `release`, `delete`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Delete => "delete",
        }
    }
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Given by who creates it.
    pub id: SessionId,
    /// What people read.
    pub name: String,
    /// The node it lives on: it ends when the node goes away.
    pub node: String,
    /// Nobody else gets a key for this long after the session that held it ended.
    pub lock_delay: Duration,
    /// What becomes of its keys.
    pub behavior: Behavior,
    /// It ends when it was not renewed for this long, and up to a fifth longer.
    pub ttl: Option<Duration>,
    /// The TTL as it was written.
    pub ttl_text: String,
    /// Percent of the TTL that are waited beyond it, at most 100.
    pub grace_percent: u8,
    /// Ids of checks of its node: it ends when one is critical or gone.
    pub node_checks: Vec<String>,
    /// Ids of checks of services of its node, alike.
    pub service_checks: Vec<String>,
}

impl Session {
    /// Ids of all checks it hangs on.
    pub fn checks(&self) -> impl Iterator<Item = &str> {
        self.node_checks.iter().chain(&self.service_checks).map(String::as_str)
    }
}
