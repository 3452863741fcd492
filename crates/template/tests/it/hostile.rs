//! Templates that try to hang, crash or fill memory. Each must end in an error, soon.

use crate::support::{BASE, failure, try_render};
use regrow_template::{FetchError, Fetcher, Headers, Limits, MetadataLookup, Options, Template};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Far above what any of these takes, far below what an unbounded one would.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn loops_and_sizes_are_bounded() {
    let start = Instant::now();
    let null = json!(null);
    // A part of the usual limits: the tests run without optimization.
    let limits = Limits { max_output_bytes: 4 << 20, max_steps: 200_000, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    for (text, want) in [
        ("{{range 100000000000}}{{end}}", "number of steps"),
        ("{{range until 1000000}}{{range until 1000000}}x{{end}}{{end}}", "limit reached"),
        ("{{loop 9000000000}}", "limit reached"),
        ("{{loop -1}}", "cannot have -1 elements"),
        ("{{untilStep 0 9223372036854775807 1}}", "limit reached"),
        ("{{repeat 100000000000 `x`}}", "size of one value"),
        ("{{$x := `ab`}}{{range until 100}}{{$x = print $x $x}}{{end}}", "limit reached"),
        ("{{$x := list 1}}{{range until 100}}{{$x = list $x $x}}{{end}}{{$x}}", "limit reached"),
        ("{{$x := list 1}}{{range until 100}}{{$x = concat $x $x}}{{end}}", "limit reached"),
        (
            "{{$x := list 1}}{{range until 100}}{{$x = list $x $x}}{{end}}{{toJson $x}}",
            "limit reached",
        ),
        (
            "{{$x := list 1}}{{range until 100}}{{$x = list $x $x}}{{end}}{{eq (deepEqual $x (deepCopy $x)) true}}",
            "limit reached",
        ),
        ("{{$x := list 1}}{{range until 5000}}{{$x = list $x}}{{end}}{{$x}}", "nesting"),
        ("{{$d := dict}}{{set $d `d` $d}}", "contain itself"),
        ("{{$d := dict}}{{$e := dict `d` $d}}{{set $d `e` (list $e)}}", "contain itself"),
        ("{{printf `%1000000000d` 1}}", ""),
        ("{{replace `` (repeat 60000 `x`) (repeat 60000 `y`)}}", "size of one value"),
        ("{{indent 60000 (repeat 60000 `\n`)}}", "size of one value"),
        ("{{regexReplaceAll `` (repeat 60000 `y`) (repeat 60000 `x`)}}", "size of one value"),
        ("{{regexMatch `(a{1000}){1000}` `a`}}", "bad regular expression"),
        ("{{define `t`}}{{template `t`}}{{end}}{{template `t`}}", "nesting of blocks"),
        ("{{range until 100000}}{{repeat 1000000 `x`}}{{end}}", "limit reached"),
        ("{{div 1 0}}{{mod 1 0}}", "integer divide by zero"),
        ("{{div -9223372036854775808 -1}}{{index `` 0}}", "index out of range"),
        ("{{slice `é` 0 1}}", "UTF-8"),
        ("{{trunc 1 `é`}}", "cut a character"),
        (
            "{{$p := printf `%s%s` `{` (repeat 100 `[`)}}{{hclDecode (print `a = ` (repeat 9000 `[`))}}",
            "nest deeper",
        ),
        ("{{jsonDecode (repeat 100000 `[`)}}", "not JSON"),
        ("{{yamlDecode (repeat 100000 `[`)}}", "not YAML"),
    ] {
        let rendered = Template::from_text(text, BASE, &options).render(&null);
        match rendered.map(|rendered| rendered.text) {
            Ok(_) if want.is_empty() => {}
            Ok(printed) => panic!("{text} printed {} bytes", printed.len()),
            Err(error) => assert!(error.report().contains(want), "{text}: {}", error.report()),
        }
    }
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn deep_text_is_refused_and_deep_values_are_freed() {
    let null = json!(null);
    let nested = |open: &str, middle: &str, close: &str, count: usize| {
        format!("{}{middle}{}", open.repeat(count), close.repeat(count))
    };
    assert!(
        failure(&nested("{{if true}}", "x", "{{end}}", 100_000), &null).contains("nest deeper")
    );
    let parens = format!("{{{{{}}}}}", nested("(", "1", ")", 100_000));
    assert!(failure(&parens, &null).contains("nest deeper"));
    let elses = format!("{{{{if false}}}}{}{{{{end}}}}", "{{else if false}}".repeat(100_000));
    assert!(failure(&elses, &null).contains("nest deeper"));
    // As deep as is allowed, inside a template that calls itself as often as is allowed.
    let body = nested("{{if .}}", "{{template `t` .}}", "{{end}}", 90);
    let text = format!("{{{{define `t`}}}}{body}{{{{end}}}}{{{{template `t` 1}}}}");
    assert!(failure(&text, &null).contains("nesting of blocks"));
    // The same with parentheses around an include of itself.
    let call = nested("(", "include (var `t`)", ")", 90);
    let text =
        format!("{{{{ var `t` `str://{{{{{}}}}}` }}}}{{{{{call}}}}}", call.replace('`', "\""));
    let error = failure(&text, &null);
    assert!(error.contains("nesting of blocks"), "{error}");
    // A value a million levels deep cannot be printed, and dropping it takes no stack.
    let chain = "{{$x := list 1}}{{range until 1000000}}{{$x = list $x}}{{end}}done";
    assert_eq!(try_render(chain, &null).unwrap(), "done");
    let chain = "{{$x := dict}}{{range until 200000}}{{$x = dict `k` $x}}{{end}}done";
    assert_eq!(try_render(chain, &null).unwrap(), "done");
}

/// The libraries behind these functions recurse; none of these may overflow the stack.
#[test]
fn deep_texts_of_other_languages_are_refused() {
    let nested = |open: &str, middle: &str, close: &str, count: usize| {
        format!("{}{middle}{}", open.repeat(count), close.repeat(count))
    };
    let indented: String = (0..3000).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    for (function, text, want) in [
        ("q", nested("(", "a", ")", 50_000), "more than 150 operators"),
        ("q", nested("[", "a", "]", 150), ""),
        ("q", nested("{a:", "a", "}", 150), ""),
        ("q", format!("a{}", ".a".repeat(150)), ""),
        ("q", format!("a{}", ".a".repeat(50_000)), "more than 150 operators"),
        ("q", format!("{}a", "!".repeat(50_000)), "more than 150 operators"),
        ("q", format!("a{}", "|a".repeat(50_000)), "more than 150 operators"),
        ("hclDecode", format!("a = {}", nested("(", "1", ")", 60)), ""),
        ("hclDecode", format!("a = {}", nested("[for x in ", "x", " : x]", 60)), ""),
        ("hclDecode", nested("a {\n", "", "}\n", 60), ""),
        ("hclDecode", nested("a {\n", "", "}\n", 9_000), "nest deeper"),
        ("hclDecode", format!("a = {}true", "!".repeat(100_000)), "not HCL"),
        ("hclDecode", format!("a = 1{}", "+1".repeat(20_000)), "not HCL"),
        ("hclDecode", format!("a = {}1", "true ? 1 : ".repeat(5_000)), "not HCL"),
        (
            "hclDecode",
            format!("a = \"{}\"", nested("%{if true}", "x", "%{endif}", 5_000)),
            "not HCL",
        ),
        ("hclDecode", format!("a = x{}", ".y".repeat(20_000)), ""),
        ("yamlDecode", "- ".repeat(100_000), "not YAML"),
        ("yamlDecode", indented, "not YAML"),
        ("jsonDecode", nested("[", "", "]", 100), ""),
    ] {
        let call = if function == "q" {
            "{{ q .t . | toJson }}"
        } else {
            &format!("{{{{ {function} .t | toJson }}}}")
        };
        match try_render(call, &json!({"t": text})) {
            Ok(_) => assert_eq!(want, "", "{function} of {} bytes", text.len()),
            Err(error) => {
                assert!(!want.is_empty() && error.report().contains(want), "{}", error.report());
            }
        }
    }
}

/// Never has a value, and counts how often it was asked to wait.
#[derive(Default)]
struct Never(AtomicUsize);

impl MetadataLookup for Never {
    fn get(&self, _: &str) -> Result<Option<serde_json::Value>, String> {
        Ok(None)
    }

    fn wait(&self, time: Duration) {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(time);
    }
}

/// Takes its time for each document.
#[derive(Default)]
struct SlowDocuments(AtomicUsize);

impl Fetcher for SlowDocuments {
    fn fetch(&self, _: &str, _: &Headers, _: u64) -> Result<Vec<u8>, FetchError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(20));
        Ok(b"x".to_vec())
    }
}

