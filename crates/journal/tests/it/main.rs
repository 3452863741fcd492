//! Tests of the journal through its public face, one module a topic.
#![expect(clippy::expect_used, reason = "tests state what they rely on")]

mod basics;
mod support;
