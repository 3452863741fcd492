//! One command at work on the tables.

use regrow_consensus::{At, Edit, TableError, Time, View};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::refusal::Refusal;
use super::rows::{self, Due};
use super::topic::Topic;

/// Longest name of a node, a service, a check or an event, and longest id, in bytes.
pub const NAME_BYTES_MAX: usize = 1024;
/// Longest key in bytes.
pub const KEY_BYTES_MAX: usize = 8 << 10;
/// Largest value of a key in bytes.
pub const VALUE_BYTES_MAX: usize = 512 << 10;

/// Why a command has no reply.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was refused; its changes are dropped.
    Refused(Refusal),
    /// The tables cannot be used.
    Tables(TableError),
}

impl From<TableError> for Failure {
    fn from(error: TableError) -> Self {
        Self::Tables(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What a step of a command comes to.
pub(super) type Step<T = ()> = Result<T, Failure>;

/// The tables with a command's changes, and where and when it is applied.
pub(super) struct Work<'a> {
    pub at: At,
    pub tables: &'a mut dyn Edit,
}

impl Work<'_> {
    pub fn view(&self) -> &dyn View {
        &*self.tables
    }

    pub fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Step<Option<T>> {
        Ok(rows::get(self.view(), key)?)
    }

    pub fn put<T: Serialize>(&mut self, key: &[u8], row: &T) -> Step {
        Ok(rows::put(self.tables, key, row)?)
    }

    /// Sets a key that says all there is to say by being there.
    pub fn mark(&mut self, key: &[u8]) -> Step {
        Ok(self.tables.put(key, &[])?)
    }

    pub fn delete(&mut self, key: &[u8]) -> Step<bool> {
        Ok(self.tables.delete(key)?)
    }

    /// Says that a topic changed.
    pub fn bump(&mut self, topic: &Topic) -> Step {
        Ok(topic.bump(self.tables, self.at.index)?)
    }

    /// When something falls due; `None` when it never does.
    pub fn due(&self, due: &Due) -> Step<Option<Time>> {
        self.get(&rows::key(rows::DUE_AT, &[&due.bytes()]))
    }

    /// Lets something fall due at `time`, and not at the time it had before.
    pub fn schedule(&mut self, due: &Due, time: Time) -> Step {
        self.cancel(due)?;
        let bytes = due.bytes();
        self.put(&rows::key(rows::DUE_AT, &[&bytes]), &time)?;
        let place = rows::key(rows::DUE_QUEUE, &[&rows::time_bytes(time), &bytes]);
        self.put(&place, due)
    }

    /// Lets something never fall due.
    pub fn cancel(&mut self, due: &Due) -> Step {
        let bytes = due.bytes();
        let at = rows::key(rows::DUE_AT, &[&bytes]);
        if let Some(time) = self.get::<Time>(&at)? {
            self.delete(&at)?;
            self.delete(&rows::key(rows::DUE_QUEUE, &[&rows::time_bytes(time), &bytes]))?;
        }
        Ok(())
    }
}

/// Refuses names that cannot be part of a key.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), Refusal> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\0') {
        return Err(Refusal::Name { what: what.to_owned(), limit: NAME_BYTES_MAX });
    }
    Ok(())
}
