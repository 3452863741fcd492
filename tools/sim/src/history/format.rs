//! The stored form of a history: JSON lines, a header first.
//!
//! ```text
//! {"history":1,"model":"register","about":"a read misses a write that was over before it began"}
//! {"process":0,"kind":"invoke","op":"write","value":{"key":"x","value":1},"t":10}
//! {"process":0,"kind":"ok","op":"write","revision":7,"t":25}
//! ```
//!
//! An `invoke` carries the arguments as `value`, an `ok` the reply, a `fail` or `info` a text. `revision` and `fence` are
//! absent where the system does not tell them. Empty lines are skipped; unknown fields are errors.

use std::collections::BTreeMap;
use std::io::{BufRead, Read, Write};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Event, History, Op, OrderError, Seen, What};

/// The version of the stored form that this crate writes, and the only one so far.
pub const HEADER_VERSION: u32 = 1;
/// The longest line that is read, in bytes: above twice the largest value that a store accepts.
pub const MAX_LINE_BYTES: u64 = 2 << 20;
/// The most events that are read: some forty times the longest run, so that a wrong file ends before the memory does.
pub const MAX_EVENTS: usize = 20_000_000;

/// The first line of a stored history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The version of the format.
    pub history: u32,
    /// The name of the model that judges it: `register`, `store`, `lock`, `list` or `set`.
    pub model: String,
    /// One sentence for people.
    #[serde(default)]
    pub about: String,
    /// The verdict, where it is known: `linearizable` or `not_linearizable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
}

impl Header {
    /// A header of the present version.
    pub fn new(model: &str, about: &str) -> Self {
        Self {
            history: HEADER_VERSION,
            model: model.to_owned(),
            about: about.to_owned(),
            expect: None,
        }
    }
}

/// Why a history could not be read or written. Lines count from 1.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The reader or writer failed.
    #[error("read or write line {line} of the history")]
    Io {
        /// The line.
        line: usize,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A line is not an event, or its operation is not one of the model.
    #[error("decode line {line} of the history as {expected}")]
    Decode {
        /// The line.
        line: usize,
        /// What was expected there.
        expected: &'static str,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// Another version.
    #[error(
        "read a history of version {0}: this program knows version {HEADER_VERSION} only, use the one that wrote it"
    )]
    Version(u32),
    /// No first line.
    #[error(
        "read an empty history: the first line must be a header such as {{\"history\":1,\"model\":\"register\"}}"
    )]
    NoHeader,
    /// A bound was passed.
    #[error("read line {line} of the history: it is over the limit of {limit}")]
    TooLarge {
        /// The line.
        line: usize,
        /// The limit with its unit.
        limit: String,
    },
    /// The end of another operation than the one that is open.
    #[error(
        "read line {line} of the history: it ends {ended:?} but the process had begun {begun:?}"
    )]
    OtherOperation {
        /// The line.
        line: usize,
        /// The name in the invocation.
        begun: String,
        /// The name in this line.
        ended: String,
    },
    /// The event cannot follow the events before it.
    #[error("accept line {line} of the history")]
    Order {
        /// The line.
        line: usize,
        /// The rule that it breaks.
        #[source]
        source: OrderError,
    },
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Invoke,
    Ok,
    Fail,
    Info,
}

/// A line as it is read: what `op` and `value` mean depends on the model and on the kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    process: u64,
    kind: Kind,
    op: String,
    #[serde(default)]
    value: Value,
    revision: Option<u64>,
    fence: Option<u64>,
    t: u64,
}

/// A line as it is written. The body gives `op` and `value`; it is not a [`Value`], whose order of fields depends on the
/// features that other crates switch on.
#[derive(Serialize)]
struct LineOut<'a, B> {
    process: u64,
    kind: Kind,
    #[serde(flatten)]
    body: &'a B,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fence: Option<u64>,
    t: u64,
}

/// The body of a line that carries a text.
#[derive(Serialize)]
struct TextBody<'a> {
    op: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
}

impl<O: Op> History<O> {
    /// Reads a stored history with its header.
    ///
    /// # Errors
    /// [`FormatError`] with the line that is wrong.
    pub fn read(mut input: impl BufRead) -> Result<(Header, Self), FormatError> {
        let mut history = Self::default();
        let mut names = BTreeMap::new();
        let first = next_line(&mut input, 1)?.ok_or(FormatError::NoHeader)?;
        let header: Header = serde_json::from_str(&first)
            .map_err(|source| FormatError::Decode { line: 1, expected: "a header", source })?;
        if header.history != HEADER_VERSION {
            return Err(FormatError::Version(header.history));
        }
        let mut line = 2;
        while let Some(text) = next_line(&mut input, line)? {
            if !text.trim().is_empty() {
                if history.events.len() >= MAX_EVENTS {
                    return Err(FormatError::TooLarge {
                        line,
                        limit: format!("{MAX_EVENTS} events"),
                    });
                }
                let read: Line = serde_json::from_str(&text)
                    .map_err(|source| FormatError::Decode { line, expected: "an event", source })?;
                check_name(&mut names, &read, line)?;
                let event = read.typed(line)?;
                history.push(event).map_err(|source| FormatError::Order { line, source })?;
            }
            line += 1;
        }
        Ok((header, history))
    }

