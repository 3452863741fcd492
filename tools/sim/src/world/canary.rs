//! Known bugs that the world can be given, to prove that it finds them. None of them is in the product:
//! each is a lie of the world's own disk, network, machine or client, or of what it puts around a machine
//! of the product.

use super::kind::Kind;

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Canary {
    /// The journal's disk says that it flushed, and did not: acknowledged before it is durable.
    AckBeforeFlush,
    /// The tables' file says that it flushed, and did not: the log is shortened too early.
    TablesNotFlushed,
    /// A node comes back under its old id with an empty disk.
    WipedNode,
    /// A node comes back without the last entries of its log, as if they had never been acknowledged.
    DroppedTail,
    /// A node comes back with an older vote.
    ForgottenVote,
    /// The network says that a command was not sent when it does not know: it is sent again.
    SentTwice,
    /// A read that asked nobody is taken for a linearizable one.
    StaleRead,
    /// One node leaves out a command.
    SkippedEntry,
    /// Intents are recorded under any fence.
    IgnoredFence,
    /// Sessions end by each node's own wall clock.
    WallClockLease,
    /// Reads trust the leader's lease although clocks stand still and go at rates that differ too much.
    LeaseReadDrift,
    /// Leases of coordination keys end before their time.
    EarlyLease,
    /// One node's watchers of coordination keys are not told of a change.
    LostChange,
    /// The leader of an election acts without comparing that it still leads.
    UnguardedAct,
    /// Keys of the catalog can be locked before their lock-delay is over.
    ShortLockDelay,
    /// One node's sleepers in the catalog are not woken by a change.
    LostWake,
    /// Questions for an index of the catalog take what the node has for what the leader has.
    StaleBlocking,
}

impl Canary {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::AckBeforeFlush,
        Self::TablesNotFlushed,
        Self::WipedNode,
        Self::DroppedTail,
        Self::ForgottenVote,
        Self::SentTwice,
        Self::StaleRead,
        Self::SkippedEntry,
        Self::IgnoredFence,
        Self::WallClockLease,
        Self::LeaseReadDrift,
        Self::EarlyLease,
        Self::LostChange,
        Self::UnguardedAct,
        Self::ShortLockDelay,
        Self::LostWake,
        Self::StaleBlocking,
    ];

    /// The kind of world that it is in.
    pub fn kind(self) -> Kind {
        match self {
            Self::LeaseReadDrift | Self::EarlyLease | Self::LostChange | Self::UnguardedAct => {
                Kind::Keys
            }
            Self::ShortLockDelay | Self::LostWake | Self::StaleBlocking => Kind::Catalog,
            _ => Kind::Store,
        }
    }

    /// Its name as it is typed: `ack-before-flush`.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.extend(letter.to_lowercase());
        }
        name
    }
}
