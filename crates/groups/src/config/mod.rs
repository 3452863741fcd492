//! What a user asks of a group: the document as written, and the checked form that plans use.

mod document;
mod hash;
mod quantity;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use regrow_codec::Any;
use regrow_codec::decode::{self, DecodeError};
use regrow_ids::{GroupId, LogicalId};
use regrow_plugin::spi::{Allocation, GroupSpec, RolledBack};
use regrow_reconcile::{Backoff, Budget};

pub use document::{
    AllocationDocument, BackoffDocument, BudgetDocument, Document, HealthDocument, LimitsDocument,
    PluginSettings, ReplaceDocument, UpdateDocument, UpdatingDocument,
};
pub use hash::ConfigHash;
pub use quantity::Quantity;

/// Longest name of a group in bytes; names travel as tags, which some providers cap at 256.
const MAX_GROUP_ID_BYTES: usize = 255;
/// Most members of one group.
const MAX_MEMBERS: u32 = 100_000;

/// Why a group's document is refused. The first texts are InfraKit's, word for word.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No name.
    #[error("Group ID must not be blank")]
    BlankId,
    /// The properties do not have the right shape.
    #[error("Invalid properties: {0}")]
    Properties(DecodeError),
    /// Neither a size nor identities.
    #[error("Allocation must not be blank")]
    BlankAllocation,
    /// Both a size and identities.
    #[error("Only one Allocation method may be used")]
    TwoAllocations,
    /// Both a duration and a count.
    #[error("Only one Updating method may be used")]
    TwoUpdatings,
    /// Anything else, with a pointer into the properties.
    #[error("Invalid properties: at {pointer}: {reason}")]
    Value {
        /// JSON pointer to the fault.
        pointer: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

/// How many members, and who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// So many alike members.
    Size(u32),
    /// One member for each identity.
    Identities(Vec<LogicalId>),
}

impl Membership {
    /// Number of members.
    pub fn size(&self) -> u32 {
        match self {
            Self::Size(size) => *size,
            Self::Identities(ids) => u32::try_from(ids.len()).unwrap_or(u32::MAX),
        }
    }
}

/// A checked group document. Everything that a plan needs, in numbers.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// Name of the group.
    pub id: GroupId,
    /// The document as it was read.
    pub document: Document,
    /// Members.
    pub membership: Membership,
    /// Hash of the parts that make a member; a member with another one is outdated.
    pub hash: ConfigHash,
}

impl GroupConfig {
    /// Reads and checks a group's document by itself, without asking any plugin.
    ///
    /// # Errors
    /// See [`ConfigError`]; the checks come in InfraKit's order.
    pub fn parse(spec: &GroupSpec) -> Result<Self, ConfigError> {
        if spec.id.is_empty() {
            return Err(ConfigError::BlankId);
        }
        let document: Document = spec.properties.decode().map_err(ConfigError::Properties)?;
        Self::check(spec.id.clone(), document)
    }

    /// Like [`GroupConfig::parse`], and refuses fields that nobody would read: for documents that
    /// a person wrote.
    ///
    /// # Errors
    /// As [`GroupConfig::parse`], and for unknown fields.
    pub fn parse_strict(spec: &GroupSpec) -> Result<Self, ConfigError> {
        let text = spec.properties.as_text();
        decode::from_slice_strict::<Document>(text.as_bytes()).map_err(ConfigError::Properties)?;
        Self::parse(spec)
    }

    fn check(id: GroupId, document: Document) -> Result<Self, ConfigError> {
        let membership = check_allocation(&document.allocation)?;
        if !document.updating.duration.is_zero() && document.updating.count > 0 {
            return Err(ConfigError::TwoUpdatings);
        }
        let hash = ConfigHash::of(&document.instance, &document.flavor);
        let config = Self { id, document, membership, hash };
        config.check_values()?;
        Ok(config)
    }

    fn check_values(&self) -> Result<(), ConfigError> {
        let refuse = |pointer: &str, reason: String| {
            Err(ConfigError::Value { pointer: pointer.to_owned(), reason })
        };
        if self.id.as_str().len() > MAX_GROUP_ID_BYTES {
            return refuse("/ID", format!("a name has at most {MAX_GROUP_ID_BYTES} bytes"));
        }
        let size = self.membership.size();
        if size > MAX_MEMBERS {
            let reason = format!("{size} members; at most {MAX_MEMBERS} are possible");
            return refuse("/Allocation", reason);
        }
        if let Some(most) = self.max_instances().filter(|most| *most < size) {
            let reason = format!("the group has {size} members, but at most {most} are allowed");
            return refuse("/Limits/MaxInstances", reason);
        }
        let room = self.max_instances().map_or(u32::MAX, |most| most - size);
        if self.max_surge().min(room) == 0 && self.max_unavailable() == 0 && size > 0 {
            let reason = "with neither room for surge nor unavailable members an update cannot \
                          move; allow one of them";
            return refuse("/Update", reason.to_owned());
        }
        if self.document.health.as_ref().is_some_and(|health| health.failures == 0) {
            return refuse("/Health/Failures", "at least 1 is needed".to_owned());
        }
        let skip = self.document.updating.skip_before_instance_destroy.as_deref();
        if let Some(other) = skip.filter(|skip| !["", "drain"].contains(skip)) {
            let reason = format!("{other:?} is unknown; \"drain\" is the only choice");
            return refuse("/Updating/SkipBeforeInstanceDestroy", reason);
        }
        Ok(())
    }

