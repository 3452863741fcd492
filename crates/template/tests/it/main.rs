//! Templates rendered through the public interface, compared with what Go prints for them.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail a test")]

mod documents;
mod gotmpl;
mod hostile;
mod infrakit;
mod language;
mod properties;
mod published;
mod sprig;
mod support;
