//! Clients of the store: each draws operations on few keys, waits for the answer or gives up, and
//! records what it saw.

use std::collections::{BTreeMap, BTreeSet};

use super::clients::{Outcome, Reply, Request, Wish, store_reply};
use super::machine::{Told, What};
use crate::history::{Event, History, Seen, What as Happened};
use crate::models::store::{Compare, StoreOp, StoreReply};
use crate::seed::Random;

/// What became of writes, by the names of their requests.
#[derive(Clone, Debug, Default)]
pub struct Fates {
    /// Acknowledged, with the index.
    pub done: BTreeMap<u64, u64>,
    /// Acknowledged, with the index, and nothing was changed.
    pub idle: BTreeMap<u64, u64>,
    /// Certainly not executed.
    pub not: BTreeSet<u64>,
    /// Unknown, with the process that asked.
    pub unknown: BTreeMap<u64, u64>,
}

/// What all clients of the store recorded.
#[derive(Default)]
pub struct Record {
    /// Their history.
    pub history: History<StoreOp>,
    /// What became of writes.
    pub fates: Fates,
    next_process: u64,
    next_value: i64,
    last: u64,
}

impl Record {
    fn push(&mut self, process: u64, t: u64, what: Happened<StoreOp>) {
        self.last = self.last.max(t);
        let pushed = self.history.push(Event { process, t: self.last, what });
        debug_assert!(pushed.is_ok(), "{pushed:?}");
    }

    fn fail(&mut self, process: u64, t: u64, why: Option<String>) {
        self.push(process, t, Happened::Fail(why));
    }

    fn process(&mut self) -> u64 {
        self.next_process += 1;
        self.next_process
    }

    fn value(&mut self) -> i64 {
        self.next_value += 1;
        self.next_value
    }
}

struct Open {
    id: u64,
    write: bool,
    gives_up: u64,
}

/// A client of the store.
pub struct KeyClient {
    /// Its number.
    pub number: u64,
    random: Random,
    process: u64,
    requests: u64,
    open: Option<Open>,
    next: u64,
    /// Longest pause between two operations, in microseconds.
    think: u64,
    keys: u64,
    /// Compares revisions only, and reads nothing where they do not hold: all that the catalog offers.
    plain: bool,
    /// What it saw under each key.
    seen: BTreeMap<String, (Option<i64>, u64)>,
}

impl KeyClient {
    /// A client that goes on from now.
    pub fn new(number: u64, plain: bool, mut random: Random, record: &mut Record) -> Self {
        let think = *random.pick(&[20_000, 60_000, 200_000]).unwrap_or(&20_000);
        let keys = random.between(1, 6);
        let process = record.process();
        let seen = BTreeMap::new();
        Self { number, random, process, requests: 0, open: None, next: 0, think, keys, plain, seen }
    }

    /// Whether it waits for an answer.
    pub fn waits(&self) -> bool {
        self.open.is_some()
    }

    /// Does what is due at `now`: a request to send, if any. Asks nothing new once `closing`.
    pub fn step(&mut self, now: u64, closing: bool, record: &mut Record) -> Option<Request> {
        if let Some(open) = &self.open {
            if now >= open.gives_up {
                self.lost(now, "gave up", record);
            }
            return None;
        }
        if closing || now < self.next {
            return None;
        }
        let op = self.draw(record);
        self.requests += 1;
        let id = (self.number << 40) | self.requests;
        let write = !matches!(op, StoreOp::Get { .. } | StoreOp::Range { .. });
        let gives_up = now + self.random.between(1_000_000, 8_000_000);
        self.open = Some(Open { id, write, gives_up });
        record.push(self.process, now, Happened::Invoke(op.clone()));
        let wish = if write { Wish::Do(What::Store(op)) } else { Wish::Read(op) };
        Some(Request { id, wish })
    }

    fn key(&mut self) -> String {
        format!("key-{}", self.random.below(self.keys))
    }

    fn draw(&mut self, record: &mut Record) -> StoreOp {
        let key = self.key();
        match self.random.below(100) {
            0..35 => StoreOp::Get { key },
            35..40 => StoreOp::Range { from: "key-0".into(), to: "key-9".into() },
            40..65 => StoreOp::Put { key, value: record.value() },
            65..70 => StoreOp::Delete { key },
            _ => {
                let (value, revision) = self.seen.get(&key).copied().unwrap_or_default();
                let compare = if !self.plain && self.random.chance(50) {
                    Compare::Value(key.clone(), value)
                } else {
                    Compare::Revision(key.clone(), revision)
                };
                let other = self.key();
                let put = |key, value| StoreOp::Put { key, value };
                let then = vec![put(key.clone(), record.value()), put(other, record.value())];
                let otherwise = if self.plain { Vec::new() } else { vec![StoreOp::Get { key }] };
                StoreOp::Txn { when: vec![compare], then, otherwise }
            }
        }
    }

    /// The connection to the node broke, or patience ended.
    pub fn lost(&mut self, now: u64, why: &str, record: &mut Record) {
        let Some(open) = self.open.take() else { return };
        self.end(now, (open.id, open.write), Outcome::Unknown(why.into()), record);
    }

    /// An answer came.
    pub fn hear(&mut self, now: u64, reply: Reply, record: &mut Record) {
        let Some(open) = self.open.take_if(|open| open.id == reply.id) else { return };
        self.end(now, (open.id, open.write), reply.told, record);
    }

    fn end(&mut self, now: u64, (id, write): (u64, bool), outcome: Outcome, record: &mut Record) {
        self.next = now + self.random.below(self.think);
        match outcome {
            Outcome::Done(told, index) => {
                if write {
                    let changed = matches!(told, Told::Store(_, true));
                    let fates = &mut record.fates;
                    let kept = if changed { &mut fates.done } else { &mut fates.idle };
                    kept.insert(id, index);
                }
                let reply = store_reply(&told).cloned();
                if let Some(reply) = &reply {
                    self.learn(record, reply);
                }
                let seen = Seen { reply, revision: Some(index), fence: None };
                record.push(self.process, now, Happened::Ok(seen));
            }
            Outcome::Unknown(why) if write => {
                record.fates.unknown.insert(id, self.process);
                record.push(self.process, now, Happened::Info(Some(why), Seen::nothing()));
                self.process = record.process();
            }
            // No node answers so.
            Outcome::Watched(_) | Outcome::Blocked(_) => record.fail(self.process, now, None),
            Outcome::Not(why) | Outcome::Unknown(why) => {
                if write {
                    record.fates.not.insert(id);
                }
                record.fail(self.process, now, Some(why));
            }
        }
    }

    fn learn(&mut self, record: &Record, reply: &StoreReply) {
        let (reply, op) = match (reply, record.history.open(self.process)) {
            (StoreReply::Txn(false, replies), Some(StoreOp::Txn { otherwise, .. })) => {
                match (replies.first(), otherwise.first()) {
                    (Some(reply), Some(op)) => (reply, op),
                    _ => return,
                }
            }
            (reply, Some(op)) => (reply, op),
            _ => return,
        };
        if let (StoreReply::Get(found), StoreOp::Get { key }) = (reply, op) {
            let known = found
                .as_ref()
                .map_or((None, 0), |found| (Some(found.value), found.revision.unwrap_or(0)));
            self.seen.insert(key.clone(), known);
        }
    }
}
