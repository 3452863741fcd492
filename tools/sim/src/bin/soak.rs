//! Runs many seeds of the simulated world: `cargo xtask soak` builds and starts it.
//!
//! Prints a line for each seed that fails, saves what a person needs to look into it, and ends with a
//! summary. `--machine keys` and `--machine catalog` run the product's machines in place of the world's
//! own store. Exit code 1 when a seed failed, 64 for a wrong command line. With `--canary NAME` the world
//! is given a known bug, and the first seed that finds it ends the run. `SOAK_LOG=debug` prints the
//! product's own log.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sim::world::canary::Canary;
use sim::world::kind::Kind;
use sim::world::{Options, Outcome, Stats, run};

const USAGE: &str = "usage: soak [--seeds N] [--from SEED] [--minutes M] [--seconds S] [--threads T] \
                     [--machine NAME] [--canary NAME] [--save DIR] [--trace]";
const EXIT_USAGE: u8 = 64;

/// What was asked for.
struct Ask {
    seeds: u64,
    from: u64,
    minutes: u64,
    threads: u64,
    save: PathBuf,
    trace: bool,
    options: Options,
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Ask, String> {
    let mut ask = Ask {
        seeds: 0,
        from: 1,
        minutes: 0,
        threads: std::thread::available_parallelism().map_or(1, |count| count.get() as u64),
        save: PathBuf::from("target/soak"),
        trace: false,
        options: Options::default(),
    };
    while let Some(name) = args.next() {
        if name == "--trace" {
            ask.trace = true;
            continue;
        }
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|error| format!("{name} {value}: {error}"));
        match name.as_str() {
            "--seeds" => ask.seeds = number()?,
            "--from" => ask.from = number()?,
            "--minutes" => ask.minutes = number()?,
            "--threads" => ask.threads = number()?.clamp(1, 64),
            "--seconds" => ask.options.seconds = number()?,
            "--save" => ask.save = PathBuf::from(value),
            "--machine" => {
                let known = Kind::ALL.into_iter().find(|kind| kind.name() == value);
                let names = Kind::ALL.map(Kind::name).join(", ");
                ask.options.kind = known.ok_or(format!("machines are {names}"))?;
            }
            "--canary" => {
                let known = Canary::ALL.into_iter().find(|canary| canary.name() == value);
                let names = Canary::ALL.map(Canary::name).join(", ");
                ask.options.canary = Some(known.ok_or(format!("canaries are {names}"))?);
            }
            _ => return Err(format!("there is no option {name}")),
        }
    }
    if ask.seeds == 0 {
        ask.seeds = if ask.minutes == 0 { 1_000 } else { u64::MAX };
    }
    Ok(ask)
}

/// What all seeds came to.
#[derive(Default)]
struct Sum {
    seeds: u64,
    failed: Vec<u64>,
    total: Stats,
}

impl Sum {
    fn add(&mut self, outcome: &Outcome) {
        let Stats { operations, acknowledged, messages, faults, starts, time } = outcome.stats;
        self.seeds += 1;
        self.total.operations += operations;
        self.total.acknowledged += acknowledged;
        self.total.messages += messages;
        self.total.faults += faults;
        self.total.starts += starts;
        self.total.time += time;
        if !outcome.violations.is_empty() {
            self.failed.push(outcome.seed);
        }
    }
}

/// Takes seeds until there are none, the time is over, or a canary was found.
fn work(ask: &Ask, next: &AtomicU64, stop: &AtomicBool, began: Instant, sum: &Mutex<Sum>) {
    while !stop.load(Ordering::Relaxed) {
        let count = next.fetch_add(1, Ordering::Relaxed);
        let late = ask.minutes > 0 && began.elapsed() > Duration::from_secs(ask.minutes * 60);
        if count >= ask.seeds || late {
            return;
        }
        let outcome = run(ask.from.wrapping_add(count), &ask.options);
        tell(ask, &outcome);
        if ask.options.canary.is_some() && !outcome.violations.is_empty() {
            stop.store(true, Ordering::Relaxed);
        }
        sum.lock().unwrap_or_else(PoisonError::into_inner).add(&outcome);
    }
}

fn tell(ask: &Ask, outcome: &Outcome) {
    let seed = outcome.seed;
    if ask.trace {
        println!("{seed} {:016x}", outcome.trace);
    }
    for violation in &outcome.violations {
        println!("seed {seed}: {violation}");
    }
    if !outcome.violations.is_empty() && ask.options.canary.is_none() {
        let folder = ask.save.join(format!("seed-{seed}"));
        match outcome.save(&folder) {
            Ok(()) => println!("seed {seed}: saved in {}", folder.display()),
            Err(error) => println!("seed {seed}: {error}"),
        }
    }
}

fn main() -> ExitCode {
    let ask = match parse(std::env::args().skip(1)) {
        Ok(ask) => ask,
        Err(error) => {
            eprintln!("soak: {error}\n{USAGE}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if let Ok(filter) = std::env::var("SOAK_LOG") {
        tracing_subscriber::fmt().with_env_filter(filter).without_time().init();
    }
    let (began, sum) = (Instant::now(), Mutex::new(Sum::default()));
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|threads| {
        for _ in 0..ask.threads {
            threads.spawn(|| work(&ask, &next, &stop, began, &sum));
        }
    });
    let Sum { seeds, failed, total } = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (real, simulated) = (began.elapsed().as_secs_f64(), total.time as f64 / 1e6);
    println!(
        "{seeds} seeds, {} operations, {} acknowledged writes, {} messages, {} faults, {} starts; \
         {simulated:.0} s simulated in {real:.1} s ({:.0} times as fast)",
        total.operations,
        total.acknowledged,
        total.messages,
        total.faults,
        total.starts,
        simulated / real.max(0.001),
    );
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed: {failed:?}");
    ExitCode::FAILURE
}
