//! The JSON-RPC 2.0 envelope with its corner cases (InfraKit specification §1.4).

use bytes::Bytes;
use regrow_codec::{Any, decode};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::depth;
use crate::PluginError;
use crate::buffers::Buffer;
use crate::error::Effect;

/// Unparsable request.
pub(crate) const PARSE_ERROR: i64 = -32700;
/// Not a request, or params of the wrong shape.
pub(crate) const INVALID_REQUEST: i64 = -32600;
/// The server failed to answer.
pub(crate) const INTERNAL_ERROR: i64 = -32603;
/// Everything that a plugin itself reports.
pub(crate) const SERVER_ERROR: i64 = -32000;

pub(super) const RESULT_OPEN: &[u8] = br#"{"jsonrpc":"2.0","result":"#;

/// A request as it came. `id` is kept as raw JSON: Go's ids exceed what a float can hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Request {
    pub(crate) jsonrpc: String,
    pub(crate) method: String,
    pub(crate) params: Any,
    pub(crate) id: Any,
}

/// The error object of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) code: i64,
    pub(crate) message: String,
    pub(crate) data: Any,
}

/// What became of a call.
pub(crate) enum Outcome {
    /// The answer up to and with its result, still without the id.
    Result(Buffer),
    Failed(Fault),
}

/// What became of reading a request.
pub(crate) enum Incoming {
    Call(Request),
    /// There is nobody to answer: a batch.
    Ignore,
    /// Answered without a call, under this id.
    Refuse(Fault, Any),
}

impl Fault {
    fn new(code: i64, message: impl Into<String>, data: Any) -> Self {
        Self { code, message: message.into(), data }
    }

    pub(crate) fn server(message: impl Into<String>) -> Self {
        Self::new(SERVER_ERROR, message, Any::default())
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(INTERNAL_ERROR, message, Any::default())
    }

    /// Params that cannot be read; Go's library reports them under this code.
    pub(crate) fn params(message: impl Into<String>, params: Any) -> Self {
        Self::new(INVALID_REQUEST, message, params)
    }

    /// What a plugin object reported.
    ///
    /// InfraKit sends `null` as data. We say there when the effect of the call is unknown, so that
    /// a caller behind two hops does not take a time-out of the second for a refusal.
    pub(crate) fn of(error: &PluginError) -> Self {
        let data = match error.effect() {
            Effect::Unknown => Any::from(json!({ "Effect": EFFECT_UNKNOWN })),
            Effect::None | Effect::Refused => Any::default(),
        };
        Self::new(SERVER_ERROR, error.to_string(), data)
    }
}

/// Value of `data.Effect` in an error whose call may have taken effect.
pub(crate) const EFFECT_UNKNOWN: &str = "unknown";

/// Reads the body of a request.
pub(crate) fn read(body: &[u8]) -> Incoming {
    if let Err(deep) = depth::check(body) {
        return refuse(PARSE_ERROR, format!("parse the request: {deep}"), Any::default());
    }
    let request: Request = match decode::from_slice(body) {
        Ok(request) => request,
        Err(fault) => return misread(body, &fault),
    };
    if request.jsonrpc != "2.0" {
        let data = Any::from_serialize(&request);
        let fault = Fault::new(INVALID_REQUEST, "jsonrpc must be 2.0", data);
        return Incoming::Refuse(fault, request.id);
    }
    Incoming::Call(request)
}

/// Finds out why a body is no request. The original answers nothing to most of these; a caller that
/// waits for an answer should get one, so only batches stay unanswered.
fn misread(body: &[u8], fault: &decode::DecodeError) -> Incoming {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Id {
        id: Any,
    }
    if let Err(syntax) = serde_json::from_slice::<IgnoredAny>(body) {
        return refuse(PARSE_ERROR, format!("parse the request: {syntax}"), Any::default());
    }
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Incoming::Ignore;
    }
    let id = decode::from_slice::<Id>(body).map(|found| found.id).unwrap_or_default();
    refuse(INVALID_REQUEST, format!("read the request: {fault}"), id)
}

fn refuse(code: i64, message: String, id: Any) -> Incoming {
    Incoming::Refuse(Fault::new(code, message, Any::default()), id)
}

/// Completes an answer. It ends with a newline, as Go's does.
pub(crate) fn write(outcome: Outcome, id: &Any) -> Bytes {
    match outcome {
        Outcome::Result(mut buffer) => {
            buffer.extend_from_slice(b",\"id\":");
            buffer.extend_from_slice(id.as_text().as_bytes());
            buffer.extend_from_slice(b"}\n");
            buffer.into_bytes()
        }
        Outcome::Failed(Fault { code, message, data }) => {
            let message = Any::from_serialize(&message);
            Bytes::from(format!(
                "{{\"jsonrpc\":\"2.0\",\"error\":{{\"code\":{code},\"message\":{message},\
                 \"data\":{data}}},\"id\":{id}}}\n"
            ))
        }
    }
}

/// An answer as a client reads it.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(crate) struct Answer<T> {
    pub(crate) result: Option<T>,
    pub(crate) error: Option<AnswerError>,
    pub(crate) id: Any,
}

// Derived, it would ask for `T: Default`.
impl<T> Default for Answer<T> {
    fn default() -> Self {
        Self { result: None, error: None, id: Any::default() }
    }
}

/// The error object as a client reads it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AnswerError {
    pub(crate) code: i64,
    pub(crate) message: String,
    pub(crate) data: Any,
}

impl AnswerError {
    /// True when the peer says that the call may have taken effect.
    pub(crate) fn effect_unknown(&self) -> bool {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "PascalCase")]
        struct Data {
            effect: String,
        }
        self.data.decode::<Data>().is_ok_and(|data| data.effect == EFFECT_UNKNOWN)
    }
}
