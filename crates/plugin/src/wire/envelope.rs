//! The JSON-RPC 2.0 envelope with its corner cases (InfraKit specification §1.4).

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use regrow_codec::{Any, decode};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

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
///
/// The fields point into the body, for a large request must not be in memory twice.
#[derive(Debug, Serialize)]
pub(crate) struct Request<'a> {
    jsonrpc: Cow<'a, str>,
    pub(crate) method: Cow<'a, str>,
    pub(crate) params: &'a RawValue,
    pub(crate) id: &'a RawValue,
}

impl<'de> Deserialize<'de> for Request<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Request<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON-RPC request")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
                let (jsonrpc, method) = (Cow::Borrowed(""), Cow::Borrowed(""));
                let (params, id) = (RawValue::NULL, RawValue::NULL);
                let mut request = Request { jsonrpc, method, params, id };
                // Go matches field names without regard to case, and takes null for no text.
                while let Some(Text(name)) = fields.next_key()? {
                    match name.to_ascii_lowercase().as_str() {
                        "jsonrpc" => request.jsonrpc = text(fields.next_value()?),
                        "method" => request.method = text(fields.next_value()?),
                        "params" => request.params = fields.next_value()?,
                        "id" => request.id = fields.next_value()?,
                        _ => drop(fields.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(request)
            }
        }
        from.deserialize_map(Fields)
    }
}

/// A text that is borrowed from the body where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn text(value: Option<Text<'_>>) -> Cow<'_, str> {
    value.map_or(Cow::Borrowed(""), |Text(text)| text)
}

/// The same for faults only: this reader names the place, and copies.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RequestForFaults {
    jsonrpc: String,
    method: String,
    params: Any,
    id: Any,
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
pub(crate) enum Incoming<'a> {
    Call(Request<'a>),
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
    /// InfraKit sends `null` as data and does not read it. We say there when the call may have taken
    /// effect or was never made, so that a caller behind two hops takes neither a time-out of the
    /// second nor its absence for a refusal. An object that does not exist is answered as by InfraKit.
    pub(crate) fn of(error: &PluginError) -> Self {
        let data = match error.effect() {
            _ if matches!(error, PluginError::NotFound(_)) => Any::default(),
            Effect::Unknown => Any::from(json!({ "Effect": EFFECT_UNKNOWN })),
            Effect::None => Any::from(json!({ "Effect": EFFECT_NONE })),
            Effect::Refused => Any::default(),
        };
        Self::new(SERVER_ERROR, error.to_string(), data)
    }
}

/// Value of `data.Effect` in an error whose call may have taken effect.
const EFFECT_UNKNOWN: &str = "unknown";
/// Value of `data.Effect` in an error whose call was never made.
const EFFECT_NONE: &str = "none";

/// Reads the body of a request.
pub(crate) fn read(body: &[u8]) -> Incoming<'_> {
    if let Err(deep) = depth::check(body) {
        return refuse(PARSE_ERROR, format!("parse the request: {deep}"), Any::default());
    }
    let Ok(request) = serde_json::from_slice::<Request<'_>>(body) else { return misread(body) };
    if request.jsonrpc != "2.0" {
        let data = Any::from_serialize(&request);
        let fault = Fault::new(INVALID_REQUEST, "jsonrpc must be 2.0", data);
        return Incoming::Refuse(fault, any(request.id));
    }
    Incoming::Call(request)
}

/// A copy of a part of the request.
pub(crate) fn any(raw: &RawValue) -> Any {
    Any::from_serialize(raw)
}

/// Finds out why a body is no request. The original answers nothing to most of these; a caller that
/// waits for an answer should get one, so only batches stay unanswered.
fn misread(body: &[u8]) -> Incoming<'static> {
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
    let fault = match decode::from_slice::<RequestForFaults>(body) {
        Err(fault) => fault.to_string(),
        Ok(_) => "it is not an object with texts as jsonrpc and method".to_owned(),
    };
    refuse(INVALID_REQUEST, format!("read the request: {fault}"), id)
}

fn refuse(code: i64, message: String, id: Any) -> Incoming<'static> {
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
    /// What the peer says about the effect of the call. An error alone is a refusal.
    pub(crate) fn effect(&self) -> Effect {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "PascalCase")]
        struct Data {
            effect: String,
        }
        match self.data.decode::<Data>() {
            Ok(data) if data.effect == EFFECT_UNKNOWN => Effect::Unknown,
            Ok(data) if data.effect == EFFECT_NONE => Effect::None,
            _ => Effect::Refused,
        }
    }
}
