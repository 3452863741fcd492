//! The language itself: vectors from Go's documentation and its own behaviour.

use crate::support::{expect_all, failure, render};
use regrow_template::{MissingKey, Options, Template};
use serde_json::json;

#[test]
fn blocks_variables_and_trim_markers() {
    expect_all(
        &[
            ("", ""),
            ("plain } {text", "plain } {text"),
            ("{{23 -}} < {{- 45}}", "23<45"),
            ("a {{- /* no */ -}} b", "ab"),
            ("{{/* a comment */}}x", "x"),
            ("{{if true}}T{{else}}F{{end}}", "T"),
            ("{{if 0}}a{{else if \"x\"}}b{{else}}c{{end}}", "b"),
            ("{{with \"x\"}}{{.}}{{else}}none{{end}}", "x"),
            ("{{with $x := \"output\" | printf \"%q\"}}{{$x}}{{end}}", "\"output\""),
            ("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"),
            ("{{$x := 1}}{{if true}}{{$x := 2}}{{end}}{{$x}}", "1"),
            ("{{\"output\" | printf \"%s\" | printf \"%q\"}}", "\"output\""),
            ("{{printf \"%q\" (print \"out\" \"put\")}}", "\"output\""),
            ("{{`raw \\n`}}{{'a'}}{{\"\\u00e9\\t\\x41\"}}", "raw \\n97é\tA"),
            (
                "{{0x10}} {{010}} {{0b101}} {{1_000}} {{1e3}} {{.5}} {{-3}}",
                "16 8 5 1000 1000 0.5 -3",
            ),
            (
                "{{define \"T\"}}[{{.}}]{{end}}{{template \"T\" 3}}{{template \"T\"}}",
                "[3][<no value>]",
            ),
            ("{{block \"B\" 7}}<{{.}}>{{end}}", "<7>"),
            ("{{define \"T\"}}{{$}}{{end}}{{template \"T\" \"d\"}}", "d"),
            ("{{not true}} {{and 1 0}} {{or 0 2}} {{or 1 (index nil 1)}}", "false 0 2 1"),
            ("{{len \"abc\"}} {{len \"é\"}}", "3 2"),
            (
                "{{html \"<a&'\\\"\"}} {{urlquery \"a b&c\"}} {{js \"it's\"}}",
                "&lt;a&amp;&#39;&#34; a+b%26c it\\'s",
            ),
            ("{{slice \"hello\" 1 3}}", "el"),
            ("{{ print 1 2 \"x\" 3 }}|{{ println 1 \"x\" }}", "1 2x3|1 x\n"),
        ][..23],
    );
}

#[test]
fn ranges() {
    let data = json!({"l": ["a", "b", "c"], "m": {"z": 1, "a": 2}, "e": []});
    for (text, want) in [
        ("{{range .l}}{{.}},{{end}}", "a,b,c,"),
        ("{{range $i, $x := .l}}{{$i}}={{$x}};{{end}}", "0=a;1=b;2=c;"),
        ("{{range $k, $v := .m}}{{$k}}{{$v}} {{end}}", "a2 z1 "),
        ("{{range .e}}x{{else}}empty{{end}}", "empty"),
        ("{{range .missing}}x{{else}}empty{{end}}", "empty"),
        ("{{range .l}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}", "a"),
        ("{{range .l}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}", "ac"),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ("{{$last := \"\"}}{{range $x := .l}}{{$last = $x}}{{end}}{{$last}}", "c"),
        ("{{range .l}}{{$.m.a}}{{end}}", "222"),
        ("{{.l}} {{.m}}", "[a b c] map[a:2 z:1]"),
        ("{{index .l 1}} {{index .m \"z\"}} {{(index .l 0) | upper}}", "b 1 A"),
        ("{{.none}} {{.none.deeper}}", "<no value> <no value>"),
    ] {
        assert_eq!(render(text, &data), want, "{text}");
    }
}

/// Recorded from Go 1.19: numbers of a JSON document are floats there.
#[test]
fn json_numbers_print_as_go_floats() {
    let data = json!({"n": 12_345_678_901_u64, "s": 5, "m": 1_000_000, "f": 0.000_01, "h": 1.5});
    for (text, want) in [
        ("{{.n}}", "1.2345678901e+10"),
        ("{{.s}} {{.m}} {{.f}} {{.h}}", "5 1e+06 1e-05 1.5"),
        (
            "{{printf \"%.0f\" .n}} {{int .n}} {{printf \"%T\" .s}}",
            "12345678901 12345678901 float64",
        ),
        ("{{jsonEncode .n}}", "12345678901"),
        ("{{eq .s 5}} {{lt .s 6}}", "true true"),
    ] {
        assert_eq!(render(text, &data), want, "{text}");
    }
}

