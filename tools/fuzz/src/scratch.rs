//! What the targets stand on: folders in memory, and a runtime of one thread.

use std::fmt::Display;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// Names the folder for scratch folders; `cargo xtask fuzz` removes it when an engine that ends
/// without destructors leaves some.
const SCRATCH_VARIABLE: &str = "FUZZ_SCRATCH";
/// A file system in memory, where a synchronised write costs nothing.
const IN_MEMORY: &str = "/dev/shm";

/// A folder of our own, removed when dropped.
pub fn folder() -> TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix("regrow-fuzz-").permissions(std::fs::Permissions::from_mode(0o700));
    let made = match std::env::var_os(SCRATCH_VARIABLE) {
        Some(named) => builder.tempdir_in(named),
        None => builder.tempdir_in(IN_MEMORY).or_else(|_| builder.tempdir()),
    };
    must(made, "make a scratch folder")
}

/// Writes a file of a scratch folder.
pub fn write(dir: &Path, name: &str, bytes: &[u8]) {
    must(std::fs::write(dir.join(name), bytes), "write a scratch file");
}

/// A runtime of one thread on the real clock.
pub fn runtime() -> Runtime {
    must(Builder::new_current_thread().enable_all().build(), "start the runtime")
}

/// Runs to the end on one thread, in time that only passes while everybody waits: a wait costs
/// nothing, and one without an end shows as a time-out.
pub fn in_virtual_time<T>(work: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
    must(runtime, "start the runtime").block_on(work)
}

/// The value, or a finding.
#[track_caller]
pub fn must<T, E: Display>(result: Result<T, E>, doing: &str) -> T {
    match result {
        Ok(value) => value,
        Err(fault) => panic!("{doing}: {fault:#}"),
    }
}

/// A text from any bytes.
pub fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

/// The first byte as a choice of so many, and the rest.
pub fn choice(data: &[u8], of: u8) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (first % of, rest))
}

/// The two parts around the first line break; the second may be empty.
pub fn two(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (first, rest) = data.split_at(end);
    (first, rest.get(1..).unwrap_or_default())
}

/// The pieces of an input: each a byte of length and so many bytes, the last one maybe cut off.
pub fn pieces(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first()?;
        let piece;
        (piece, rest) = behind.split_at(behind.len().min(usize::from(*length)));
        Some(piece)
    })
}
