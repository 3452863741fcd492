//! `examples/logs`: rsyslog ships numbered lines to a collector whose address moves while they are
//! written.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::supervised::{Supervised, children, send, wait};
use e2e::{loopback, missing};
use rustix::process::Signal;

use super::{address_of, example, own, passing, supervise};
use crate::WITHIN;
use crate::catalog::Catalog;

/// Programs without which this cannot be tried.
const MEANS: &[&str] = &["rsyslogd", "/usr/share/doc/rsyslog-relp/copyright", "socat", "awk"];
/// Port of the relay; the collectors have those behind it, each at an address of its own.
const PORT: u16 = 2514;
/// Pause of the application between two bursts of lines.
const PAUSE: Duration = Duration::from_millis(5);
/// Lines of a burst.
const BURST: u64 = 10;

/// An application that writes numbered lines until it is told to end.
struct Application {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    thread: JoinHandle<Result<()>>,
}

impl Application {
    fn start(file: PathBuf) -> Self {
        let (stop, written) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let thread = std::thread::spawn({
            let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
            move || {
                let mut file = OpenOptions::new().append(true).create(true).open(file)?;
                while !stop.load(Ordering::Relaxed) {
                    let from = written.load(Ordering::Relaxed);
                    let lines = (from..from + BURST).map(|number| format!("line {number}\n"));
                    file.write_all(lines.collect::<String>().as_bytes())?;
                    written.store(from + BURST, Ordering::Relaxed);
                    std::thread::sleep(PAUSE);
                }
                Ok(())
            }
        });
        Self { stop, written, thread }
    }

    /// The line that is written next.
    fn next(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// How many lines there are.
    fn end(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the application fell over"))??;
        Ok(self.written.load(Ordering::Relaxed))
    }
}

struct Pipeline {
    catalog: Catalog,
    folder: tempfile::TempDir,
}

impl Pipeline {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("CONSUL_HTTP_ADDR", address_of(&self.catalog)),
            ("LOGS_SCRIPTS", example("logs").display().to_string()),
        ]
    }

    fn shipper(&self) -> Result<Supervised> {
        let home = self.path("shipper");
        fs::create_dir_all(&home)?;
        let mut variables = self.variables();
        variables.extend([
            ("LOGS_HOME", home.display().to_string()),
            ("LOGS_FILE", self.path("app.log").display().to_string()),
            ("LOGS_RELAY_ADDRESS", own().to_string()),
            ("LOGS_RELAY_PORT", PORT.to_string()),
        ]);
        supervise("logs/shipper.json5", &variables)
    }

    /// A collector at an address of its own; of several that pass the lowest number is used.
    fn collector(&self, number: u8) -> Result<Supervised> {
        let home = self.path(&format!("collector-{number}"));
        fs::create_dir_all(&home)?;
        let mut variables = self.variables();
        variables.extend([
            ("COLLECTOR_HOME", home.display().to_string()),
            ("COLLECTOR_ADDRESS", loopback(10 + number).to_string()),
            ("COLLECTOR_PORT", (PORT + u16::from(number)).to_string()),
        ]);
        supervise("logs/collector.json5", &variables)
    }

    /// Whole lines that a collector has received.
    fn received(&self, number: u8) -> Result<Vec<u64>> {
        let file = self.path(&format!("collector-{number}/received.log"));
        let text = fs::read_to_string(file).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let number = |line: &str| line.trim().strip_prefix("line ")?.parse().ok();
        let line = |line| number(line).with_context(|| format!("not a line of ours: {line:?}"));
        whole.lines().map(line).collect()
    }

    /// Waits until lines that are written from now on come to this collector: it is the one in use.
    fn ships_to(&self, number: u8, application: &Application, shipper: &Supervised) -> Result<()> {
        let from = application.next();
        let comes = || {
            let received = self.received(number).unwrap_or_default();
            received.last().is_some_and(|line| *line >= from)
        };
        wait(WITHIN, comes).with_context(|| {
            format!("collector {number} gets no line after {from}; shipper:\n{}", shipper.output())
        })
    }

    /// How often each line was received, by all collectors together.
    fn counts(&self) -> Result<BTreeMap<u64, u64>> {
        let mut counts = BTreeMap::new();
        for number in self.received(1)?.into_iter().chain(self.received(2)?) {
            *counts.entry(number).or_default() += 1;
        }
        Ok(counts)
    }
}

/// The server of a supervisor ends without a word.
fn kill_server(program: &Supervised) -> Result<()> {
    let worker = program.worker()?;
    let servers = children(program.pid())?;
    let server = servers.into_iter().find(|pid| *pid != worker).context("a server")?;
    send(server, Signal::KILL)
}

fn ends(mut program: Supervised) -> Result<()> {
    program.signal(Signal::TERM)?;
    let status = program.ends(WITHIN)?;
    ensure!(status.success(), "{status}: {}", program.output());
    Ok(())
}

/// The collector moves four times, two of them because one ends, and one dies.
async fn moves(
    pipeline: &Pipeline,
    application: &Application,
    shipper: &Supervised,
) -> Result<Vec<Supervised>> {
    let first = pipeline.collector(1)?;
    pipeline.ships_to(1, application, shipper)?;
    let second = pipeline.collector(2)?;
    passing(&pipeline.catalog, "collector", 2).await?;
    ends(first)?;
    pipeline.ships_to(2, application, shipper)?;
    let first = pipeline.collector(1)?;
    pipeline.ships_to(1, application, shipper)?;
    kill_server(&first)?;
    pipeline.ships_to(1, application, shipper)?;
    passing(&pipeline.catalog, "collector", 2).await?;
    ends(first)?;
    pipeline.ships_to(2, application, shipper)?;
    Ok(vec![second])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_is_lost_while_the_collector_moves() -> Result<()> {
    if let Some(program) = missing(MEANS) {
        println!("not run, promise untested: logs to a collector that moves (needs {program})");
        return Ok(());
    }
    let pipeline = Pipeline { catalog: Catalog::start().await?, folder: tempfile::tempdir()? };
    let since = Instant::now();
    let application = Application::start(pipeline.path("app.log"));
    let shipper = pipeline.shipper()?;
    let _collectors = moves(&pipeline, &application, &shipper).await?;
    let written = application.end()?;
    let whole = || pipeline.counts().is_ok_and(|counts| counts.len() as u64 == written);
    let arrived = wait(WITHIN, whole);
    let counts = pipeline.counts()?;
    let lost: Vec<_> = (0..written).filter(|number| !counts.contains_key(number)).collect();
    let twice: u64 = counts.values().map(|count| count - 1).sum();
    println!(
        "{written} lines in {:.1?}, {} lost, {twice} received again",
        since.elapsed(),
        lost.len()
    );
    arrived.with_context(|| format!("lost: {lost:?}; the shipper:\n{}", shipper.output()))?;
    ensure!(written > 1_000, "hardly any lines: {written}");
    // The relay stays until the shipper has ended, so that the shipper ends well.
    ends(shipper)?;
    Ok(())
}
