//! Metadata: paths and changes.

use regrow_codec::Any;
use regrow_plugin::spi::Change;
use regrow_plugin::tree::{Path, Tree, TreeError};
use serde_json::json;

use crate::scratch::{must, text, two};

fn sample() -> Tree {
    let root = json!({"a": {"b": [1, {"c": "d"}, "x"], "it's": null}, "e": true, "f": 2.5});
    must(Tree::new(root), "make a tree")
}

/// A path prints and reads back as the same steps.
pub fn paths(data: &[u8]) {
    let text = text(data);
    let path = match Path::parse(&text) {
        Ok(path) => path,
        Err(TreeError::PathTooLong { bytes }) => return assert_eq!(bytes, text.len()),
        Err(fault) => panic!("{fault}"),
    };
    // Quotes may make the print longer than what may be read.
    match Path::parse(&path.to_string()) {
        Ok(again) => assert_eq!(again, path, "{text:?} prints as {path}"),
        Err(fault) => assert!(matches!(fault, TreeError::PathTooLong { .. })),
    }
    let tree = sample();
    let keys = tree.keys(&path);
    assert!(keys.is_sorted(), "{keys:?}");
    assert!(tree.get(&path).is_some() || keys.is_empty());
}

/// A proposal is accepted under its own hash and no other, and the tree is what was proposed.
pub fn changes(data: &[u8]) {
    let mut rest = data;
    let mut changes = Vec::new();
    while !rest.is_empty() {
        let (path, value);
        (path, rest) = two(rest);
        (value, rest) = two(rest);
        if let Ok(value) = Any::from_text(text(value)) {
            changes.push(Change { path: text(path), value });
        }
    }
    let tree = sample();
    let proposal = match tree.propose(&changes) {
        Ok(proposal) => proposal,
        Err(fault) => return assert!(!fault.to_string().is_empty()),
    };
    let accepted = must(tree.accept(&proposal.proposed, &proposal.cas), "accept the proposal");
    assert_eq!(accepted.root(), &proposal.proposed.to_value());
    let refused = tree.accept(&proposal.proposed, "other");
    assert_eq!(refused.err(), Some(TreeError::CasMismatch));
}
