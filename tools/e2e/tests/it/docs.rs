//! The commands that the documents show are the commands that work.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Commands of the fenced `sh` blocks of a document.
fn commands(document: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(root().join(document)).context(document.to_owned())?;
    let mut commands = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line.trim() {
            "```sh" => inside = true,
            "```" => inside = false,
            command if inside && !command.is_empty() => commands.push(command.to_owned()),
            _ => {}
        }
    }
    Ok(commands)
}

#[test]
fn the_readme_shows_two_commands_and_the_first_one_heals() -> Result<()> {
    let commands = commands("README.md")?;
    let [first, second] = &commands[..] else { panic!("not two commands: {commands:?}") };
    assert_eq!(second, "cargo xtask ci");
    let arguments = first.strip_prefix("cargo run --release -p regrow -- ");
    let arguments = arguments.context("the first command runs regrow")?;
    let state = tempfile::tempdir()?;
    let output = Command::new(e2e::binary()?)
        .args(arguments.split_whitespace())
        .args(["--until", "converged", "--timeout", "60s", "--on-exit", "destroy", "--state"])
        .arg(state.path())
        .current_dir(root())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("quickstart: converged, 5 of 5 alive"), "{text}");
    Ok(())
}

#[test]
fn every_link_into_the_tree_leads_somewhere() -> Result<()> {
    let mut documents = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .map(str::to_owned)
        .to_vec();
    for folder in ["docs", "docs/adr", "docs/bench"] {
        for entry in fs::read_dir(root().join(folder))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            documents.extend(name.ends_with(".md").then(|| format!("{folder}/{name}")));
        }
    }
    assert!(documents.len() > 25, "{documents:?}");
    for document in documents {
        let text = fs::read_to_string(root().join(&document))?;
        let folder = root().join(&document);
        let folder = folder.parent().context("a folder")?;
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || link.contains("://") {
                continue;
            }
            assert!(folder.join(path).exists(), "{document} links to {link}");
        }
    }
    Ok(())
}

/// Flags in the lines of the unit that start the agent, and in those that say how to change them.
fn flags_of_the_unit() -> Result<Vec<String>> {
    let unit = fs::read_to_string(root().join("packaging/regrow-agent.service"))?;
    let starts = |line: &&str| line.contains("REGROW_AGENT_FLAGS");
    let words = unit.lines().filter(starts).flat_map(|line| line.split([' ', '=']));
    Ok(words.filter(|word| word.starts_with("--")).map(str::to_owned).collect())
}

#[test]
fn the_unit_starts_an_agent_with_flags_that_exist() -> Result<()> {
    let output = Command::new(e2e::binary()?).args(["agent", "--help"]).output()?;
    let help = String::from_utf8(output.stdout)?;
    let known: Vec<_> = help.split([' ', '\n', ',']).collect();
    let flags = flags_of_the_unit()?;
    assert_eq!(flags.len(), 3, "{flags:?}");
    for flag in flags {
        assert!(known.contains(&flag.as_str()), "`regrow agent` has no {flag}");
    }
    Ok(())
}
