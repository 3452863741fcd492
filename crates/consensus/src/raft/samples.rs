//! Stored samples of what members keep and say: a change of these bytes is a change of a format, and
//! needs a new version.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use bytes::Bytes;
use openraft::EntryPayload;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};

use crate::machine::Time;
use crate::raft::message::{
    decode_append, decode_append_reply, decode_vote, decode_vote_reply, encode_append,
    encode_append_reply, encode_head, encode_vote, encode_vote_reply,
};
use crate::raft::record::{
    VoteRecord, decode, decode_entry, encode, encode_entry, log_id, position,
};
use crate::raft::store::Applied;
use crate::raft::{
    Command, Entry, Member, Membership, SnapshotMeta, StoredMembership, Types, Vote, decode_head,
};

/// The membership below, as it stands in several samples.
macro_rules! members {
    () => {
        "0201010201020301086f6e653a37343030020874776f3a37343030ac020a74687265653a37343030"
    };
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("text");
        text
    })
}

fn vote() -> Vote {
    Vote::new_committed(7, 300)
}

fn membership() -> Membership {
    let nodes = [(1, "one:7400"), (2, "two:7400"), (300, "three:7400")];
    let member = |address: &str| Member { address: address.to_owned() };
    let nodes: BTreeMap<u64, Member> =
        nodes.map(|(node, address)| (node, member(address))).into_iter().collect();
    let configs = vec![BTreeSet::from([1]), BTreeSet::from([1, 2])];
    Membership::new(configs, nodes).expect("members")
}

fn entries() -> [Entry; 3] {
    let command =
        Command { time: Time::from_millis(70_000), bytes: Bytes::from_static(b"\x07add") };
    [
        Entry { log_id: log_id((7, 1000)), payload: EntryPayload::Blank },
        Entry { log_id: log_id((7, 1001)), payload: EntryPayload::Normal(command) },
        Entry { log_id: log_id((8, 1002)), payload: EntryPayload::Membership(membership()) },
    ]
}

#[test]
fn entries_are_kept_as_version_1_kept_them() {
    let stored = ["010700", "010701f0a2040407616464", concat!("010802", members!())];
    for (entry, stored) in entries().iter().zip(stored) {
        let bytes = encode_entry(entry).expect("encode");
        assert_eq!(hex(&bytes), stored);
        assert_eq!(&decode_entry(entry.log_id.index, &bytes).expect("decode"), entry);
    }
}

#[test]
fn votes_and_positions_are_kept_as_version_1_kept_them() {
    let bytes = encode(&VoteRecord::from(&vote())).expect("encode");
    assert_eq!(hex(&bytes), "0107ac0201");
    assert_eq!(Vote::from(decode::<VoteRecord>("vote", &bytes).expect("decode")), vote());
    let bytes = encode(&position(&log_id((7, 1000)))).expect("encode");
    assert_eq!(hex(&bytes), "0107e807");
}

#[test]
fn what_the_tables_show_is_kept_as_version_1_kept_it() {
    let members = StoredMembership::new(Some(log_id((8, 1002))), membership());
    let applied = Applied {
        id: Some(log_id((8, 1002))),
        time: Time::from_millis(70_000),
        membership: members,
    };
    assert_eq!(
        hex(&applied.encode().expect("encode")),
        concat!("010108ea07f0a2040108ea07", members!())
    );
}

#[test]
fn messages_are_sent_as_version_1_sent_them() {
    let append = AppendEntriesRequest::<Types> {
        vote: vote(),
        prev_log_id: Some(log_id((7, 999))),
        entries: entries()[..2].to_vec(),
        leader_commit: Some(log_id((7, 998))),
    };
    let bytes = encode_append(&append).expect("encode");
    assert_eq!(hex(&bytes), "0107ac02010107e707e80702030107000b010701f0a20404076164640107e607");
    let read = decode_append(&bytes).expect("decode");
    assert_eq!((read.vote, read.entries), (append.vote, append.entries));
    let replies = [
        (AppendEntriesResponse::Success, "0100"),
        (AppendEntriesResponse::PartialSuccess(Some(log_id((7, 1000)))), "01010107e807"),
        (AppendEntriesResponse::Conflict, "0102"),
        (AppendEntriesResponse::HigherVote(vote()), "010307ac0201"),
    ];
    for (reply, sent) in replies {
        let bytes = encode_append_reply(&reply).expect("encode");
        assert_eq!(hex(&bytes), sent);
        assert_eq!(decode_append_reply(&bytes).expect("decode"), reply);
    }
    let ask = VoteRequest::<Types>::new(vote(), Some(log_id((7, 1000))));
    let bytes = encode_vote(&ask, true).expect("encode");
    assert_eq!(hex(&bytes), "0107ac02010107e8070001");
    assert_eq!(decode_vote(&bytes).expect("decode"), (ask, true));
    let answer = VoteResponse::<Types>::new(vote(), Some(log_id((7, 1000))), true);
    let bytes = encode_vote_reply(&answer).expect("encode");
    assert_eq!(hex(&bytes), "0107ac0201010107e807");
    assert_eq!(decode_vote_reply(&bytes).expect("decode"), answer);
    let meta = SnapshotMeta {
        last_log_id: Some(log_id((8, 1002))),
        last_membership: StoredMembership::new(Some(log_id((8, 1002))), membership()),
    };
    let bytes = encode_head(&vote(), &meta).expect("encode");
    assert_eq!(hex(&bytes), concat!("0107ac02010108ea070108ea07", members!()));
    assert_eq!(decode_head(&bytes).expect("decode"), (vote(), meta));
}
