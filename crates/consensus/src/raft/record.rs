//! Stored forms of votes, log positions, entries and memberships. All are postcard behind one byte
//! of version; stored samples are in the tests beside this file.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::Bytes;
use openraft::alias::CommittedLeaderIdOf;
use openraft::vote::RaftLeaderId as _;
use openraft::vote::RaftVote as _;
use regrow_codec::versioned;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::machine::Time;
use crate::raft::{Command, Entry, LogId, Membership, StoredMembership, Types, Vote};

/// Version of every record here.
const VERSION: u8 = 1;

/// What a group knows of one of its members beside its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    /// Where it answers, `HOST:PORT`.
    pub(crate) address: String,
}

/// A position in the log: term and index.
pub(crate) type Position = (u64, u64);

pub(crate) fn position(id: &LogId) -> Position {
    (id.leader_id.term, id.index)
}

pub(crate) fn log_id((term, index): Position) -> LogId {
    LogId::new(CommittedLeaderIdOf::<Types>::new(term), index)
}

/// The position behind `last`, in another term.
pub(crate) fn next_in_term(term: u64, last: LogId) -> LogId {
    log_id((term, last.index + 1))
}

/// Term, candidate, and whether a majority granted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VoteRecord {
    term: u64,
    node: u64,
    committed: bool,
}

impl From<&Vote> for VoteRecord {
    fn from(vote: &Vote) -> Self {
        let id = vote.leader_id();
        Self { term: id.term(), node: *id.node_id(), committed: vote.is_committed() }
    }
}

impl From<VoteRecord> for Vote {
    fn from(record: VoteRecord) -> Self {
        let id = openraft::impls::leader_id_std::LeaderId::new(record.term, record.node);
        Vote::from_leader_id(id, record.committed)
    }
}

/// Voters (one set, or two while they change) and the addresses of all members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MembershipRecord {
    configs: Vec<BTreeSet<u64>>,
    nodes: BTreeMap<u64, Member>,
}

impl From<&Membership> for MembershipRecord {
    fn from(membership: &Membership) -> Self {
        Self {
            configs: membership.get_joint_config().clone(),
            nodes: membership.nodes().map(|(id, node)| (*id, node.clone())).collect(),
        }
    }
}

impl TryFrom<MembershipRecord> for Membership {
    type Error = io::Error;

    fn try_from(record: MembershipRecord) -> io::Result<Self> {
        if record.configs.is_empty() && record.nodes.is_empty() {
            return Ok(Self::default());
        }
        Self::new(record.configs, record.nodes).map_err(|error| damaged("membership", error))
    }
}

/// A membership and where in the log it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredMembershipRecord {
    at: Option<Position>,
    membership: MembershipRecord,
}

impl From<&StoredMembership> for StoredMembershipRecord {
    fn from(stored: &StoredMembership) -> Self {
        Self { at: stored.log_id().as_ref().map(position), membership: stored.membership().into() }
    }
}

impl TryFrom<StoredMembershipRecord> for StoredMembership {
    type Error = io::Error;

    fn try_from(record: StoredMembershipRecord) -> io::Result<Self> {
        Ok(Self::new(record.at.map(log_id), record.membership.try_into()?))
    }
}

#[derive(Serialize, Deserialize)]
enum PayloadRecord<'a> {
    Blank,
    Command {
        time: Time,
        #[serde(borrow, serialize_with = "at_once")]
        bytes: &'a [u8],
    },
    Membership(MembershipRecord),
}

/// Writes bytes as one piece. The form is that of a sequence of numbers, which goes one by one.
pub(crate) fn at_once<S: serde::Serializer>(
    bytes: &&[u8],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// The bytes of an entry. Its index is kept by the log beside it.
pub(crate) fn encode_entry(entry: &Entry) -> io::Result<Bytes> {
    let payload = match &entry.payload {
        openraft::EntryPayload::Blank => PayloadRecord::Blank,
        openraft::EntryPayload::Normal(command) => {
            PayloadRecord::Command { time: command.time, bytes: &command.bytes }
        }
        openraft::EntryPayload::Membership(membership) => {
            PayloadRecord::Membership(membership.into())
        }
    };
    encode(&(entry.log_id.leader_id.term, payload))
}

/// The entry at `index` from its bytes.
pub(crate) fn decode_entry(index: u64, bytes: &Bytes) -> io::Result<Entry> {
    let (term, payload): (u64, PayloadRecord<'_>) = decode_borrowed("log entry", bytes)?;
    let payload = match payload {
        PayloadRecord::Blank => openraft::EntryPayload::Blank,
        PayloadRecord::Command { time, bytes: command } => {
            openraft::EntryPayload::Normal(Command { time, bytes: bytes.slice_ref(command) })
        }
        PayloadRecord::Membership(record) => openraft::EntryPayload::Membership(record.try_into()?),
    };
    Ok(Entry { log_id: log_id((term, index)), payload })
}

fn damaged(what: &'static str, why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("read {what}: {why}"))
}

/// Version and value.
pub(crate) fn encode<T: Serialize>(value: &T) -> io::Result<Bytes> {
    versioned::encode(VERSION, value).map(Bytes::from).map_err(io::Error::other)
}

/// The value behind the version, with parts that stay where they are.
pub(crate) fn decode_borrowed<'b, T: Deserialize<'b>>(
    what: &'static str,
    bytes: &'b [u8],
) -> io::Result<T> {
    versioned::decode(VERSION, bytes).map_err(|error| damaged(what, error))
}

/// The value behind the version.
pub(crate) fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> io::Result<T> {
    decode_borrowed(what, bytes)
}