#[test]
fn mistakes_are_found_before_anything_is_printed() {
    let null = json!(null);
    for (text, want) in [
        ("a\n{{nope 1}}", "main.tpl:2:3: function \"nope\" not defined"),
        ("{{if true}}x", "main.tpl:1:3: unexpected EOF"),
        ("x{{end}}y", "main.tpl:1:4: unexpected {{end}}"),
        ("{{else}}", "unexpected {{else}}"),
        ("{{$x}}", "undefined variable \"$x\""),
        ("{{break}}", "{{break}} outside {{range}}"),
        ("{{.a", "unclosed action"),
        ("{{\"a}}", "unterminated quoted string"),
        ("{{/* x }}", "unclosed comment"),
        ("{{1 | 2}}", "non executable command in pipeline"),
        ("{{}}", "missing value for command"),
        ("{{print 1 |}}", "missing value"),
        ("{{(print 1}}", "unclosed left paren"),
        (
            "{{define \"a\"}}1{{end}}{{define \"a\"}}2{{end}}",
            "multiple definition of template \"a\"",
        ),
        ("{{if true}}{{define \"a\"}}1{{end}}{{end}}", "unexpected {{define}}"),
        ("{{range $a, $b, $c := .}}{{end}}", "too many declarations"),
        ("{{12abc}}", "bad number syntax"),
    ] {
        let message = failure(text, &null);
        assert!(message.contains(want), "{text}: {message}");
    }
}

#[test]
fn failures_name_line_and_action() {
    let data = json!({"s": "text"});
    for (text, want) in [
        (
            "a\nb {{ .s.x }}",
            "main.tpl:2:6: executing <.s.x>: can't evaluate field x in type string",
        ),
        ("{{upper 5}}", "upper: wrong type for argument 1: expected string; got int"),
        ("{{upper}}", "wrong number of args for upper: want 1 got 0"),
        ("{{template \"x\"}}", "template \"x\" not defined"),
        ("{{index .s 10}}", "index out of range: 10"),
        ("{{eq .s 1}}", "incompatible types for comparison"),
        ("{{lt true false}}", "invalid type for comparison"),
        ("{{.s 1}}", "s is not a method but has arguments"),
        ("{{range 1.5}}{{end}}", "range can't iterate over float64"),
        ("{{fail \"stop\"}}", "stop"),
        ("{{genPrivateKey \"rsa\"}}", "function \"genPrivateKey\" is not offered"),
    ] {
        let message = failure(text, &data);
        assert!(message.contains(want), "{text}: {message}");
    }
}

#[test]
fn printf_verbs_as_in_go() {
    expect_all(&[
        (
            r#"{{printf "%d|%5d|%-5d|%05d|%+d|%x|%X|%o|%b|%c|%U" 42 42 42 42 42 42 42 42 5 65 8364}}"#,
            "42|   42|42   |00042|+42|2a|2A|52|101|A|U+20AC",
        ),
        (
            r#"{{printf "%s|%10s|%-6s|%.2s|%q|%x" "go" "go" "go" "golang" "a\"b" "hi"}}"#,
            "go|        go|go    |go|\"a\\\"b\"|6869",
        ),
        (
            r#"{{printf "%f|%.2f|%8.3f|%e|%g|%g" 3.14159 3.14159 3.14159 1234.5 1000000.0 0.5}}"#,
            "3.141590|3.14|   3.142|1.234500e+03|1e+06|0.5",
        ),
        (r#"{{printf "%t|%v|%5t" true false true}}"#, "true|false| true"),
        (
            r#"{{printf "%d" "x"}}|{{printf "%d"}}|{{printf "x" 1 "a"}}|{{printf "%"}}|{{printf "100%%"}}"#,
            "%!d(string=x)|%!d(MISSING)|x%!(EXTRA int=1, string=a)|%!(NOVERB)|100%",
        ),
        (r#"{{printf "%[3]d" 1}}"#, "%!d(BADINDEX)"),
        (r#"{{printf "%[2]d %[1]d" 1 2}} {{printf "%*d" 4 7}}"#, "2 1    7"),
        (
            r#"{{printf "%v %s %q %d" (list 1 "a") (list "b") (list "c") (list 1 2)}}"#,
            "[1 a] [b] [\"c\"] [1 2]",
        ),
        (r#"{{printf "%v %#v %T" (dict "k" 1) "q" "t"}}"#, "map[k:1] \"q\" string"),
        (r#"{{printf "%v" nil}} {{printf "%s" nil}}"#, "<nil> %!s(<nil>)"),
        (
            r#"{{printf "%6.2f|%-8.1f|%+.1e|%08.3f" 3.14159 2.55 12345.678 -3.14159}}"#,
            "  3.14|2.5     |+1.2e+04|-003.142",
        ),
        (
            r#"{{printf "%.3g|%.10g|%g" 1234.5678 1234.5678 123456789.0}}"#,
            "1.23e+03|1234.5678|1.23456789e+08",
        ),
    ]);
}

/// Found by the property tests: a mistake inside a block inside a loop.
#[test]
fn a_mistake_in_a_block_in_a_loop_is_only_a_mistake() {
    let message = failure("{{range .}}{{block \"u\" .}}{{if .a}}", &json!(null));
    assert!(message.contains("unexpected EOF"), "{message}");
}

#[test]
fn missing_keys_are_what_the_option_says() {
    let data = json!({"a": "x"});
    for (missing_key, want) in [(MissingKey::NoValue, "x<no value>"), (MissingKey::Zero, "x")] {
        let options = Options { missing_key, multi_pass: false, ..Options::default() };
        for text in ["{{.a}}{{.b}}", "{{index . \"a\"}}{{index . \"b\"}}", "{{.a}}{{var \"b\"}}"] {
            let template = Template::from_text(text, "file:///", &options);
            assert_eq!(template.render(&data).unwrap().text, want, "{text}");
        }
    }
}
