use std::sync::Arc;

use proptest::prelude::*;
use regrow_codec::Any;
use serde_json::{Value, json};

use super::{
    MAX_DEPTH, MAX_PATH_BYTES, Path, ReadOnlyTree, Step, Tree, TreeError, UpdatableTree, get, keys,
    merge, set,
};
use crate::spi::{Change, Metadata, Updatable};

fn path(text: &str) -> Path {
    Path::parse(text).expect(text)
}

fn key(text: &str) -> Step {
    Step::Key(text.into())
}

fn select(keys: &[&str], value: &str) -> Step {
    Step::Select { keys: keys.iter().map(|&key| key.into()).collect(), value: value.into() }
}

fn change(path: &str, value: Value) -> Change {
    Change { path: path.into(), value: value.into() }
}

#[test]
fn paths_follow_the_table_of_the_specification() {
    for (text, steps) in [
        ("", vec![]),
        (".", vec![]),
        ("/", vec![]),
        ("a/b/c", vec![key("a"), key("b"), key("c")]),
        ("/a//./b/", vec![key("a"), key("b")]),
        ("name[3]", vec![key("name"), Step::Index(3)]),
        ("name[-1]", vec![key("name"), Step::Index(-1)]),
        ("name/[+3]", vec![key("name"), Step::Index(3)]),
        ("a[0][1]/b", vec![key("a"), Step::Index(0), Step::Index(1), key("b")]),
        ("a[key=value]", vec![key("a"), select(&["key"], "value")]),
        ("a[b/c=x/y=z]/d", vec![key("a"), select(&["b", "c"], "x/y=z"), key("d")]),
        ("a[=x]", vec![key("a"), select(&[], "x")]),
        ("a[k=]", vec![key("a"), select(&["k"], "")]),
        ("a['k=1'='v]w']", vec![key("a"), select(&["k=1"], "v]w")]),
        ("'foo/bar'/baz", vec![key("foo/bar"), key("baz")]),
        ("'fo'o", vec![key("foo")]),
        ("'it''s'", vec![key("it's")]),
        ("''", vec![key("")]),
        ("'.'", vec![key(".")]),
        ("'a[0]'[0]", vec![key("a[0]"), Step::Index(0)]),
        // Ordinary keys, because no special form fits.
        ("it's/john's", vec![key("it's"), key("john's")]),
        ("'open/end", vec![key("'open"), key("end")]),
        ("a[b", vec![key("a[b")]),
        ("a[b]", vec![key("a[b]")]),
        ("a[0]b/c", vec![key("a[0]b"), key("c")]),
        ("a[b/c]d", vec![key("a[b"), key("c]d")]),
        ("..", vec![key("..")]),
        ("ключ/é", vec![key("ключ"), key("é")]),
    ] {
        assert_eq!(path(text).steps(), steps, "{text}");
    }
}

#[test]
fn overlong_paths_are_refused() {
    let long = "[".repeat(MAX_PATH_BYTES + 1);
    assert_eq!(Path::parse(&long), Err(TreeError::PathTooLong { bytes: MAX_PATH_BYTES + 1 }));
    assert_eq!(path(&long[1..]).steps().len(), 1);
}

fn sample() -> Value {
    json!({
        "cluster": {"name": "foo", "size": 5, "on": true, "none": null},
        "disks": [{"kind": "hdd", "id": 1}, {"kind": "ssd", "id": 2, "at": {"bus": 7.5}}],
        "names": ["a", "b"],
        "a/b": {"x[0]": 1},
        "": {"": 2},
    })
}

#[test]
fn values_are_found_by_path() {
    let tree = sample();
    for (at, found) in [
        ("cluster/size", Some(json!(5))),
        ("cluster/none", Some(Value::Null)),
        ("cluster/nope", None),
        ("cluster/size/x", None),
        ("disks[0]/id", Some(json!(1))),
        ("disks/[1]/kind", Some(json!("ssd"))),
        ("disks[-1]/kind", Some(json!("ssd"))),
        ("disks[-2]/kind", Some(json!("hdd"))),
        ("disks[-3]/kind", None),
        ("disks[2]", None),
        ("disks[kind=ssd]/id", Some(json!(2))),
        ("disks[id=2]/kind", Some(json!("ssd"))),
        ("disks[at/bus=7.5]/id", Some(json!(2))),
        ("disks[kind=nvme]", None),
        ("names[=b]", Some(json!("b"))),
        ("names/a", None),
        ("cluster[0]", None),
        ("'a/b'/'x[0]'", Some(json!(1))),
        ("''/''", Some(json!(2))),
    ] {
        assert_eq!(get(&tree, &path(at)).cloned(), found, "{at}");
    }
    assert_eq!(get(&tree, &path(".")), Some(&tree));
}

