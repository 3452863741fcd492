//! The functions and the environment.

use super::*;

fn env() -> BTreeMap<String, String> {
    let pairs = [
        ("NAME", "app"),
        ("EMPTY", ""),
        ("EQ", "a=b=c"),
        ("LIST", " a:b:c\n"),
        ("N", "3"),
        ("USER_1", "it's"),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn rendered(text: &str) -> String {
    render(text, &env()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn fault(text: &str) -> String {
    render(text, &env()).expect_err(text).to_string()
}

#[test]
fn missing_variables_are_empty() {
    assert_eq!(rendered("[{{ .NOPE }}]"), "[]");
    assert_eq!(rendered("[{{ index . \"NOPE\" }}]"), "[]");
    assert_eq!(rendered("{{ if .NOPE }}a{{ else }}b{{ end }}"), "b");
    assert_eq!(rendered("{{ with .NAME }}{{ . }}{{ end }}"), "app");
}

#[test]
fn complaint_18_values_with_equal_signs_are_whole() {
    assert_eq!(rendered("{{ .EQ }} {{ env \"EQ\" }}"), "a=b=c a=b=c");
}

#[test]
fn default_takes_texts_that_are_not_empty() {
    for (text, expected) in [
        ("{{ .NAME | default \"x\" }}", "app"),
        ("{{ .NOPE | default \"x\" }}", "x"),
        ("{{ .EMPTY | default \"x\" }}", "x"),
        ("{{ .NOPE | default 10 }}", "10"),
        ("{{ .NOPE | default 1.5 }}", "1.5"),
        ("{{ .NOPE | default true }}", "true"),
        ("{{ 5 | default \"x\" }}", "x"),
        ("{{ .NOPE | env | default \"x\" }}", "x"),
    ] {
        assert_eq!(rendered(text), expected, "{text}");
    }
}

#[test]
fn split_and_join_take_the_text_last() {
    for (text, expected) in [
        ("{{ .LIST | split \":\" | join \".\" }}", "a.b.c"),
        ("{{ range .LIST | split \":\" }}<{{ . }}>{{ end }}", "<a><b><c>"),
        ("{{ len (split \":\" .EMPTY) }}", "0"),
        ("{{ \"  \" | split \":\" | join \",\" }}", ""),
        ("{{ \"abc\" | split \"\" | join \"-\" }}", "a-b-c"),
    ] {
        assert_eq!(rendered(text), expected, "{text}");
    }
    assert!(fault("{{ loop 3 | join \",\" }}").contains("expected []string"));
}

#[test]
fn replacements_take_the_text_last() {
    for (text, expected) in [
        ("{{ .EQ | replaceAll \"=\" \"::\" }}", "a::b::c"),
        ("{{ .NAME | replaceAll \"\" \"-\" }}", "-a-p-p-"),
        ("{{ .EQ | regexReplaceAll \"[=]+\" \"_\" }}", "a_b_c"),
        ("{{ \"ab12\" | regexReplaceAll \"([a-z]+)([0-9]+)\" \"$2${1}\" }}", "12ab"),
    ] {
        assert_eq!(rendered(text), expected, "{text}");
    }
    assert!(fault("{{ .EQ | regexReplaceAll \"[\" \"_\" }}").contains("regexReplaceAll"));
}

#[test]
fn loops_go_up_and_down() {
    for (text, expected) in [
        ("{{ range loop 3 }}{{ . }}{{ end }}", "012"),
        ("{{ range $i := loop 2 5 }}{{ $i }}{{ end }}", "234"),
        ("{{ range loop 5 2 }}{{ . }}{{ end }}", "543"),
        ("{{ range loop .N }}{{ . }}{{ end }}", "012"),
        ("{{ range loop \"1\" .N }}{{ . }}{{ end }}", "12"),
        ("{{ range loop 0 }}{{ . }}{{ end }}", ""),
        ("{{ range loop -2 }}{{ . }}{{ end }}", "0-1"),
    ] {
        assert_eq!(rendered(text), expected, "{text}");
    }
    let text = fault("{{ loop 1 2 3 }}");
    assert!(text.contains("loop: wrong number of arguments, expected 1 or 2, but got 3"), "{text}");
    assert!(fault("{{ loop }}").contains("expected 1 or 2, but got 0"));
    assert!(fault("{{ loop \"x\" }}").contains("expected int"));
    assert!(fault("{{ loop 9223372036854775807 }}").contains("limit reached"));
    assert!(fault("{{ loop -9223372036854775807 9223372036854775807 }}").contains("limit"));
}

#[test]
fn the_syntax_of_go_works() {
    for (text, expected) in [
        ("a {{- /* no */ -}} b", "ab"),
        ("{{ $x := .NAME }}{{ $x = \"b\" }}{{ $x }}", "b"),
        ("{{ define \"t\" }}<{{ . }}>{{ end }}{{ template \"t\" .NAME }}", "<app>"),
        ("{{ block \"u\" . }}{{ .NAME }}{{ end }}", "app"),
        ("{{ if and .NAME (not .EMPTY) }}y{{ else if .EQ }}z{{ end }}", "y"),
        ("{{ printf \"%q %05d\" .NAME 7 }}", "\"app\" 00007"),
        ("{{ .USER_1 | js }}{{ 'a' }}", "it\\'s97"),
        ("{{ range $k, $v := split \",\" \"x,y\" }}{{ $k }}{{ $v }}{{ end }}", "0x1y"),
    ] {
        assert_eq!(rendered(text), expected, "{text}");
    }
}

#[test]
fn faults_say_where_and_nothing_is_fetched() {
    let text = fault("{\n  a: {{ .NAME | nope }}\n}");
    assert!(text.starts_with("could not apply template to config: "), "{text}");
    assert!(text.contains(":2:"), "{text}");
    for url in ["file:///etc/hostname", "http://127.0.0.1:1/"] {
        let text = fault(&format!("{{{{ include {url:?} }}}}"));
        assert!(text.contains("unsupported url"), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn random_templates_end(text in "(\\{\\{|\\}\\}| |\\.NAME|loop 3|range|end|if|[|$:=()\"a-z]){0,30}") {
        drop(render(&text, &env()));
    }
}
