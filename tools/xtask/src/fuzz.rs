//! `cargo xtask fuzz [TARGET …]`: builds `tools/fuzz` under libFuzzer and runs its targets.
//!
//! The engine comes as source with the crate `libfuzzer-sys` and needs a C++ compiler; the counters
//! come from the stable compiler. New inputs are kept in `target/fuzz/corpus/TARGET` from run to run,
//! the stored samples are only read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process;

/// Time for each target when nothing is said.
const DEFAULT_SECONDS: u64 = 60;
/// An input that takes longer is a finding.
const INPUT_TIMEOUT_SECONDS: u32 = 20;
/// More memory than this is a finding, in MiB.
const MEMORY_MAX_MIB: u32 = 2_048;
/// Longest input in bytes.
const INPUT_MAX_BYTES: u32 = 4_096;
/// What the compiler has to do for the engine: count edges, show comparisons.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                     -Cllvm-args=-sanitizer-coverage-pc-table \
                     -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";
/// A file system in memory: some targets write files that they synchronise.
const IN_MEMORY: &str = "/dev/shm";

/// What the user asked for.
#[derive(Debug, PartialEq)]
struct Request {
    targets: Vec<String>,
    seconds: u64,
    list: bool,
}

impl Request {
    fn parse(args: &[String]) -> Result<Self> {
        let mut request = Self { targets: Vec::new(), seconds: DEFAULT_SECONDS, list: false };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--seconds" => {
                    let given = args.next().context("--seconds needs a number")?;
                    request.seconds = given.parse().context("--seconds needs a number")?;
                }
                "--list" => request.list = true,
                other if other.starts_with('-') => {
                    bail!("fuzz knows --seconds N and --list, found `{other}`")
                }
                name => request.targets.push(name.to_owned()),
            }
        }
        Ok(request)
    }
}

/// What one run of a target came to.
struct Run {
    name: String,
    figures: Figures,
    findings: Vec<PathBuf>,
    took: Duration,
    /// Ended without its final figures.
    broken: bool,
}

/// What libFuzzer prints at the end.
#[derive(Debug, Default, PartialEq)]
struct Figures {
    runs: u64,
    corpus: u64,
    features: u64,
}

