//! Answers: what handlers give, and what goes out.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use regrow_consensus::{ProposeError, ReadError};

use crate::agent::AgentError;
use crate::machine::Refusal;
use crate::query::{Answer, ExecuteError};

pub(super) const JSON: &str = "application/json";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// Age of what a node has that never heard of a leader: the longest that clients in Go can count, in
/// milliseconds.
const NEVER_MILLIS: u64 = i64::MAX as u64 / 1_000_000;

/// Index, leader and age of a read, for the headers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meta {
    pub index: u64,
    pub known_leader: bool,
    /// In milliseconds.
    pub last_contact: u64,
}

impl Meta {
    /// What goes with an answer, and the answer itself.
    pub fn of<T>(answer: Answer<T>) -> (Self, T) {
        let contact = answer.last_contact.map_or(NEVER_MILLIS.into(), |ago| ago.as_millis());
        let meta = Self {
            index: answer.index,
            known_leader: answer.known_leader,
            last_contact: u64::try_from(contact).unwrap_or(NEVER_MILLIS).min(NEVER_MILLIS),
        };
        (meta, answer.value)
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    content_type: Option<&'static str>,
    body: Bytes,
    headers: Vec<(&'static str, String)>,
}

impl Reply {
    /// 200 and nothing to say.
    pub fn empty() -> Self {
        Self::bare(StatusCode::OK)
    }

    /// A status and nothing to say.
    pub fn bare(status: StatusCode) -> Self {
        Self { status, content_type: None, body: Bytes::new(), headers: Vec::new() }
    }

    /// 200 and a body.
    pub fn body(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { content_type: Some(content_type), body: body.into(), ..Self::empty() }
    }

    #[must_use]
    pub fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With the headers of a read.
    #[must_use]
    pub fn meta(self, meta: Meta) -> Self {
        self.header("X-Consul-Index", meta.index.to_string())
            .header("X-Consul-Knownleader", meta.known_leader.to_string())
            .header("X-Consul-Lastcontact", meta.last_contact.to_string())
    }

    pub fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(content_type) = self.content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        for (name, value) in self.headers {
            // Values are numbers, tokens and paths that were cleaned; others are left out.
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// An answer that says no: a status and a text, which clients compare.
#[derive(Debug)]
pub(super) struct HttpError {
    pub status: StatusCode,
    pub text: String,
    /// The rest of the request was not read, so the connection ends.
    pub closes: bool,
}

impl HttpError {
    pub fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), closes: false }
    }

    pub fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    pub fn missing(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }

    pub fn internal(text: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }

    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Permission denied")
    }

    /// What this program does not do, and why.
    pub fn not_done(reason: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, reason)
    }

    pub fn into_reply(self) -> Reply {
        let reply = match self.text.is_empty() {
            true => Reply::bare(self.status),
            false => Reply::body(TEXT, self.text).status(self.status),
        };
        if self.closes { reply.header("Connection", "close") } else { reply }
    }
}

impl From<ExecuteError> for HttpError {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::Refused(refusal @ Refusal::Name { .. }) => Self::bad(refusal.to_string()),
            ExecuteError::Refused(refusal) => Self::internal(refusal.to_string()),
            ExecuteError::Propose(ProposeError::NoLeader) => Self::internal("No cluster leader"),
            ExecuteError::Propose(error) => Self::internal(format!("rpc error: {error}")),
        }
    }
}

impl From<ReadError> for HttpError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NoLeader => Self::internal("No cluster leader"),
            error => Self::internal(format!("rpc error: {error}")),
        }
    }
}

impl From<AgentError> for HttpError {
    fn from(error: AgentError) -> Self {
        match error {
            AgentError::UnknownService(_) => Self::missing(error.to_string()),
            AgentError::Execute(error) => error.into(),
            AgentError::Ask(error) => error.into(),
            error => Self::internal(error.to_string()),
        }
    }
}

/// What a handler gives.
pub(super) type Outcome = Result<Reply, HttpError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_never_heard_of_a_leader_is_very_old() {
        let answer =
            |last_contact| Answer { value: (), index: 1, known_leader: false, last_contact };
        assert_eq!(Meta::of(answer(None)).0.last_contact, 9_223_372_036_854);
        let heard = Some(std::time::Duration::from_millis(7));
        assert_eq!(Meta::of(answer(heard)).0.last_contact, 7);
    }
}
