use std::fmt;

use crate::Moment;

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Something happened as planned.
    Info,
    /// Something did not happen as planned and is dealt with.
    Warning,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Info => "info",
            Self::Warning => "warning",
        })
    }
}

/// One line of an object's history, for people.
#[derive(Clone, Debug)]
pub struct Note {
    /// The object.
    pub key: String,
    /// When it happened.
    pub at: Moment,
    /// How much it matters.
    pub level: Level,
    /// What happened.
    pub text: String,
}
