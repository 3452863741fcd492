//! Topics: the parts of the catalog that have an index of their own, and that readers wait on.

use regrow_consensus::{Edit, TableError, View};

use super::rows;

/// A part of the catalog with its own index.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// All nodes themselves.
    Nodes,
    /// All services themselves.
    Services,
    /// All checks.
    Checks,
    /// All keys.
    Keys,
    /// All sessions.
    Sessions,
    /// All events.
    Events,
    /// One node with its services and checks.
    Node(String),
    /// The instances of one service with their nodes and checks.
    Service(String),
    /// One key. Its index is in its own row.
    Key(String),
    /// All keys that begin so. The index is the highest in their rows and tombstones.
    KeyPrefix(String),
}

impl Topic {
    /// The row with the topic's index; `None` for keys.
    pub(crate) fn row(&self) -> Option<Vec<u8>> {
        let (kind, name) = match self {
            Self::Nodes => ("nodes", ""),
            Self::Services => ("services", ""),
            Self::Checks => ("checks", ""),
            Self::Keys => ("keys", ""),
            Self::Sessions => ("sessions", ""),
            Self::Events => ("events", ""),
            Self::Node(name) => ("node", name.as_str()),
            Self::Service(name) => ("service", name.as_str()),
            Self::Key(_) | Self::KeyPrefix(_) => return None,
        };
        Some(rows::named(rows::INDEX, &[kind, name]))
    }

    /// The topic's index, `None` when nothing was ever written to it.
    pub(crate) fn index(&self, view: &dyn View) -> Result<Option<u64>, TableError> {
        self.row().map_or(Ok(None), |row| rows::get(view, &row))
    }

    /// Says that the topic changed at `index`.
    pub(crate) fn bump(&self, edit: &mut dyn Edit, index: u64) -> Result<(), TableError> {
        self.row().map_or(Ok(()), |row| rows::put(edit, &row, &index))
    }

    /// Forgets the index of a topic that is no more.
    pub(crate) fn forget(&self, edit: &mut dyn Edit) -> Result<(), TableError> {
        if let Some(row) = self.row() {
            edit.delete(&row)?;
        }
        Ok(())
    }
}

/// The row with the highest index of all tombstones that went away: no index of a key prefix may
/// be below it.
pub(crate) fn graves_row() -> Vec<u8> {
    rows::named(rows::INDEX, &["graves", ""])
}