#[test]
fn children_are_sorted_and_addressable() {
    let tree = sample();
    assert_eq!(keys(&tree, &path("")), ["''", "'a/b'", "cluster", "disks", "names"]);
    assert_eq!(keys(&tree, &path("disks")), ["[0]", "[1]"]);
    assert_eq!(keys(&tree, &path("cluster/name")), [""; 0]);
    assert_eq!(keys(&tree, &path("nope")), [""; 0]);
}

#[test]
fn changes_are_made_at_paths() {
    let tree =
        Tree::new(json!({"a": {"b": 1, "c": {"d": 2}}, "l": [1, {"k": "v"}]})).expect("tree");
    for (at, value, result) in [
        ("a/b", json!(0), json!({"a": {"b": 0, "c": {"d": 2}}, "l": [1, {"k": "v"}]})),
        (
            "a",
            json!({"c": {"e": 3}}),
            json!({"a": {"b": 1, "c": {"d": 2, "e": 3}}, "l": [1, {"k": "v"}]}),
        ),
        ("", json!({"l": [], "n": "x"}), json!({"a": {"b": 1, "c": {"d": 2}}, "l": [], "n": "x"})),
        ("a/b/x", json!(1), json!({"a": {"b": {"x": 1}, "c": {"d": 2}}, "l": [1, {"k": "v"}]})),
        ("l[0]", json!("z"), json!({"a": {"b": 1, "c": {"d": 2}}, "l": ["z", {"k": "v"}]})),
        ("l[k=v]/k", json!("w"), json!({"a": {"b": 1, "c": {"d": 2}}, "l": [1, {"k": "w"}]})),
        ("a/c", json!(null), json!({"a": {"b": 1}, "l": [1, {"k": "v"}]})),
        ("a", json!({"b": null}), json!({"a": {"c": {"d": 2}}, "l": [1, {"k": "v"}]})),
        ("l[-2]", json!(null), json!({"a": {"b": 1, "c": {"d": 2}}, "l": [{"k": "v"}]})),
        ("x/y/z", json!(null), json!({"a": {"b": 1, "c": {"d": 2}}, "l": [1, {"k": "v"}]})),
        ("a/b/x", json!(null), json!({"a": {"b": 1, "c": {"d": 2}}, "l": [1, {"k": "v"}]})),
        ("l", json!([null]), json!({"a": {"b": 1, "c": {"d": 2}}, "l": [null]})),
    ] {
        let changed = tree.with(&path(at), value.clone()).expect(at);
        assert_eq!(changed.root(), &result, "{at} = {value}");
    }
}

#[test]
fn what_cannot_be_set_says_why() {
    let tree = Tree::new(sample()).expect("tree");
    let deep = vec!["k"; MAX_DEPTH + 1].join("/");
    for (at, value, text) in [
        (
            "disks/x",
            json!(1),
            "set disks/x: \"disks\" is a list; address an item as name[0] or \
            name[key=value], or set the whole list",
        ),
        (
            "disks[9]/id",
            json!(1),
            "set disks[9]/id: no such item in \"disks\", which has 2; \
            set the whole list to add one",
        ),
        ("new[0]", json!(1), "set new[0]: \"new\" is not a list; set the whole list first"),
        (
            "cluster[0]",
            json!(1),
            "set cluster[0]: \"cluster\" is not a list; set the whole list first",
        ),
        (
            ".",
            json!(5),
            "set the whole tree: expected a map, found a number; \
            give a path to set a single value",
        ),
        (
            ".",
            json!(null),
            "set the whole tree: expected a map, found null; \
            give a path to set a single value",
        ),
        (&deep, json!(1), "set the tree: it would have more than 100 levels; use shorter paths"),
    ] {
        let fault = tree.with(&path(at), value).expect_err(at);
        assert_eq!(fault.to_string(), text);
    }
    let large = Value::String("x".repeat(super::MAX_TREE_BYTES));
    assert!(matches!(tree.with(&path("x"), large), Err(TreeError::TooLarge { .. })));
    // Deeper than the JSON reader goes: must not be taken for `null`, which would remove.
    let nested = Any::from_text(format!("{}{}", "[".repeat(200), "]".repeat(200))).expect("any");
    let change = Change { path: "cluster".into(), value: nested };
    assert!(matches!(tree.propose(&[change]), Err(TreeError::NotJson { .. })));
}

