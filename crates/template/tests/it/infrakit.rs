//! InfraKit's own functions.

use crate::support::{BASE, expect_all, failure, render};
use regrow_template::{Function, MetadataLookup, MissingKey, Options, Template, Value};
use serde_json::{Value as Json, json};
use std::sync::{Arc, Mutex};

fn multi(text: &str) -> String {
    let options = Options::default();
    Template::from_text(text, BASE, &options).render(&json!(null)).unwrap().text
}

#[test]
fn var_sets_reads_and_prints_itself_back() {
    assert_eq!(multi(r#"{{ var "a" 1 }}{{ var "a" }}"#), "1");
    assert_eq!(multi(r#"{{ var `id` }} {{ var "id" }}"#), "{{ var `id` }} {{ var `id` }}");
    // A default argument is a value: with two arguments the variable is set.
    assert_eq!(multi(r#"[{{ var "a" "help" 3 }}]{{ var "a" }}"#), "[]3");
    expect_all(&[
        (r#"{{ var "none" }}"#, "<no value>"),
        (r#"{{ if not (var "/not/exist")}}none{{else}}here{{end}}"#, "none"),
        (
            r#"{{ global "x" 1 }}{{ ref "x" }}{{ def "x" 5 }}{{ ref "x" }}{{ def "y" "doc" 6 }}{{ ref "y" }}"#,
            "116",
        ),
    ]);
    let options =
        Options { multi_pass: false, missing_key: MissingKey::Error, ..Options::default() };
    let error = Template::from_text(r#"{{ var "v" }}"#, BASE, &options).render(&json!({}));
    assert!(error.unwrap_err().report().ends_with("Missing variable v"));
}

#[test]
fn two_passes_resolve_what_each_knows() {
    let group = r#"{"Size": {{ var "size" }}, "Init": "{{ var `logical-id` }}"}"#;
    let options = Options::default();
    let first = Template::from_text(group, BASE, &options).global("size", 3).render(&json!(null));
    let first = first.unwrap().text;
    assert_eq!(first, r#"{"Size": 3, "Init": "{{ var `logical-id` }}"}"#);
    let second = Template::from_text(&first, BASE, &options).global("logical-id", "10.0.0.1");
    let second = second.render(&json!(null)).unwrap();
    assert_eq!(second.text, r#"{"Size": 3, "Init": "10.0.0.1"}"#);
    assert_eq!(second.vars["logical-id"], json!("10.0.0.1"));
}

#[test]
fn source_shares_variables_and_include_does_not() {
    let child = r#"{{ var \"foo\" 100 }}"#;
    expect_all(&[
        (&format!(r#"{{{{ source "str://{child}" }}}}foo={{{{ var "foo" }}}}"#), "foo=100"),
        (
            &format!(
                r#"{{{{ var "foo" 200 }}}}{{{{ include "str://{child}" }}}}foo={{{{ var "foo" }}}}"#
            ),
            "foo=200",
        ),
    ]);
    let data = json!({"a": 1});
    let set = r#"{{ $void := set . \"a\" 100 }}"#;
    assert_eq!(render(&format!(r#"{{{{ source "str://{set}" }}}}a={{{{.a}}}}"#), &data), "a=100");
    assert_eq!(render(&format!(r#"{{{{ include "str://{set}" }}}}a={{{{.a}}}}"#), &data), "a=1");
    assert_eq!(render(&format!(r#"{{{{ include "str://{set}" . }}}}a={{{{.a}}}}"#), &data), "a=1");
    assert_eq!(
        render(r#"{{ include "str://{{.}}" 5 }}{{ include "str://{{.}}" "A=B" "x" }}"#, &data),
        "5x"
    );
}

#[test]
fn conversions() {
    expect_all(&[
        (r#"{{ jsonDecode `{"a":[1,2,{"b":"c"}]}` | q "a[2].b" }}"#, "c"),
        (
            r#"{{ jsonDecode `{"b":1,"a":"<x>"}` | jsonEncode }}"#,
            "{\n  \"a\": \"\\u003cx\\u003e\",\n  \"b\": 1\n}",
        ),
        (r#"{{ list 1 2 | jsonEncodeIndent ">" " " }}"#, "[\n> 1,\n> 2\n>]"),
        (r#"{{ list | jsonEncode }} {{ dict | jsonEncode }}"#, "[] {}"),
        ("{{ \"a: 1\\nb: [x, z]\" | yamlDecode | toJson }}", r#"{"a":1,"b":["x","z"]}"#),
        (
            r#"{{ iniDecode "top=1\n[s]\n; c\nk = v w\n" | toJson }}"#,
            r#"{"":{"top":"1"},"s":{"k":"v w"}}"#,
        ),
        (
            r#"{{ hclDecode "a = 1\nb \"x\" { c = \"${var.d}\" }" | toJson }}"#,
            r#"{"a":1,"b":[{"x":[{"c":"${var.d}"}]}]}"#,
        ),
        (r#"{{ range $i, $x := loop 3 }}{{$i}}{{$x}} {{end}}"#, "0{} 1{} 2{} "),
        (r#"{{ lines "a\nb\n" | toJson }}"#, r#"["a","b",""]"#),
        (r#"{{ k "a" (dict "a" 7) }}"#, "7"),
        (
            r#"{{ index_of "c" (list "a" "b" "c") }} {{ indexOf "1" (list 0 1 2) }} {{ indexOf "1" (list 0 1 2) true }} {{ indexOf 25 26 }}"#,
            "2 1 -1 -1",
        ),
        (r#"{{ escape "{{.ID}}" }} {{ escape "{{.ID}}" | unescape }}"#, r"\{\{.ID\}\} {{.ID}}"),
        (
            r#"{{ depend "net/az1-net1/Properties/id" }}"#,
            "\"@depend('net/az1-net1/Properties/id')@\"",
        ),
        (r#"{{ $x := jsonDecode `[1]` }}{{ index $x 0 | printf "%T" }}"#, "float64"),
    ]);
    assert!(failure("{{ depend \"a b\" }}", &json!(null)).contains("bad path"));
    assert!(failure("{{ jsonDecode `{` }}", &json!(null)).contains("the text is not JSON"));
    assert!(failure("{{ q `a[` . }}", &json!(null)).contains("bad JMESPath expression"));
    // Each way to go through a value that a large one may take.
    let workers: Vec<_> = (0..4_000)
        .map(|i| json!({"id": i, "name": format!("w{i:05}"), "tags": [{"k": "a"}, {"k": "b"}]}))
        .collect();
    let data = json!({"groups": [{"workers": workers}], "sep": "-"});
    for (query, want) in [
        ("groups[*].workers[].{id: id, name: name, first: tags[0].k} | [7].name", "w00007"),
        ("groups[].workers[?name == 'w00003'][].tags[].k | join(', ', @)", "a, b"),
        ("groups[*].sort_by(workers, &name) | [0][-1].name", "w03999"),
        ("groups[0].map(&name, workers) | length(@)", "4000"),
        ("groups[0].max_by(workers, &id).to_string(id)", "3999"),
        ("groups[0].workers[].name | join(', ', @) | length(@)", "31998"),
        ("groups[0].workers[:2].name | join(`\"\"`, @)", "w00000w00001"),
        ("groups[0].workers[0].keys(@) | sort(@)[0] || 'none'", "id"),
        ("not_null(nothing, sep)", "-"),
    ] {
        assert_eq!(
            render(&format!("{{{{ q \"{}\" . }}}}", query.replace('"', "\\\"")), &data),
            want
        );
    }
    assert!(failure("{{ fetch `gopher://x` }}", &json!(null)).contains("unsupported url"));
}

#[test]
fn yaml_is_laid_out_as_infrakit_did() {
    let data = json!({
        "list": [{"a": 1, "b": [2, 3]}, "x", []], "empty": {}, "s": "a: b", "t": "true", "n": null,
        "text": "one\ntwo\n", "num": "0123", "plain": "hello world", "m": {"k": "v"}, "f": 1.5,
    });
    let want = "empty: {}\nf: 1.5\nlist:\n- a: 1\n  b:\n  - 2\n  - 3\n- x\n- []\nm:\n  k: v\n\"n\": null\n\
                num: \"0123\"\nplain: hello world\ns: 'a: b'\nt: \"true\"\ntext: |\n  one\n  two\n";
    assert_eq!(render("{{ yamlEncode . }}", &data), want);
    let back = render("{{ yamlEncode . | yamlDecode | toJson }}", &data);
    let whole: Json = serde_json::from_str(&back).unwrap();
    assert_eq!(whole, data);
}

#[test]
fn echo_leaves_the_output_alone() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let sink = said.clone();
    let echo = Arc::new(move |line: &str| sink.lock().unwrap().push(line.to_owned()));
    let options = Options { echo, ..Options::default() };
    let text =
        Template::from_text("{{ echo `a` 1 }}b", BASE, &options).render(&json!(null)).unwrap().text;
    assert_eq!(text, "b");
    assert_eq!(*said.lock().unwrap(), ["a 1"]);
}

#[derive(Default)]
struct Fake {
    asked: Mutex<u32>,
    set: Mutex<Vec<(String, Json)>>,
}

impl MetadataLookup for Fake {
    fn get(&self, path: &str) -> Result<Option<Json>, String> {
        let mut asked = self.asked.lock().unwrap();
        *asked += 1;
        match path {
            "vars/zone" => Ok(Some(json!("a1"))),
            "late/x" if *asked >= 3 => Ok(Some(json!({"ready": true}))),
            "broken/x" => Err("no answer".into()),
            _ => Ok(None),
        }
    }

    fn set(&self, path: &str, value: &Json) -> Result<(), String> {
        self.set.lock().unwrap().push((path.into(), value.clone()));
        Ok(())
    }

    fn wait(&self, _: std::time::Duration) {}
}

#[test]
fn metadata_is_read_set_and_waited_for() {
    let render = |text: &str| {
        let fake = Arc::new(Fake::default());
        let template = Template::from_text(text, BASE, &Options::default()).metadata(fake.clone());
        (template.render(&json!(null)).map(|r| r.text).map_err(|e| e.report()), fake)
    };
    assert_eq!(render("{{ metadata `vars/zone` }} {{ var `vars/zone` }}").0.unwrap(), "a1 a1");
    assert_eq!(render("{{ metadata `none/x` }}").0.unwrap(), "<no value>");
    let (text, fake) = render("{{ metadata `vars/n` (list 1 `b`) }}");
    assert_eq!(text.unwrap(), "");
    assert_eq!(*fake.set.lock().unwrap(), [("vars/n".to_owned(), json!([1, "b"]))]);
    assert_eq!(render("{{ (metadata `late/x` `1s` `10s`).ready }}").0.unwrap(), "true");
    let (text, fake) = render("{{ metadata `none/x` `1s` `10s` }}");
    assert_eq!((text.unwrap().as_str(), *fake.asked.lock().unwrap()), ("<no value>", 11));
    assert!(
        render("{{ metadata `none/x` `1s` `10s` true }}")
            .0
            .unwrap_err()
            .contains("no value after 10s")
    );
    assert!(render("{{ metadata `broken/x` }}").0.unwrap_err().contains("no answer"));
    assert!(render("{{ metadata `x` `soon` `1s` }}").0.unwrap_err().contains("bad duration"));
}

fn constant(name: &str, text: &'static str) -> Function {
    Function::new(name, "func() string", "A constant.", move |_, _| Ok(Value::from(text)))
}

#[test]
fn later_functions_replace_earlier_ones() {
    let text = "{{ upper }} {{ loop }} {{ hello }}";
    let options = Options::default();
    let template = Template::from_text(text, BASE, &options)
        .functions("set", vec![constant("loop", "set"), constant("hello", "set")])
        .context_functions(vec![constant("hello", "context")])
        .function(constant("upper", "single"))
        .function(constant("loop", "single"));
    assert_eq!(template.render(&json!(null)).unwrap().text, "single set context");
    let help = serde_json::to_value(template.namespaces()).unwrap();
    assert_eq!(
        help["set"][0],
        json!({"Name": "loop", "Description": ["A constant."], "Function": "func() string", "Usage": "{{ loop }}"})
    );
}

#[test]
fn a_replaced_function_can_call_the_built_in_one_and_go_on_without_it() {
    let spared = Function::new("include", "func(string) string", "Spared.", |scope, args| {
        scope.builtin(args).or_else(|_| Ok(Value::from("-")))
    });
    let lost = Function::new("lost", "func() string", "None.", |scope, args| scope.builtin(args));
    // More failures, each some levels down, than there may be levels.
    let text = "{{ include `str://a` }}{{ range loop 100 }}{{ include `str://{{ if true }}{{ with 1 }}{{ fail \"\" }}{{ end }}{{ end }}` }}{{ end }}{{ if 1 }}{{ if 1 }}{{ if 1 }}z{{ end }}{{ end }}{{ end }}";
    let template = |text| {
        Template::from_text(text, BASE, &Options::default())
            .functions("set", vec![spared.clone(), lost.clone()])
    };
    let done = template(text).render(&json!(null)).unwrap().text;
    assert_eq!(done, format!("a{}z", "-".repeat(100)));
    let fault = template("{{ lost }}").render(&json!(null)).unwrap_err().report();
    assert!(fault.contains("no built-in function"), "{fault}");
}

#[test]
fn every_builtin_has_help() {
    let help = regrow_template::builtin_help();
    assert!(help.len() > 150, "{}", help.len());
    for entry in &help {
        assert!(entry.function.starts_with("func("), "{}", entry.name);
        assert_ne!(entry.description, ["None"], "{}", entry.name);
        assert!(entry.usage.starts_with(&format!("{{{{ {} ", entry.name)), "{}", entry.usage);
    }
    let include = help.iter().find(|entry| entry.name == "include").unwrap();
    assert_eq!(include.usage, "{{ include \"string\" [ any ... ] }}");
}

#[test]
fn other_delimiters() {
    let delimiters = ("=%".to_owned(), "%=".to_owned());
    let options = Options { delimiters, ..Options::default() };
    let text = "{{/* =% print `sh` %= */}}\n{{ .x }}";
    let rendered = Template::from_text(text, BASE, &options).render(&json!(null)).unwrap();
    assert_eq!(rendered.text, "{{/* sh */}}\n{{ .x }}");
}

#[test]
fn the_example_of_the_crate_header() {
    let text = r#"{{ var "size" 3 }}{"Size": {{ var "size" }}, "Zone": "{{ .zone | upper }}"}"#;
    let template = Template::from_text(text, "file:///etc/", &Options::default());
    let rendered = template.render(&json!({"zone": "a1"})).unwrap();
    assert_eq!(rendered.text, r#"{"Size": 3, "Zone": "A1"}"#);
}

#[test]
fn templates_and_values_cross_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<Template>();
    crosses::<Value>();
    crosses::<Options>();
    crosses::<regrow_template::TemplateError>();
}

#[test]
fn yaml_of_all_kinds_is_read() {
    expect_all(&[
        ("{{ `1: a\n2: b` | yamlDecode | toJson }}", r#"{"1":"a","2":"b"}"#),
        ("{{ `a: 1\n---\nb: 2` | yamlDecode | toJson }}", r#"{"a":1}"#),
        (
            "{{ `- yes\n- off\n- ~\n- 1.5\n- 0x10\n- 010\n- '1'` | yamlDecode | toJson }}",
            r#"[true,false,null,1.5,16,8,"1"]"#,
        ),
        (
            "{{ `a: |\n  x\n  y\nb: >\n  x\n  y\n` | yamlDecode | toJson }}",
            r#"{"a":"x\ny\n","b":"x y\n"}"#,
        ),
        (
            "{{ `a: &x {k: 1}\nb:\n  <<: *x\n  l: 2` | yamlDecode | toJson }}",
            r#"{"a":{"k":1},"b":{"k":1,"l":2}}"#,
        ),
        ("{{ `` | yamlDecode }}{{ `# c` | yamlDecode }}", "<no value><no value>"),
        ("{{ `d: 2006-01-02` | yamlDecode | toJson }}", r#"{"d":"2006-01-02"}"#),
    ]);
}
