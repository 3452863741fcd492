//! What opening a journal found.

/// What opening found. Everything in it has been logged too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The folder was empty: a new journal was made.
    pub created: bool,
    /// Number of segments read.
    pub segments: usize,
    /// Number of live entries over all streams.
    pub entries: u64,
    /// The unfinished end of the last write group, which was cut. Nothing in it had been
    /// acknowledged.
    pub torn: Option<Torn>,
    /// Text of the evidence file that an earlier process left when it halted.
    pub halted_before: Option<String>,
}

/// The unfinished end of the last write group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Number of the segment.
    pub segment: u32,
    /// Where in its file the group begins, in bytes.
    pub offset: u64,
}
