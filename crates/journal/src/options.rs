//! What the owner of a journal chooses when opening it.

/// How a journal is opened. [`Options::default`] is right for a node with a real disk.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Size of a segment file in bytes: a multiple of 4 KiB from [`SEGMENT_MIN`] to
    /// [`SEGMENT_MAX`]. Default 64 MiB. Other limits follow from it: a record may have a quarter of
    /// it, and so may all slots together. A journal
    /// keeps the size that it was made with; another one given later is ignored.
    pub segment_bytes: u32,
    /// Bytes of recent entries kept in memory for reading, over all streams. Entries that are not
    /// flushed yet come on top. Default 16 MiB.
    pub cache_bytes: usize,
    /// How many purged segment files are kept for reuse beside the prepared one. Default 2.
    pub pool: usize,
    /// Who writes: a thread (default), or the caller.
    pub mode: Mode,
    /// Whether the journal waits for the disk. Default [`Sync::Always`].
    pub sync: Sync,
}

/// The smallest segment, in bytes.
pub const SEGMENT_MIN: u32 = 32 * 1024;
/// The largest segment, in bytes.
pub const SEGMENT_MAX: u32 = 1024 * 1024 * 1024;

impl Default for Options {
    fn default() -> Self {
        Options {
            segment_bytes: 64 * 1024 * 1024,
            cache_bytes: 16 * 1024 * 1024,
            pool: 2,
            mode: Mode::Thread,
            sync: Sync::Always,
        }
    }
}

/// Who encodes, writes and flushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One writer thread, which flushes whatever has been queued meanwhile in one go.
    Thread,
    /// The caller of each operation; `done` has been called when the operation returns. For
    /// simulation, where a thread would bring chance in.
    Inline,
}

/// Whether an operation is reported as done before the disk has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Done means durable.
    Always,
    /// Done means written, not flushed: a power cut may take it back. Only for state that is named
    /// as volatile to its user, such as a development catalog in memory.
    Never,
}
