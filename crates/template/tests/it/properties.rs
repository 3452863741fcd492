//! Properties of all templates.

use crate::support::{BASE, try_render};
use proptest::prelude::*;
use regrow_template::{JsonNumbers, Limits, Options, Template, Value};
use serde_json::{Value as Json, json};

/// Pieces that make syntactically interesting texts likely.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("{{".to_owned()),
        Just("}}".to_owned()),
        Just("{{- ".to_owned()),
        Just(" -}}".to_owned()),
        Just("{{if .a}}".to_owned()),
        Just("{{else}}".to_owned()),
        Just("{{end}}".to_owned()),
        Just("{{range .}}".to_owned()),
        Just("{{with $x := .b}}".to_owned()),
        Just("{{/*".to_owned()),
        Just("*/}}".to_owned()),
        Just("{{define \"t\"}}".to_owned()),
        Just("{{template \"t\" .}}".to_owned()),
        Just("{{block \"u\" .}}".to_owned()),
        Just("{{break}}".to_owned()),
        Just("{{else if 1}}".to_owned()),
        Just("$".to_owned()),
        Just(".a.b".to_owned()),
        Just("|".to_owned()),
        Just("(".to_owned()),
        Just(")".to_owned()),
        Just("\"".to_owned()),
        Just("`".to_owned()),
        Just("'a'".to_owned()),
        Just(" printf \"%v\" . ".to_owned()),
        Just(" 0x1p4 ".to_owned()),
        Just(" := ".to_owned()),
        Just(" ".to_owned()),
        "[a-z0-9.$|()\"'`+\\-_é\\n ]{0,6}",
        ".{0,4}",
    ]
}

fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        ".{0,8}".prop_map(Json::from),
        "[-+0-9:. _xeyntrulfaso~#&*!|>'\"%@\\[\\]{},\\n]{0,8}".prop_map(Json::from),
    ]
}

fn document() -> impl Strategy<Value = Json> {
    scalar().prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            prop::collection::btree_map("[a-z ~:#0-9\\n-]{0,5}", inner, 0..5)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

fn argument() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("nil".to_owned()),
        Just("true".to_owned()),
        Just("-1".to_owned()),
        Just("0".to_owned()),
        Just("3".to_owned()),
        Just("9223372036854775807".to_owned()),
        Just("1.5".to_owned()),
        Just("``".to_owned()),
        Just("`é x,Y_z`".to_owned()),
        Just("`2006-01-02`".to_owned()),
        Just("`%d %v[`".to_owned()),
        Just("(list 1 `a` nil)".to_owned()),
        Just("(list)".to_owned()),
        Just("(dict `a` 1)".to_owned()),
        Just("(dict)".to_owned()),
        Just("(toDate `2006` `2020`)".to_owned()),
        Just("(loop 2)".to_owned()),
        Just("`1.2.3`".to_owned()),
        Just("`(a|b)*`".to_owned()),
        Just(".".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_never_panics(text in ".*") {
        let _ = try_render(&text, &json!({"a": [1]}));
    }

    #[test]
    fn text_that_looks_like_a_template_never_panics(pieces in prop::collection::vec(piece(), 0..20)) {
        let _ = try_render(&pieces.concat(), &json!({"a": [1, {"b": "c"}], "b": {"a": null}}));
    }

    #[test]
    fn text_without_delimiters_prints_itself(text in "[^{]*(\\{[^{]+)*") {
        prop_assert_eq!(try_render(&text, &json!(null)).unwrap(), text);
    }

    #[test]
    fn any_function_takes_any_arguments(
        at in any::<prop::sample::Index>(),
        arguments in prop::collection::vec(argument(), 0..4),
    ) {
        let functions = regrow_template::builtin_help();
        let name = &functions[at.index(functions.len())].name;
        let limits = Limits { max_steps: 100_000, max_output_bytes: 1 << 20, ..Limits::default() };
        let options = Options { limits, ..Options::default() };
        let text = format!("{{{{ {name} {} }}}}", arguments.join(" "));
        let _ = Template::from_text(&text, BASE, &options).render(&json!({"a": 1}));
    }

    #[test]
    fn json_and_yaml_read_back_what_they_wrote(document in document()) {
        for text in ["{{ jsonEncode . | jsonDecode | toJson }}", "{{ toJson . }}", "{{ yamlEncode . | yamlDecode | toJson }}"] {
            let printed = try_render(text, &document).unwrap();
            let back: Json = serde_json::from_str(&printed).unwrap();
            let floats = |json: &Json| Value::from_json(json, JsonNumbers::Float);
            prop_assert_eq!(floats(&back), floats(&document), "{} {}", text, try_render("{{ yamlEncode . }}", &document).unwrap());
        }
    }

    #[test]
    fn quoting_reads_back(text in ".*") {
        let quoted = try_render("{{ printf \"%q\" .t }}", &json!({"t": text})).unwrap();
        let again = try_render(&format!("{{{{ {quoted} }}}}"), &json!(null)).unwrap();
        prop_assert_eq!(again, text);
    }
}
