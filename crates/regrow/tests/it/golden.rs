//! Bad input: what the program says about it, word for word, and that nothing is stored.
//!
//! Cases are data in `tests/golden/*.case`; `REGROW_GOLDEN=update` writes what is said now.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::World;

/// Marks the parts of a case file.
const CASE: &str = "=== ";
const FILE: &str = "--- file ";
const RUN: &str = "$ regrow ";
const EXPECTED: &str = "--- expected";

#[derive(Debug, Default)]
struct Case {
    name: String,
    files: Vec<(String, String)>,
    words: String,
    expected: String,
}

fn cases(path: &Path) -> Vec<Case> {
    let mut all: Vec<Case> = Vec::new();
    enum Part {
        Head,
        File,
        Expected,
    }
    let mut part = Part::Head;
    for line in fs::read_to_string(path).expect("cases").lines() {
        if let Some(name) = line.strip_prefix(CASE) {
            all.push(Case { name: name.to_owned(), ..Case::default() });
            part = Part::Head;
            continue;
        }
        let Some(case) = all.last_mut() else { continue };
        if let Some(name) = line.strip_prefix(FILE) {
            case.files.push((name.to_owned(), String::new()));
            part = Part::File;
        } else if line == EXPECTED {
            part = Part::Expected;
        } else if let (Some(words), false) =
            (line.strip_prefix(RUN), matches!(part, Part::Expected))
        {
            case.words = words.to_owned();
            part = Part::Head;
        } else {
            let text = match part {
                Part::Head => continue,
                Part::File => &mut case.files.last_mut().expect("file").1,
                Part::Expected => &mut case.expected,
            };
            let _ = writeln!(text, "{line}");
        }
    }
    all
}

fn printed(cases: &[Case]) -> String {
    let mut out = String::new();
    for case in cases {
        let _ = writeln!(out, "{CASE}{}", case.name);
        for (name, text) in &case.files {
            let _ = write!(out, "{FILE}{name}\n{text}");
        }
        let _ = write!(out, "{RUN}{}\n{EXPECTED}\n{}", case.words, case.expected);
    }
    out
}

/// What the program says, without what differs from run to run.
fn said(world: &World, case: &Case) -> String {
    for (name, text) in &case.files {
        let path = world.write(name, text);
        if name.starts_with("unreadable") {
            let _ = fs::remove_file(&path);
            fs::create_dir(&path).expect("a folder cannot be read as a file, not even by root");
        }
    }
    let words: Vec<_> = case.words.split_whitespace().collect();
    let said = world.run(&words);
    let home = world.path().display().to_string();
    let text = format!("exit {}\n{}", said.code.unwrap_or(-1), said.err);
    let text = text.replace(&home, "$HOME");
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Everything that would be a trace of the input: specs, instances, lists.
fn traces(world: &World) -> Vec<PathBuf> {
    let state = world.state();
    let mut found: Vec<PathBuf> =
        ["specs/global.config", "infrakit/hosts", "infrakit/playbooks.yml"]
            .iter()
            .flat_map(|name| [state.join(name), world.path().join(name)])
            .filter(|path| path.exists())
            .collect();
    for folder in [state.join("process"), world.path().join("files"), state.join("plugins")] {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let visible = |path: &PathBuf| {
            !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
        };
        found.extend(entries.map(|entry| entry.path()).filter(visible));
    }
    found
}

fn check(file: &str, world: &World, leaves_nothing: impl Fn(&Case)) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    let mut all = cases(&path);
    let update = std::env::var("REGROW_GOLDEN").is_ok_and(|value| value == "update");
    let mut differing = String::new();
    for case in &mut all {
        let now = said(world, case);
        leaves_nothing(case);
        if now != case.expected {
            let _ = write!(
                differing,
                "=== {}\n{RUN}{}\nexpected:\n{}said:\n{now}",
                case.name, case.words, case.expected
            );
            case.expected = now;
        }
    }
    if update {
        fs::write(&path, printed(&all)).expect("write cases");
        return all.len();
    }
    assert!(differing.is_empty(), "{differing}\nREGROW_GOLDEN=update takes over what is said now");
    all.len()
}

#[test]
fn golden_bad_input_without_plugins() {
    let world = World::new();
    let count = check("bad-input.case", &world, |case| {
        let traces = traces(&world);
        assert!(traces.is_empty(), "{}: left {traces:?}", case.name);
    });
    assert!(count >= 60, "{count} cases");
}

#[test]
fn golden_bad_input_with_plugins() {
    let world = World::new();
    let _plugins = world.plugins(&["group", "vanilla", "combo", "vars", "simulator", "file"]);
    check("bad-calls.case", &world, |case| {
        assert_eq!(world.ok(&["group", "ls", "-q"]), "", "{}", case.name);
        let instances = world.ok(&["instance", "ls", "-q", "--plugin", "simulator/compute"]);
        assert_eq!(instances, "", "{}", case.name);
        assert_eq!(world.ok(&["local", "vars", "keys"]), "", "{}", case.name);
    });
}

#[test]
fn golden_bad_input_of_agents_and_catalogs() {
    let world = World::new();
    let count = check("agent.case", &world, |case| {
        for folder in ["state", "named", "listening", "joining", "restored", "nothing"] {
            let identity = world.path().join(folder).join("node.json");
            assert!(!identity.exists(), "{}: left {}", case.name, identity.display());
        }
    });
    assert!(count >= 40, "{count} cases");
}
