//! The note that a node's log or tables were found damaged (`refill.json`, version 1). While it is there,
//! nothing starts under the number that it names.

use std::time::SystemTime;

use regrow_pki::NodeNumber;
use serde::{Deserialize, Serialize};

use crate::error::AgentError;
use crate::folder::Folder;
use crate::nodes::millis;

const FILE: &str = "refill.json";
const VERSION: u32 = 1;

/// What was found, when, and under which number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    version: u32,
    /// The node's number when it was found.
    pub(crate) number: NodeNumber,
    /// What was found.
    pub(crate) found: String,
    /// When, milliseconds since 1970.
    pub(crate) since_ms: u64,
}

impl Note {
    pub(super) fn new(number: NodeNumber, found: String, now: SystemTime) -> Self {
        Self { version: VERSION, number, found, since_ms: millis(now) }
    }

    /// The note, if there is one.
    ///
    /// # Errors
    /// It cannot be read, or a newer program wrote it.
    pub(crate) fn read(folder: &Folder) -> Result<Option<Self>, AgentError> {
        let Some(text) = folder.get(FILE)? else { return Ok(None) };
        let unreadable = |reason| AgentError::Folder { path: folder.file(FILE), reason };
        let note: Self = serde_json::from_str(text.expose())
            .map_err(|error| unreadable(format!("{error}; start the program that wrote it")))?;
        if note.version != VERSION {
            let reason = format!("it has version {}, this program knows {VERSION}", note.version);
            return Err(unreadable(reason));
        }
        Ok(Some(note))
    }

    pub(super) fn write(&self, folder: &Folder) -> Result<(), AgentError> {
        let text = serde_json::to_string_pretty(self);
        let text = text.map_err(|error| AgentError::keys("note the damage", error))?;
        folder.set(FILE, &text)
    }

    pub(super) fn forget(folder: &Folder) -> Result<(), AgentError> {
        folder.forget(FILE)
    }
}
