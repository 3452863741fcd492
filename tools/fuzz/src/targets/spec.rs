//! Specs that people write. The binary has no library, so its reader is compiled in here.

use std::fmt;

use crate::scratch::{must, text};

/// The place of a document, as the binary's reader wants it.
#[derive(Clone, Debug)]
pub struct Place {
    source: String,
    pointer: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.source, self.pointer)
    }
}

#[path = "../../../../crates/regrow/src/documents/decode.rs"]
mod decode;

/// Documents print as JSON and read back; a fault names the source and what it was read as.
pub fn spec_documents(data: &[u8]) {
    let text = text(data);
    let documents = match decode::documents("a fuzzed text", &text) {
        Ok(documents) => documents,
        Err(fault) => {
            let fault = fault.to_string();
            return assert!(fault.starts_with("read a fuzzed text as "), "{fault}");
        }
    };
    for document in documents {
        assert!(document.place.to_string().starts_with("a fuzzed text"));
        let printed = document.value.to_string();
        let again = must(decode::documents("its print", &printed), &printed);
        if document.value.is_object() {
            assert_eq!(again.first().map(|one| &one.value), Some(&document.value), "{printed}");
        }
    }
}