    /// The group's document as it goes over the wire.
    pub fn spec(&self) -> GroupSpec {
        GroupSpec { id: self.id.clone(), properties: Any::from_serialize(&self.document) }
    }

    /// The same group with another number of members.
    ///
    /// # Errors
    /// The group has identities, or the limits forbid the number.
    pub fn resized(&self, size: u32) -> Result<Self, ConfigError> {
        let mut document = self.document.clone();
        document.allocation = AllocationDocument { size: Some(size), logical_ids: None };
        Self::check(self.id.clone(), document)
    }

    /// The same group with members made as a former configuration made them, and a note of what
    /// was taken back. What the user changed besides the configuration of members stays.
    #[must_use]
    pub fn rolled_back_to(&self, former: &Self, failures: u32) -> Self {
        let mut back = self.clone();
        back.document.rolled_back = Some(RolledBack {
            instance: Any::from_serialize(&self.document.instance),
            flavor: Any::from_serialize(&self.document.flavor),
            failures,
        });
        back.document.instance.clone_from(&former.document.instance);
        back.document.flavor.clone_from(&former.document.flavor);
        back.hash = former.hash.clone();
        back
    }

    /// The allocation as flavors get it.
    pub fn allocation(&self) -> Allocation {
        let allocation = &self.document.allocation;
        Allocation {
            size: allocation.size.unwrap_or(0),
            logical_ids: allocation.logical_ids.clone(),
        }
    }

    /// Members beyond the size while an update runs.
    pub fn max_surge(&self) -> u32 {
        let surge = self.document.update.as_ref().and_then(|update| update.max_surge);
        // An identity cannot exist twice, so there is nothing to surge.
        match self.membership {
            Membership::Size(size) => surge.map_or(0, |surge| surge.of_rounded_up(size)),
            Membership::Identities(_) => 0,
        }
    }

    /// Members below the size while an update runs.
    pub fn max_unavailable(&self) -> u32 {
        let size = self.membership.size();
        let update = self.document.update.as_ref();
        let given = update.and_then(|update| update.max_unavailable);
        let allowed = match given {
            Some(given) => given.of_rounded_down(size),
            None => u32::from(self.max_surge() == 0),
        };
        match update.and_then(|update| update.min_healthy) {
            Some(least) => allowed.min(size.saturating_sub(least.of_rounded_up(size))),
            None => allowed,
        }
    }

    /// Members that may exist at the same time.
    pub fn max_instances(&self) -> Option<u32> {
        self.document.limits.as_ref().and_then(|limits| limits.max_instances)
    }

    /// True while an update is held.
    pub fn paused(&self) -> bool {
        self.document.update.as_ref().is_some_and(|update| update.pause)
    }

    /// Failed replacements after which an update is undone; `None` for never.
    pub fn auto_rollback(&self) -> Option<u32> {
        self.document.update.as_ref().map(|update| update.auto_rollback).filter(|n| *n > 0)
    }

    /// True when members are drained before an update destroys them.
    pub fn drains(&self) -> bool {
        self.document.updating.skip_before_instance_destroy.as_deref() != Some("drain")
    }

    /// Delays between attempts for one slot.
    pub fn backoff(&self) -> Backoff {
        self.document.replace.as_ref().map_or_else(Backoff::default, |r| (&r.backoff).into())
    }

    /// A member that dies younger than this has failed.
    pub fn flap_window(&self) -> Duration {
        let replace = self.document.replace.as_ref();
        replace.map_or(ReplaceDocument::default().flap_window, |r| r.flap_window).into()
    }

    /// The destroy budget of a group with so many members now. A share is taken of the larger of
    /// the members that are there and those that are wanted, so that a change to a small size does
    /// not shrink its own budget to nothing.
    pub fn destroy_budget(&self, members: u32) -> Option<Budget> {
        let budget = self.document.limits.as_ref()?.destroy_budget.as_ref()?;
        let most = budget.most.of_rounded_up(self.membership.size().max(members));
        Some(Budget { most: most as usize, window: budget.window.into() })
    }
}

/// A checked document, shared between plans and steps.
pub type SharedConfig = Arc<GroupConfig>;

fn check_allocation(allocation: &AllocationDocument) -> Result<Membership, ConfigError> {
    let ids = allocation.logical_ids.as_deref().unwrap_or_default();
    match (allocation.size, ids) {
        (Some(size), ids) if size > 0 && !ids.is_empty() => Err(ConfigError::TwoAllocations),
        (_, ids) if !ids.is_empty() => {
            let mut seen = BTreeSet::new();
            for (at, id) in ids.iter().enumerate() {
                let reason = match (id.is_empty(), seen.insert(id)) {
                    (true, _) => "an identity must not be blank".to_owned(),
                    (_, false) => format!("{:?} is there twice", id.as_str()),
                    _ => continue,
                };
                let pointer = format!("/Allocation/LogicalIDs/{at}");
                return Err(ConfigError::Value { pointer, reason });
            }
            Ok(Membership::Identities(ids.to_vec()))
        }
        (Some(size), _) => Ok(Membership::Size(size)),
        (None, _) => Err(ConfigError::BlankAllocation),
    }
}

#[cfg(test)]
mod tests;