/// The messages of InfraKit specification §2.4, captured from the original.
#[tokio::test]
async fn changes_and_commit_as_captured() {
    let vars = UpdatableTree::default();
    let changes = [change("cluster/size", json!(5)), change("cluster/name", json!("foo"))];
    let proposal = vars.changes(&changes).await.expect("changes");
    assert_eq!(proposal.original.as_text(), "{}");
    assert_eq!(proposal.proposed.to_value(), json!({"cluster": {"name": "foo", "size": 5}}));
    assert_eq!(proposal.cas, "fc16768af75aefe8c233b2430aa5c334");
    assert_eq!(vars.get("cluster").await, Ok(None), "nothing is stored yet");

    // A client may send the proposal in any spelling of the same JSON.
    let respelled = Any::from_text("{\n\t\"cluster\": {\"size\": 5.0, \"name\": \"f\\u006fo\"}\n}");
    vars.commit(&respelled.expect("JSON"), &proposal.cas).await.expect("commit");
    assert_eq!(
        vars.get("cluster/size").await.map(|v| v.map(|v| v.to_string())),
        Ok(Some("5.0".into()))
    );
    assert_eq!(vars.keys("cluster").await, Ok(vec!["name".to_owned(), "size".to_owned()]));

    let refused = vars.commit(&proposal.proposed, &proposal.cas).await.expect_err("stale");
    assert_eq!(refused.to_string(), "cas mismatch");
    let refused = vars.commit(&Any::from(json!([1])), &proposal.cas).await.expect_err("list");
    assert!(refused.to_string().contains("expected a map, found a list"), "{refused}");
}

#[tokio::test]
async fn a_removal_survives_the_commit() {
    let vars = UpdatableTree::new(Tree::new(json!({"a": 1, "b": {"c": 2}})).expect("tree"));
    let changes = [change("a", json!(null)), change("b/c", json!(null)), change("b/d", json!(3))];
    let proposal = vars.changes(&changes).await.expect("changes");
    vars.commit(&proposal.proposed, &proposal.cas).await.expect("commit");
    assert_eq!(vars.tree().root(), &json!({"b": {"d": 3}}));
}

#[tokio::test]
async fn a_read_only_tree_reads_the_snapshot_and_refuses_changes() {
    let tree = ReadOnlyTree::new(|| Arc::new(json!({"groups": {"q": {"Converged": true}}})));
    assert_eq!(tree.keys("groups/").await, Ok(vec!["q".to_owned()]));
    assert_eq!(tree.get("groups/q/Converged").await, Ok(Some(Any::from(json!(true)))));
    assert_eq!(tree.get("nope").await, Ok(None));
    assert_eq!(tree.changes(&[]).await.expect_err("changes").to_string(), "readonly");
    assert_eq!(tree.commit(&Any::default(), "").await.expect_err("commit").to_string(), "readonly");
    let long = "x".repeat(MAX_PATH_BYTES + 1);
    assert!(tree.get(&long).await.is_err() && tree.keys(&long).await.is_err());
}

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-c]", 1 => "[a./=\\[\\]'0-9 é]{0,5}"]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any_key(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_map() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(any_key(), any_value(), 0..4)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any_key().prop_map(Step::Key),
        1 => any::<i64>().prop_map(Step::Index),
        1 => (prop::collection::vec(any_key(), 0..3), any_key())
            .prop_map(|(keys, value)| Step::Select { keys, value }),
    ]
}

/// Every path of a tree, as the names that `keys` gives.
fn walk(tree: &Value, at: &str, found: &mut Vec<String>) {
    for name in keys(tree, &path(at)) {
        let child = if at.is_empty() { name } else { format!("{at}/{name}") };
        walk(tree, &child, found);
        found.push(child);
    }
}

fn size(tree: &Value) -> usize {
    match tree {
        Value::Object(fields) => fields.values().map(|v| 1 + size(v)).sum(),
        Value::Array(items) => items.iter().map(|v| 1 + size(v)).sum(),
        _ => 0,
    }
}

fn without_nulls(value: &Value) -> Value {
    let mut clean = Value::Null;
    merge(&mut clean, value.clone());
    clean
}

