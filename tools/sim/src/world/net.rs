//! The network of the world: who reaches whom, and when.
//!
//! Each message's fate is drawn from a hash of the seed and of the message itself, not from a sequence
//! of draws. So the order in which a node sends several messages at one moment, which tokio does not
//! fix where several tasks wait for one change, has no influence on the run.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use regrow_consensus::transport::Ask;

use super::clients::{Reply, Request};
use crate::seed::{Random, SeedTree};

/// The least time that a message takes, in microseconds: nodes may run this far without hearing of
/// one another.
pub const LEAST_DELAY: u64 = 5_000;

/// Longest usual time above the least one in good weather, in microseconds.
const CALM: u64 = 3_000;

/// Somebody who sends and receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A node.
    Node(u64),
    /// A client, or the operator.
    Client(u64),
}

/// What a message says.
#[derive(Clone, Debug)]
pub enum Body {
    /// A member asks another.
    Ask(Ask, Bytes),
    /// A member sends its tables.
    Image(Bytes, Vec<Bytes>),
    /// A member answers.
    Answer(Answer),
    /// A client asks.
    Request(Request),
    /// A node answers a client.
    Reply(Reply),
}

/// What became of a call.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It was answered.
    Done(Bytes),
    /// It did not arrive.
    NotReached,
    /// It arrived, and was not answered.
    Failed(String),
}

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Who sends it.
    pub from: Place,
    /// The sender's life, so that a later one does not take the answer for its own.
    pub life: u64,
    /// Who gets it.
    pub to: Place,
    /// The sender's name for the call that this begins or answers.
    pub call: u64,
    /// What it says.
    pub body: Body,
}

impl Message {
    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.from, self.to).hash(&mut hasher);
        match &self.body {
            Body::Ask(ask, bytes) => (0, ask, bytes).hash(&mut hasher),
            Body::Image(head, chunks) => (1, head, chunks).hash(&mut hasher),
            Body::Answer(Answer::Done(bytes)) => (2, bytes).hash(&mut hasher),
            Body::Answer(Answer::NotReached) => 3.hash(&mut hasher),
            Body::Answer(Answer::Failed(reason)) => (4, reason).hash(&mut hasher),
            Body::Request(request) => (5, request.id).hash(&mut hasher),
            Body::Reply(reply) => (6, reply.id, format!("{:?}", reply.told)).hash(&mut hasher),
        }
        hasher.finish()
    }

    /// Whether the network may deliver it a second time. A connection does not; but a member must
    /// stand what an older connection still had on the way. A command is not among that.
    fn may_double(&self) -> bool {
        matches!(self.body, Body::Ask(Ask::Append | Ask::Vote | Ask::ReadIndex, _))
    }
}

/// How messages between nodes fare. Percentages are of messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Longest usual time above the least one, in microseconds.
    pub jitter: u64,
    /// How many are lost.
    pub loss: u64,
    /// How many are late by up to a second.
    pub late: u64,
    /// How many come twice.
    pub double: u64,
    /// How many images are cut off or changed on the way.
    pub spoil: u64,
}

impl Weather {
    /// Nothing is lost, nothing late.
    pub fn calm() -> Self {
        Self { jitter: CALM, ..Self::default() }
    }
}

type Key = (u64, Place, Place, u64, u64);

/// All that is on the way.
pub struct Net {
    seed: SeedTree,
    /// How messages fare now.
    pub weather: Weather,
    cut: BTreeSet<(Place, Place)>,
    /// Nodes that refuse all others, and are refused by them.
    refused: BTreeSet<u64>,
    /// By arrival, receiver, sender, content and count of equals.
    queue: BTreeMap<Key, Message>,
    trace: u64,
    /// How many messages arrived.
    pub delivered: u64,
}

impl Net {
    /// Nothing is on the way.
    pub fn new(seed: SeedTree) -> Self {
        let weather = Weather::calm();
        Self {
            seed,
            weather,
            cut: BTreeSet::new(),
            refused: BTreeSet::new(),
            queue: BTreeMap::new(),
            trace: 0,
            delivered: 0,
        }
    }

    /// Cuts the way from one to another, in this direction.
    pub fn cut(&mut self, from: u64, to: u64) {
        self.cut.insert((Place::Node(from), Place::Node(to)));
    }

    /// Joins what was cut.
    pub fn join(&mut self) {
        self.cut.clear();
    }

    /// Joins everything, and everybody accepts everybody.
    pub fn heal(&mut self) {
        self.cut.clear();
        self.refused.clear();
    }

    /// Whether all messages come soon, and everybody reaches everybody.
    pub fn is_calm(&self) -> bool {
        let Weather { jitter, loss, late, .. } = self.weather;
        self.cut.is_empty() && self.refused.is_empty() && (loss, late) == (0, 0) && jitter <= CALM
    }

    /// From now on a node and the others refuse one another.
    pub fn refuse_all(&mut self, node: u64) {
        self.refused.insert(node);
    }

