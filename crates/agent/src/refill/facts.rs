//! What is done about damage: plain functions of what the folder shows.

use regrow_pki::NodeNumber;

use crate::error::AgentError;
use crate::folder::Folder;
use crate::refill::{evidence, note::Note};

/// What becomes of a node whose log or tables are damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It does not start: what it has may be all there is.
    Refuse,
    /// It is refilled.
    Refill,
}

/// Decides by the other voters that are known.
pub(super) fn decide(others: &[String]) -> Decision {
    if others.is_empty() { Decision::Refuse } else { Decision::Refill }
}

/// What the folder shows of a refill that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// The number under which the damage was found.
    pub(super) damaged: NodeNumber,
    /// The number of the papers.
    pub(super) papers: NodeNumber,
    /// The number in `node.json`.
    pub(super) identity: NodeNumber,
    /// The log or the tables are still in their place.
    pub(super) in_place: bool,
}

/// The next change of the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Papers of another number are asked for and kept.
    Ask,
    /// Log and tables are set aside.
    SetAside,
    /// The node takes the number of its papers.
    Adopt,
    /// An empty log and empty tables are made, and the note goes.
    Settle,
}

impl Facts {
    pub(super) fn of(folder: &Folder, note: &Note) -> Result<Self, AgentError> {
        let identity = folder.identity()?.map_or(note.number, |identity| identity.number);
        let papers = folder.papers()?.credential.identity().node;
        let in_place = evidence::in_place(folder);
        Ok(Self { damaged: note.number, papers, identity, in_place })
    }

    pub(super) fn next(self) -> Step {
        if self.identity != self.damaged {
            Step::Settle
        } else if self.papers == self.damaged {
            Step::Ask
        } else if self.in_place {
            Step::SetAside
        } else {
            Step::Adopt
        }
    }
}
