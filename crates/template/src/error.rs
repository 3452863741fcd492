//! What can go wrong, one variant for each step.

use std::path::PathBuf;

/// A failure to load, parse or render a template.
///
/// Each message names the template (its URL, or `str://` for text given directly) and, where there
/// is one, the line. The cause, where it is an error of its own, is the `source`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The template, or one that it includes, could not be fetched.
    #[error("load template {url}")]
    Load {
        /// The URL as resolved.
        url: String,
        /// Why not.
        #[source]
        source: FetchError,
    },
    /// The text does not follow the template syntax.
    #[error("parse template {name}:{line}:{column}: {message}")]
    Syntax {
        /// The template's URL.
        name: String,
        /// Line, from 1.
        line: u32,
        /// Column in characters, from 1.
        column: u32,
        /// What is wrong, in Go's words where Go has some.
        message: String,
    },
    /// The text uses a function that nobody provides.
    #[error(
        "parse template {name}:{line}:{column}: function {function:?} not defined: \
         neither a built-in function nor one of this program or its plugins has that name"
    )]
    UnknownFunction {
        /// The template's URL.
        name: String,
        /// Line, from 1.
        line: u32,
        /// Column in characters, from 1.
        column: u32,
        /// The unknown name.
        function: String,
    },
    /// An action failed while rendering.
    #[error("render template {name}:{line}:{column}: executing <{action}>")]
    Execute {
        /// The template's URL.
        name: String,
        /// Line of the failing action, from 1.
        line: u32,
        /// Column of the failing action in characters, from 1.
        column: u32,
        /// The source of the failing action, shortened.
        action: String,
        /// Why it failed.
        #[source]
        source: Box<CallError>,
    },
}

impl TemplateError {
    /// The whole chain of causes on one line, outermost first, as a log line or plugin reply
    /// wants it.
    pub fn report(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// Why one step of a template could not be evaluated: what a function returns on failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// Wrong number of arguments.
    #[error("wrong number of args for {function}: want {want} got {got}")]
    ArgumentCount {
        /// The function.
        function: String,
        /// How many it takes, for example `2` or `at least 1`.
        want: String,
        /// How many it was given.
        got: usize,
    },
    /// An argument of the wrong type.
    #[error("{function}: wrong type for argument {position}: expected {want}; got {got}")]
    ArgumentType {
        /// The function.
        function: String,
        /// Position of the argument, from 1.
        position: usize,
        /// The type it takes.
        want: &'static str,
        /// The Go name of the type it was given.
        got: String,
    },
    /// The function ran and failed.
    #[error("error calling {function}: {message}")]
    Function {
        /// The function.
        function: String,
        /// Why, and what to do about it.
        message: String,
    },
    /// The template itself called `fail`.
    #[error("{0}")]
    Fail(String),
    /// The function belongs to sprig but is left out here on purpose.
    #[error("function {function:?} is not offered: {reason}")]
    NotOffered {
        /// The function.
        function: String,
        /// Why, and what to use instead.
        reason: &'static str,
    },
    /// `var` found no value, and missing keys are errors.
    #[error("Missing variable {0}")]
    MissingVariable(String),
    /// A map has no such key, and missing keys are errors.
    #[error("map has no entry for key {0:?}")]
    MissingKey(String),
    /// An expression makes no sense for the values it met.
    #[error("{0}")]
    Evaluate(String),
    /// A bound was reached; see [`Limits`](crate::Limits).
    #[error("limit reached: {what} is at most {limit}; raise it in the options if this is meant")]
    Limit {
        /// What is bounded.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// A template includes itself, directly or through others.
    #[error("templates include each other without end: {}", chain.join(" -> "))]
    Cycle {
        /// The URLs from the outermost template to the repeated one.
        chain: Vec<String>,
    },
    /// `fetch`, `include` or `source` could not get its document.
    #[error("fetch {url}")]
    Fetch {
        /// The URL as resolved.
        url: String,
        /// Why not.
        #[source]
        source: FetchError,
    },
    /// An included template failed.
    #[error("in included template")]
    Included(#[source] Box<TemplateError>),
    /// The metadata lookup failed.
    #[error("metadata {path:?}: {message}")]
    Metadata {
        /// The path asked for.
        path: String,
        /// Why.
        message: String,
    },
}

impl CallError {
    /// A plain failure of `function`, for functions of embedding programs.
    pub fn new(function: &str, message: impl Into<String>) -> Self {
        Self::Function { function: function.to_owned(), message: message.into() }
    }
}

/// Why a document could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Nobody knows the scheme.
    #[error("unsupported url {0:?}: use file://, http://, https://, unix:// or str://")]
    Scheme(String),
    /// The URL does not parse or has no path.
    #[error("bad url {url:?}: {message}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        message: String,
    },
    /// A file or socket could not be read.
    #[error("read {}", path.display())]
    Io {
        /// The file or socket.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// No answer over the network.
    #[error("request failed: {0}")]
    Request(String),
    /// The server answered with something other than 200.
    #[error("server answered with status {0}")]
    Status(u16),
    /// The document is larger than allowed.
    #[error("document is larger than {0} bytes; raise `max_fetch_bytes` if this is meant")]
    TooLarge(u64),
    /// The document is not UTF-8 text.
    #[error("document is not UTF-8 text")]
    NotText,
    /// The cache directory could not be used.
    #[error("use cache file {}", path.display())]
    Cache {
        /// The file in the cache.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}
