//! Marks: texts that must not be in the tree, and calls that may panic.
//!
//! The texts are put together from two halves so that this file does not trip over itself.

use super::manifests::UNSAFE_CRATES;
use super::tree::{File, World};
use super::{Report, scan};

/// Left-over notes: words that stand alone, anywhere in a text file.
const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Beginnings of paths that exist on one machine only.
const PLACES: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/Us", "ers/"), concat!("/root/.ca", "rgo")];

/// Code that must not be committed, and what to write instead.
const CODE: &[(&str, &str)] = &[
    (
        concat!("#[ig", "nore"),
        "let the test run, or report itself as not run when its means are missing",
    ),
    (concat!("db", "g!("), "remove it"),
    (concat!("to", "do!("), "build it or return an error that says what is not supported"),
    (concat!("unimple", "mented!("), "build it or return an error that says what is not supported"),
];

/// More `expect` calls than this in a file are worth a look.
const EXPECTS_PER_FILE: usize = 3;

/// What may panic outside tests, counted over the tree.
#[derive(Default)]
struct Panics {
    unwraps: usize,
    expects: usize,
    unsafes: usize,
}

pub fn check(world: &World, report: &mut Report) {
    let mut panics = Panics::default();
    for file in &world.files {
        check_notes(file, report);
        check_places(file, &world.root, report);
        if file.is_rust() {
            check_code(file, report);
            check_panics(file, &mut panics, report);
            let may = world
                .owner(&file.path)
                .is_some_and(|owner| UNSAFE_CRATES.contains(&owner.name.as_str()));
            if !may {
                check_unsafe(file, &mut panics, report);
            }
        }
    }
    let Panics { unwraps, expects, unsafes } = panics;
    let named = UNSAFE_CRATES.join(" and ");
    report.note(format!(
        "outside tests: {unwraps} unwrap(), {expects} expect(\"…\"); \
         unsafe outside {named}: {unsafes}\n"
    ));
}

fn check_notes(file: &File, report: &mut Report) {
    for note in NOTES {
        for at in scan::words(&file.text, note) {
            let line = scan::line_at(&file.text, at);
            let what = format!("unfinished mark {note}; expected none; do it now or open an issue");
            report.hard(&file.path, line, what);
        }
    }
}

fn check_places(file: &File, root: &str, report: &mut Report) {
    let root = format!("{}/", root.trim_end_matches('/'));
    // A root such as "/" or "/src" is no secret and would match everywhere.
    let root = Some(root.as_str()).filter(|root| root.matches('/').count() > 2);
    for place in PLACES.iter().copied().chain(root) {
        for (at, _) in file.text.match_indices(place) {
            let before = at.checked_sub(1).and_then(|at| file.text.as_bytes().get(at));
            let inside_a_path = before.is_some_and(|b| scan::is_word(*b) || b"/.}-~*".contains(b));
            if !inside_a_path {
                let line = scan::line_at(&file.text, at);
                let what = format!(
                    "path `{place}` of one machine; expected none; use a relative path or a \
                     variable"
                );
                report.hard(&file.path, line, what);
            }
        }
    }
}

fn check_code(file: &File, report: &mut Report) {
    for (code, instead) in CODE {
        for (at, _) in file.code.match_indices(code) {
            let before = at.checked_sub(1).and_then(|at| file.code.as_bytes().get(at));
            if !before.is_some_and(|byte| scan::is_word(*byte)) {
                let line = scan::line_at(&file.code, at);
                report.hard(&file.path, line, format!("`{code}`; expected none; {instead}"));
            }
        }
    }
    for gate in ["#[allow(", "#![allow("] {
        for (at, _) in file.code.match_indices(gate) {
            let what = format!(
                "`{gate}…)]`; expected `expect` with a reason; it tells when it is no longer needed"
            );
            report.warn(&file.path, scan::line_at(&file.code, at), what);
        }
    }
}

fn check_panics(file: &File, panics: &mut Panics, report: &mut Report) {
    let outside_tests = |needle: &'static str| {
        let lines = file.code.match_indices(needle).map(|(at, _)| scan::line_at(&file.code, at));
        lines.filter(|line| !file.is_test_line(*line)).collect::<Vec<_>>()
    };
    for line in outside_tests(".unwrap()") {
        panics.unwraps += 1;
        let what =
            "unwrap() outside tests; expected an error that says what was being done; use `?`";
        report.hard(&file.path, line, what.to_owned());
    }
    let expects = outside_tests(".expect(\"");
    panics.expects += expects.len();
    if let Some(first) = expects.first().filter(|_| expects.len() > EXPECTS_PER_FILE) {
        let what = format!(
            "{} expect() outside tests; expected at most {EXPECTS_PER_FILE} a file; return errors",
            expects.len()
        );
        report.warn(&file.path, *first, what);
    }
}

fn check_unsafe(file: &File, panics: &mut Panics, report: &mut Report) {
    for at in scan::words(&file.code, "unsafe") {
        panics.unsafes += 1;
        let what = format!(
            "unsafe code; expected only in {}; use a safe wrapper such as rustix",
            UNSAFE_CRATES.join(" and ")
        );
        report.hard(&file.path, scan::line_at(&file.code, at), what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str, rule: fn(&File, &mut Report)) -> Vec<usize> {
        let mut report = Report::default();
        rule(&File::new(path, text.to_owned()), &mut report);
        report.findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn notes_are_words_not_parts_of_words() {
        let text = format!("# fine\nmktemp {0}{0}\nsee {0}: later\n", NOTES[2]);
        assert_eq!(lines("a.md", &text, check_notes), [3]);
    }

    #[test]
    fn a_workplace_is_found_where_a_path_begins() {
        let place = PLACES[0];
        let text = format!("cd {place}x\n/var{place}x\n\"{place}\"\n$HOME{place}\n");
        let found = lines("a.md", &text, |file, report| check_places(file, "/a/b", report));
        assert_eq!(found, [1, 3]);
    }

    #[test]
    fn the_root_of_the_checkout_is_a_workplace_too() {
        let found = lines("a.md", "see /tmp/x/y/file\n", |file, report| {
            check_places(file, "/tmp/x/y", report);
        });
        assert_eq!(found, [1]);
        let found =
            lines("a.md", "see /src/file\n", |file, report| check_places(file, "/src", report));
        assert!(found.is_empty());
    }

    #[test]
    fn code_in_comments_and_strings_is_no_code() {
        let mark = CODE[1].0;
        let text = format!("// {mark}1)\nlet a = \"{mark}\";\n{mark}2);\n");
        assert_eq!(lines("a.rs", &text, check_code), [3]);
    }

    #[test]
    fn panics_count_outside_tests_only() {
        let text =
            "fn a() { b.unwrap(); }\n#[cfg(test)]\nmod tests {\n fn c() { d.unwrap(); }\n}\n";
        let rule =
            |file: &File, report: &mut Report| check_panics(file, &mut Panics::default(), report);
        assert_eq!(lines("crates/x/src/a.rs", text, rule), [1]);
        assert!(lines("crates/x/tests/it/a.rs", text, rule).is_empty());
    }

    #[test]
    fn the_word_unsafe_is_found_and_lint_names_are_not() {
        let text = "#![forbid(unsafe_code)]\nunsafe { a() }\n";
        let rule =
            |file: &File, report: &mut Report| check_unsafe(file, &mut Panics::default(), report);
        assert_eq!(lines("a.rs", text, rule), [2]);
    }
}
