//! `cargo xtask bench supervise`: what `regrow supervise` takes, with tini and dumb-init beside it in
//! the same run, and ContainerPilot's figures quoted (3.8, Go; measured once, in November 2026, on a
//! machine of the same kind with 2 cores).
//!
//! What it is: figures of the shipped binary as a table and as JSON (`--json FILE`). Names of cases
//! choose some of them, `--short` makes all of them short. Every process that it measures was started
//! by it, in a folder of its own; nothing outside the machine is spoken to.
//!
//! What it must never do: judge. It prints figures and goals; nothing fails here for being slow. What
//! needs namespaces needs root, and is printed as not run without.
//!
//! Where to start reading: [`cases`], then `supervisor` for how a program is started and looked at,
//! and `job` for the programs that run as jobs.

mod cases;
mod job;
mod proc;
mod reader;
mod report;
mod stamps;
mod supervisor;

use anyhow::{Context, Result, bail};

use cases::{Amounts, CASES};
use report::Report;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = arguments.next();
    // This program is also what runs as a job. That comes first and does nothing that is not needed:
    // its time is in the figures.
    if next.as_deref() == Some("--job") {
        return job::run(&arguments.collect::<Vec<_>>());
    }
    let (mut json, mut only, mut amounts) = (None, vec![], Amounts::FULL);
    while let Some(argument) = next {
        match argument.as_str() {
            "--json" => json = Some(arguments.next().context("--json needs a file")?),
            "--short" => amounts = Amounts::SHORT,
            name if CASES.iter().any(|case| case.name == name) => only.push(argument),
            other => {
                let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
                bail!("{other}: expected --short, --json FILE or a case: {}", names.join(", "))
            }
        }
        next = arguments.next();
    }
    supervisor::adopt()?;
    let mut report = Report::new()?;
    cases::run(&only, &amounts, &mut report);
    report.ended()?;
    print!("{}", report.table());
    if let Some(path) = json {
        std::fs::write(path, report.json()?)?;
    }
    Ok(())
}
