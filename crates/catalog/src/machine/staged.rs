//! Changes that are seen before they are made: a command either makes all of its changes or none.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::iter::Peekable;
use std::ops::{Bound, ControlFlow};

use regrow_consensus::tables::Visit;
use regrow_consensus::{Edit, Span, TableError, View};

type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Tables with changes on top of them.
pub(super) struct Staged<'a> {
    base: &'a dyn View,
    changes: Changes,
}

impl<'a> Staged<'a> {
    pub fn new(base: &'a dyn View) -> Self {
        Self { base, changes: Changes::new() }
    }

    /// What was changed: keys with their new values, `None` for deleted ones.
    pub fn into_changes(self) -> Changes {
        self.changes
    }

    fn range(&self, span: &Span) -> Range<'_, Vec<u8>, Option<Vec<u8>>> {
        let to = span.to.as_deref();
        if to.is_some_and(|to| to <= span.from.as_slice()) {
            // The map panics on a range that ends before it begins.
            return Range::default();
        }
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        self.changes.range::<[u8], _>((Bound::Included(span.from.as_slice()), to))
    }
}

/// Visits changed keys up to `limit` in the order of the iterator; `None` visits the rest.
fn flush<'c>(
    changes: &mut Peekable<impl Iterator<Item = (&'c Vec<u8>, &'c Option<Vec<u8>>)>>,
    before: impl Fn(&[u8]) -> bool,
    visit: Visit<'_>,
) -> ControlFlow<()> {
    while let Some((key, value)) = changes.next_if(|(key, _)| before(key)) {
        if let Some(value) = value {
            visit(key, value)?;
        }
    }
    ControlFlow::Continue(())
}

impl View for Staged<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        match self.changes.get(key) {
            Some(changed) => Ok(changed.clone()),
            None => self.base.get(key),
        }
    }

    fn scan(&self, span: &Span, visit: Visit<'_>) -> Result<(), TableError> {
        let mut changes = self.range(span).peekable();
        let mut flow = ControlFlow::Continue(());
        self.base.scan(span, &mut |key, value| {
            flow = flush(&mut changes, |changed| changed < key, visit);
            if flow.is_continue() {
                flow = match changes.next_if(|(changed, _)| changed.as_slice() == key) {
                    Some((_, None)) => ControlFlow::Continue(()),
                    Some((_, Some(changed))) => visit(key, changed),
                    None => visit(key, value),
                };
            }
            flow
        })?;
        if flow.is_continue() {
            let _ = flush(&mut changes, |_| true, visit);
        }
        Ok(())
    }
}

impl Edit for Staged<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), TableError> {
        self.changes.insert(key.to_vec(), Some(value.to_vec()));
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<bool, TableError> {
        let there = self.get(key)?.is_some();
        if there || self.changes.contains_key(key) {
            self.changes.insert(key.to_vec(), None);
        }
        Ok(there)
    }
}
