//! `cargo xtask golden`: runs the golden tests with updating on, then shows what changed.
//!
//! A golden test has `golden` in its path (module or function). It compares what a user sees with a
//! file in the tree and rewrites that file when `REGROW_GOLDEN=update` is set; tests on `insta`
//! read `INSTA_UPDATE`.

use std::process::ExitCode;

use anyhow::Result;

use crate::ci::Scope;
use crate::process;

pub fn run(args: &[String]) -> Result<ExitCode> {
    let (scope, rest) = Scope::parse(args)?;
    if let Some(unknown) = rest.first() {
        anyhow::bail!("golden knows only --package NAME, found `{unknown}`");
    }
    let root = process::root()?;
    let mut tests = process::cargo(&root, ["nextest", "run"]);
    tests.args(scope.args()).args(["--no-tests=warn", "--no-fail-fast", "-E", "test(golden)"]);
    tests.env("REGROW_GOLDEN", "update").env("INSTA_UPDATE", "always");
    let status = process::show_and_run(&mut tests)?;
    println!("\nwhat changed in tracked files (read it with `git diff` before you commit):");
    let stat = process::output(&mut process::program(&root, "git", ["diff", "--stat"]))?;
    print!("{}", if stat.is_empty() { "  nothing\n" } else { &stat });
    let new = ["ls-files", "--others", "--exclude-standard"];
    let new = process::output(&mut process::program(&root, "git", new))?;
    if !new.is_empty() {
        println!("files that git does not know yet:\n{new}");
    }
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
