//! How to render: delimiters, missing keys, limits and the doors to the outside.

use crate::fetch::{Fetcher, UrlFetcher};
use crate::value::{JsonNumbers, Value};
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a missing map key or unset variable yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingKey {
    /// Prints `<no value>`.
    #[default]
    NoValue,
    /// Is empty text, as Go has it for a map of texts with `missingkey=zero`.
    Zero,
    /// Fails the rendering.
    Error,
}

impl MissingKey {
    /// What a map yields for a key that it lacks, where that is no failure.
    pub(crate) fn value(self) -> Value {
        match self {
            Self::NoValue | Self::Error => Value::Nil,
            Self::Zero => Value::from(""),
        }
    }
}

/// Bounds on one rendering, included templates counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many templates may be open inside each other by `include` and `source`. Default 32.
    pub max_include_depth: u32,
    /// Bytes of output, and bytes of any one value. Default 64 MiB.
    pub max_output_bytes: u64,
    /// Bytes of any one fetched document. Default 16 MiB.
    pub max_fetch_bytes: u64,
    /// Steps: evaluated actions, rounds of loops, elements made by functions. Default 10 million.
    pub max_steps: u64,
    /// How long a rendering may wait for others: for metadata to be there and for documents. What it
    /// computes is bounded by `max_steps`; a fetch or look-up that has begun ends by its own limit.
    /// Default 60 s.
    pub max_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_include_depth: 32,
            max_output_bytes: 64 * 1024 * 1024,
            max_fetch_bytes: 16 * 1024 * 1024,
            max_steps: 10_000_000,
            max_time: Duration::from_secs(60),
        }
    }
}

/// Where `echo` writes: one call a line, without the newline.
pub type EchoSink = Arc<dyn Fn(&str) + Send + Sync>;

/// How templates are loaded and rendered. Cheap to clone.
#[derive(Clone)]
pub struct Options {
    /// Left and right delimiter; neither may be empty. Default `{{` and `}}`.
    pub delimiters: (String, String),
    /// Whether an unset `var` prints itself back for a later pass. Default true.
    pub multi_pass: bool,
    /// What missing keys yield. With [`MissingKey::Error`] an unset `var` is an error too, unless
    /// `multi_pass` is on. Default [`MissingKey::NoValue`].
    pub missing_key: MissingKey,
    /// What numbers in JSON and YAML documents become, also in the context given to
    /// [`Template::render`](crate::Template::render). Default [`JsonNumbers::Float`], as in Go.
    pub numbers: JsonNumbers,
    /// Directory that keeps fetched documents for later runs; made when missing. Default none.
    pub cache_dir: Option<PathBuf>,
    /// Bounds on time and memory.
    pub limits: Limits,
    /// Gets documents. Default [`UrlFetcher`].
    pub fetcher: Arc<dyn Fetcher>,
    /// Where `echo` writes. Default: standard error.
    pub echo: EchoSink,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            delimiters: ("{{".into(), "}}".into()),
            multi_pass: true,
            missing_key: MissingKey::default(),
            numbers: JsonNumbers::default(),
            cache_dir: None,
            limits: Limits::default(),
            fetcher: Arc::new(UrlFetcher::default()),
            // A closed standard error must not end the program, so no `eprintln!`.
            echo: Arc::new(|line| drop(writeln!(std::io::stderr(), "{line}"))),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Options")
            .field("delimiters", &self.delimiters)
            .field("multi_pass", &self.multi_pass)
            .field("missing_key", &self.missing_key)
            .field("numbers", &self.numbers)
            .field("cache_dir", &self.cache_dir)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
