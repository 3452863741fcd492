//! What members of a group say to each other, as bytes. Bodies are postcard behind one byte of
//! version, entries inside them in their stored form.

use std::io;

use bytes::Bytes;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};

use crate::raft::record::{
    Position, StoredMembershipRecord, VoteRecord, at_once, decode, decode_borrowed, decode_entry,
    encode, encode_entry, log_id, position,
};
use crate::raft::{SnapshotMeta, Types, Vote};

/// An entry in its stored form.
#[derive(Serialize, Deserialize)]
struct Stored<'a>(#[serde(borrow, serialize_with = "at_once")] &'a [u8]);

#[derive(Serialize, Deserialize)]
struct AppendRecord<'a> {
    vote: VoteRecord,
    previous: Option<Position>,
    /// Index of the first entry; the others follow it.
    first: u64,
    #[serde(borrow)]
    entries: Vec<Stored<'a>>,
    committed: Option<Position>,
}

/// Entries for a follower; none in a heartbeat.
pub(crate) fn encode_append(request: &AppendEntriesRequest<Types>) -> io::Result<Bytes> {
    let entries: io::Result<Vec<Bytes>> = request.entries.iter().map(encode_entry).collect();
    let entries = entries?;
    encode(&AppendRecord {
        vote: (&request.vote).into(),
        previous: request.prev_log_id.as_ref().map(position),
        first: request.entries.first().map_or(0, |entry| entry.log_id.index),
        entries: entries.iter().map(|bytes| Stored(bytes)).collect(),
        committed: request.leader_commit.as_ref().map(position),
    })
}

/// The entries that a leader sent.
pub(crate) fn decode_append(body: &Bytes) -> io::Result<AppendEntriesRequest<Types>> {
    let record: AppendRecord<'_> = decode_borrowed("entries from the leader", body)?;
    let entries: io::Result<Vec<_>> = record
        .entries
        .into_iter()
        .zip(record.first..)
        .map(|(Stored(bytes), index)| decode_entry(index, &body.slice_ref(bytes)))
        .collect();
    Ok(AppendEntriesRequest {
        vote: record.vote.into(),
        prev_log_id: record.previous.map(log_id),
        entries: entries?,
        leader_commit: record.committed.map(log_id),
    })
}

#[derive(Serialize, Deserialize)]
enum AppendReplyRecord {
    Success,
    Partial(Option<Position>),
    Conflict,
    HigherVote(VoteRecord),
}

/// What became of the entries.
pub(crate) fn encode_append_reply(reply: &AppendEntriesResponse<Types>) -> io::Result<Bytes> {
    encode(&match reply {
        AppendEntriesResponse::Success => AppendReplyRecord::Success,
        AppendEntriesResponse::PartialSuccess(last) => {
            AppendReplyRecord::Partial(last.as_ref().map(position))
        }
        AppendEntriesResponse::Conflict => AppendReplyRecord::Conflict,
        AppendEntriesResponse::HigherVote(vote) => AppendReplyRecord::HigherVote(vote.into()),
    })
}

/// What the follower said.
pub(crate) fn decode_append_reply(body: &[u8]) -> io::Result<AppendEntriesResponse<Types>> {
    Ok(match decode("reply to entries", body)? {
        AppendReplyRecord::Success => AppendEntriesResponse::Success,
        AppendReplyRecord::Partial(last) => AppendEntriesResponse::PartialSuccess(last.map(log_id)),
        AppendReplyRecord::Conflict => AppendEntriesResponse::Conflict,
        AppendReplyRecord::HigherVote(vote) => AppendEntriesResponse::HigherVote(vote.into()),
    })
}

#[derive(Serialize, Deserialize)]
struct VoteRequestRecord {
    vote: VoteRecord,
    last: Option<Position>,
    transfer: bool,
    /// Only asks whether the vote would be granted.
    pre: bool,
}

