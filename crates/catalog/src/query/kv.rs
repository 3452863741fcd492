//! What can be asked about keys.

use std::ops::ControlFlow;

use regrow_consensus::{Span, TableError, View};

use super::{Found, Read, index_of};
use crate::machine::rows::{self, Tombstone};
use crate::machine::{Topic, graves_row};
use crate::model::KeyEntry;

/// One key. Its index is that of its last write; of a missing one, that of all keys.
pub fn entry(key: impl Into<String>) -> Read<Option<KeyEntry>> {
    let key = key.into();
    let row = rows::key(rows::KEY, &[key.as_bytes()]);
    Read::new(vec![Topic::Key(key)], move |view| {
        let value: Option<KeyEntry> = rows::get(view, &row)?;
        let index = match &value {
            Some(entry) => entry.indexes.modified,
            None => index_of(view, &[Topic::Keys])?,
        };
        Ok(Found { value, index })
    })
}

/// All keys that begin with `prefix`, in order.
pub fn under(prefix: impl Into<String>) -> Read<Vec<KeyEntry>> {
    let prefix = prefix.into();
    Read::new(vec![Topic::KeyPrefix(prefix.clone())], move |view| {
        let value: Vec<KeyEntry> = rows::list(view, &rows::key(rows::KEY, &[prefix.as_bytes()]))?;
        let highest = value.iter().map(|entry| entry.indexes.modified).max();
        Ok(Found { index: prefix_index(view, &prefix, highest)?, value })
    })
}

/// The names of all keys that begin with `prefix`, in order; with a separator, cut behind its first
/// place after the prefix, each once.
pub fn names(prefix: impl Into<String>, separator: impl Into<String>) -> Read<Vec<String>> {
    let (prefix, separator) = (prefix.into(), separator.into());
    let read = under(prefix.clone());
    read.map(move |entries| {
        let mut names: Vec<String> = Vec::new();
        for KeyEntry { key, .. } in entries {
            let rest = key.get(prefix.len()..).unwrap_or_default();
            let name = match rest.find(&separator) {
                Some(at) if !separator.is_empty() => {
                    key.get(..prefix.len() + at + separator.len()).unwrap_or_default().to_owned()
                }
                _ => key,
            };
            if names.last() != Some(&name) {
                names.push(name);
            }
        }
        names
    })
}

/// The highest index under a prefix, tombstones included. Where there is nothing, the index of all
/// keys; it never goes back, for what comes later has a higher one.
fn prefix_index(view: &dyn View, prefix: &str, highest: Option<u64>) -> Result<u64, TableError> {
    let mut highest = highest.unwrap_or(0);
    let graves = rows::key(rows::TOMBSTONE, &[prefix.as_bytes()]);
    let mut fault = Ok(());
    view.scan(&Span::prefix(&graves), &mut |_, bytes| match rows::unpack::<Tombstone>(bytes) {
        Ok(tombstone) => {
            highest = highest.max(tombstone.index);
            ControlFlow::Continue(())
        }
        Err(error) => {
            fault = Err(error);
            ControlFlow::Break(())
        }
    })?;
    fault?;
    if highest == 0 {
        return index_of(view, &[Topic::Keys]);
    }
    Ok(highest.max(rows::get(view, &graves_row())?.unwrap_or(0)))
}
