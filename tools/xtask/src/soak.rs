//! `cargo xtask soak`: builds the simulated world in release and runs many seeds of it.

use std::process::ExitCode;

use anyhow::Result;

use crate::process;

/// Hands its arguments on to the program, which knows them.
pub fn run(args: &[String]) -> Result<ExitCode> {
    let root = process::root()?;
    let mut command =
        process::cargo(&root, ["run", "--release", "--package", "sim", "--bin", "soak", "--"]);
    command.args(args);
    let status = process::show_and_run(&mut command)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
