//! Everything that reads what others wrote, fuzzed: promise P1.
//!
//! What it is: one function for each decoder. It takes any bytes and panics when the decoder breaks
//! one of its laws: what was read prints and reads back as the same, a fault says where it is, and
//! the answer comes in bounded time. `cargo xtask fuzz` runs the functions under libFuzzer, guided
//! by coverage; the tests of this crate replay the stored corpora, and what is found by small
//! changes of them, without an engine.
//!
//! What it must never do: touch anything outside its own scratch folder, open a connection to
//! anybody else, or start a process.
//!
//! Where to start reading: the table in `table.rs`. A new decoder is a function below `targets/`, a
//! row there, and a folder of that name in `corpus/` with at least one sample.

#[doc(hidden)]
pub mod mutate;
mod scratch;
mod table;
pub mod targets;

pub use table::{TARGETS, Target, find};
