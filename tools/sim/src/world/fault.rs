//! The kinds of faults that there are.

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A process ends; it is started again later.
    Kill,
    /// A node loses power; what it had not flushed is gone, in part or in whole.
    Power,
    /// All lose power at once.
    PowerOfAll,
    /// The power goes at one of the next operations of a disk, most often in a write or flush.
    PowerInFlush,
    /// A node is stopped and goes on later, its clock with it or ahead of it.
    Freeze,
    /// Two parts do not hear each other.
    Halves,
    /// Two parts share one node only.
    Bridge,
    /// One node is heard and does not hear, or the other way round.
    OneWay,
    /// The leader is alone.
    LeaderAlone,
    /// Messages are lost, late, doubled, spoilt.
    Weather,
    /// A node's clock is too fast or too slow.
    Drift,
    /// A write or flush fails.
    DiskError,
    /// A disk is full.
    DiskFull,
    /// A bit of a journal flips while its node is down.
    BitFlip,
    /// Nodes come and go.
    Members,
    /// Another node is told to lead.
    Transfer,
    /// A disk is slow: its node stops for moments, again and again, and its clock goes on.
    SlowDisk,
    /// A block of a journal is written where another one belongs, while its node is down.
    Misdirected,
    /// A node's clock changes its rate many times a second.
    Strobe,
    /// The others refuse a node and it refuses them, as with certificates whose time is over.
    Refused,
}

impl Fault {
    /// Those of the first worlds, whose seeds keep their meaning.
    pub(super) const FIRST: usize = 16;

    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Kill,
        Self::Power,
        Self::PowerOfAll,
        Self::PowerInFlush,
        Self::Freeze,
        Self::Halves,
        Self::Bridge,
        Self::OneWay,
        Self::LeaderAlone,
        Self::Weather,
        Self::Drift,
        Self::DiskError,
        Self::DiskFull,
        Self::BitFlip,
        Self::Members,
        Self::Transfer,
        Self::SlowDisk,
        Self::Misdirected,
        Self::Strobe,
        Self::Refused,
    ];
}
