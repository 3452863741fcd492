//! What members of a group keep and say to each other.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;
use regrow_consensus::forms::{Form, rewrite};
use regrow_consensus::group::{AnswerError, GroupError};
use regrow_consensus::transport::{Ask, Chunks, Peer, Transport, TransportError};
use regrow_consensus::{Group, GroupOptions, Machines, Replica as _, Storage, Tables, offline};
use regrow_journal::disk::memory::MemoryDisk;
use regrow_journal::{Journal, Mode, Options, Slot, Stream, StreamId};
use tokio::runtime::Runtime;

use crate::scratch::{choice, must, pieces, runtime};

/// The group, and its stream in the journal.
const GROUP: u32 = 1;
/// This node, and the one that asks.
const NODE: u64 = 1;
const OTHER: u64 = 2;
/// Slots of the log: the vote, and the last purged position.
const VOTE: Slot = Slot(1);
const PURGED: Slot = Slot(2);

const HEAD: &[u8] = b"\0rgrow-image\x01\0";
const DATA: u8 = 1;
const END: u8 = 2;

/// What is read is written as what reads as the same; a fault says what was being read. A member
/// answers what is no request with that fault, and is what it was.
pub fn member_messages(data: &[u8]) {
    let (which, rest) = choice(data, 10);
    let Some(form) = Form::ALL.get(usize::from(which)) else { return };
    let bytes = Bytes::copy_from_slice(rest);
    match rewrite(*form, &bytes) {
        Ok(written) => {
            // A number may be written longer than it is written by us.
            assert!(written.len() <= bytes.len(), "{form:?} grows");
            assert_eq!(must(rewrite(*form, &written), "read it back"), written);
        }
        Err(fault) => {
            assert!(fault.to_string().starts_with("read "), "{fault}");
            MEMBER.with(|member| member.refuses(*form, bytes));
        }
    }
}

/// An image reads as the tables that it shows, or not at all; no chunk is believed before its
/// checksum fits. It can be taken over if it says up to which entry it goes.
pub fn images(data: &[u8]) {
    let (how, rest) = choice(data, 3);
    let image = match how {
        0 => rest.to_vec(),
        1 => pieces(rest).flat_map(chunk).collect(),
        _ => whole(rest),
    };
    let read = rewrite(Form::Image, &Bytes::from(image.clone()));
    match &read {
        Ok(written) => assert_eq!(must(rewrite(Form::Image, written), "read it back"), written),
        Err(fault) => assert!(fault.to_string().starts_with("read image: "), "{fault}"),
    }
    runtime().block_on(async {
        let (_journal, storage) = storage();
        match offline::fill(&storage, GROUP, &mut image.as_slice()).await {
            Ok(()) => {
                assert!(read.is_ok(), "a damaged image is taken over");
                let kept = offline::recover(&storage, GROUP, NODE, "one:7400").await;
                kept.err().iter().for_each(says_which_group);
            }
            Err(fault) => says_which_group(&fault),
        }
    });
}

fn says_which_group(fault: &GroupError) {
    assert!(fault.to_string().starts_with("start group 1: "), "{fault}");
}

/// A chunk under a right checksum: its kind and what is in it.
fn chunk(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes();
    let crc = crc32c::crc32c_append(crc32c::crc32c(&length), content);
    [crc.to_le_bytes().as_slice(), &length, content].concat()
}

/// An image of these keys and values in turns, in the order in which they come.
fn whole(data: &[u8]) -> Vec<u8> {
    let (mut content, mut parts) = (vec![DATA], 0_u64);
    for piece in pieces(data) {
        content.extend_from_slice(&u32::try_from(piece.len()).unwrap_or(u32::MAX).to_le_bytes());
        content.extend_from_slice(piece);
        parts += 1;
    }
    let end = [&[END], (parts / 2).to_le_bytes().as_slice()].concat();
    [chunk(HEAD), chunk(&content), chunk(&end)].concat()
}

