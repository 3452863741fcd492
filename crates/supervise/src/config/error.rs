//! Why a file is not a configuration: the texts that people search for, and where.

use std::fmt;
use std::path::PathBuf;

use super::tree::{Place, SyntaxError};
use super::v2::V2Error;

/// Why a file is not a configuration.
///
/// The first line of each text is ContainerPilot's where it has one. A fault in a value is followed
/// by one line for each place: `  at FILE:LINE:COLUMN`, counted from 1 in the text after templates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No file was named.
    #[error("-config flag is required")]
    NoFile,
    /// It cannot be read.
    #[error("could not read config file: {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is larger than [`MAX_BYTES`](super::MAX_BYTES).
    #[error("could not read config file: {} is larger than {} bytes", path.display(), super::MAX_BYTES)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A template in it is wrong or failed.
    #[error("could not apply template to config: {}", .0.report())]
    Template(Box<regrow_template::TemplateError>),
    /// What the templates made is neither JSON5 nor YAML.
    #[error("{0}")]
    Syntax(SyntaxError),
    /// It is a file of version 2, and makes no sense as one.
    #[error(transparent)]
    Version2(#[from] V2Error),
    /// A file of version 2 is wanted.
    #[error("{} is no configuration of version 2: it has none of the keys that only version 2 has", path.display())]
    NotVersion2 {
        /// The file.
        path: PathBuf,
    },
    /// It reads, and a value in it is wrong.
    #[error("{0}")]
    Invalid(Invalid),
}

/// What is wrong with a value, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// What is wrong; ContainerPilot's text where it has one.
    pub text: String,
    /// The file, as it was named.
    pub file: String,
    /// Where, as far as known: several when a text lists several faults.
    pub places: Vec<Place>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        for place in &self.places {
            write!(f, "\n  at {}:{place}", self.file)?;
        }
        Ok(())
    }
}

/// A fault as the decoders return it, before the file's name is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) text: String,
    pub(super) places: Vec<Place>,
}

impl Fault {
    pub(super) fn new(text: impl Into<String>, place: Option<Place>) -> Self {
        Self { text: text.into(), places: place.into_iter().collect() }
    }

    /// The same fault as part of a larger thing.
    pub(super) fn within(mut self, prefix: &str) -> Self {
        self.text.insert_str(0, prefix);
        self
    }
}
