//! How fast wrapped lines go to the log, and what that costs the log's thread:
//! `cargo bench -p regrow-supervise --bench log`.
//!
//! A job (this program again) writes lines as fast as it can into a wrapped pipe, in blocks of
//! 64 KiB; the log writes to a file in `/dev/shm`, and to a pipe that another process empties. The
//! figures are megabytes of payload a second, and processor seconds of this process (whose only busy
//! thread is the log's) for a million lines.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use regrow_init::protocol::Stream;
use regrow_init::{ProcessId, Streams};
use regrow_supervise::config::{Format, Level, Logging, Sink};
use regrow_supervise::log::{Label, Logger};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::pipe::{PipeFlags, pipe_with};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Payload of a line with its newline.
const LINE_BYTES: usize = 100;
const LINES: usize = 5_000_000;
const WITHIN: Duration = Duration::from_secs(120);

fn main() -> Outcome<()> {
    match std::env::args().nth(1).as_deref() {
        Some("job") => job(),
        Some("sink") => sink(),
        _ => measure(),
    }
}

/// Writes the lines to standard output.
fn job() -> Outcome<()> {
    let line = [vec![b'x'; LINE_BYTES - 1], b"\n".to_vec()].concat();
    let block = line.repeat((64 << 10) / LINE_BYTES);
    let mut left = LINES * LINE_BYTES;
    let mut out = io::stdout().lock();
    while left > 0 {
        let n = left.min(block.len());
        out.write_all(&block[..n])?;
        left -= n;
    }
    Ok(())
}

/// Reads standard input to its end and says how many bytes there were.
fn sink() -> Outcome<()> {
    let (mut block, mut total, mut input) = (vec![0; 1 << 20], 0, io::stdin().lock());
    loop {
        match input.read(&mut block)? {
            0 => break,
            n => total += n,
        }
    }
    println!("{total}");
    Ok(())
}

fn measure() -> Outcome<()> {
    println!("{LINES} lines of {LINE_BYTES} B");
    for (name, format) in
        [("default", Format::Default), ("text", Format::Text), ("json", Format::Json)]
    {
        let path = PathBuf::from(format!("/dev/shm/regrow-bench-{}", std::process::id()));
        let figures = run(format, &path)?;
        println!("{name:8} to a file in memory  {figures}");
        std::fs::remove_file(&path)?;
        let mut reader = child("sink", Stdio::piped(), Stdio::null())?;
        let pipe = reader.stdin.take().ok_or("a pipe")?;
        let number = std::os::fd::AsRawFd::as_raw_fd(&pipe);
        let figures = run(format, Path::new(&format!("/proc/self/fd/{number}")))?;
        println!("{name:8} to a pipe            {figures}");
        drop(pipe);
        reader.wait()?;
    }
    Ok(())
}

fn run(format: Format, to: &Path) -> Outcome<String> {
    let logging = Logging { level: Level::Info, format, output: Sink::File(to.to_owned()) };
    let (tell, mut drained) = tokio::sync::mpsc::unbounded_channel();
    let logger = Logger::start(&logging, tell)?;
    let (end, out) = stream()?;
    let (_, err) = stream()?;
    let begun = (Instant::now(), processor_time()?);
    let mut job = child("job", Stdio::null(), Stdio::from(end))?;
    let label = Label { name: "job".into(), check: false, pid: 1234 };
    logger.adopt([(ProcessId(1), label, Streams { out, err })]);
    drained.blocking_recv();
    let (wall, busy) = (begun.0.elapsed(), processor_time()? - begun.1);
    job.wait()?;
    if !logger.finish(WITHIN) {
        return Err("the log did not finish".into());
    }
    let rate = (LINES * LINE_BYTES) as f64 / 1e6 / wall.as_secs_f64();
    let cost = busy * 1e6 / LINES as f64;
    Ok(format!("{rate:7.0} MB/s  {cost:.3} CPU s per million lines"))
}

fn child(role: &str, input: Stdio, output: Stdio) -> Outcome<Child> {
    let program = std::env::current_exe()?;
    Ok(Command::new(program).arg(role).stdin(input).stdout(output).spawn()?)
}

fn stream() -> Outcome<(File, Stream)> {
    let (pipe, end) = pipe_with(PipeFlags::CLOEXEC)?;
    Ok((File::from(end), Stream { pipe, spool: memfd_create("spool", MemfdFlags::CLOEXEC)? }))
}

/// Seconds of the processor that this process used, from `/proc/self/stat` in ticks of 10 ms.
fn processor_time() -> Outcome<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().ok_or("a stat")?;
    let mut ticks = fields.split_whitespace().skip(11).take(2);
    let mut next = || -> Outcome<f64> { Ok(ticks.next().ok_or("ticks")?.parse()?) };
    Ok((next()? + next()?) / 100.0)
}
