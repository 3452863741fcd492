//! What an intent log holds: its entries, and what they come to. No file is touched here.

use std::collections::BTreeMap;
use std::io;

use regrow_codec::record::{self, Record, RecordError};
use regrow_ids::StepKey;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::super::{Intent, IntentError};

/// Epoch numbers are reserved on disk in blocks of this size, so that drawing one costs no write.
const EPOCHS_PER_RESERVATION: u64 = 10_000;
/// The file is rewritten once it holds this many records more than it needs.
const MAX_DEAD_RECORDS: usize = 20_000;
/// A rewrite that failed is tried again after so many more records.
const RECORDS_BEFORE_RETRY: usize = 1_000;

/// One record of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Entry {
    /// First record of a file.
    Begin {
        lineage: u64,
    },
    /// Epoch numbers below this one may have been handed out.
    Reserved {
        below: u64,
    },
    Open(Intent),
    Closed(Vec<StepKey>),
}

impl Record for Entry {
    const KIND: u16 = 1;
    const VERSION: u16 = 1;
}

/// What is in the file, and what is on its way there.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) lineage: u64,
    pub(super) epochs: u64,
    /// Epochs below this one can be handed out: that is on disk.
    pub(super) reserved: u64,
    /// The same, on its way there perhaps.
    pub(super) reserving: u64,
    pub(super) open: BTreeMap<StepKey, Intent>,
    pub(super) records: usize,
    /// Records at which a rewrite is tried again.
    pub(super) rewrite_at: usize,
    pub(super) queue: Vec<Job>,
    /// Somebody is about to empty the queue.
    pub(super) flushing: bool,
    pub(super) halted: bool,
}

/// Records to write.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) bytes: Vec<u8>,
    pub(super) records: usize,
    /// Who waits until they are on disk.
    pub(super) waiting: Option<oneshot::Sender<Result<(), IntentError>>>,
}

impl Ledger {
    /// Rebuilds the state from the file's bytes; returns how many of them are whole records.
    pub(super) fn replay(&mut self, bytes: &[u8]) -> Result<usize, (usize, RecordError)> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match record::decode::<Entry>(rest) {
                Ok((entry, length)) => {
                    self.records += 1;
                    self.take(entry);
                    at += length;
                }
                Err(RecordError::Torn { .. } | RecordError::Damaged { .. })
                    if record::is_torn_tail(rest) =>
                {
                    break;
                }
                // Cutting here would drop intents that were promised.
                Err(RecordError::Torn { .. }) => {
                    let what = "the length reaches beyond what follows";
                    return Err((at, RecordError::Damaged { what }));
                }
                Err(fault) => return Err((at, fault)),
            }
        }
        Ok(at)
    }

    pub(super) fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Begin { lineage } => self.lineage = lineage,
            Entry::Reserved { below } => self.reserving = self.reserving.max(below),
            Entry::Open(intent) => {
                self.open.insert(intent.key.clone(), intent);
            }
            Entry::Closed(keys) => {
                for key in keys {
                    self.open.remove(&key);
                }
            }
        }
    }

    /// True once the file holds so much that is over that writing it anew is worth it.
    pub(super) fn is_rewrite_due(&self) -> bool {
        self.records >= (self.open.len() + MAX_DEAD_RECORDS).max(self.rewrite_at)
    }

    /// A rewrite did not work.
    pub(super) fn rewrite_later(&mut self) {
        self.rewrite_at = self.records + RECORDS_BEFORE_RETRY;
    }

    /// What a file must hold.
    pub(super) fn needed(&self) -> Vec<Entry> {
        let begin = Entry::Begin { lineage: self.lineage };
        let mut entries = vec![begin, Entry::Reserved { below: self.reserving }];
        entries.extend(self.open.values().cloned().map(Entry::Open));
        entries
    }

    /// The next epoch, or with it what is to be reserved on disk first.
    pub(super) fn draw(&mut self) -> (u64, Option<u64>) {
        self.epochs += 1;
        let below = self.epochs + EPOCHS_PER_RESERVATION;
        (self.epochs, (self.epochs >= self.reserved).then_some(below))
    }

    pub(super) fn reserved(&mut self, below: u64) {
        self.reserved = self.reserved.max(below);
    }
}

pub(super) fn encode(entries: &[Entry]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in entries {
        record::encode_into(entry, &mut bytes).map_err(io::Error::other)?;
    }
    Ok(bytes)
}
