//! Headers: the first page of a crate says what it is, what it must never do, and where to start
//! reading. And no file of a crate is out of reach of its root.

use super::tree::{File, World};
use super::{Report, scan};

/// The questions, and the words by which an answer is recognised (lower case).
const ANSWERS: &[(&str, &[&str])] = &[
    ("what it must never do", &["never"]),
    (
        "where to start reading",
        &["start reading", "reading starts", "start with", "start at", "start in", "read first"],
    ),
];

pub fn check(world: &World, report: &mut Report) {
    for member in &world.members {
        let path = |name: &str| format!("{}/src/{name}", member.dir);
        let roots: Vec<&File> =
            ["lib.rs", "main.rs"].iter().filter_map(|name| world.file(&path(name))).collect();
        if let Some(first) = roots.first() {
            check_header(first, report);
        } else {
            let what = "no src/lib.rs and no src/main.rs; expected one of them; add it";
            report.hard(&member.manifest, 1, what.to_owned());
        }
    }
    for file in world.files.iter().filter(|file| file.is_rust() && file.path.contains("/src/")) {
        if is_dead(world, file) {
            let what =
                "no `mod` leads to this file; expected it to be compiled; declare or delete it";
            report.hard(&file.path, 1, what.to_owned());
        }
    }
}

fn check_header(file: &File, report: &mut Report) {
    let header = header(&file.text);
    let lower = header.to_lowercase();
    let mut missing: Vec<&str> = ANSWERS
        .iter()
        .filter(|(_, signs)| !signs.iter().any(|sign| lower.contains(sign)))
        .map(|(question, _)| *question)
        .collect();
    if header.trim().len() < 40 {
        missing.insert(0, "what it is");
    }
    if !missing.is_empty() {
        let what = format!(
            "the crate header does not say {}; expected three answers in `//!` lines: what it \
             is, what it must \
             never do, where to start reading; write them",
            missing.join(" nor ")
        );
        report.hard(&file.path, 1, what);
    }
}

/// The text of the `//!` lines at the top.
fn header(text: &str) -> String {
    let lines = text.lines().skip_while(|line| line.is_empty() || line.starts_with("#!"));
    let inner = lines.map_while(|line| line.strip_prefix("//!"));
    inner.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether no parent declares this file as a module.
fn is_dead(world: &World, file: &File) -> bool {
    let stem = file.path.trim_end_matches("/mod.rs").trim_end_matches(".rs");
    let Some((dir, name)) = stem.rsplit_once('/') else { return false };
    // A program of a crate is its `src/main.rs`, or `src/bin/NAME/main.rs`.
    let own_folder = dir.rsplit_once('/').is_some_and(|(parent, _)| parent.ends_with("/src/bin"));
    let is_root = match name {
        "lib" => dir.ends_with("/src"),
        "main" => dir.ends_with("/src") || own_folder,
        _ => false,
    };
    if is_root || dir.ends_with("/src/bin") || dir.ends_with("/bin") {
        return false;
    }
    let declared = |parent: &File| {
        let word = name.strip_prefix("r#").unwrap_or(name);
        scan::words(&parent.code, word).any(|at| {
            let head = parent.code.get(..at).unwrap_or_default().trim_end_matches("r#").trim_end();
            scan::words(head, "mod").last().is_some_and(|at| at + 3 == head.len())
        }) || parent.text.contains(&format!("{name}.rs\""))
    };
    let mut parents =
        world.files.iter().filter(|parent| parent.is_rust() && parent.module_dir() == dir);
    !parents.any(declared)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(header: &str) -> usize {
        let mut report = Report::default();
        check_header(&File::new("crates/x/src/lib.rs", header.to_owned()), &mut report);
        report.findings.len()
    }

    #[test]
    fn three_answers_are_asked_for() {
        let whole = "//! Typed ids of everything that crosses a crate.\n//!\n\
                     //! Must never: open a file.\n\
                     //! Start reading at `names`.\n";
        assert_eq!(findings(whole), 0);
        assert_eq!(findings("//! ids\n"), 1);
        assert_eq!(findings("fn main() {}\n"), 1);
    }
}
