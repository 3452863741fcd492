//! What is stored about an instance, so that the next run knows it again.

use std::fmt;
use std::fs;
use std::path::Path;

use regrow_codec::Any;
use regrow_codec::record::{self, Record, RecordError};
use regrow_ids::{InstanceId, LogicalId};
use regrow_plugin::spi::Tags;
use serde::{Deserialize, Serialize};

use super::ProcessError;
use crate::disk::{self, DiskError, Sync};

/// Name of the record in an instance's directory.
pub(super) const RECORD_FILE: &str = "instance.rec";

/// How far an instance has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// Written before the process is started: it may exist or not.
    Starting,
    /// The process was started and is named by [`InstanceRecord::leader`].
    Running,
    /// Somebody asked for its end.
    Stopping,
    /// Nothing of it is left.
    Ended,
}

/// Names one process in one run of one kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) pid: i32,
    /// Clock ticks since boot.
    pub(super) start: u64,
    pub(super) boot_id: String,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Nobody could tell: its parent was not us.
    Unknown,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
            Self::Unknown => f.write_str("exit status unknown"),
        }
    }
}

/// The stored form of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InstanceRecord {
    pub(super) id: InstanceId,
    pub(super) state: State,
    pub(super) logical_id: Option<LogicalId>,
    pub(super) tags: Tags,
    /// As given: holds how the instance is stopped.
    pub(super) properties: Any,
    /// RFC 3339.
    pub(super) created: String,
    pub(super) leader: Option<Identity>,
    pub(super) exit: Option<Exit>,
}

impl Record for InstanceRecord {
    const KIND: u16 = 2;
    const VERSION: u16 = 1;
}

impl InstanceRecord {
    pub(super) fn read(dir: &Path) -> Result<Self, ProcessError> {
        let path = dir.join(RECORD_FILE);
        let bytes = fs::read(&path).map_err(|e| DiskError::new("read file", &path, e))?;
        let fault =
            |source: RecordError| ProcessError::Record { path: path.display().to_string(), source };
        let (record, length) = record::decode::<Self>(&bytes).map_err(fault)?;
        if length != bytes.len() {
            return Err(fault(RecordError::Damaged { what: "something follows the record" }));
        }
        Ok(record)
    }

    /// Writes the record so that it survives a power cut.
    pub(super) fn write(&self, dir: &Path) -> Result<(), ProcessError> {
        self.write_with(dir, Sync::Durable)
    }

    /// Writes the record so that it survives our own death. After a power cut it is this one or the
    /// one before, never an empty one: what it tells of is gone then, but it must be readable.
    pub(super) fn write_whole(&self, dir: &Path) -> Result<(), ProcessError> {
        self.write_with(dir, Sync::Whole)
    }

    fn write_with(&self, dir: &Path, sync: Sync) -> Result<(), ProcessError> {
        let path = dir.join(RECORD_FILE);
        let bytes = record::encode(self)
            .map_err(|source| ProcessError::Record { path: path.display().to_string(), source })?;
        Ok(disk::write(&path, &bytes, sync)?)
    }
}
