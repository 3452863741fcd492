//! Measures durable appends on the disk of a folder: `cargo run --release --example flushes -- DIR`.
//!
//! Prints, for both ways of flushing, what one appender gets that waits for each entry, what 64 get
//! together, and the throughput of large entries; beside them, appending to a growing file.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use regrow_journal::disk::real::{Method, RealDisk};
use regrow_journal::{Journal, Options, Stream, StreamId};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const TIME: Duration = Duration::from_secs(3);

fn main() -> Result<(), Failure> {
    let dir = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = dir.join(format!("flushes-{}", std::process::id()));
    for method in [Method::Direct, Method::Flush] {
        println!("{method:?}");
        let disk = RealDisk::with_method(&dir, method)?;
        let (journal, _) = Journal::open_on(Arc::new(disk), Options::default())?;
        // The second half of each: the first segments have been formatted by then.
        measure(&journal, "1 appender, 128 B", 1, 128)?;
        measure(&journal, "1 appender, 4 KiB", 1, 4096)?;
        measure(&journal, "64 appenders, 128 B", 64, 128)?;
        measure(&journal, "64 appenders, 4 KiB", 64, 4096)?;
        measure(&journal, "8 appenders, 512 KiB", 8, 512 * 1024)?;
        drop(journal);
        std::fs::remove_dir_all(&dir)?;
    }
    growing(&dir)
}

/// Lets each appender wait for each of its entries, each in its own stream.
fn measure(journal: &Journal, what: &str, appenders: u32, size: usize) -> Result<(), Failure> {
    let begin = Instant::now();
    let threads: Vec<_> = (0..appenders)
        .map(|id| {
            let stream = journal.stream(StreamId(id));
            thread::spawn(move || append(&stream, size, begin))
        })
        .collect();
    let mut times = Vec::new();
    for thread in threads {
        times.extend(thread.join().map_err(|_| "an appender panicked")??);
    }
    let seconds = begin.elapsed().as_secs_f64();
    times.sort_unstable();
    let rate = times.len() as f64 / seconds;
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    println!(
        "  {what:22} {rate:8.0} entries/s {:7.1} MB/s  p50 {:?} p99 {:?}",
        rate * size as f64 / 1e6,
        at(50),
        at(99)
    );
    Ok(())
}

fn append(stream: &Stream, size: usize, begin: Instant) -> Result<Vec<Duration>, Failure> {
    let mut index = stream.last().or(stream.purged()).map_or(0, |last| last + 1);
    let content = Bytes::from(vec![7; size]);
    let mut times = Vec::new();
    while begin.elapsed() < TIME {
        let started = Instant::now();
        let (tell, told) = mpsc::channel();
        // Whoever waits has gone only if the bench has failed.
        stream.append(vec![(index, content.clone())], move |result| {
            let _gone = tell.send(result);
        });
        told.recv()??;
        times.push(started.elapsed());
        if index % 64 == 63 {
            stream.purge(index - 32, |_| {});
        }
        index += 1;
    }
    Ok(times)
}

/// What a plain log file gives.
fn growing(dir: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(dir)?;
    let path = dir.join("growing");
    let mut file: File = OpenOptions::new().create(true).append(true).open(&path)?;
    let (begin, mut count) = (Instant::now(), 0_u32);
    while begin.elapsed() < TIME {
        file.write_all(&[7; 4096])?;
        file.sync_all()?;
        count += 1;
    }
    let rate = f64::from(count) / begin.elapsed().as_secs_f64();
    println!("growing file, append + fsync\n  1 appender, 4 KiB      {rate:8.0} entries/s");
    Ok(std::fs::remove_dir_all(dir)?)
}
