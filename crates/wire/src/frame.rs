//! The format of frames, version 1. No I/O here.
//!
//! All numbers are little-endian. A frame is a head of 20 bytes and a body:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | bytes that follow these four: 16 + body |
//! | 4 | format version, 1 |
//! | 5 | kind |
//! | 6..8 | method (request), else 0 |
//! | 8..16 | request id, chosen by the caller |
//! | 16..20 | milliseconds until the deadline (request), else 0 |
//!
//! The first frame in each direction is a hello with the protocol versions that the sender speaks.

use bytes::{BufMut, BytesMut};

use crate::fault::{Fault, FaultCode};

/// Bytes of a frame's head.
pub const HEAD: usize = 20;

/// Bytes of the head that the length counts.
const COUNTED: u32 = 16;

/// Version of the frame format.
const FORMAT: u8 = 1;

/// Oldest and newest protocol version that this program speaks.
pub const VERSIONS: Versions = Versions { min: 1, max: 1 };

/// First bytes of a hello.
const MAGIC: &[u8; 6] = b"regrow";

/// Limit of a hello's body: room for what newer versions add.
pub const HELLO_LIMIT: u32 = 64;

/// Limit of a fault's text in bytes.
const FAULT_TEXT: usize = 2048;

/// Limit of a fault's body.
pub const FAULT_LIMIT: u32 = 2 + FAULT_TEXT as u32;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Versions of the sender; the first frame in each direction.
    Hello,
    /// Asks for a reply, or opens a stream.
    Request,
    /// The reply, or the consent to a stream.
    Reply,
    /// A fault instead of a reply, or in the middle of a stream.
    Error,
    /// The caller no longer wants the reply.
    Cancel,
    /// A piece of a stream.
    Chunk,
    /// The end of one direction of a stream.
    End,
    /// Asks for a pong, outside of any request.
    Ping,
    /// Answers a ping.
    Pong,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Hello,
        Self::Request,
        Self::Reply,
        Self::Error,
        Self::Cancel,
        Self::Chunk,
        Self::End,
        Self::Ping,
        Self::Pong,
    ];

    /// Limit of the body where it does not depend on the method.
    fn fixed_limit(self) -> Option<u32> {
        match self {
            Self::Hello => Some(HELLO_LIMIT),
            Self::Error => Some(FAULT_LIMIT),
            Self::Cancel | Self::End | Self::Ping | Self::Pong => Some(0),
            Self::Request | Self::Reply | Self::Chunk => None,
        }
    }
}

/// Why bytes are not a frame. The connection ends: there is no way back into step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is below the head's.
    #[error("a frame of {0} bytes, expected at least {COUNTED}")]
    Short(u32),
    /// The format is of another version.
    #[error("frame format {0}, expected {FORMAT}")]
    Format(u8),
    /// No such kind.
    #[error("frame kind {0}, expected at most 8")]
    Kind(u8),
    /// The body is larger than a frame of its kind may be.
    #[error("a {kind:?} frame with a body of {size} bytes, expected at most {limit}")]
    TooLarge {
        /// What the frame is.
        kind: Kind,
        /// Bytes of its body.
        size: u32,
        /// Bytes allowed.
        limit: u32,
    },
    /// The frame has no place here.
    #[error("a {found:?} frame, expected {expected}")]
    Unexpected {
        /// What came.
        found: Kind,
        /// What should have come.
        expected: &'static str,
    },
    /// The hello is not ours.
    #[error("a hello of another protocol")]
    Hello,
}

/// A frame without its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What the frame is.
    pub kind: Kind,
    /// Number of the method; 0 except in requests.
    pub method: u16,
    /// Which request it belongs to.
    pub request: u64,
    /// Milliseconds until the deadline; 0 except in requests.
    pub deadline_ms: u32,
    /// Bytes of the body.
    pub size: u32,
}

