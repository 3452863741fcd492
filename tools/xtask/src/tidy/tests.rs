//! The scanner on the corners of Rust's syntax, and the file rules on a small tree.

use super::scan::{Function, functions, mask, test_parts};
use super::tree::File;

#[test]
fn comments_and_literals_are_blanked_and_lines_stay() {
    let text =
        "a /* x /* y */ z */ b // c\n\"d \\\" {\" r#\"e \" {\"# br\"f\" 'g' '\\'' '{' <'h>\n";
    let masked = mask(text);
    assert_eq!(masked.lines().count(), text.lines().count());
    assert_eq!(masked.len(), text.len());
    assert!(!masked.contains('{') && !masked.contains('x') && !masked.contains('c'), "{masked}");
    assert!(masked.contains("<'h>"), "a lifetime is code: {masked}");
}

#[test]
fn text_that_is_not_ascii_does_not_disturb() {
    let text = "let a = 'é'; let b = '…'; let c = '🦀'; let d = \"ü{\"; // ö {\n{}";
    let masked = mask(text);
    assert_eq!(masked.matches('{').count(), 1, "{masked}");
}

#[test]
fn raw_identifiers_are_no_raw_strings() {
    assert_eq!(mask("r#type + for_r \"a\""), "r#type + for_r \" \"");
}

#[test]
fn functions_have_name_line_and_length() {
    let text = "trait A { fn none(&self); }\n\
                fn one(a: [u8; 4])\n-> fn(u8)\n{\n  if a { b }\n}\nfn two() {}\n";
    let expected = [
        Function { name: "one".to_owned(), line: 2, lines: 5 },
        Function { name: "two".to_owned(), line: 7, lines: 1 },
    ];
    assert_eq!(functions(&mask(text)), expected);
}

#[test]
fn test_parts_are_ranges_and_module_names() {
    let text = "fn a() {}\n\
                #[cfg(test)]\nmod tests {\n  fn b() {}\n}\n#[cfg(test)]\npub(crate) mod fixtures;\n";
    let parts = test_parts(&mask(text));
    assert_eq!(parts.lines, [2..=5, 6..=7]);
    assert_eq!(parts.modules, ["fixtures"]);
}

#[test]
fn files_know_where_their_modules_lie() {
    let dir = |path: &str| File::new(path, String::new()).module_dir();
    assert_eq!(dir("crates/a/src/lib.rs"), "crates/a/src");
    assert_eq!(dir("crates/a/src/b/mod.rs"), "crates/a/src/b");
    assert_eq!(dir("crates/a/src/b.rs"), "crates/a/src/b");
}

#[test]
fn test_files_are_known_by_their_path() {
    let test = |path: &str| File::new(path, String::new()).test;
    assert!(test("crates/a/tests/it/main.rs") && test("crates/a/src/b/tests.rs"));
    assert!(test("crates/a/benches/c.rs") && !test("crates/a/src/latest.rs"));
}
