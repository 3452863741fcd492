//! What can be asked about keys.

use regrow_consensus::{TableError, View};
use serde::Deserialize;

use super::{Found, Read, index_of};
use crate::machine::rows::{self, Tombstone};
use crate::machine::{Topic, graves_row};
use crate::model::{Indexes, KeyEntry, SessionId};

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
    names_of(prefix, separator, |_| true)
}

/// The same, of the keys that `picks` picks.
pub fn names_of(
    prefix: impl Into<String>,
    separator: impl Into<String>,
    picks: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> Read<Vec<String>> {
    let (prefix, separator) = (prefix.into(), separator.into());
    Read::new(vec![Topic::KeyPrefix(prefix.clone())], move |view| {
        let mut names: Vec<String> = Vec::new();
        let mut highest = None;
        let keys = rows::key(rows::KEY, &[prefix.as_bytes()]);
        rows::each(view, &keys, |bytes| {
            let head: KeyHead<'_> = rows::unpack(bytes)?;
            highest = highest.max(Some(head.indexes.modified));
            let name = cut(head.key, prefix.len(), &separator);
            if picks(head.key) && names.last().is_none_or(|last| last != name) {
                names.push(name.to_owned());
            }
            Ok(())
        })?;
        Ok(Found { value: names, index: prefix_index(view, &prefix, highest)? })
    })
}

/// A key up to its first separator behind the prefix, and with it.
fn cut<'k>(key: &'k str, prefix: usize, separator: &str) -> &'k str {
    let rest = key.get(prefix..).unwrap_or_default();
    match rest.find(separator) {
        Some(at) if !separator.is_empty() => {
            key.get(..prefix + at + separator.len()).unwrap_or(key)
        }
        _ => key,
    }
}

/// A [`KeyEntry`] whose value stays where it is stored: the same fields in the same order.
#[derive(Deserialize)]
struct KeyHead<'r> {
    key: &'r str,
    #[serde(rename = "value")]
    _value: &'r [u8],
    #[serde(rename = "flags")]
    _flags: u64,
    #[serde(rename = "lock_index")]
    _lock_index: u64,
    #[serde(rename = "session")]
    _session: Option<SessionId>,
    indexes: Indexes,
}

/// The highest index under a prefix, tombstones included. Where there is nothing, the index of all
/// keys; it never goes back, for what comes later has a higher one.
fn prefix_index(view: &dyn View, prefix: &str, highest: Option<u64>) -> Result<u64, TableError> {
    let mut highest = highest.unwrap_or(0);
    let graves = rows::key(rows::TOMBSTONE, &[prefix.as_bytes()]);
    rows::each(view, &graves, |bytes| {
        highest = highest.max(rows::unpack::<Tombstone>(bytes)?.index);
        Ok(())
    })?;
    if highest == 0 {
        return index_of(view, &[Topic::Keys]);
    }
    Ok(highest.max(rows::get(view, &graves_row())?.unwrap_or(0)))
}