proptest! {
    #[test]
    fn a_path_reads_back_as_it_prints(steps in prop::collection::vec(any_step(), 0..6)) {
        let printed = Path::from_steps(steps);
        prop_assert_eq!(path(&printed.to_string()), printed);
    }

    #[test]
    fn any_text_is_a_path_and_prints_stably(text in "[a./=\\[\\]'0-9é-]{0,24}") {
        let parsed = path(&text);
        prop_assert_eq!(path(&parsed.to_string()), parsed);
    }

    #[test]
    fn every_child_that_is_listed_can_be_read(tree in any_map()) {
        let mut found = Vec::new();
        walk(&tree, "", &mut found);
        prop_assert_eq!(found.len(), size(&tree));
        for at in found {
            prop_assert!(get(&tree, &path(&at)).is_some(), "{}", at);
        }
    }

    #[test]
    fn merging_is_idempotent_and_has_the_empty_map_as_unit(tree in any_map(), patch in any_map()) {
        let mut once = tree.clone();
        merge(&mut once, patch.clone());
        let mut twice = once.clone();
        merge(&mut twice, patch);
        prop_assert_eq!(&once, &twice);
        merge(&mut twice, json!({}));
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn merging_is_associative_for_patches_that_remove_nothing(
        tree in any_map(), first in any_map(), second in any_map(),
    ) {
        // Only among maps: a scalar in the first patch hides what the second is merged with.
        let (first, second) = (without_nulls(&first), without_nulls(&second));
        let mut steps = tree.clone();
        merge(&mut steps, first.clone());
        merge(&mut steps, second.clone());
        let mut both = first.clone();
        merge(&mut both, second.clone());
        let mut joined = tree;
        merge(&mut joined, both);
        if !hides_a_map(&first, &second) {
            prop_assert_eq!(steps, joined);
        }
    }

    #[test]
    fn what_is_set_is_found_and_nothing_else_changes(
        tree in any_map(),
        keys in prop::collection::vec("[a-c]", 1..4),
        value in any_value().prop_filter("null removes", |v| !v.is_null()),
    ) {
        let at = Path::from_steps(keys.iter().cloned().map(Step::Key));
        let mut changed = tree.clone();
        if set(&mut changed, &at, value.clone()).is_err() {
            prop_assert_eq!(changed, tree, "a refused change leaves the tree as it was");
            return Ok(());
        }
        let mut patch = value.clone();
        for key in keys.iter().rev() {
            patch = json!({key: patch});
        }
        let mut merged = tree.clone();
        merge(&mut merged, patch);
        prop_assert_eq!(&changed, &merged, "setting is merging at a path");
        if !value.is_object() {
            prop_assert_eq!(get(&changed, &at), Some(&value));
        }
        for (key, before) in tree.as_object().into_iter().flatten() {
            if *key != keys[0] {
                prop_assert_eq!(changed.get(key), Some(before));
            }
        }
    }

    #[test]
    fn what_is_removed_is_gone(tree in any_map(), pick in any::<prop::sample::Index>()) {
        let mut found = Vec::new();
        walk(&tree, "", &mut found);
        if found.is_empty() {
            return Ok(());
        }
        let at = path(&found[pick.index(found.len())]);
        let mut changed = tree.clone();
        set(&mut changed, &at, Value::Null).expect("an existing value can be removed");
        prop_assert!(size(&changed) < size(&tree));
    }

    #[test]
    fn a_proposal_is_accepted_once_and_by_its_own_tree_only(
        tree in any_map(), other in any_map(), patch in any_map(),
    ) {
        let (tree, other) = (Tree::new(tree).expect("tree"), Tree::new(other).expect("tree"));
        let proposal = tree.propose(&[change("", patch)]).expect("proposal");
        let accepted = tree.accept(&proposal.proposed, &proposal.cas).expect("accepted");
        prop_assert_eq!(Any::from(&accepted), proposal.proposed.clone());
        if other != tree {
            let refused = other.accept(&proposal.proposed, &proposal.cas);
            prop_assert_eq!(refused, Err(TreeError::CasMismatch));
        }
    }
}

/// True where `second` merges a map into something that is no map in `first`.
fn hides_a_map(first: &Value, second: &Value) -> bool {
    match (first, second) {
        (Value::Object(first), Value::Object(second)) => second
            .iter()
            .any(|(key, value)| first.get(key).is_some_and(|own| hides_a_map(own, value))),
        (_, Value::Object(_)) => true,
        _ => false,
    }
}
