//! What goes wrong in a call, on both sides: the code that travels, and the error a caller gets.

use std::sync::Arc;

use crate::peer::Peer;

/// Why a call got no reply body, as it travels in an error frame.
///
/// Codes below 100 say that the handler never ran; from 100 on it ran or may have run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultCode {
    /// The server knows no such method: an older version, or nothing registered.
    UnknownMethod,
    /// The table does not let such a caller call, or the node was removed.
    Forbidden,
    /// The request is larger than the table allows.
    TooLarge,
    /// Too many requests on this connection.
    Busy,
    /// The deadline had passed before the handler started.
    Late,
    /// The handler refused before it did anything: not ready, not the leader.
    Unavailable,
    /// The handler could not read the body.
    BadRequest,
    /// The handler failed; it may have had effects.
    Failed,
    /// The handler was stopped at its deadline, or by the end of the server.
    Stopped,
    /// The reply is larger than the table allows.
    ReplyTooLarge,
    /// A code of a newer version.
    Other(u16),
}

impl FaultCode {
    const TABLE: [(Self, u16, &'static str); 10] = [
        (Self::UnknownMethod, 1, "method not known"),
        (Self::Forbidden, 2, "not allowed"),
        (Self::TooLarge, 3, "request too large"),
        (Self::Busy, 4, "too many requests in flight"),
        (Self::Late, 5, "deadline passed before the start"),
        (Self::Unavailable, 6, "not available"),
        (Self::BadRequest, 7, "request not understood"),
        (Self::Failed, 100, "failed"),
        (Self::Stopped, 101, "stopped at the deadline"),
        (Self::ReplyTooLarge, 102, "reply too large"),
    ];

    /// The number on the wire.
    pub fn number(self) -> u16 {
        if let Self::Other(number) = self {
            return number;
        }
        Self::TABLE.iter().find(|row| row.0 == self).map_or(u16::MAX, |row| row.1)
    }

    /// The code of a number on the wire.
    pub fn from_number(number: u16) -> Self {
        Self::TABLE.iter().find(|row| row.1 == number).map_or(Self::Other(number), |row| row.0)
    }

    /// True if the handler ran or may have run.
    pub fn may_have_run(self) -> bool {
        self.number() >= 100
    }
}

impl std::fmt::Display for FaultCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match Self::TABLE.iter().find(|row| row.0 == *self) {
            Some(row) => f.write_str(row.2),
            None => write!(f, "fault {}", self.number()),
        }
    }
}

/// What a handler returns instead of a reply body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {text}")]
pub struct Fault {
    /// Which kind of fault.
    pub code: FaultCode,
    /// What a person should read; cut at 2,048 bytes on the wire.
    pub text: String,
}

impl Fault {
    /// A fault with its text.
    pub fn new(code: FaultCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

/// Why a call certainly did not run at the peer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotSent {
    /// No connection came about.
    #[error("cannot connect: {0}")]
    Dial(Arc<std::io::Error>),
    /// The last attempts failed, and the next one is not due yet.
    #[error("the last attempt failed ({last}); the next one is due in {wait:?}")]
    BackOff {
        /// What the last attempt failed with.
        last: Arc<std::io::Error>,
        /// How long until the next attempt is made.
        wait: std::time::Duration,
    },
    /// The body is larger than the table allows.
    #[error("the body has {size} bytes, the method takes {limit}")]
    TooLarge {
        /// Bytes of the body.
        size: usize,
        /// Bytes that the table allows.
        limit: u32,
    },
    /// The peer was removed from the cluster.
    #[error("the node was removed from the cluster")]
    Removed,
    /// The deadline passed before the request left.
    #[error("the deadline passed before it was sent")]
    Late,
    /// The connection ended before the request left.
    #[error("the connection ended before it was sent: {0}")]
    Closed(Arc<str>),
}

/// Why a call may or may not have run at the peer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unknown {
    /// The deadline passed while waiting for the reply.
    #[error("no reply before the deadline")]
    Late,
    /// The connection ended while waiting for the reply.
    #[error("the connection ended before the reply: {0}")]
    Closed(Arc<str>),
}

/// Why a call has no reply.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// The request did not run; it may be sent again, also elsewhere.
    #[error("call {method} at {peer}: {why}")]
    NotSent {
        /// Name of the method.
        method: &'static str,
        /// Whom.
        peer: Peer,
        /// Why not.
        why: NotSent,
    },
    /// The request left; whether it ran is not known.
    #[error("call {method} at {peer}: {why}; it may have run")]
    Unknown {
        /// Name of the method.
        method: &'static str,
        /// Whom.
        peer: Peer,
        /// What happened instead of a reply.
        why: Unknown,
    },
    /// The peer answered with a fault.
    #[error("call {method} at {peer}: {fault}")]
    Fault {
        /// Name of the method.
        method: &'static str,
        /// Whom.
        peer: Peer,
        /// What the peer said.
        fault: Fault,
    },
}

impl CallError {
    /// True if the request ran or may have run: repeat it only if it is idempotent.
    pub fn may_have_run(&self) -> bool {
        match self {
            Self::NotSent { .. } => false,
            Self::Unknown { .. } => true,
            Self::Fault { fault, .. } => fault.code.may_have_run(),
        }
    }

    /// What the peer said, if it said anything.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Fault { fault, .. } => Some(fault),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_back_and_newer_ones_are_kept() {
        for (code, number, _) in FaultCode::TABLE {
            assert_eq!((code.number(), FaultCode::from_number(number)), (number, code));
        }
        assert_eq!(FaultCode::from_number(77).number(), 77);
        assert!(!FaultCode::Unavailable.may_have_run());
        assert!(FaultCode::Failed.may_have_run());
    }
}