impl Head {
    /// A head that belongs to a request but asks for nothing.
    pub fn new(kind: Kind, request: u64, size: u32) -> Self {
        Self { kind, method: 0, request, deadline_ms: 0, size }
    }

    /// The 20 bytes.
    pub fn encode(&self) -> [u8; HEAD] {
        let kind = Kind::ALL.iter().position(|kind| *kind == self.kind).unwrap_or_default();
        let mut bytes = [0; HEAD];
        let mut rest = &mut bytes[..];
        rest.put_u32_le(COUNTED.saturating_add(self.size));
        rest.put_u8(FORMAT);
        rest.put_u8(kind as u8);
        rest.put_u16_le(self.method);
        rest.put_u64_le(self.request);
        rest.put_u32_le(self.deadline_ms);
        bytes
    }

    /// Reads 20 bytes. Bodies of kinds whose limit is known here are checked here; the limit of a
    /// request, a reply or a chunk is for the reader to check before it reads on.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if the bytes are no head.
    pub fn decode(bytes: &[u8; HEAD]) -> Result<Self, FrameError> {
        let [l0, l1, l2, l3, format, kind, m0, m1, rest @ ..] = *bytes;
        let [r0, r1, r2, r3, r4, r5, r6, r7, d0, d1, d2, d3] = rest;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let size = length.checked_sub(COUNTED).ok_or(FrameError::Short(length))?;
        if format != FORMAT {
            return Err(FrameError::Format(format));
        }
        let kind = *Kind::ALL.get(usize::from(kind)).ok_or(FrameError::Kind(kind))?;
        if let Some(limit) = kind.fixed_limit()
            && size > limit
        {
            return Err(FrameError::TooLarge { kind, size, limit });
        }
        Ok(Self {
            kind,
            method: u16::from_le_bytes([m0, m1]),
            request: u64::from_le_bytes([r0, r1, r2, r3, r4, r5, r6, r7]),
            deadline_ms: u32::from_le_bytes([d0, d1, d2, d3]),
            size,
        })
    }
}

/// The protocol versions that one side speaks; both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// Oldest.
    pub min: u16,
    /// Newest.
    pub max: u16,
}

impl Versions {
    /// The newest version that both speak.
    pub fn common(self, other: Self) -> Option<u16> {
        let newest = self.max.min(other.max);
        (newest >= self.min.max(other.min)).then_some(newest)
    }

    /// The body of a hello.
    pub fn encode(self) -> Vec<u8> {
        let mut body = MAGIC.to_vec();
        body.put_u16_le(self.min);
        body.put_u16_le(self.max);
        body
    }

    /// Reads the body of a hello; what newer versions add behind is not looked at.
    ///
    /// # Errors
    ///
    /// [`FrameError::Hello`] if it is not ours.
    pub fn decode(body: &[u8]) -> Result<Self, FrameError> {
        match body.strip_prefix(MAGIC) {
            Some([a, b, c, d, ..]) => {
                Ok(Self { min: u16::from_le_bytes([*a, *b]), max: u16::from_le_bytes([*c, *d]) })
            }
            _ => Err(FrameError::Hello),
        }
    }
}

/// The body of an error frame: the code, then the text in UTF-8.
pub fn encode_fault(fault: &Fault) -> BytesMut {
    let mut end = fault.text.len().min(FAULT_TEXT);
    while !fault.text.is_char_boundary(end) {
        end -= 1;
    }
    let mut body = BytesMut::with_capacity(2 + end);
    body.put_u16_le(fault.code.number());
    body.put_slice(&fault.text.as_bytes()[..end]);
    body
}

/// Reads the body of an error frame; anything is a fault.
pub fn decode_fault(body: &[u8]) -> Fault {
    match body {
        [low, high, text @ ..] => Fault::new(
            FaultCode::from_number(u16::from_le_bytes([*low, *high])),
            String::from_utf8_lossy(text),
        ),
        _ => Fault::new(FaultCode::Other(u16::MAX), "a fault without a code"),
    }
}

#[cfg(test)]
mod tests;