/// A log of any entries behind any vote: whoever is left goes on with it alone, or hears why not.
pub fn logs(data: &[u8]) {
    let mut pieces = pieces(data);
    let mut slot = || pieces.next().filter(|piece| !piece.is_empty()).map(Bytes::copy_from_slice);
    let (vote, purged) = (slot(), slot());
    let last = pieces.map(Bytes::copy_from_slice).zip(0..).map(|(bytes, at)| (at, bytes));
    let entries: Vec<_> = last.collect();
    runtime().block_on(async {
        let (_journal, storage) = storage();
        let done = |result| must(result, "write to the journal");
        vote.into_iter().for_each(|vote| storage.log.save(VOTE, vote, done));
        purged.into_iter().for_each(|purged| storage.log.save(PURGED, purged, done));
        storage.log.append(entries, done);
        let end = storage.log.last();
        match offline::recover(&storage, GROUP, NODE, "one:7400").await {
            Ok(kept) => assert_eq!(storage.log.last(), Some(kept + 1), "was {end:?}"),
            Err(fault) => says_which_group(&fault),
        }
    });
}

fn storage() -> (Journal, Storage) {
    let options =
        Options { segment_bytes: 64 << 10, pool: 0, mode: Mode::Inline, ..Options::default() };
    let opened = Journal::open_on(Arc::new(MemoryDisk::new()), options);
    let (journal, _) = must(opened, "make a journal");
    let log: Stream = journal.stream(StreamId(GROUP));
    let tables = must(Tables::memory(), "make tables");
    (journal, Storage { log, tables, spool: None })
}

/// Reaches nobody.
struct Nobody;

#[async_trait]
impl Transport for Nobody {
    async fn call(
        &self,
        to: &Peer,
        _: u32,
        _: Ask,
        _: Bytes,
        _: Duration,
    ) -> Result<Bytes, TransportError> {
        Err(TransportError::NotSent { node: to.node, reason: "there is nobody".to_owned() })
    }

    async fn send_image(
        &self,
        to: &Peer,
        group: u32,
        head: Bytes,
        _: Chunks,
        within: Duration,
    ) -> Result<Bytes, TransportError> {
        self.call(to, group, Ask::Append, head, within).await
    }
}

/// A member without history, for as long as its thread: what it refuses leaves no trace in it.
struct Member {
    runtime: Runtime,
    group: Arc<Group>,
    _journal: Journal,
}

thread_local! {
    static MEMBER: Member = Member::new();
}

impl Member {
    fn new() -> Self {
        let runtime = runtime();
        let (journal, storage) = storage();
        let options = GroupOptions::new(GROUP, NODE);
        let started = Group::start(options, storage, Machines::new(), Arc::new(Nobody));
        let group = must(runtime.block_on(started), "start a member");
        Self { runtime, group, _journal: journal }
    }

    /// Gives a member bytes that are no request of this form.
    fn refuses(&self, form: Form, body: Bytes) {
        let ask = match form {
            Form::Append => Ask::Append,
            Form::Candidacy => Ask::Vote,
            Form::Transfer => Ask::Transfer,
            Form::Members => Ask::Members,
            Form::ImageHead => return self.refuses_image(body),
            _ => return,
        };
        let before = self.group.status();
        let answer = self.runtime.block_on(self.group.answer(OTHER, ask, body));
        assert!(matches!(answer, Err(AnswerError::Request { from: OTHER, .. })), "{answer:?}");
        self.is_as_it_was(&before);
    }

    fn refuses_image(&self, head: Bytes) {
        let before = self.group.status();
        let nothing: Chunks = Box::pin(stream::empty());
        let answer = self.runtime.block_on(self.group.answer_image(OTHER, head, nothing));
        assert!(matches!(answer, Err(AnswerError::Request { from: OTHER, .. })), "{answer:?}");
        self.is_as_it_was(&before);
    }

    fn is_as_it_was(&self, before: &regrow_consensus::Status) {
        assert_eq!(self.group.halted(), None);
        assert_eq!(&self.group.status(), before);
    }
}
