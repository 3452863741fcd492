//! Comparison with another implementation of Go's templates, on what it is known to do as Go does.

use crate::support::render;
use proptest::prelude::*;
use serde_json::json;

/// Actions whose result both must agree on, over the data below.
const ACTIONS: &[&str] = &[
    "{{.s}}",
    "{{.s | printf \"%q\"}}",
    "{{len .l}}",
    "{{index .l 1}}",
    "{{index .m \"k\"}}",
    "{{.m.none}}",
    "{{.l}}",
    "{{.m}}",
    "{{printf \"%5s|%-5s|%05d\" .s \"x\" 42}}",
    "{{printf \"%x %X %o %b %c\" 255 255 8 5 65}}",
    "{{printf \"%8.3f|%e|%.2f\" 3.14159 1234.5 2.5}}",
    "{{printf \"%v %d\" .l 7}}",
    "{{print 1 2 \"a\" true}}",
    "{{println .s .b}}",
    "{{html \"<&>\"}}",
    "{{js \"a'b\\\"\"}}",
    "{{urlquery \"a b/ü\"}}",
    "{{eq .s \"text\" \"x\"}}",
    "{{and .b .s}}{{or .e .s}}{{not .e}}",
    "{{if .e}}a{{else if .b}}b{{else}}c{{end}}",
    "{{range .l}}<{{.}}>{{end}}",
    "{{range $i, $x := .l}}{{$i}}:{{$x}} {{end}}",
    "{{range $k, $v := .m}}{{$k}}={{$v}};{{end}}",
    "{{range .e}}{{else}}none{{end}}",
    "{{with .m}}{{.k}}{{end}}",
    "{{with $y := .s}}{{$y}}{{end}}",
    "{{- .s -}}",
    "  {{- 1 -}}  ",
    "\n{{/* c */}}\n",
    "{{define \"t1\"}}[{{.}}]{{end}}",
    "{{$z := 3}}{{$z}}{{$z = 4}}{{$z}}",
    "{{slice .s 1 3}}",
    "{{lt 1 2}}{{ge 2.5 2.5}}{{ne \"a\" \"b\"}}",
    "{{range .l}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}",
    "{{(index .l 0) | printf \"%s-%s\" .s}}",
    "{{printf \"%d\" \"x\"}}",
    "{{printf \"%d %d\" 1}}",
    "{{printf \"%t|%v|%q\" true nil 'x'}}",
    "plain text",
    "{{\"a\\tb\\u00e9\"}}{{`raw`}}{{0x1F}}{{'a'}}",
];

proptest! {
    #[test]
    fn both_print_the_same(picks in prop::collection::vec(any::<prop::sample::Index>(), 1..8)) {
        let mut text = String::new();
        let mut defined = false;
        for pick in picks {
            let action = ACTIONS[pick.index(ACTIONS.len())];
            // A second definition is an error in both.
            if !(action.contains("define") && std::mem::replace(&mut defined, true)) {
                text.push_str(action);
            }
        }
        let data = json!({"s": "text", "b": true, "e": [], "l": ["a", "b", "c"], "m": {"k": "v", "j": "w"}});
        let theirs = gotmpl::Template::new("t").parse(&text).unwrap();
        let theirs = theirs.execute_to_string(&gotmpl::to_value(&data).unwrap()).unwrap();
        prop_assert_eq!(render(&text, &data), theirs, "{}", text);
    }
}
