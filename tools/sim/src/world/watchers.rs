//! Clients that watch all coordination keys: each goes on where it stopped, on whichever node answers,
//! and sometimes comes so late that what it has not seen is gone.

use regrow_coord::Change;

use super::clients::{Outcome, Reply, Request, Spotted, Wish};
use super::node::Node;
use crate::judges::watch::{Delivery, Stream};
use crate::seed::Random;

/// How long a watcher waits for a node, in microseconds.
const PATIENCE: u64 = 3_000_000;

/// A client that watches.
pub struct Watcher {
    /// Its number.
    pub number: u64,
    random: Random,
    requests: u64,
    open: Option<(u64, u64)>,
    next: u64,
    /// The first revision that it has not seen.
    from: u64,
    /// Its streams; the last one goes on.
    pub streams: Vec<Stream<Change>>,
    /// Longest pause between two questions, in microseconds.
    pause: u64,
}

fn begin(from: u64) -> Stream<Change> {
    Stream { from, deliveries: Vec::new(), complete_to: None }
}

impl Watcher {
    /// One that begins at the beginning.
    pub fn new(number: u64, mut random: Random) -> Self {
        let pause = *random.pick(&[1, 300_000, 6_000_000]).unwrap_or(&1);
        Self {
            number,
            random,
            requests: 0,
            open: None,
            next: 0,
            from: 1,
            streams: vec![begin(1)],
            pause,
        }
    }

    /// Does what is due at `now`: a request to send, if any. Asks nothing new once `closing`.
    pub fn step(&mut self, now: u64, closing: bool) -> Option<Request> {
        if let Some((_, gives_up)) = self.open {
            if now >= gives_up {
                self.lost(now);
            }
            return None;
        }
        if closing || now < self.next {
            return None;
        }
        self.requests += 1;
        let id = (self.number << 40) | self.requests;
        self.open = Some((id, now + PATIENCE));
        Some(Request { id, wish: Wish::Watch { from: self.from } })
    }

    /// No answer will come.
    pub fn lost(&mut self, now: u64) {
        self.open = None;
        self.next = now + self.random.below(self.pause);
    }

    /// An answer came.
    pub fn hear(&mut self, now: u64, reply: Reply) {
        if self.open.take_if(|(id, _)| *id == reply.id).is_none() {
            return;
        }
        self.lost(now);
        if let Outcome::Watched(spotted) = reply.told {
            self.take(spotted);
        }
    }

    /// Catches up with everything up to the revision `last`, from a node where nothing more happens.
    pub fn catch_up(&mut self, last: u64, node: &Node) {
        let mut from = 0;
        while from < self.from && self.from <= last {
            from = self.from;
            node.spot(from).into_iter().for_each(|spotted| self.take(spotted));
        }
        if let Some(stream) = self.streams.last_mut() {
            stream.complete_to = Some(last);
        }
    }

    /// Takes what a watch delivered.
    fn take(&mut self, spotted: Spotted) {
        let Some(stream) = self.streams.last_mut() else { return };
        for batch in spotted.batches {
            let revision = batch.revision.get();
            self.from = revision + 1;
            let changes = batch.changes.into_iter();
            stream.deliveries.extend(changes.map(|change| Delivery::Change { revision, change }));
        }
        if let Some(oldest) = spotted.compacted {
            stream.deliveries.push(Delivery::Compacted { oldest });
            self.from = oldest;
            self.streams.push(begin(oldest));
        }
    }
}
