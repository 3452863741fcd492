use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use regrow_ids::LogicalId;
use regrow_plugin::spi::{Description, Health, tags};
use regrow_reconcile::Moment;

use crate::config::{ConfigHash, GroupConfig};

/// Ours: number of a member's slot in a group by size.
pub const SLOT_TAG: &str = "regrow.slot";

/// A place in a group that survives the instance which fills it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// One of the alike members of a group by size.
    Number(u32),
    /// The member with that identity.
    Identity(LogicalId),
    /// A member without identity in a group of identities; nobody asked for it.
    Stray,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Identity(id) => id.fmt(f),
            Self::Stray => f.write_str("stray"),
        }
    }
}

/// An instance that was seen with the group's tag.
#[derive(Clone, Debug)]
pub struct Member {
    /// What its plugin says.
    pub description: Arc<Description>,
    /// The slot that it fills.
    pub slot: Slot,
    /// When it was first seen.
    pub since: Moment,
    /// Looks that showed it.
    pub looks: u32,
    /// Nobody in this controller asked for it: it was there before, or came from elsewhere.
    pub found: bool,
    /// Set while complete looks do not show it.
    pub absent: Option<Absence>,
    /// What its flavor says.
    pub health: HealthRecord,
    /// Counted as a failed replacement.
    pub blamed: bool,
    /// Drained and spared: the instance that this controller runs on.
    pub spared: bool,
}

/// A member that is missing from lists.
#[derive(Clone, Copy, Debug)]
pub struct Absence {
    /// End of the first look that did not show it.
    pub since: Moment,
    /// Complete looks in a row that did not show it.
    pub looks: u32,
    /// A direct look-up did not find it either.
    pub looked_up: bool,
}

impl Member {
    /// Hash of the configuration that made it.
    pub fn hash(&self) -> Option<&str> {
        self.description.tags.get(tags::CONFIG_HASH).map(String::as_str)
    }

    /// True when it was made with the given configuration.
    pub fn is_current(&self, hash: &ConfigHash) -> bool {
        self.hash() == Some(hash.as_str())
    }

    /// True when it asks to be adopted as it is.
    pub fn wants_adoption(&self) -> bool {
        self.hash() == Some(tags::BOOTSTRAP)
    }

    /// True when it counts as working as far as an update is concerned.
    pub fn is_ready(&self, config: &GroupConfig, now: Moment) -> bool {
        self.absent.is_none() && self.ready_at(config).is_some_and(|at| at <= now)
    }

    /// When it will count as working if nothing changes; `None` while it is not known healthy.
    pub fn ready_at(&self, config: &GroupConfig) -> Option<Moment> {
        let updating = &config.document.updating;
        let since = self.health.healthy_since?;
        if updating.count > 0 {
            (self.health.healthy_looks >= updating.count).then_some(since)
        } else {
            Some(since + Duration::from(updating.duration))
        }
    }
}

/// Answers of a flavor about one member.
#[derive(Clone, Copy, Debug, Default)]
pub struct HealthRecord {
    /// The newest answer.
    pub last: Option<Health>,
    /// When it was given.
    pub checked_at: Moment,
    /// First of the good answers in a row.
    pub healthy_since: Option<Moment>,
    /// Number of good answers in a row.
    pub healthy_looks: u32,
    /// Number of bad answers in a row.
    pub failures: u32,
}

impl HealthRecord {
    /// Takes in an answer.
    pub fn note(&mut self, health: Health, now: Moment) {
        (self.last, self.checked_at) = (Some(health), now);
        match health {
            Health::Healthy => {
                self.healthy_since.get_or_insert(now);
                self.healthy_looks += 1;
                self.failures = 0;
            }
            Health::Unhealthy => {
                (self.healthy_since, self.healthy_looks) = (None, 0);
                self.failures = self.failures.saturating_add(1);
            }
            // Not knowing is no reason to act, but it breaks a row of good answers.
            Health::Unknown => (self.healthy_since, self.healthy_looks) = (None, 0),
        }
    }
}