impl Figures {
    /// Reads the log of a run: the last line with progress, and the count of executed inputs.
    fn of(log: &str) -> Self {
        let mut figures = Self::default();
        for line in log.lines() {
            if let Some(runs) = line.strip_prefix("stat::number_of_executed_units:") {
                figures.runs = runs.trim().parse().unwrap_or(0);
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            for pair in words.windows(2) {
                if let [name, value] = pair {
                    // The corpus is printed as `inputs/bytes`.
                    let number = value.split('/').next().and_then(|value| value.parse().ok());
                    match (*name, number) {
                        ("ft:", Some(number)) => figures.features = number,
                        ("corp:", Some(number)) => figures.corpus = number,
                        _ => {}
                    }
                }
            }
        }
        figures
    }
}

/// The folders of a run, all below the target folder but the last.
struct Places {
    root: PathBuf,
    home: PathBuf,
    scratch: PathBuf,
}

impl Places {
    fn make(root: &Path) -> Result<Self> {
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
        let home = root.join(target).join("fuzz");
        let memory = Path::new(IN_MEMORY);
        let scratch = if memory.is_dir() { memory } else { &home };
        let scratch = scratch.join(format!("regrow-fuzz-{}", std::process::id()));
        for dir in [&home.join("findings"), &home.join("logs"), &scratch] {
            fs::create_dir_all(dir).with_context(|| format!("failed to make {}", dir.display()))?;
        }
        Ok(Self { root: root.to_owned(), home, scratch })
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        // The engine ends without destructors, so its targets leave their folders.
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

pub fn run(args: &[String]) -> Result<ExitCode> {
    let request = Request::parse(args)?;
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    if !process::has_program(&compiler) && !Path::new(&compiler).is_file() {
        bail!("libFuzzer is compiled by a C++ compiler and `{compiler}` is not there; install g++");
    }
    let places = Places::make(&process::root()?)?;
    let binary = build(&places)?;
    let known = process::output(&mut Command::new(&binary))?;
    if request.list {
        print!("{known}");
        return Ok(ExitCode::SUCCESS);
    }
    let known: Vec<&str> = known.lines().filter_map(|line| line.split('\t').next()).collect();
    if let Some(unknown) = request.targets.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("there is no target `{unknown}`; these exist: {}", known.join(", "));
    }
    let all = request.targets.is_empty();
    let chosen = known.iter().filter(|name| all || request.targets.iter().any(|one| one == *name));
    println!(
        "{:<20}{:>12}{:>9}{:>10}{:>10}{:>10}",
        "target", "runs", "seconds", "corpus", "features", "findings"
    );
    let mut runs = Vec::new();
    for name in chosen {
        let run = fuzz(&places, &binary, name, request.seconds)?;
        print!("{}", row(&run));
        runs.push(run);
    }
    let total: u64 = runs.iter().map(|run| run.figures.runs).sum();
    println!("{:<20}{total:>12}", "together");
    Ok(verdict(&places, &runs))
}

fn verdict(places: &Places, runs: &[Run]) -> ExitCode {
    let findings: Vec<&PathBuf> = runs.iter().flat_map(|run| &run.findings).collect();
    for finding in &findings {
        println!("finding: {}", finding.display());
    }
    for run in runs.iter().filter(|run| run.broken && run.findings.is_empty()) {
        println!("broken: {}, see {}", run.name, log_of(places, &run.name).display());
    }
    if !findings.is_empty() {
        println!(
            "mend it, and keep the file as tools/fuzz/corpus/TARGET/NAME: the tests replay it"
        );
    }
    let good = findings.is_empty() && runs.iter().all(|run| !run.broken);
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn row(run: &Run) -> String {
    let Figures { runs, corpus, features } = run.figures;
    format!(
        "{:<20}{runs:>12}{:>9}{corpus:>10}{features:>10}{:>10}\n",
        run.name,
        run.took.as_secs(),
        run.findings.len()
    )
}

/// Builds for the host by name: then the flags stay away from build scripts and macros.
fn build(places: &Places) -> Result<PathBuf> {
    let host = host(&places.root)?;
    let mut cargo =
        process::cargo(&places.root, ["build", "--profile", "fuzz", "--package", "fuzz"]);
    cargo.args(["--features", "engine", "--bin", "fuzz", "--target", &host, "--target-dir"]);
    cargo.arg(&places.home).env("RUSTFLAGS", FLAGS);
    if !process::show_and_run(&mut cargo)?.success() {
        bail!("the targets do not build");
    }
    Ok(places.home.join(&host).join("fuzz/fuzz"))
}

fn host(root: &Path) -> Result<String> {
    let about = process::output(&mut process::program(root, "rustc", ["--version", "--verbose"]))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say for which host it is")
}

fn log_of(places: &Places, name: &str) -> PathBuf {
    places.home.join("logs").join(format!("{name}.log"))
}

fn fuzz(places: &Places, binary: &Path, name: &str, seconds: u64) -> Result<Run> {
    let grown = places.home.join("corpus").join(name);
    fs::create_dir_all(&grown).with_context(|| format!("failed to make {}", grown.display()))?;
    let log_path = log_of(places, name);
    let log = fs::File::create(&log_path).context("failed to make the log")?;
    let findings = places.home.join("findings");
    let before = files_of(&findings, name)?;
    let start = Instant::now();
    // The engine's own `main` begins without what Rust's does: a peer that hung up must not end it.
    let status = Command::new("sh")
        .args(["-c", "trap '' PIPE; exec \"$0\" \"$@\""])
        .arg(binary)
        .current_dir(&places.scratch)
        .env("FUZZ_TARGET", name)
        .env("FUZZ_SCRATCH", &places.scratch)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={INPUT_TIMEOUT_SECONDS}"))
        .arg(format!("-rss_limit_mb={MEMORY_MAX_MIB}"))
        .arg(format!("-max_len={INPUT_MAX_BYTES}"))
        .arg(format!("-artifact_prefix={}/{name}-", findings.display()))
        .args(["-print_final_stats=1", "-detect_leaks=0"])
        .arg(&grown)
        .arg(places.root.join("tools/fuzz/corpus").join(name))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .status()
        .context("failed to start the targets")?;
    let took = start.elapsed();
    let log = fs::read(&log_path).context("failed to read the log")?;
    let figures = Figures::of(&String::from_utf8_lossy(&log));
    let mut findings = files_of(&findings, name)?;
    findings.retain(|path| !before.contains(path));
    Ok(Run { name: name.to_owned(), figures, findings, took, broken: !status.success() })
}

/// Findings of one target: `TARGET-crash-…`, `TARGET-timeout-…` and so on.
fn files_of(dir: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).context("failed to list the findings")? {
        let path = entry.context("failed to list the findings")?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        if file.strip_prefix(name).is_some_and(|rest| rest.starts_with('-')) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn targets_and_time_are_read() {
        let request = Request::parse(&words("json --seconds 5 paths")).unwrap();
        assert_eq!(request.targets, ["json", "paths"]);
        assert_eq!((request.seconds, request.list), (5, false));
        assert_eq!(Request::parse(&[]).unwrap().seconds, DEFAULT_SECONDS);
        for wrong in ["--seconds", "--seconds x", "--second 5"] {
            assert!(Request::parse(&words(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn figures_are_read_from_the_log() {
        let log = "#2\tINITED cov: 5 ft: 6 corp: 1/1b exec/s: 0 rss: 30Mb\n\
                   #9\tNEW    cov: 7 ft: 8 corp: 2/12Kb lim: 4 exec/s: 0 rss: 30Mb L: 2/4\n\
                   stat::number_of_executed_units: 1234\n";
        assert_eq!(Figures::of(log), Figures { runs: 1_234, corpus: 2, features: 8 });
        assert_eq!(Figures::of(""), Figures::default());
    }
}
