//! The programs that run as jobs: this same program with `--job` and one of these words.
//!
//! | words | does |
//! |---|---|
//! | `launch PROGRAM ARG…` | waits for a byte of input, notes the time and becomes that program, without input |
//! | `stamp FIFO WHO` | tells that it is there, and ends |
//! | `stay FIFO WHO` | tells that it is there, and stays |
//! | `until-term FIFO` | tells that it is there, tells again when TERM comes, and ends |
//! | `spawn COUNT ARG…` | starts this program so many times, one after the other, and waits for all |
//! | `write GATE BYTES LINES` | when the gate opens writes numbered lines as fast as they are taken, and waits for the gate again |
//! | `tick WHO` | writes a numbered line with the time every millisecond |

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::stamps::{BEGAN, Stamp, now};

/// Bytes that the writer hands to the kernel at once: what a pipe holds by default.
const BLOCK: usize = 64 * 1024;

pub fn run(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["launch", program, ref rest @ ..] => {
            let mut command = Command::new(program);
            command.args(rest).stdin(Stdio::null());
            std::io::stdin().read_exact(&mut [0]).context("wait for the word")?;
            command.env(BEGAN, now().to_string());
            Err(command.exec()).with_context(|| format!("execute {program}"))
        }
        ["stamp", fifo, who] => Stamp::of_job(who.parse()?).send(Path::new(fifo)),
        ["stay", fifo, who] => {
            Stamp::of_job(who.parse()?).send(Path::new(fifo))?;
            loop {
                std::thread::park();
            }
        }
        ["until-term", fifo] => until_term(Path::new(fifo)),
        ["spawn", count, ref rest @ ..] => spawn(count.parse()?, rest),
        ["write", gate, bytes, lines] => write(Path::new(gate), bytes.parse()?, lines.parse()?),
        ["tick", who] => tick(who),
        _ => bail!("unknown job: {words:?}"),
    }
}

/// The words that make this program that job.
pub fn words<'a>(job: impl IntoIterator<Item = &'a str>) -> Result<Vec<String>> {
    let own = std::env::current_exe().context("find the own program")?;
    let mut words = vec![own.display().to_string(), "--job".to_owned()];
    words.extend(job.into_iter().map(str::to_owned));
    Ok(words)
}

fn until_term(fifo: &Path) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut term = signal(SignalKind::terminate())?;
        Stamp::of_job(0).send(fifo)?;
        term.recv().await;
        Stamp::of_job(0).send(fifo)
    })?;
    std::process::exit(0)
}

fn spawn(count: usize, rest: &[&str]) -> Result<()> {
    let own = std::env::current_exe()?;
    let start = |_| Command::new(&own).arg("--job").args(rest).spawn();
    let children: Vec<_> = (0..count).map(start).collect::<Result<_, _>>()?;
    for mut child in children {
        child.wait()?;
    }
    Ok(())
}

/// Bytes of the number at the beginning of a line, with what stands around it.
pub const NUMBER: usize = 14;
/// What the rest of a line consists of: a byte that is in nothing else that is logged, and that no
/// format has to quote.
pub const FILLER: u8 = b'^';

/// The text of a numbered line, without its end: letters that no log format has to quote.
pub fn line(number: usize, bytes: usize) -> Vec<u8> {
    let mut line = format!("@@{number:010}@@").into_bytes();
    line.resize(bytes, FILLER);
    line
}

fn write(gate: &Path, bytes: usize, lines: usize) -> Result<()> {
    let mut gate = File::open(gate).context("open the gate")?;
    let mut wait = || gate.read_exact(&mut [0]).context("wait at the gate");
    // Lines are made before the clock runs, as many as fill a block, and get their numbers later.
    let each = bytes + 1;
    let count = (BLOCK / each).max(1);
    let mut block: Vec<u8> =
        (0..count).flat_map(|_| [line(0, bytes), vec![b'\n']].concat()).collect();
    let mut out = File::from(rustix::io::dup(std::io::stdout()).context("take stdout")?);
    wait()?;
    let mut next = 0;
    while next < lines {
        let now = count.min(lines - next);
        for (at, text) in block.chunks_exact_mut(each).enumerate() {
            number(text, next + at);
        }
        out.write_all(block.get(..now * each).unwrap_or_default()).context("write lines")?;
        next += now;
    }
    wait()
}

/// Writes the number into a line made by [`line()`].
fn number(line: &mut [u8], mut number: usize) {
    for digit in line.iter_mut().skip(2).take(10).rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

fn tick(who: &str) -> Result<()> {
    let mut out = std::io::stdout();
    for number in 0_u64.. {
        writeln!(out, "@@{who}@{number}@{}@@", now()).context("write a line")?;
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
