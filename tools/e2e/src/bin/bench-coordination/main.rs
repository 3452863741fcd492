//! `cargo xtask bench coordination`: what the coordination core takes on three nodes, with etcd beside
//! it on machines of the same kind, in the same run.
//!
//! What it is: figures of the shipped binary and of Debian's etcd, as a table and as JSON
//! (`--json FILE`). Each node is a machine made of namespaces with its own network; every client sits
//! on its node and speaks HTTP over connections that it keeps: Consul's API to an agent, the JSON
//! gateway to etcd, which hands each request on to its own gRPC. Turns of a few seconds alternate
//! between the two, so that what else the machine does meets both.
//!
//! What it must never do: judge. It prints figures and goals; nothing fails here for being slow.
//!
//! Where to start reading: [`cases`].

mod api;
mod cases;
mod etcd;
mod many;
mod report;
mod traffic;
mod watches;

use anyhow::{Context, Result, bail};

use cases::{Amounts, CASES};
use report::Report;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (mut json, mut only, mut amounts) = (None, None, Amounts::default());
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<usize> {
            let text = arguments.next().with_context(|| format!("{argument} needs a value"))?;
            text.parse().with_context(|| format!("{argument} {text:?}: expected a number"))
        };
        match argument.as_str() {
            "--json" => json = Some(arguments.next().context("--json needs a file")?),
            "--only" => {
                let case = arguments.next().context("--only needs the name of a case")?;
                if !CASES.contains(&case.as_str()) {
                    bail!("--only {case:?}: expected one of {}", CASES.join(", "));
                }
                only = Some(case);
            }
            "--seconds" => amounts.seconds = u64::try_from(number()?)?,
            "--kills" => amounts.kills = number()?,
            "--watchers" => amounts.watchers = number()?,
            "--keys" => amounts.keys = number()?,
            "--services" => amounts.services = number()?,
            other => bail!(
                "{other}: expected --json, --only, --seconds, --kills, --watchers, --keys or --services"
            ),
        }
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut report = Report::default();
    runtime.block_on(cases::run(amounts, only.as_deref(), &mut report))?;
    print!("{}", report.table());
    if let Some(path) = json {
        std::fs::write(path, report.json()?)?;
    }
    Ok(())
}
