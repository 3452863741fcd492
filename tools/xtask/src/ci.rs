//! `cargo xtask ci`: everything a change must pass, in one target folder, the tests last.
//!
//! All steps run even when one fails, so one run shows all there is to mend. The table of times
//! comes before the tests so that the summary of the test runner is the end of the output.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{process, setup, tidy};

/// The part of the workspace that a run covers.
pub struct Scope {
    package: Option<String>,
}

impl Scope {
    /// Takes `--package NAME` (or `-p NAME`) out of the arguments; returns the others.
    pub fn parse(args: &[String]) -> Result<(Self, Vec<String>)> {
        let mut scope = Self { package: None };
        let mut rest = Vec::new();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            if arg == "--package" || arg == "-p" {
                let name = args.next().with_context(|| format!("{arg} needs a crate name"))?;
                scope.package = Some(name.clone());
            } else {
                rest.push(arg.clone());
            }
        }
        Ok((scope, rest))
    }

    /// The arguments by which cargo and nextest select this part.
    pub fn args(&self) -> Vec<&str> {
        match &self.package {
            Some(name) => vec!["--package", name],
            None => vec!["--workspace"],
        }
    }
}

/// One step: its name in the table and how it is done.
struct Step<'a> {
    name: &'static str,
    run: Box<dyn Fn() -> Result<bool> + 'a>,
}

struct Done {
    name: &'static str,
    passed: bool,
    took: Duration,
}

pub fn run(args: &[String]) -> Result<ExitCode> {
    let (scope, rest) = Scope::parse(args)?;
    let mut with_setup = process::is_root_on_debian();
    for arg in &rest {
        match arg.as_str() {
            "--setup" => with_setup = true,
            "--no-setup" => with_setup = false,
            other => bail!("ci knows --package NAME, --setup and --no-setup, found `{other}`"),
        }
    }
    let root = process::root()?;
    let done: Vec<Done> = steps(&root, &scope, with_setup).iter().map(perform).collect();
    print!("{}", table(&done));
    // Said where the eye is: beside the summary of the tests that did run.
    print!("{}", setup::missing_report());
    let mut tests = process::cargo(&root, ["nextest", "run", "--profile", "ci"]);
    tests.args(scope.args());
    let tests_passed = process::show_and_run(&mut tests)?.success();
    let failed: Vec<&str> = done.iter().filter(|step| !step.passed).map(|step| step.name).collect();
    if !failed.is_empty() {
        eprintln!("xtask ci: failed before the tests: {}", failed.join(", "));
    }
    Ok(if tests_passed && failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn steps<'a>(root: &'a Path, scope: &'a Scope, with_setup: bool) -> Vec<Step<'a>> {
    let cargo = move |args: &[&str], tail: &[&str]| {
        let mut command = process::cargo(root, args);
        command.args(scope.args()).args(tail);
        command
    };
    let mut steps = Vec::new();
    if with_setup {
        let run = || setup::run(&[]).map(|code| code == ExitCode::SUCCESS);
        steps.push(Step { name: "setup", run: Box::new(run) });
    }
    steps.push(Step { name: "fmt", run: Box::new(move || passes(&mut fmt(root, scope))) });
    let clippy =
        move || passes(&mut cargo(&["clippy", "--all-targets"], &["--", "-D", "warnings"]));
    steps.push(Step { name: "clippy", run: Box::new(clippy) });
    let tidy = || tidy::run(&[]).map(|code| code == ExitCode::SUCCESS);
    steps.push(Step { name: "tidy", run: Box::new(tidy) });
    let doc = move || passes(cargo(&["doc", "--no-deps"], &[]).env("RUSTDOCFLAGS", "-D warnings"));
    steps.push(Step { name: "doc", run: Box::new(doc) });
    if scope.package.is_none() {
        // With one package this fails where the package has no library, and is quick to do by hand.
        let run = move || {
            passes(cargo(&["test", "--doc", "--quiet"], &[]).env("RUSTDOCFLAGS", "-D warnings"))
        };
        steps.push(Step { name: "doc tests", run: Box::new(run) });
    }
    steps
}

/// rustfmt has its own words for "everything".
fn fmt(root: &Path, scope: &Scope) -> Command {
    let mut command = process::cargo(root, ["fmt", "--check"]);
    match &scope.package {
        Some(name) => command.args(["--package", name]),
        None => command.arg("--all"),
    };
    command
}

fn passes(command: &mut Command) -> Result<bool> {
    Ok(process::show_and_run(command)?.success())
}

fn perform(step: &Step<'_>) -> Done {
    println!("\n== {}", step.name);
    let start = Instant::now();
    let passed = (step.run)().unwrap_or_else(|error| {
        eprintln!("xtask {}: {error:#}", step.name);
        false
    });
    Done { name: step.name, passed, took: start.elapsed() }
}

fn table(done: &[Done]) -> String {
    let mut text = format!("\n{:<12}{:>10}  result\n", "step", "seconds");
    for step in done {
        let result = if step.passed { "passed" } else { "FAILED" };
        text.push_str(&format!("{:<12}{:>10.1}  {result}\n", step.name, step.took.as_secs_f64()));
    }
    let total: Duration = done.iter().map(|step| step.took).sum();
    text.push_str(&format!("{:<12}{:>10.1}  tests follow\n\n", "so far", total.as_secs_f64()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_package_narrows_the_scope() {
        let (scope, rest) = Scope::parse(&words("--no-setup --package xtask")).unwrap();
        assert_eq!(scope.args(), ["--package", "xtask"]);
        assert_eq!(rest, ["--no-setup"]);
        assert!(Scope::parse(&words("--package")).is_err());
    }

    #[test]
    fn the_order_is_setup_fmt_clippy_tidy_doc_and_doc_tests() {
        let (scope, _) = Scope::parse(&[]).unwrap();
        let steps = steps(Path::new("."), &scope, true);
        let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
        assert_eq!(names, ["setup", "fmt", "clippy", "tidy", "doc", "doc tests"]);
    }

    #[test]
    fn a_step_that_cannot_start_counts_as_failed() {
        let step = Step { name: "broken", run: Box::new(|| bail!("no such program")) };
        let done = [perform(&step)];
        assert!(table(&done).contains("FAILED"));
    }
}
