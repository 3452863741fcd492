//! Reads of the catalog, with an index, and blocked until it moves.
//!
//! A [`Read`] is a look at the tables together with the topics that it depends on; the modules
//! [`kv`], [`registry`] and [`sessions`] have one for everything that can be asked. A [`Client`]
//! takes the look, and with an index to wait for takes it again whenever the [`Hub`] says that a
//! topic moved.
//!
//! Start reading at [`Client::ask`].

mod client;
mod hub;
pub mod kv;
pub mod registry;
pub mod sessions;

use std::time::Duration;

use regrow_consensus::{Consistency, TableError, View};

use crate::machine::Topic;

pub use client::{AskError, Client, ExecuteError};
pub use hub::{Hub, Subscription};

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// What was asked for.
    pub value: T,
    /// Index of the last command that changed it, or of a later one.
    pub index: u64,
}

type Look<T> = Box<dyn Fn(&dyn View) -> Result<Found<T>, TableError> + Send + Sync>;

/// Something that can be asked.
pub struct Read<T> {
    topics: Vec<Topic>,
    look: Look<T>,
}

impl<T> Read<T> {
    /// A look, and the topics whose changes can change what it finds.
    pub fn new(
        topics: Vec<Topic>,
        look: impl Fn(&dyn View) -> Result<Found<T>, TableError> + Send + Sync + 'static,
    ) -> Self {
        Self { topics, look: Box::new(look) }
    }

    /// The same look, with what it finds made into something else.
    pub fn map<U>(self, make: impl Fn(T) -> U + Send + Sync + 'static) -> Read<U>
    where
        T: 'static,
    {
        let look = self.look;
        Read::new(self.topics, move |view| {
            let found = look(view)?;
            Ok(Found { value: make(found.value), index: found.index })
        })
    }

    /// What it depends on.
    pub fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// Looks.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn look(&self, view: &dyn View) -> Result<Found<T>, TableError> {
        (self.look)(view)
    }
}

/// How something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// How new the data is.
    pub consistency: Consistency,
    /// The answer waits for an index above this; 0 does not wait.
    pub index: u64,
    /// It waits for this long at most, and up to a sixteenth longer.
    pub wait: Duration,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { consistency: Consistency::Lease, index: 0, wait: Duration::from_secs(300) }
    }
}

impl ReadOptions {
    /// Whatever this node has, at once.
    pub fn stale() -> Self {
        Self { consistency: Consistency::Stale, ..Self::default() }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// What was asked for.
    pub value: T,
    /// To be waited for by the next question; at least 1.
    pub index: u64,
    /// Whether somebody leads.
    pub known_leader: bool,
    /// How long ago this node last heard of the leader; `None` when never.
    pub last_contact: Option<Duration>,
}

/// The highest index of these topics, at least 1.
fn index_of(view: &dyn View, topics: &[Topic]) -> Result<u64, TableError> {
    let mut highest = 1;
    for topic in topics {
        highest = highest.max(topic.index(view)?.unwrap_or(0));
    }
    Ok(highest)
}

/// The index of `topic`, or of `wider` where there is nothing of the topic.
fn index_or(view: &dyn View, topic: &Topic, wider: &Topic) -> Result<u64, TableError> {
    match topic.index(view)? {
        Some(index) => Ok(index.max(1)),
        None => index_of(view, std::slice::from_ref(wider)),
    }
}
