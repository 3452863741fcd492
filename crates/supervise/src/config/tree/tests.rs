//! Reading texts.

use super::*;

fn json5(text: &str) -> Node {
    read(text, Path::new("a.json5")).expect("it reads")
}

fn find<'a>(node: &'a Node, path: &str) -> &'a Node {
    path.split('.').filter(|key| !key.is_empty()).fold(node, |node, key| match &node.value {
        Value::Map(entries) => &entries.iter().find(|(k, _)| k == key).expect("a key").1,
        Value::List(items) => &items[key.parse::<usize>().expect("an index")],
        other => panic!("{other:?} has no {key}"),
    })
}

fn at(node: &Node, path: &str) -> String {
    find(node, path).place.expect("a place").to_string()
}

const SAMPLE: &str = r#"{
  // a comment with { and "
  consul: 'local"host', /* [ */ "stopTimeout": +7,
  jobs: [ { name: "a", port: 0x1F90, exec: ["x", .5, 5.] },
    null, Infinity, -NaN, {when: {}}, 'line \
continued', true ], last: "ü", after: -3,
}"#;

#[test]
fn json5_gives_every_value_its_place() {
    let node = json5(SAMPLE);
    assert_eq!(at(&node, ""), "1:1");
    assert_eq!(at(&node, "consul"), "3:11");
    assert_eq!(at(&node, "stopTimeout"), "3:48");
    assert_eq!(at(&node, "jobs.0"), "4:11");
    assert_eq!(at(&node, "jobs.0.port"), "4:30");
    assert_eq!(at(&node, "jobs.0.exec.2"), "4:54");
    assert_eq!(at(&node, "jobs.4.when"), "5:34");
    assert_eq!(at(&node, "jobs.6"), "6:13");
    assert_eq!(at(&node, "after"), "6:39");
}

#[test]
fn json5_has_all_of_its_values() {
    let node = json5(SAMPLE);
    let value = |path| find(&node, path).value.clone();
    assert_eq!(value("consul"), Value::Text("local\"host".into()));
    assert_eq!(value("stopTimeout"), Value::Int(7));
    assert_eq!(value("jobs.0.port"), Value::Int(8080));
    assert_eq!(value("jobs.0.exec.1"), Value::Float(0.5));
    assert_eq!(value("jobs.0.exec.2"), Value::Float(5.0));
    assert_eq!(value("jobs.1"), Value::Null);
    assert_eq!(value("jobs.2"), Value::Float(f64::INFINITY));
    assert!(matches!(value("jobs.3"), Value::Float(number) if number.is_nan()));
    assert_eq!(value("jobs.5"), Value::Text("line continued".into()));
    assert_eq!(value("jobs.6"), Value::Bool(true));
}

#[test]
fn yaml_gives_every_value_its_place() {
    let text = "# yes\nconsul: localhost:8500\njobs:\n  - name: a\n    exec: [x, 1, 2.5, on]\n    port: 80\n";
    let node = read(text, Path::new("a.yml")).expect("it reads");
    assert_eq!(at(&node, "consul"), "2:9");
    assert_eq!(at(&node, "jobs.0.name"), "4:11");
    assert_eq!(at(&node, "jobs.0.exec.1"), "5:15");
    assert_eq!(find(&node, "jobs.0.exec.2").value, Value::Float(2.5));
    assert_eq!(find(&node, "jobs.0.exec.3").value, Value::Text("on".into()));
    assert_eq!(find(&node, "jobs.0.port").value, Value::Int(80));
}

#[test]
fn what_is_not_json5_but_yaml_is_read_as_yaml() {
    let path = Path::new("app.conf");
    assert!(read("consul: a\n", path).is_ok());
    let error = read("just words", path).expect_err("no object").to_string();
    assert!(error.starts_with("parse error at line:col [1:1]: "), "{error}");
    let error = read("{ a: b }", path).expect_err("it begins as JSON5").to_string();
    assert!(error.starts_with("parse error at line:col [1:6]: "), "{error}");
}

#[test]
fn a_fault_shows_its_line_the_one_before_and_an_arrow() {
    let error = read("{\n    \"test\": ,\n    \"test2\": \"hello\"\n}", Path::new("a.json5"));
    let expected = "parse error at line:col [2:13]: expected value\n    1: {\n    2:     \"test\": ,\n-------------------^";
    assert_eq!(error.expect_err("no value").to_string(), expected);
}

#[test]
fn a_text_that_ends_early_is_shown_at_its_end() {
    let error = read("{a: [1,\n 2", Path::new("a.json5")).expect_err("open").to_string();
    let expected = "parse error at line:col [2:3]: EOF parsing array that begins at 1:5\n";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn nesting_is_bounded() {
    for open in ["[", "{a:", "- "] {
        for name in ["a.json5", "a.yaml"] {
            assert!(read(&open.repeat(100_000), Path::new(name)).is_err(), "{open} {name}");
        }
    }
    let deep = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    assert!(read(&deep, Path::new("a.json5")).is_ok());
}

proptest::proptest! {
    #[test]
    fn random_texts_do_not_break_it(text in "[\\PC\\n\\r]{0,60}") {
        drop(read(&text, Path::new("a.json5")));
        drop(read(&text, Path::new("a.yaml")));
    }

    #[test]
    fn random_json5_like_texts_have_places_in_order(
        text in "([{}\\[\\]:,'\"/*\\\\ \n]|a|1|\\.|true|null|//){0,40}",
    ) {
        if let Ok(node) = read(&text, Path::new("a.json5")) {
            let mut places = Vec::new();
            collect(&node, &mut places);
            proptest::prop_assert!(places.is_sorted(), "{:?}", places);
            proptest::prop_assert!(places.iter().all(Option::is_some));
        }
    }
}

fn collect(node: &Node, places: &mut Vec<Option<Place>>) {
    places.push(node.place);
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| collect(item, places)),
        Value::Map(entries) => entries.iter().for_each(|(_, item)| collect(item, places)),
        _ => {}
    }
}
