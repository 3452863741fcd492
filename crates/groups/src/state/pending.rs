use std::sync::Arc;

use regrow_ids::{InstanceId, StepKey};
use regrow_plugin::spi::{Description, DestroyReason};
use regrow_reconcile::Moment;

use super::{Member, Slot};
use crate::config::ConfigHash;

/// An instance that was asked for and was not seen yet. It counts as a member, so that a slow
/// provider or a lagging list never leads to a second one.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The slot that it will fill.
    pub slot: Slot,
    /// Configuration that it is made with.
    pub hash: ConfigHash,
    /// When it was asked for, or taken over from an earlier run.
    pub since: Moment,
    /// What is known about it.
    pub progress: Progress,
    /// Complete looks, begun after the call ended, that did not show it.
    pub looks: u32,
    /// A direct look-up did not find it.
    pub looked_up: bool,
    /// What was known before this call, when it repeats one under the same key: it holds again when
    /// the call turns out never to have been made.
    pub earlier: Option<Box<Claim>>,
}

/// What is known about a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The call runs or waits for its turn.
    Asked,
    /// The call succeeded.
    Made {
        /// Name of the instance.
        id: InstanceId,
        /// When the call ended.
        at: Moment,
    },
    /// The call ended without a usable answer; the instance may exist or may still come.
    Unknown {
        /// When the call ended.
        at: Moment,
    },
    /// The call is to be made again, under the same key, so that the repetition can be recognised
    /// as one. The intent stays open until then: a crash must not forget the key.
    Due {
        /// When the last call ended.
        at: Moment,
        /// Whether that call may still come to something.
        unknown: bool,
    },
}

impl Claim {
    /// When the call ended; `None` while it runs.
    pub fn ended(&self) -> Option<Moment> {
        match self.progress {
            Progress::Asked => None,
            Progress::Made { at, .. } | Progress::Unknown { at } | Progress::Due { at, .. } => {
                Some(at)
            }
        }
    }

    /// True when the call is to be made again.
    pub fn is_due(&self) -> bool {
        matches!(self.progress, Progress::Due { .. })
    }
}

/// A former member that is being destroyed, or was.
#[derive(Clone, Debug)]
pub struct Doom {
    /// The instance.
    pub description: Arc<Description>,
    /// The slot that it filled.
    pub slot: Slot,
    /// Why it goes.
    pub reason: DestroyReason,
    /// How far it is.
    pub progress: Demise,
    /// What was known about it as a member, for the case that the call is never made.
    pub member: Option<Member>,
    /// Attempts that failed.
    pub failures: u32,
    /// Complete looks in a row, begun after the last call ended, that did not show it.
    pub unlisted: u32,
    /// The provider refused the last call: a look that still shows the instance proves that it was
    /// not destroyed, and gives the destroy budget its share back.
    pub refused: bool,
    /// Intents of the attempts. They stay open until a list no longer shows the instance: after a
    /// crash, a list that is behind must not make others pay for it.
    pub keys: Vec<StepKey>,
}

/// How far a destruction is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demise {
    /// The call runs or waits for its turn.
    Asked,
    /// The call succeeded. Lists that still show the instance are behind.
    Done {
        /// When the call ended.
        at: Moment,
    },
    /// The call failed and is due again.
    Failed {
        /// When the call ended.
        at: Moment,
        /// When to try again.
        retry_at: Moment,
        /// Why it failed.
        why: String,
    },
}

impl Doom {
    /// When the last call ended; `None` while it runs.
    pub fn ended(&self) -> Option<Moment> {
        match self.progress {
            Demise::Asked => None,
            Demise::Done { at } | Demise::Failed { at, .. } => Some(at),
        }
    }

    /// True while the instance may still exist.
    pub fn may_exist(&self) -> bool {
        !matches!(self.progress, Demise::Done { .. })
    }
}

/// What happened to a slot, for back-off.
#[derive(Clone, Copy, Debug, Default)]
pub struct SlotHistory {
    /// Failures in a row.
    pub failures: u32,
    /// Nothing is made for the slot before this.
    pub not_before: Moment,
}