    /// A node is accepted again.
    pub fn accept(&mut self, node: u64) {
        self.refused.remove(&node);
    }

    /// Whether one of the two ends does not let the other in.
    fn is_refused(&self, message: &Message) -> bool {
        let ends = [message.from, message.to];
        ends.iter().any(|end| matches!(end, Place::Node(node) if self.refused.contains(node)))
    }

    /// A hash of everything that was delivered.
    pub fn trace(&self) -> u64 {
        self.trace
    }

    /// Takes a message that is sent at `now`, in microseconds.
    pub fn send(&mut self, now: u64, message: Message) {
        let between_nodes = matches!((message.from, message.to), (Place::Node(_), Place::Node(_)));
        let digest = message.digest();
        let mut random = self.fate(now, digest);
        let mut arrives = now + LEAST_DELAY + random.below(self.weather.jitter + 1);
        if !between_nodes {
            return self.put(arrives, digest, message);
        }
        if self.is_refused(&message) {
            return self.turn_away(arrives, &message);
        }
        let weather = self.weather;
        if self.cut.contains(&(message.from, message.to)) || random.chance(weather.loss) {
            return;
        }
        if random.chance(weather.late) {
            arrives += random.below(1_000_000);
        }
        let mut message = message;
        if let Body::Image(_, chunks) = &mut message.body {
            let bytes: usize = chunks.iter().map(Bytes::len).sum();
            // 10 MB a second.
            arrives += bytes as u64 / 10;
            if random.chance(weather.spoil) {
                spoil(chunks, &mut random);
            }
        }
        if message.may_double() && random.chance(weather.double) {
            self.put(arrives + random.below(300_000), digest, message.clone());
        }
        self.put(arrives, digest, message);
    }

    /// A call that is refused at once is answered so: no connection comes to be. Answers to older calls
    /// are lost with their connections.
    fn turn_away(&mut self, arrives: u64, message: &Message) {
        if !matches!(message.body, Body::Ask(..) | Body::Image(..)) {
            return;
        }
        let (from, to) = (message.to, message.from);
        let body = Body::Answer(Answer::NotReached);
        let answer = Message { from, life: message.life, to, call: message.call, body };
        let digest = message.digest();
        self.put(arrives + LEAST_DELAY, digest, answer);
    }

    fn fate(&self, now: u64, digest: u64) -> Random {
        self.seed.member("message", now).member("digest", digest).random()
    }

    fn put(&mut self, arrives: u64, digest: u64, message: Message) {
        let mut key = (arrives, message.to, message.from, digest, 0);
        while self.queue.contains_key(&key) {
            key.4 += 1;
        }
        self.queue.insert(key, message);
    }

    /// Everything that arrives at `place` before `until`, in order, with its time.
    pub fn arrivals(&mut self, place: Place, until: u64) -> Vec<(u64, Message)> {
        let due = self.queue.range(..(until, Place::Node(0), Place::Node(0), 0, 0));
        let keys: Vec<Key> = due.filter(|(key, _)| key.1 == place).map(|(key, _)| *key).collect();
        let mut arrived = Vec::with_capacity(keys.len());
        for key in keys {
            let mut hasher = DefaultHasher::new();
            (self.trace, key).hash(&mut hasher);
            self.trace = hasher.finish();
            self.delivered += 1;
            arrived.extend(self.queue.remove(&key).map(|message| (key.0, message)));
        }
        arrived
    }

    /// Clients who get something before `until`.
    pub fn awaited(&self, until: u64) -> BTreeSet<u64> {
        let due = self.queue.range(..(until, Place::Node(0), Place::Node(0), 0, 0));
        due.filter_map(|(key, _)| match key.1 {
            Place::Client(client) => Some(client),
            Place::Node(_) => None,
        })
        .collect()
    }

    /// The answer to a call that did not arrive, if `message` is one.
    pub fn refuse(&mut self, now: u64, message: &Message) {
        let body = match &message.body {
            Body::Ask(..) | Body::Image(..) => Body::Answer(Answer::NotReached),
            Body::Request(request) => Body::Reply(Reply::not_reached(request.id)),
            Body::Answer(_) | Body::Reply(_) => return,
        };
        let (from, to) = (message.to, message.from);
        self.send(now, Message { from, life: message.life, to, call: message.call, body });
    }
}

/// An image is cut off, or a byte of it is changed.
fn spoil(chunks: &mut Vec<Bytes>, random: &mut Random) {
    let at = random.below(chunks.len() as u64) as usize;
    if random.chance(50) {
        chunks.truncate(at);
    } else if let Some(chunk) = chunks.get_mut(at) {
        let mut bytes = chunk.to_vec();
        let place = random.below(bytes.len() as u64) as usize;
        if let Some(byte) = bytes.get_mut(place) {
            *byte ^= 1 << random.below(8);
        }
        *chunk = bytes.into();
    }
}
