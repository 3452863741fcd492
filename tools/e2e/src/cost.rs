use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Clock ticks in a second, as `/proc` counts processor time. Linux reports 100 on every platform
/// that we run on, whatever the kernel's own rate.
const TICKS_PER_SECOND: u64 = 100;

/// What a process has cost so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Processor time, user and system.
    pub cpu: Duration,
    /// Memory in use, KiB.
    pub resident_kib: u64,
    /// Most memory ever in use, KiB.
    pub peak_kib: u64,
}

impl Cost {
    /// Reads the cost of a process.
    ///
    /// # Errors
    /// The process is gone.
    pub fn of(pid: u32) -> Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            fs::read_to_string(&path).with_context(|| format!("read {path}"))
        };
        let stat = read("stat")?;
        // The second field is the command's name in brackets and may hold anything.
        let rest = stat.rsplit_once(')').context("parse /proc stat")?.1;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
        let status = read("status")?;
        let kib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            let number = line.and_then(|line| line.split_whitespace().nth(1));
            number.and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        Ok(Self {
            cpu: Duration::from_millis((ticks(11) + ticks(12)) * 1_000 / TICKS_PER_SECOND),
            resident_kib: kib("VmRSS:"),
            peak_kib: kib("VmHWM:"),
        })
    }
}
