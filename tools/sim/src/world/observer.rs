//! What one node's machine is told of changes, with the time of the world: the streams that its watchers
//! would get.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use regrow_consensus::{At, Change, Time};
use tokio::time::Instant;

use super::candidates::Belief;
use super::kind::Kind;

/// A changed key and what it holds now.
pub type Changed = (Vec<u8>, Option<Vec<u8>>);

/// What one life of a node delivered from one moment on, without a gap.
#[derive(Clone, Debug, Default)]
pub struct Delivered {
    /// Index after which it begins.
    pub after: u64,
    /// Index up to which everything was delivered.
    pub upto: u64,
    /// The changes with their indexes.
    pub changes: Vec<(u64, Changed)>,
}

/// The clock of a node's window: how its own time maps to the world's.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// World time at its beginning, in microseconds.
    pub began: u64,
    /// The node's clock at its beginning.
    pub local: Instant,
    /// How fast the node's clock goes, in percent of the world's.
    pub rate: u64,
}

impl Window {
    /// World time now, in microseconds.
    pub fn now(&self) -> u64 {
        self.began + micros(self.local.elapsed()) * 100 / self.rate
    }
}

/// Whole microseconds.
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[derive(Default)]
struct Inner {
    window: Option<Window>,
    streams: Vec<Delivered>,
}

/// Watches one node over all its lives.
pub struct Observer {
    /// The node.
    pub node: u64,
    /// How far its wall clock is from the truth, in milliseconds.
    pub skew: i64,
    kind: Kind,
    shared: Shared,
    inner: Mutex<Inner>,
}

/// When a command was applied, by the cluster's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The time that it carries.
    pub time: Time,
    /// Whether it is the command that lets things expire.
    pub expiry: bool,
}

/// What all nodes saw together.
#[derive(Clone, Debug, Default)]
pub struct Sights {
    /// When sessions and leases were first seen to end, in microseconds of the world.
    pub ends: BTreeMap<u64, u64>,
    /// When each command of the product's machines was applied.
    pub stamps: BTreeMap<u64, Stamp>,
    /// Commands that two nodes applied at different times.
    pub torn: Vec<u64>,
    /// When candidates believed that they lead.
    pub beliefs: Vec<Belief>,
}

/// What all nodes saw together, as each of them holds it.
pub type Shared = Arc<Mutex<Sights>>;

impl Observer {
    /// Watches `node`, which runs a machine of this kind.
    pub fn new(node: u64, skew: i64, kind: Kind, shared: Shared) -> Self {
        Self { node, skew, kind, shared, inner: Mutex::default() }
    }

    fn shared(&self) -> MutexGuard<'_, Sights> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A command is applied.
    pub fn applied(&self, at: At, expiry: bool) {
        let stamp = Stamp { time: at.time, expiry };
        let mut shared = self.shared();
        if *shared.stamps.entry(at.index).or_insert(stamp) != stamp {
            shared.torn.push(at.index);
        }
    }

    /// The node's candidate believes that it leads under this fence.
    pub fn believes(&self, fence: u64) {
        let belief = Belief { at: self.now(), node: self.node, fence };
        self.shared().beliefs.push(belief);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a window.
    pub fn begin(&self, window: Window) {
        self.lock().window = Some(window);
    }

    /// World time now, in microseconds.
    pub fn now(&self) -> u64 {
        self.lock().window.map_or(0, |window| window.now())
    }

    /// What the node's wall clock shows, in milliseconds.
    pub fn wall_millis(&self) -> u64 {
        (self.now() / 1_000 + 100_000_000).saturating_add_signed(self.skew)
    }

    /// The streams of all lives.
    pub fn streams(&self) -> Vec<Delivered> {
        self.lock().streams.clone()
    }

    /// The tables begin at `last`.
    pub fn replaced(&self, last: At) {
        let stream = Delivered { after: last.index, upto: last.index, changes: Vec::new() };
        self.lock().streams.push(stream);
    }

    /// A batch was applied.
    pub fn committed(&self, last: At, changes: &[Change]) {
        let now = self.now();
        for session in changes.iter().filter_map(|change| self.kind.ended(change)) {
            self.shared().ends.entry(session).or_insert(now);
        }
        let mut inner = self.lock();
        let Some(stream) = inner.streams.last_mut() else { return };
        stream.upto = last.index;
        stream.changes.extend(
            changes.iter().map(|change| (change.index, (change.key.clone(), change.value.clone()))),
        );
    }
}