/// Asks for a vote, or with `pre` whether it would be granted.
pub(crate) fn encode_vote(request: &VoteRequest<Types>, pre: bool) -> io::Result<Bytes> {
    encode(&VoteRequestRecord {
        vote: (&request.vote).into(),
        last: request.last_log_id.as_ref().map(position),
        transfer: request.leadership_transfer,
        pre,
    })
}

/// What a candidate asks, and whether it only asks.
pub(crate) fn decode_vote(body: &[u8]) -> io::Result<(VoteRequest<Types>, bool)> {
    let record: VoteRequestRecord = decode("request for a vote", body)?;
    let mut request = VoteRequest::new(record.vote.into(), record.last.map(log_id));
    request.leadership_transfer = record.transfer;
    Ok((request, record.pre))
}

#[derive(Serialize, Deserialize)]
struct VoteReplyRecord {
    vote: VoteRecord,
    granted: bool,
    last: Option<Position>,
}

/// The answer to a candidate.
pub(crate) fn encode_vote_reply(reply: &VoteResponse<Types>) -> io::Result<Bytes> {
    encode(&VoteReplyRecord {
        vote: (&reply.vote).into(),
        granted: reply.vote_granted,
        last: reply.last_log_id.as_ref().map(position),
    })
}

/// What the voter said.
pub(crate) fn decode_vote_reply(body: &[u8]) -> io::Result<VoteResponse<Types>> {
    let record: VoteReplyRecord = decode("reply to a candidate", body)?;
    let vote: Vote = record.vote.into();
    Ok(VoteResponse::new(vote, record.last.map(log_id), record.granted))
}

#[derive(Serialize, Deserialize)]
struct TransferRecord {
    from: VoteRecord,
    to: u64,
    last: Option<Position>,
}

/// The leader hands over.
pub(crate) fn encode_transfer(request: &TransferLeaderRequest<Types>) -> io::Result<Bytes> {
    encode(&TransferRecord {
        from: request.from_leader().into(),
        to: *request.to_node_id(),
        last: request.last_log_id().map(position),
    })
}

/// Who hands over, to whom.
pub(crate) fn decode_transfer(body: &[u8]) -> io::Result<TransferLeaderRequest<Types>> {
    let record: TransferRecord = decode("hand-over", body)?;
    Ok(TransferLeaderRequest::new(record.from.into(), record.to, record.last.map(log_id)))
}

/// Whether the hand-over was taken; why not.
pub(crate) fn encode_transfer_reply(reply: &Result<(), String>) -> io::Result<Bytes> {
    encode(reply)
}

/// What the heir said.
pub(crate) fn decode_transfer_reply(body: &[u8]) -> io::Result<Result<(), String>> {
    decode("reply to a hand-over", body)
}

#[derive(Serialize, Deserialize)]
struct HeadRecord {
    vote: VoteRecord,
    last: Option<Position>,
    membership: StoredMembershipRecord,
}

/// What goes before an image.
pub(crate) fn encode_head(vote: &Vote, meta: &SnapshotMeta) -> io::Result<Bytes> {
    encode(&HeadRecord {
        vote: vote.into(),
        last: meta.last_log_id.as_ref().map(position),
        membership: (&meta.last_membership).into(),
    })
}

/// Whose image follows, and what it shows.
pub(crate) fn decode_head(body: &[u8]) -> io::Result<(Vote, SnapshotMeta)> {
    let record: HeadRecord = decode("head of an image", body)?;
    let meta = SnapshotMeta {
        last_log_id: record.last.map(log_id),
        last_membership: record.membership.try_into()?,
    };
    Ok((record.vote.into(), meta))
}

/// The answer to an image.
pub(crate) fn encode_snapshot_reply(reply: &SnapshotResponse<Types>) -> io::Result<Bytes> {
    encode(&VoteRecord::from(&reply.vote))
}

/// What the receiver of an image said.
pub(crate) fn decode_snapshot_reply(body: &[u8]) -> io::Result<SnapshotResponse<Types>> {
    let vote: VoteRecord = decode("reply to an image", body)?;
    Ok(SnapshotResponse::new(vote.into()))
}
