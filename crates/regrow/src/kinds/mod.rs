//! The kinds of plugins that this program can start, as data, and the host that runs them.

mod authority;
mod host;
mod intents;
mod leading;
mod managers;
mod starters;
mod table;

use anyhow::{Result, bail};

pub use host::{Host, InCluster};
pub use leading::Leading;
pub use table::{KINDS, Kind};

/// The kind of that name.
pub fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// The kind of that name, or an error that lists them all.
pub fn expect(name: &str) -> Result<&'static Kind> {
    if let Some(kind) = find(name) {
        return Ok(kind);
    }
    if let Some(why) = crate::absent::kind(name) {
        bail!("start plugin {name:?}: {why}");
    }
    let names = || KINDS.iter().map(|kind| kind.name);
    let all = names().collect::<Vec<_>>().join(", ");
    let hint =
        similar(name, names()).map_or_else(String::new, |near| format!("did you mean {near:?}? "));
    bail!("start plugin {name:?}: there is no such kind; {hint}the kinds are {all}");
}

/// The candidate that is most like a word, if any is like it at all.
pub fn similar<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    candidates
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits that turn one word into the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{KINDS, expect, similar};

    #[test]
    fn unknown_kinds_name_the_known_ones() {
        let fault = expect("vanila").map(|kind| kind.name).expect_err("unknown").to_string();
        assert!(fault.contains("did you mean \"vanilla\"?"), "{fault}");
        assert!(KINDS.iter().all(|kind| fault.contains(kind.name)));
        assert_eq!(similar("zzzzzz", ["file", "vars"].into_iter()), None);
        assert_eq!(similar("prosess", ["process", "group"].into_iter()), Some("process"));
    }

    #[test]
    fn each_kind_and_socket_is_there_once() {
        for (at, kind) in KINDS.iter().enumerate() {
            assert!(KINDS[at + 1..].iter().all(|other| other.name != kind.name));
            assert!(!kind.socket.contains('/') && !kind.what.is_empty());
        }
    }
}
