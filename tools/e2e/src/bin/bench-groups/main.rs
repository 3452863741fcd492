//! `cargo xtask bench groups`: what the group pillar takes, beside what InfraKit took on a machine of
//! the same kind (2 cores; its figures were measured once, in November 2026, and are quoted).
//!
//! What it is: whole-system figures of the shipped binary, as a table and as JSON (`--json FILE`).
//!
//! What it must never do: judge. It prints figures and goals; nothing fails here for being slow.
//!
//! Where to start reading: [`cases`].

mod cases;
mod load;
mod report;

use anyhow::Result;

use report::Report;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    // A second copy of this program produces load, so that its cost is not counted as the
    // server's and its core is its own.
    let first = arguments.next();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if first.as_deref() == Some("--load") {
        return runtime.block_on(load::run(arguments.collect()));
    }
    let mut json = None;
    let mut only = vec![];
    let mut next = first;
    while let Some(argument) = next {
        match argument.as_str() {
            "--json" => json = arguments.next(),
            name => only.push(name.to_owned()),
        }
        next = arguments.next();
    }
    let mut report = Report::default();
    runtime.block_on(cases::run_all(&only, &mut report));
    print!("{}", report.table());
    if let Some(path) = json {
        std::fs::write(path, report.json()?)?;
    }
    Ok(())
}
