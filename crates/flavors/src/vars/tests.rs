use regrow_codec::Any;
use regrow_ids::PluginName;
use regrow_plugin::spi::{Change, Interface};
use regrow_plugin::tree::{Tree, UpdatableTree};
use regrow_plugin::{Lookup, Registry};
use serde_json::{Value, json};

use super::{Options, load, plugin, plugin_of};
use crate::Templates;

fn options(template: &str) -> Options {
    Options { initial_template: Some(template.to_owned()) }
}

async fn values(template: &str) -> Result<Value, String> {
    let loaded = load(&options(template), &Templates::default()).await;
    loaded.map(|tree| tree.root().clone()).map_err(|fault| fault.to_string())
}

#[test]
fn options_come_from_the_document_and_then_from_the_environment() {
    let set = |name: &str| (name == "INFRAKIT_VARS_TEMPLATE").then(|| "str://env".to_owned());
    let read = |json: &str| Any::from_text(json).expect(json).decode::<Options>().expect(json);
    let given = read(r#"{"InitialTemplate": "str://doc"}"#);
    assert_eq!(given.clone().or_environment(set), given);
    for json in ["null", "{}", r#"{"InitialTemplate": null}"#, r#"{"InitialTemplate": ""}"#] {
        assert_eq!(read(json).or_environment(set), options("str://env"), "{json}");
        assert_eq!(read(json).or_environment(|_| None), Options::default(), "{json}");
        assert_eq!(
            read(json).or_environment(|_| Some(String::new())),
            Options::default(),
            "{json}"
        );
    }
}

#[tokio::test]
async fn the_template_gives_json_or_yaml_or_nothing() {
    for (template, found) in [
        (r#"str://{"a": {"b": 1}, "c": [1.5, null]}"#, json!({"a": {"b": 1}, "c": [1.5, null]})),
        (
            "str://a:\n  b: 1\nc: [x, 'y']\nd: null\n",
            json!({"a": {"b": 1}, "c": ["x", "y"], "d": null}),
        ),
        ("str://{a: 1, b: {c: true}}", json!({"a": 1, "b": {"c": true}})),
        ("str://", json!({})),
        ("str:// \n", json!({})),
        ("str://# nothing but this\n", json!({})),
        ("str://{\"sum\": {{ len `abc` }}}", json!({"sum": 3})),
    ] {
        assert_eq!(values(template).await, Ok(found), "{template}");
    }
    assert_eq!(load(&Options::default(), &Templates::default()).await.ok(), Some(Tree::default()));
}

#[tokio::test]
async fn variables_of_the_template_are_merged_in_by_path() {
    let template = r#"str://{{ var "cluster/size" 5 }}{{ var "zone" "a1" }}{"cluster": {"name": "foo", "size": 1}}"#;
    assert_eq!(
        values(template).await,
        Ok(json!({"cluster": {"name": "foo", "size": 5}, "zone": "a1"}))
    );
    let unset = values("str://{\"x\": \"{{ var `y` }}\"}").await;
    assert_eq!(unset, Ok(json!({"x": "<no value>"})), "no later pass will fill it in");
}

#[tokio::test]
async fn what_is_no_map_is_refused() {
    for (template, parts) in [
        ("str://[1, 2]", &["vars", "expected a map, found a list"][..]),
        ("str://just text", &["expected a map, found a text"]),
        (r#"str://{"a": 1,,}"#, &["InitialTemplate of vars gives", "line 1", "as JSON or YAML"]),
        ("str://a: [1\nb: }", &["InitialTemplate of vars gives", "as JSON or YAML"]),
        ("str://{{ nope }}", &["render InitialTemplate of vars", ":1:", "nope"]),
        ("file:///does/not/exist", &["load template file:///does/not/exist"]),
        (r#"str://{{ var "a/x" 1 }}{"a": [1]}"#, &["vars", "set a/x: \"a\" is a list"]),
    ] {
        let text = values(template).await.expect_err(template);
        for part in parts {
            assert!(text.contains(part), "{template}: {text}");
        }
    }
}

#[tokio::test]
async fn the_plugin_is_found_changed_and_read() {
    let start = options(r#"str://{"a": 1, "b": {"c": 2}}"#);
    let served = plugin("vars", &start, &Templates::default()).await.expect("plugin");
    assert_eq!(served.interfaces(), [(Interface::Updatable, vec![".".to_owned()])]);
    let registry = Registry::default();
    registry.add(served);
    let vars = registry.updatable(&PluginName::new("vars")).await.expect("found");

    let changes = [
        Change { path: "b/d".into(), value: json!([3]).into() },
        Change { path: "a".into(), value: Any::default() },
    ];
    let proposal = vars.changes(&changes).await.expect("changes");
    vars.commit(&proposal.proposed, &proposal.cas).await.expect("commit");
    assert_eq!(
        vars.get("").await.map(|v| v.map(|v| v.to_value())),
        Ok(Some(json!({"b": {"c": 2, "d": [3]}})))
    );
    assert_eq!(vars.get("b/d[0]").await, Ok(Some(json!(3).into())));
    assert_eq!(vars.keys("b").await, Ok(vec!["c".to_owned(), "d".to_owned()]));
    let stale = vars.commit(&proposal.proposed, &proposal.cas).await.expect_err("stale");
    assert_eq!(stale.to_string(), "cas mismatch");
}

#[tokio::test]
async fn of_many_commits_on_one_tree_exactly_one_wins() {
    let tree = UpdatableTree::default();
    let registry = Registry::default();
    registry.add(plugin_of("vars", tree.clone()));
    let vars = registry.updatable(&PluginName::new("vars")).await.expect("found");
    let mut proposals = Vec::new();
    for n in 0..8 {
        let change = Change { path: "n".into(), value: json!(n).into() };
        proposals.push(vars.changes(&[change]).await.expect("changes"));
    }
    let commits = proposals.into_iter().map(|proposal| {
        let vars = vars.clone();
        tokio::spawn(async move { vars.commit(&proposal.proposed, &proposal.cas).await.is_ok() })
    });
    let mut won = 0;
    for commit in commits.collect::<Vec<_>>() {
        won += usize::from(commit.await.expect("task"));
    }
    assert_eq!(won, 1);
    assert!(tree.tree().root().get("n").is_some());
}
