//! Documents that people write: from a URL through the template engine to checked entries.
//!
//! Every fault names the document, and the place in it as line and column (syntax) or as JSON
//! pointer (content). A document is checked whole before anything is done with it.

mod decode;
mod entries;
mod groups;
mod load;

pub use decode::{Document, documents};
pub use entries::{Entry, Located, entries};
pub use groups::{group_of, group_spec};
pub use load::{Loader, RenderArgs};

use std::fmt;

/// A place in a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The document, as the user named it.
    pub source: String,
    /// JSON pointer, empty for the whole.
    pub pointer: String,
}

impl Place {
    /// A place below this one.
    pub fn below(&self, pointer: &str) -> Self {
        Self { source: self.source.clone(), pointer: format!("{}{pointer}", self.pointer) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if !self.pointer.is_empty() {
            write!(f, " at {}", self.pointer)?;
        }
        Ok(())
    }
}
