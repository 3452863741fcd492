//! The forms in which members keep and send what they know, for those who check them from outside:
//! fuzzing, and programs that look into a log. What the values mean stays in this crate.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::group::MemberChange;
use crate::raft::{self, ImageReader, VoteRecord};
use crate::tables::{Edit as _, Flush, Tables};

/// What some bytes are. Their first byte is a version; an image has a head of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An entry of a log, without its index.
    Entry,
    /// A vote as the log keeps it, and the reply to an image.
    Vote,
    /// Entries for a follower, or a heartbeat.
    Append,
    /// What became of them.
    AppendReply,
    /// A candidate's question.
    Candidacy,
    /// The answer to it.
    CandidacyReply,
    /// A leader that hands over.
    Transfer,
    /// Whether the heir took it.
    TransferReply,
    /// A change of the members.
    Members,
    /// What goes before an image.
    ImageHead,
    /// An image of the tables, whole.
    Image,
}

impl Form {
    /// All forms, for tables and tests.
    pub const ALL: [Self; 11] = [
        Self::Entry,
        Self::Vote,
        Self::Append,
        Self::AppendReply,
        Self::Candidacy,
        Self::CandidacyReply,
        Self::Transfer,
        Self::TransferReply,
        Self::Members,
        Self::ImageHead,
        Self::Image,
    ];
}

/// Reads bytes of a form, and writes what was read as this program writes it.
///
/// # Errors
/// They are not of this form; the text says what was being read and what does not fit.
pub fn rewrite(form: Form, bytes: &Bytes) -> io::Result<Bytes> {
    match form {
        Form::Entry => raft::encode_entry(&raft::decode_entry(0, bytes)?),
        Form::Vote => raft::encode(&raft::decode::<VoteRecord>("vote", bytes)?),
        Form::Append => raft::encode_append(&raft::decode_append(bytes)?),
        Form::AppendReply => raft::encode_append_reply(&raft::decode_append_reply(bytes)?),
        Form::Candidacy => {
            let (request, pre) = raft::decode_vote(bytes)?;
            raft::encode_vote(&request, pre)
        }
        Form::CandidacyReply => raft::encode_vote_reply(&raft::decode_vote_reply(bytes)?),
        Form::Transfer => raft::encode_transfer(&raft::decode_transfer(bytes)?),
        Form::TransferReply => raft::encode_transfer_reply(&raft::decode_transfer_reply(bytes)?),
        Form::Members => raft::encode(&raft::decode::<MemberChange>("change of members", bytes)?),
        Form::ImageHead => {
            let (vote, meta) = raft::decode_head(bytes)?;
            raft::encode_head(&vote, &meta)
        }
        Form::Image => rewrite_image(bytes),
    }
}

fn rewrite_image(bytes: &Bytes) -> io::Result<Bytes> {
    let tables = Tables::memory().map_err(io::Error::other)?;
    let read = tables.write(Flush::Later, |tables| {
        let mut put = |key: &[u8], value: &[u8]| tables.put(key, value).map_err(io::Error::other);
        Ok(raft::read_image(&mut bytes.as_ref(), &mut put))
    });
    read.map_err(io::Error::other)?.0?;
    let view = tables.view().map_err(io::Error::other)?;
    let mut reader = ImageReader::new(Arc::new(view));
    let mut image = Vec::new();
    while let Some(chunk) = reader.next().map_err(io::Error::other)? {
        image.extend_from_slice(&chunk);
    }
    Ok(image.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry, a vote and a heartbeat as version 1 wrote them.
    const SAMPLES: [(Form, &[u8]); 3] = [
        (Form::Entry, &[1, 7, 0]),
        (Form::Vote, &[1, 7, 0xac, 2, 1]),
        (Form::Append, &[1, 7, 0xac, 2, 1, 0, 0, 0, 0]),
    ];

    #[test]
    fn a_form_is_written_as_it_was_read_and_nothing_else_is_read() {
        for (form, bytes) in SAMPLES {
            let bytes = Bytes::from_static(bytes);
            assert_eq!(rewrite(form, &bytes).expect("read"), bytes, "{form:?}");
        }
        for form in Form::ALL {
            let fault = rewrite(form, &Bytes::from_static(b"\x02?")).expect_err("another version");
            assert!(fault.to_string().starts_with("read "), "{form:?}: {fault}");
        }
    }

    #[test]
    fn an_image_is_written_as_it_was_read() {
        let tables = Tables::memory().expect("tables");
        tables.write(Flush::Later, |tables| tables.put(b"a", b"1")).expect("written");
        let mut reader = ImageReader::new(Arc::new(tables.view().expect("a view")));
        let mut image = Vec::new();
        while let Some(chunk) = reader.next().expect("a chunk") {
            image.extend_from_slice(&chunk);
        }
        let image = Bytes::from(image);
        assert_eq!(rewrite(Form::Image, &image).expect("read"), image);
        assert!(rewrite(Form::Image, &image.slice(1..)).is_err());
    }
}
