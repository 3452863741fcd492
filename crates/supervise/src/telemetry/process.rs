//! Figures of this process, from `/proc/self`. What cannot be read is left out.

use super::expose::{Family, Page};

/// Ticks of `/proc` in a second: 100 on every Linux, whatever the kernel's own clock does.
const TICKS: f64 = 100.0;

/// Adds the figures of this process to the page.
pub fn expose(page: &mut Page) {
    let figures = [
        (
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
            "counter",
            processor_seconds(),
        ),
        ("process_open_fds", "Number of open file descriptors.", "gauge", open_files()),
        (
            "process_max_fds",
            "Maximum number of open file descriptors.",
            "gauge",
            number_behind("/proc/self/limits", "Max open files"),
        ),
        (
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
            "gauge",
            number_behind("/proc/self/status", "VmRSS:").map(|kib| kib * 1024.0),
        ),
        (
            "process_virtual_memory_bytes",
            "Virtual memory size in bytes.",
            "gauge",
            number_behind("/proc/self/status", "VmSize:").map(|kib| kib * 1024.0),
        ),
        (
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            "gauge",
            start_time(),
        ),
    ];
    for (name, help, kind, value) in figures {
        if let Some(value) = value {
            page.value(&Family { name, help, kind }, value);
        }
    }
}

/// A field of `/proc/self/stat` by its number in proc(5).
fn stat(number: usize) -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name and may have any character; the third comes behind its bracket.
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split_whitespace().nth(number - 3)?.parse().ok()
}

fn processor_seconds() -> Option<f64> {
    Some((stat(14)? + stat(15)?) / TICKS)
}

fn start_time() -> Option<f64> {
    Some(number_behind("/proc/stat", "btime")? + stat(22)? / TICKS)
}

fn open_files() -> Option<f64> {
    // The folder is open itself while it is counted.
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

/// The first word behind `key` at the beginning of a line.
fn number_behind(file: &str, key: &str) -> Option<f64> {
    let text = std::fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse().ok()
}
