//! OpenRaft, and everything that names it.
//!
//! Stored and sent records are ours (see [`record`]), so that another version or engine below
//! changes trait implementations only.

mod image;
mod log;
mod message;
mod network;
mod record;
mod runtime;
#[cfg(test)]
mod samples;
mod store;
#[cfg(test)]
mod suite;

use std::fmt;

use bytes::Bytes;

use crate::machine::Time;

pub(crate) use image::{ImageReader, Spool, read_image};
pub(crate) use log::Log;
pub(crate) use message::{
    decode_append, decode_append_reply, decode_head, decode_transfer, decode_transfer_reply,
    decode_vote, decode_vote_reply, encode_append, encode_append_reply, encode_head,
    encode_snapshot_reply, encode_transfer, encode_transfer_reply, encode_vote, encode_vote_reply,
};
pub(crate) use network::{Addresses, Network};
pub(crate) use record::{
    Member, VoteRecord, decode, decode_entry, encode, encode_entry, next_in_term,
};
pub(crate) use store::{Applied, Image, Store};

/// A command as the log carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// The leader's clock when it took the command.
    pub(crate) time: Time,
    /// Scope and command.
    pub(crate) bytes: Bytes,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command of {} bytes at {} ms", self.bytes.len(), self.time.as_millis())
    }
}

openraft::declare_raft_types!(
    /// One leader a term at most, so that a term is a fence.
    pub(crate) Types:
        D = Command,
        R = Vec<u8>,
        Node = Member,
        AsyncRuntime = runtime::Runtime,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
);

/// The engine of one group on this node.
pub(crate) type Engine = openraft::Raft<Types, Store>;
pub(crate) type Entry = openraft::alias::EntryOf<Types>;
pub(crate) type LogId = openraft::alias::LogIdOf<Types>;
pub(crate) type Vote = openraft::alias::VoteOf<Types>;
pub(crate) type Membership = openraft::Membership<u64, Member>;
pub(crate) type StoredMembership = openraft::alias::StoredMembershipOf<Types>;
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<Types>;
pub(crate) type RaftSnapshot = openraft::alias::SnapshotOf<Types, Image>;
