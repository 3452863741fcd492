//! Commands that the documents name exist, and have the flags that are named with them.

use std::collections::BTreeSet;
use std::fs;

use crate::support::{World, repository};

/// Documents for users, below the root of the repository.
fn documents() -> Vec<String> {
    let entries = fs::read_dir(repository("docs")).expect("docs").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let pages = names.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}"));
    let examples = ["infrakit", "plugins", "quickstart"];
    let examples = examples.map(|name| format!("examples/{name}/README.md"));
    ["README.md".to_owned()].into_iter().chain(pages).chain(examples).collect()
}

/// Lines of the blocks of a text, fenced or indented.
fn block_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter_map(move |line| {
        if line.starts_with("```") {
            fenced = !fenced;
            return None;
        }
        let line = if fenced { line } else { line.strip_prefix("    ")? };
        Some(line.trim_start_matches("$ "))
    })
}

/// Commands that a text names: between backquotes, or a line of a block.
fn commands(text: &str) -> impl Iterator<Item = &str> {
    let spans = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let named = spans.chain(block_lines(text)).filter_map(|text| text.strip_prefix("regrow "));
    named.map(|command| command.split(" -- ").next().unwrap_or(command))
}

/// The words of a command before its first argument that is none, and its flags.
fn taken_apart(command: &str) -> (Vec<&str>, BTreeSet<&str>) {
    // What stands behind these is another command's, or a remark.
    let command = command.split([';', '|', '#', '>', '&']).next().unwrap_or_default();
    let plain = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let flag = |word: &&str| word.starts_with('-');
    let words = command.split_whitespace();
    let verbs = words.clone().take_while(|word| plain(word) && !flag(word));
    // What follows these is known only where there is a playbook or a plugin.
    let open = matches!(words.clone().next(), Some("use" | "local"));
    let verbs = verbs.take(if open { 1 } else { usize::MAX }).collect();
    let flags = words.filter(|word| !open && word.len() > 3 && word.starts_with("--"));
    let flags = flags.map(|flag| {
        let end = flag.find(|c: char| !c.is_ascii_lowercase() && c != '-');
        flag.get(..end.unwrap_or(flag.len())).unwrap_or(flag)
    });
    (verbs, flags.collect())
}

#[test]
fn a_command_is_taken_apart() {
    let text = "\
        Say `regrow node rm NAME --yes`, or\n```console\n$ regrow kv lock x -- regrow --no\n```\n\n\
        regrow keeps\n\n    regrow up a.yaml # --x\n";
    let found: Vec<_> = commands(text).map(taken_apart).collect();
    let flags = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<_>>();
    assert_eq!(
        found,
        [
            (vec!["node", "rm"], flags(&["--yes"])),
            (vec!["kv", "lock", "x"], flags(&[])),
            (vec!["up"], flags(&[])),
        ]
    );
}

#[test]
fn every_command_that_is_named_exists() {
    let world = World::new();
    let mut seen = BTreeSet::new();
    for document in documents() {
        let text = fs::read_to_string(repository(&document)).expect("document");
        for command in commands(&text) {
            let (words, flags) = taken_apart(command);
            if words.is_empty() || !seen.insert(format!("{words:?} {flags:?}")) {
                continue;
            }
            let help = world.run(&[&words, ["--help"].as_slice()].concat());
            assert_eq!(help.code, Some(0), "{document}: `regrow {command}`: {}", help.err);
            let known: BTreeSet<&str> = help.out.split([' ', '\n', ',', '`']).collect();
            for flag in flags {
                assert!(known.contains(flag), "{document}: `regrow {command}` has no {flag}");
            }
        }
    }
    assert!(seen.len() >= 60, "{} commands", seen.len());
}
