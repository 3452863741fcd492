//! `cargo xtask tidy`: the house rules, as code.
//!
//! Reads the tree and `cargo metadata`, changes nothing, needs no network once the dependencies are
//! fetched. Each rule is one function in [`CHECKS`]; a finding is one line: `path:line: what;
//! expected; what to do`. Hard findings fail the run, warnings do not.

mod dependencies;
mod floors;
mod headers;
mod licences;
mod manifests;
mod marks;
mod policy;
mod scan;
mod sizes;
#[cfg(test)]
mod tests;
mod tree;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::process;
use tree::World;

/// What a rule has to say.
#[derive(Default)]
struct Report {
    findings: Vec<Finding>,
    /// Figures and tables, printed in the order of the rules.
    notes: Vec<String>,
}

/// One violation.
struct Finding {
    hard: bool,
    path: String,
    line: usize,
    /// What was found, what was expected, what to do about it.
    text: String,
}

impl Report {
    /// A finding that fails the run.
    fn hard(&mut self, path: &str, line: usize, text: String) {
        self.findings.push(Finding { hard: true, path: path.to_owned(), line, text });
    }

    /// A finding to look at.
    fn warn(&mut self, path: &str, line: usize, text: String) {
        self.findings.push(Finding { hard: false, path: path.to_owned(), line, text });
    }

    fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// The report as printed, and whether anything hard is in it.
    fn render(mut self) -> (String, bool) {
        self.findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
        let mut text = self.notes.join("\n");
        let (hard, soft): (Vec<_>, Vec<_>) =
            self.findings.into_iter().partition(|finding| finding.hard);
        for (title, findings) in [("warnings", &soft), ("findings", &hard)] {
            text.push_str(&format!("\n{title}: {}\n", findings.len()));
            for Finding { path, line, text: what, .. } in findings {
                text.push_str(&format!("{path}:{line}: {what}\n"));
            }
        }
        (text, !hard.is_empty())
    }
}

/// Every rule.
const CHECKS: &[fn(&World, &mut Report)] = &[
    floors::check,
    manifests::check,
    headers::check,
    sizes::check,
    marks::check,
    dependencies::check,
    licences::check,
];

pub fn run(args: &[String]) -> Result<ExitCode> {
    if let Some(unknown) = args.first() {
        bail!("tidy takes no argument, found `{unknown}`");
    }
    let world = World::load(&process::root()?)?;
    let mut report = Report::default();
    for check in CHECKS {
        check(&world, &mut report);
    }
    let (text, failed) = report.render();
    print!("{text}");
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