#[test]
fn waiting_for_others_ends() {
    let limits = Limits { max_time: Duration::from_millis(100), ..Limits::default() };
    let documents = Arc::new(SlowDocuments::default());
    let options = Options { limits, fetcher: documents.clone(), ..Options::default() };
    let never = Arc::new(Never::default());
    let failure = |text: &str| {
        let template = Template::from_text(text, BASE, &options).metadata(never.clone());
        template.render(&json!(null)).expect_err(text).report()
    };
    let want = "the time of one rendering in milliseconds is at most 100";
    let start = Instant::now();
    let error = failure("{{ metadata `a/b` `1h` `1000h` }}");
    assert!(error.contains(want), "{error}");
    assert!(never.0.load(Ordering::Relaxed) <= 1, "one wait of what is left");
    let error = failure("{{ range until 1000 }}{{ metadata `a/b` `30ms` `30ms` }}{{ end }}");
    assert!(error.contains(want), "{error}");
    for function in ["raw", "fetch", "include", "source"] {
        documents.0.store(0, Ordering::Relaxed);
        let text = format!(
            "{{{{range until 1000}}}}{{{{{function} (printf `http://h/%d` .)}}}}{{{{end}}}}"
        );
        let error = failure(&text);
        assert!(error.contains(want), "{error}");
        let fetched = documents.0.load(Ordering::Relaxed);
        assert!(fetched <= 5, "{function} {fetched}");
    }
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

/// What the query language shares in memory must not be built in full.
#[test]
fn queries_that_grow_are_refused() {
    let chain = |part: &str| vec![part; 28].join("|");
    let data = json!({"t": "x", "many": vec!["x"; 3_000], "long": "x".repeat(60_000)});
    for query in [
        chain("[@,@]"),
        chain("{a:@,b:@}"),
        chain("[@,@][]"),
        chain("[@,@][*][@,@]"),
        chain("map(&[@,@],[@,@])"),
        format!("t|{}", chain("join('',[@,@])")),
        format!("t|{}", chain("to_string([@,@])")),
        format!("{} == @", chain("[@,@]")),
        format!("[?({}) == @]", chain("[@,@]")),
        format!("max_by([@], &to_string({}))", chain("[@,@]")),
        "map(&'{}', many)|join(@[0],@)".replace("{}", &"y".repeat(60_000)),
        "join(long, many)".to_owned(),
    ] {
        let error = failure(&format!("{{{{ q `{query}` . }}}}"), &data);
        assert!(error.contains("may build more than 67108864 bytes"), "{query}: {error}");
    }
    // As much as the limit allows is no fault.
    let most = ["[@,@]"; 8].join("|");
    assert_eq!(
        try_render(&format!("{{{{ q `t|{most}` . | toJson | len }}}}"), &data).unwrap(),
        "1533"
    );
}

/// Serves a few documents by name.
struct Documents(Vec<(&'static str, String)>);

impl Fetcher for Documents {
    fn fetch(&self, url: &str, _: &Headers, _: u64) -> Result<Vec<u8>, FetchError> {
        let found = self.0.iter().find(|(name, _)| url.ends_with(name));
        found
            .map(|(_, text)| text.clone().into_bytes())
            .ok_or_else(|| FetchError::Request("not there".into()))
    }
}

#[test]
fn circles_of_includes_are_named() {
    let documents = Documents(vec![
        ("/a.tpl", "{{ include `b.tpl` }}".into()),
        ("/b.tpl", "{{ source `a.tpl` }}".into()),
    ]);
    let options = Options { fetcher: Arc::new(documents), ..Options::default() };
    let error = Template::from_url("http://h/a.tpl", &options).unwrap().render(&json!(null));
    let report = error.unwrap_err().report();
    assert!(report.contains("templates include each other without end: "), "{report}");
    assert!(
        report.contains("http://h/a.tpl -> http://h/b.tpl -> http://h/a.tpl")
            || report.contains("http://h/b.tpl -> http://h/a.tpl -> http://h/b.tpl"),
        "{report}"
    );
}

#[test]
fn a_text_that_includes_itself_by_variable_ends() {
    let text = "{{ var `t` `str://{{ include (var \"t\") }}` }}{{ include (var `t`) }}";
    let error = Template::from_text(text, BASE, &Options::default()).render(&json!(null));
    assert!(error.unwrap_err().report().contains("without end"));
}

#[test]
fn limits_are_the_callers() {
    let limits =
        Limits { max_output_bytes: 10, max_steps: 50, max_include_depth: 2, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let render = |text: &str| {
        let template = Template::from_text(text, BASE, &options);
        template.render(&json!(null)).map(|r| r.text).map_err(|error| error.report())
    };
    assert_eq!(render("0123456789").unwrap(), "0123456789");
    assert!(render("0123456789x").unwrap_err().contains("at most 10"));
    assert!(render("{{range until 60}}{{end}}").unwrap_err().contains("at most 50"));
    assert_eq!(render("{{include `str://a`}}").unwrap(), "a");
    assert!(
        render("{{include `str://{{include \"str://b\"}}`}}").unwrap_err().contains("at most 2")
    );
}
