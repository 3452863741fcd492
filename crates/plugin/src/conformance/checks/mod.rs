//! The checks, by topic. Each file ends in a table of its rows.

mod envelope;
mod flavor;
mod group;
mod handshake;
mod instance;
mod lifecycle;
mod others;
mod transport;
mod tree;

use std::pin::Pin;

use super::site::Site;
use super::{Level, Verdict};

pub(super) type Running<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// One check.
pub(super) struct Row {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) level: Level,
    /// How many answers' worth of time it may take.
    pub(super) patience: u32,
    pub(super) run: for<'a> fn(&'a Site) -> Running<'a>,
}

/// The whole kit.
pub(super) static ROWS: &[&[Row]] = &[
    transport::ROWS,
    envelope::ROWS,
    handshake::ROWS,
    instance::ROWS,
    lifecycle::ROWS,
    flavor::ROWS,
    group::ROWS,
    tree::ROWS,
    others::ROWS,
];

/// Declares a table: `"id" Must "title" = function;`.
macro_rules! checks {
    ($($id:literal $level:ident $title:literal = $check:ident $(within $patience:literal)?;)*) => {
        pub(super) static ROWS: &[$crate::conformance::checks::Row] = &[$(
            $crate::conformance::checks::Row {
                id: $id,
                title: $title,
                level: $crate::conformance::Level::$level,
                patience: $crate::conformance::checks::patience(&[$($patience)?]),
                run: |site| Box::pin($check(site)),
            },
        )*];
    };
}
use checks;

/// The given number, or what a check of a few answers needs.
const fn patience(given: &[u32]) -> u32 {
    if given.is_empty() { 4 } else { given[0] }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::ROWS;

    #[test]
    fn names_are_unique_and_there_are_enough() {
        let ids: Vec<_> = ROWS.iter().flat_map(|rows| rows.iter()).map(|row| row.id).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        assert!(ids.len() >= 60, "{}", ids.len());
    }
}
