//! etcd's stream of watch messages as batches.

use std::collections::VecDeque;

use bytes::BytesMut;
use futures::{Stream, stream};
use regrow_ids::{Revision, chain};
use reqwest::Response;

use crate::error::WatchError;
use crate::etcd::messages::{Event, EventKind, Names, Streamed, WatchAnswer};
use crate::watch::{Batch, Change};

/// Longest message. etcd cuts its messages at its request limit of 1.5 MiB, or behind the first
/// event that goes over it.
const MESSAGE_BYTES: usize = 16 << 20;

fn lost(reason: impl Into<String>) -> WatchError {
    WatchError::Lost { reason: reason.into() }
}

/// Makes batches of messages. A revision may be spread over several of them.
pub struct Assembler {
    names: Names,
    /// Changes before this revision are not wanted.
    from: u64,
    created: bool,
    /// Changes of the revision that may not be complete.
    open: Option<(u64, Vec<Change>)>,
    done: VecDeque<Batch>,
}

impl Assembler {
    /// Nothing seen yet.
    pub const fn new(names: Names, from: Revision) -> Self {
        Self { names, from: from.get(), created: false, open: None, done: VecDeque::new() }
    }

    /// Takes in one message.
    pub fn feed(&mut self, message: &[u8]) -> Result<(), WatchError> {
        let parsed: Result<Streamed<WatchAnswer>, _> = serde_json::from_slice(message);
        let Streamed { result, error } =
            parsed.map_err(|error| lost(format!("etcd's message cannot be read: {error}")))?;
        if let Some(fault) = error {
            return Err(lost(format!("etcd ended it: {}", fault.message)));
        }
        let answer = result.ok_or_else(|| lost("etcd sent neither result nor error"))?;
        if answer.compact_revision > 0 {
            let oldest = Revision::new(answer.compact_revision).next();
            return Err(WatchError::Compacted { oldest });
        }
        if answer.canceled {
            return Err(lost(format!("etcd ended it: {}", answer.cancel_reason)));
        }
        self.created |= answer.created;
        for event in answer.events {
            self.add(event);
        }
        if !answer.fragment {
            self.close();
        }
        Ok(())
    }

    fn add(&mut self, Event { kind, kv }: Event) {
        let revision = kv.mod_revision;
        if self.open.as_ref().is_some_and(|(open, _)| *open != revision) {
            self.close();
        }
        let change = match kind {
            EventKind::Put => self.names.entry(kv).map(Change::Put),
            EventKind::Delete => self.names.key(&kv).map(Change::Delete),
        };
        if revision >= self.from
            && let Some(change) = change
        {
            self.open.get_or_insert_with(|| (revision, Vec::new())).1.push(change);
        }
    }

    fn close(&mut self) {
        if let Some((revision, changes)) = self.open.take() {
            self.done.push_back(Batch { revision: Revision::new(revision), changes });
        }
    }
}

/// A watch as it comes over the connection.
pub struct Incoming {
    response: Response,
    assembler: Assembler,
    unread: BytesMut,
    /// How much of `unread` was searched for the end of a message.
    searched: usize,
}

impl Incoming {
    /// On an answer of `/v3/watch`.
    pub fn new(response: Response, assembler: Assembler) -> Self {
        Self { response, assembler, unread: BytesMut::new(), searched: 0 }
    }

    /// Waits until etcd says that it watches.
    pub async fn created(&mut self) -> Result<(), WatchError> {
        while !self.assembler.created {
            self.message().await?;
        }
        Ok(())
    }

    async fn message(&mut self) -> Result<(), WatchError> {
        loop {
            let new = self.unread.get(self.searched..).unwrap_or_default();
            if let Some(end) = new.iter().position(|byte| *byte == b'\n') {
                let line = self.unread.split_to(self.searched + end + 1);
                self.searched = 0;
                if !line.trim_ascii().is_empty() {
                    return self.assembler.feed(&line);
                }
                continue;
            }
            self.searched = self.unread.len();
            if self.unread.len() > MESSAGE_BYTES {
                return Err(lost(format!("etcd's message has more than {MESSAGE_BYTES} bytes")));
            }
            match self.response.chunk().await {
                Ok(Some(part)) => self.unread.extend_from_slice(&part),
                Ok(None) => return Err(lost("etcd closed the connection")),
                Err(error) => return Err(lost(chain(&error))),
            }
        }
    }

    async fn next(&mut self) -> Result<Batch, WatchError> {
        loop {
            if let Some(batch) = self.assembler.done.pop_front() {
                return Ok(batch);
            }
            self.message().await?;
        }
    }

    /// The batches until the watch ends.
    pub fn batches(self) -> impl Stream<Item = Result<Batch, WatchError>> + Send {
        stream::unfold(Some(self), async |incoming| {
            let mut incoming = incoming?;
            match incoming.next().await {
                Ok(batch) => Some((Ok(batch), Some(incoming))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}
