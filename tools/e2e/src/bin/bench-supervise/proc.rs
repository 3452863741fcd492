//! What the kernel says of processes, in `/proc`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::Cost;

/// Memory of a process, KiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Resident.
    pub resident: u64,
    /// Resident, pages that others map too counted by their share.
    pub share: u64,
    /// Resident and its own, without a file behind it.
    pub anonymous: u64,
}

impl Memory {
    pub fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let kib = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            number.and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        let [resident, share, anonymous] = ["Rss:", "Pss:", "Anonymous:"].map(kib);
        Ok(Self { resident, share, anonymous })
    }
}

/// Processor time of a process itself, its children not counted.
///
/// The scheduler's sum is exact and lacks threads that have ended; the other one has them and is cut
/// to clock ticks. Both only ever miss something, so the larger one is right.
pub fn cpu(pid: u32) -> Result<Duration> {
    let ran = |thread: &u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    let exact: u64 = threads(pid).iter().filter_map(ran).sum();
    Ok(Cost::of(pid)?.cpu.max(Duration::from_nanos(exact)))
}

fn threads(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Children of a process, in the order in which they were made.
pub fn children(pid: u32) -> Vec<u32> {
    let of_thread = |thread: u32| {
        let path = format!("/proc/{pid}/task/{thread}/children");
        let text = fs::read_to_string(path).unwrap_or_default();
        text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()
    };
    threads(pid).into_iter().flat_map(of_thread).collect()
}

/// A process and everything below it.
pub fn family(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(children(parent));
        at += 1;
    }
    found
}

/// How many children of a process have ended and wait to be reaped.
pub fn zombies(pid: u32) -> usize {
    children(pid).into_iter().filter(|pid| is_zombie(*pid)).count()
}

/// Whether a process has ended and was not reaped.
pub fn is_zombie(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}

/// The program that a process runs.
pub fn program(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// The words that a process was started with, with a space between them.
pub fn words(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ")
}
