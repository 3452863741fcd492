use std::time::Duration;

use crate::Moment;

/// What a look at the world is worth.
///
/// Only [`Quality::Complete`] may lead to destruction; absence from anything else means "unknown",
/// never "gone".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quality {
    /// Everything that exists was seen.
    Complete,
    /// Something may be missing.
    Partial(String),
    /// It was true that long ago.
    Stale(Duration),
    /// The look failed.
    Failed(String),
}

impl Quality {
    /// True when absence from this look is worth anything.
    pub const fn is_complete(&self) -> bool {
        matches!(self, Self::Complete)
    }

    /// Why it is not complete, for people.
    pub fn shortcoming(&self) -> Option<String> {
        match self {
            Self::Complete => None,
            Self::Partial(why) => Some(format!("the last look was partial: {why}")),
            Self::Stale(age) => Some(format!("the last look is {} s old", age.as_secs())),
            Self::Failed(why) => Some(format!("the last look failed: {why}")),
        }
    }
}

/// One look at the world, with the time that it took.
#[derive(Clone, Debug)]
pub struct Sighting<T> {
    /// When the look began. Effects that ended later may not show in it.
    pub began: Moment,
    /// When the look ended.
    pub ended: Moment,
    /// What was seen.
    pub items: T,
}
