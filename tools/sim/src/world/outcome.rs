//! What a run came to: what is wrong with it, how much it was, and what a person needs to look into it.

use std::collections::BTreeMap;
use std::path::Path;

use super::judge_catalog::CatalogViolation;
use super::judge_keys::KeysViolation;
use super::sleepers::SleepViolation;
use crate::history::History;
use crate::judges::ack::AckViolation;
use crate::judges::fence::FenceViolation;
use crate::judges::session::SessionViolation;
use crate::linear::Verdict;
use crate::models::store::StoreOp;
use crate::report::{Failure, SaveError};

/// What is wrong with a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// After everything was healed, the group did not serve in time, or did not settle.
    #[error("C9: {0}")]
    NotServing(String),
    /// A member stopped or could not be started although nothing was wrong with its disk.
    #[error("node {node} stopped without a cause: {reason}")]
    Halted {
        /// The node.
        node: u64,
        /// What it said.
        reason: String,
    },
    /// No order of the operations explains the replies.
    #[error("C1: {0}")]
    Order(String),
    /// A watcher missed a change, or got one that was not there.
    #[error("C2: a watcher of node {node}: {what}")]
    Watch {
        /// The node.
        node: u64,
        /// What it got.
        what: String,
    },
    /// Somebody acted under an old fence.
    #[error("C3: {0}")]
    Fence(#[from] FenceViolation),
    /// An acknowledged write is gone, or one is there that should not be.
    #[error("C4: {0}")]
    Acknowledged(#[from] AckViolation<u64>),
    /// A request was executed although its client was told that it was not, or at another index, or
    /// twice.
    #[error("C4: request {request} {what}")]
    Executed {
        /// The request.
        request: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Members have other tables than the first.
    #[error("tables of node {node} differ from those of node {first} at key {key:?}")]
    Tables {
        /// The node.
        node: u64,
        /// The node that it was compared with.
        first: u64,
        /// The first key that differs, as text.
        key: String,
    },
    /// A session or lease ended too early, or too late.
    #[error("C10: {0}")]
    Session(#[from] SessionViolation),
    /// The coordination keys broke a rule of their own.
    #[error("keys: {0}")]
    Keys(#[from] KeysViolation),
    /// The catalog broke a rule of its own.
    #[error("catalog: {0}")]
    Catalog(#[from] CatalogViolation),
    /// A question to the catalog that blocks was answered wrongly.
    #[error("C11: {0}")]
    Sleep(#[from] SleepViolation),
    /// Nodes applied a command at different times of the cluster's clock.
    #[error("index {0} has two times")]
    Torn(u64),
}

impl Violation {
    /// Whether it says that this node stopped.
    pub(super) fn is_halt_of(&self, id: u64) -> bool {
        matches!(self, Self::Halted { node, .. } if *node == id)
    }
}

/// How much a run was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Operations of clients of the store.
    pub operations: u64,
    /// Of these, acknowledged writes.
    pub acknowledged: u64,
    /// Messages that were delivered.
    pub messages: u64,
    /// Faults that struck.
    pub faults: u64,
    /// How often nodes were started.
    pub starts: u64,
    /// Time of the world, in microseconds.
    pub time: u64,
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The first things that are wrong; empty for a good run.
    pub violations: Vec<Violation>,
    /// How much it was.
    pub stats: Stats,
    /// A hash of every delivery, fault and reply: equal for equal runs.
    pub trace: u64,
    /// The faults with their times.
    pub notes: Vec<String>,
    pub(super) history: History<StoreOp>,
    pub(super) verdict: Verdict,
    pub(super) options: BTreeMap<String, String>,
}

impl Outcome {
    /// Writes what a person needs to look into a bad run into `folder`.
    ///
    /// # Errors
    /// A file could not be written.
    pub fn save(&self, folder: &Path) -> Result<(), SaveError> {
        let failure = Failure {
            seed: self.seed,
            options: &self.options,
            model: "store",
            history: &self.history,
            verdict: &self.verdict,
        };
        failure.save(folder)?;
        let path = folder.join("world.txt");
        let wrong: Vec<String> = self.violations.iter().map(ToString::to_string).collect();
        let text = [wrong, self.notes.clone()].concat().join("\n") + "\n";
        std::fs::write(&path, text).map_err(|source| SaveError::Io { path, source })
    }
}
