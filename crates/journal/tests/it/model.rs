//! A model of a journal, and scripts of changes that are made to both.

use std::collections::BTreeMap;

use bytes::Bytes;
use regrow_journal::{Journal, JournalError, Slot};

use crate::support::{Answer, answer, append, entries, id};

/// How many streams scripts use.
pub const STREAMS: u32 = 3;

/// One change, in terms that fit whatever state it meets.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Appends so many entries of this size.
    Append { stream: u32, count: u64, size: usize },
    /// Removes so many of the last entries.
    Truncate { stream: u32, count: u64 },
    /// Purges all but so many of the last entries; negative: beyond the last.
    Purge { stream: u32, keep: i64 },
    /// Sets a slot to so many bytes.
    Save { stream: u32, slot: u8, size: usize },
}

/// What a journal should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    streams: BTreeMap<u32, StreamModel>,
    /// Grows with each step, so that no two contents are the same.
    steps: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamModel {
    pub first: u64,
    pub entries: Vec<Vec<u8>>,
    pub slots: BTreeMap<u8, Vec<u8>>,
}

impl StreamModel {
    fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }
}

fn content(step: u64, entry: u64, size: usize) -> Vec<u8> {
    let seed = step.wrapping_mul(1009) ^ entry.wrapping_mul(31);
    (0..size as u64).map(|at| (seed.wrapping_add(at * at) >> (at % 3)) as u8).collect()
}

impl Model {
    /// Makes a step here and in the journal; returns the journal's answer.
    pub fn step(&mut self, journal: &Journal, step: Step) -> Answer {
        self.steps += 1;
        let now = self.steps;
        match step {
            Step::Append { stream, count, size } => {
                let model = self.streams.entry(stream).or_default();
                let new: Vec<_> = (0..count).map(|entry| content(now, entry, size)).collect();
                let given: Vec<_> = (model.next()..).zip(new.iter().map(Vec::as_slice)).collect();
                model.entries.extend(new.clone());
                append(&journal.stream(id(stream)), &given)
            }
            Step::Truncate { stream, count } => {
                let model = self.streams.entry(stream).or_default();
                let keep = model.entries.len().saturating_sub(count as usize);
                model.entries.truncate(keep);
                let (done, answer) = answer();
                journal.stream(id(stream)).truncate_after(model.next().checked_sub(1), done);
                answer
            }
            Step::Purge { stream, keep } => {
                let model = self.streams.entry(stream).or_default();
                let upto = model.next().saturating_add_signed(-keep).saturating_sub(1);
                let gone = (upto + 1).saturating_sub(model.first);
                model.entries.drain(..model.entries.len().min(gone as usize));
                model.first = model.first.max(upto + 1);
                let (done, answer) = answer();
                journal.stream(id(stream)).purge(upto, done);
                answer
            }
            Step::Save { stream, slot, size } => {
                let bytes = content(now, 0, size);
                let slots = &mut self.streams.entry(stream).or_default().slots;
                slots.insert(slot, bytes.clone());
                let (done, answer) = answer();
                journal.stream(id(stream)).save(Slot(slot), Bytes::from(bytes), done);
                answer
            }
        }
    }

    /// Whether both hold the same; counts of steps aside.
    pub fn same(&self, other: &Model) -> bool {
        let plain = |model: &Model| -> BTreeMap<u32, StreamModel> {
            let kept = |state: &&StreamModel| **state != StreamModel::default();
            let streams = model.streams.iter().filter(|(_, state)| kept(state));
            streams.map(|(id, state)| (*id, state.clone())).collect()
        };
        plain(self) == plain(other)
    }
}

/// What a journal holds.
pub fn observe(journal: &Journal) -> Result<Model, JournalError> {
    let mut streams = BTreeMap::new();
    for stream in journal.streams() {
        let handle = journal.stream(stream);
        let slot = |slot| handle.load(Slot(slot)).map(|bytes| (slot, bytes.to_vec()));
        let state = StreamModel {
            first: handle.purged().map_or(0, |last| last + 1),
            entries: entries(&handle)?.into_iter().map(|(_, bytes)| bytes).collect(),
            slots: (0..4).filter_map(slot).collect(),
        };
        streams.insert(stream.0, state);
    }
    Ok(Model { streams, steps: 0 })
}

/// A script that fills and recycles several small segments.
pub fn script() -> Vec<Step> {
    let mut steps = Vec::new();
    for round in 0..15_u64 {
        let stream = round as u32 % STREAMS;
        steps.push(Step::Append { stream, count: 1 + round % 4, size: 700 });
        steps.push(Step::Save { stream, slot: round as u8 % 2, size: 40 + round as usize });
        steps.push(Step::Append { stream, count: 2, size: 1 + 60 * round as usize });
        steps.push(Step::Truncate { stream, count: round % 3 });
        steps.push(Step::Append {
            stream: (stream + 1) % STREAMS,
            count: 1,
            size: 1500 + round as usize % 3 * 2300,
        });
        if round % 3 == 2 {
            steps.push(Step::Purge { stream: 0, keep: 2 });
            steps.push(Step::Purge { stream: 1, keep: 1 });
            steps.push(Step::Purge { stream: 2, keep: if round == 8 { -5 } else { 2 } });
        }
    }
    steps
}
