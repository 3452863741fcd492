//! Tests of the journal through its public face, one module a topic.
#![expect(clippy::expect_used, reason = "tests state what they rely on")]

mod basics;
mod damage;
mod faults;
mod format;
mod model;
mod power;
mod process;
mod support;
