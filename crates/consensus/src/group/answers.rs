//! What this member answers to the others.

use std::io;
use std::sync::PoisonError;

use bytes::Bytes;
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::group::{Group, MemberChange};
use crate::raft::{
    Image, RaftSnapshot, Spool, decode, decode_append, decode_head, decode_transfer, decode_vote,
    encode, encode_append_reply, encode_snapshot_reply, encode_transfer_reply, encode_vote_reply,
};
use crate::transport::{Ask, Chunks};

/// Why a request of another member has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// Its bytes are no such request.
    #[error("answer node {from}: {source}")]
    Request {
        /// Who asked.
        from: u64,
        /// What does not fit.
        source: io::Error,
    },
    /// It was removed from the group, and ids are not used again.
    #[error("answer node {from}: it was removed from this cluster; join again under a new id")]
    Retired {
        /// Who asked.
        from: u64,
    },
    /// This member stopped.
    #[error("answer node {from}: this member is halted: {reason}")]
    Halted {
        /// Who asked.
        from: u64,
        /// Why it stopped.
        reason: String,
    },
}

/// What became of a command, as the leader tells another member.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ProposeReply {
    /// It was executed.
    Done { index: u64, reply: Vec<u8> },
    /// This member does not lead, so it was not.
    NotLeader,
    /// Nobody knows.
    Unknown(String),
    /// This member stopped before it took the command.
    Halted(String),
}

/// Reads an image through once; away from the runtime's threads where that waits for a disk.
async fn checked(spool: Spool, blocks: bool) -> io::Result<Spool> {
    let check = move || spool.check().map(|()| spool);
    if blocks {
        tokio::task::spawn_blocking(check).await.map_err(io::Error::other)?
    } else {
        check()
    }
}

impl ProposeReply {
    pub(super) fn decode(bytes: &[u8]) -> io::Result<Self> {
        decode("reply to a command", bytes)
    }
}

impl Group {
    /// Answers a request that arrived from node `from`, whose identity the transport has verified.
    ///
    /// # Errors
    /// The request is none, comes from a node that was removed, or this member stopped.
    pub async fn answer(&self, from: u64, ask: Ask, body: Bytes) -> Result<Bytes, AnswerError> {
        if self.is_retired(from) {
            return Err(AnswerError::Retired { from });
        }
        let garbled = |source: io::Error| AnswerError::Request { from, source };
        let reply = match ask {
            Ask::Append => self.answer_append(from, &body).await?,
            Ask::Vote => self.answer_vote(from, &body).await?,
            Ask::Transfer => {
                let request = decode_transfer(&body).map_err(garbled)?;
                let taken = self.engine.handle_transfer_leader(request).await;
                let taken = match taken {
                    Ok(reply) => reply.map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                encode_transfer_reply(&taken)
            }
            Ask::Propose => encode(&self.propose_here(body, self.options.within).await),
            Ask::ReadIndex => encode(&self.answer_read_index(&body).await),
            Ask::Members => {
                let change: MemberChange = decode("change of members", &body).map_err(garbled)?;
                encode(&self.change_here(&change).await.map_err(|error| error.to_string()))
            }
        };
        reply.map_err(garbled)
    }

    async fn answer_append(
        &self,
        from: u64,
        body: &Bytes,
    ) -> Result<io::Result<Bytes>, AnswerError> {
        let garbled = |source: io::Error| AnswerError::Request { from, source };
        let request = decode_append(body).map_err(garbled)?;
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let reply = self.engine.append_entries(request).await;
        let reply =
            reply.map_err(|error| AnswerError::Halted { from, reason: error.to_string() })?;
        Ok(encode_append_reply(&reply))
    }

    async fn answer_vote(&self, from: u64, body: &[u8]) -> Result<io::Result<Bytes>, AnswerError> {
        let garbled = |source: io::Error| AnswerError::Request { from, source };
        let (request, pre) = decode_vote(body).map_err(garbled)?;
        let reply =
            if pre { self.engine.pre_vote(request).await } else { self.engine.vote(request).await };
        let reply =
            reply.map_err(|error| AnswerError::Halted { from, reason: error.to_string() })?;
        Ok(encode_vote_reply(&reply))
    }

    /// Takes over an image of the tables that node `from`, the leader, sends.
    ///
    /// # Errors
    /// The image is damaged or cut off (nothing is changed then), comes from a node that was removed,
    /// or this member stopped.
    pub async fn answer_image(
        &self,
        from: u64,
        head: Bytes,
        mut chunks: Chunks,
    ) -> Result<Bytes, AnswerError> {
        if self.is_retired(from) {
            return Err(AnswerError::Retired { from });
        }
        let garbled = |source: io::Error| AnswerError::Request { from, source };
        let (vote, meta) = decode_head(&head).map_err(garbled)?;
        let mut spool = Spool::new(self.store.spool.as_deref()).map_err(garbled)?;
        while let Some(chunk) = chunks.next().await {
            spool.write(&chunk.map_err(garbled)?).map_err(garbled)?;
        }
        // A damaged image must not reach the engine, which stops when it cannot install one.
        if !self.store.tables.has_room(spool.size().map_err(garbled)?) {
            let full = "take an image: no space for it on this member's disk; free some";
            return Err(garbled(io::Error::new(io::ErrorKind::StorageFull, full)));
        }
        let spool = checked(spool, self.store.tables.blocks()).await.map_err(garbled)?;
        let snapshot = RaftSnapshot { meta, snapshot: Image::Theirs(spool.into()) };
        let reply = self.engine.install_full_snapshot(vote, snapshot).await;
        let reply =
            reply.map_err(|error| AnswerError::Halted { from, reason: error.to_string() })?;
        encode_snapshot_reply(&reply).map_err(garbled)
    }
}