    /// Writes the header and every event.
    ///
    /// # Errors
    /// [`FormatError::Io`] from the writer; [`FormatError::Decode`] for an operation that breaks the rule of [`Op`].
    pub fn write(&self, header: &Header, mut output: impl Write) -> Result<(), FormatError> {
        put(&mut output, 1, header)?;
        let mut names = BTreeMap::new();
        for (event, line) in self.events.iter().zip(2..) {
            if let What::Invoke(op) = &event.what {
                names.insert(event.process, name_of(op, line)?);
            }
            let name = names.get(&event.process).map_or("", String::as_str);
            write_event(&mut output, line, event, name)?;
        }
        Ok(())
    }
}

fn write_event<O: Op>(
    output: &mut impl Write,
    line: usize,
    event: &Event<O>,
    name: &str,
) -> Result<(), FormatError> {
    let text = |why| TextBody { op: name, value: why };
    match &event.what {
        What::Invoke(op) => put(output, line, &out(event, Kind::Invoke, op, None)),
        What::Ok(seen) => match &seen.reply {
            Some(reply) => put(output, line, &out(event, Kind::Ok, reply, Some(seen))),
            None => put(output, line, &out(event, Kind::Ok, &text(None), Some(seen))),
        },
        What::Fail(why) => put(output, line, &out(event, Kind::Fail, &text(why.as_deref()), None)),
        What::Info(why, seen) => {
            put(output, line, &out(event, Kind::Info, &text(why.as_deref()), Some(seen)))
        }
    }
}

fn out<'a, O: Op, B>(
    event: &Event<O>,
    kind: Kind,
    body: &'a B,
    seen: Option<&Seen<O::Reply>>,
) -> LineOut<'a, B> {
    let (revision, fence) = seen.map_or((None, None), |seen| (seen.revision, seen.fence));
    LineOut { process: event.process, kind, body, revision, fence, t: event.t }
}

fn put(output: &mut impl Write, line: usize, value: &impl Serialize) -> Result<(), FormatError> {
    let mut text = serde_json::to_vec(value).map_err(|source| FormatError::Decode {
        line,
        expected: "JSON",
        source,
    })?;
    text.push(b'\n');
    output.write_all(&text).map_err(|source| FormatError::Io { line, source })
}

fn name_of<O: Op>(op: &O, line: usize) -> Result<String, FormatError> {
    let value = serde_json::to_value(op).map_err(|source| FormatError::Decode {
        line,
        expected: "an operation",
        source,
    })?;
    Ok(value.get("op").and_then(Value::as_str).unwrap_or_default().to_owned())
}

fn next_line(input: &mut impl BufRead, line: usize) -> Result<Option<String>, FormatError> {
    let mut text = String::new();
    let read = input
        .take(MAX_LINE_BYTES + 1)
        .read_line(&mut text)
        .map_err(|source| FormatError::Io { line, source })?;
    if read as u64 > MAX_LINE_BYTES {
        return Err(FormatError::TooLarge { line, limit: format!("{MAX_LINE_BYTES} bytes") });
    }
    Ok((read > 0).then_some(text))
}

/// An end must name the operation that its process has begun.
fn check_name(
    names: &mut BTreeMap<u64, String>,
    read: &Line,
    line: usize,
) -> Result<(), FormatError> {
    if matches!(read.kind, Kind::Invoke) {
        names.insert(read.process, read.op.clone());
    } else if let Some(begun) = names.get(&read.process)
        && *begun != read.op
    {
        return Err(FormatError::OtherOperation {
            line,
            begun: begun.clone(),
            ended: read.op.clone(),
        });
    }
    Ok(())
}

impl Line {
    fn typed<O: Op>(self, line: usize) -> Result<Event<O>, FormatError> {
        let Self { process, kind, op, value, revision, fence, t } = self;
        let decode = |expected| move |source| FormatError::Decode { line, expected, source };
        let body = |value| serde_json::json!({ "op": op, "value": value });
        let what = match kind {
            Kind::Invoke => What::Invoke(
                serde_json::from_value(body(value)).map_err(decode("an operation of the model"))?,
            ),
            Kind::Ok => {
                let reply =
                    serde_json::from_value(body(value)).map_err(decode("a reply of the model"))?;
                What::Ok(Seen { reply: Some(reply), revision, fence })
            }
            Kind::Fail => What::Fail(serde_json::from_value(value).map_err(decode("a text"))?),
            Kind::Info => {
                let why = serde_json::from_value(value).map_err(decode("a text"))?;
                What::Info(why, Seen { reply: None, revision, fence })
            }
        };
        Ok(Event { process, t, what })
    }
}
