//! `cargo xtask bench NAME`: builds one whole-system benchmark in release and runs it.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::process;

/// A benchmark: the name the user types and the program behind it.
struct Bench {
    name: &'static str,
    package: &'static str,
    bin: &'static str,
    about: &'static str,
}

/// Every whole-system benchmark.
const BENCHES: &[Bench] = &[
    Bench {
        name: "coordination",
        package: "e2e",
        bin: "bench-coordination",
        about: "three agents beside three members of etcd: puts, reads, watches, kills, much data",
    },
    Bench {
        name: "groups",
        package: "e2e",
        bin: "bench-groups",
        about: "heal, converge, roll, idle, describe, plan and start of the group pillar",
    },
    Bench {
        name: "supervise",
        package: "e2e",
        bin: "bench-supervise",
        about: "start, rest, stop, orphans, logs and kills of the supervisor, beside tini and dumb-init",
    },
];

pub fn run(args: &[String]) -> Result<ExitCode> {
    let Some(name) = args.first() else {
        bail!("which benchmark? These exist:\n{}", list());
    };
    let Some(bench) = BENCHES.iter().find(|bench| bench.name == name) else {
        bail!("there is no benchmark `{name}`; these exist:\n{}", list());
    };
    let rest = args.get(1..).unwrap_or_default();
    let rest = rest.strip_prefix(&["--".to_owned()]).unwrap_or(rest);
    let root = process::root()?;
    // The benchmark starts the shipped binary as processes of its own: it must be as fresh as the
    // benchmark.
    let build = ["build", "--release", "--package", "regrow", "--package", bench.package];
    if !process::show_and_run(&mut process::cargo(&root, build))?.success() {
        return Ok(ExitCode::FAILURE);
    }
    let mut command = process::cargo(&root, ["run", "--release", "--package", bench.package]);
    command.args(["--bin", bench.bin, "--"]).args(rest);
    let status = process::show_and_run(&mut command)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list() -> String {
    BENCHES.iter().fold(String::new(), |mut text, bench| {
        let _ = writeln!(text, "  {:<14}{}", bench.name, bench.about);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_prints_the_list() {
        let error = run(&["nothing".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("`nothing`") && error.contains("groups"), "{error}");
    }
}
