use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::server::error::Owner;

/// Ticks per second in `/proc`, the same on every Linux.
const USER_HZ: u64 = 100;

/// Clocks of processes and of files may differ by a tick.
const SLACK: Duration = Duration::from_secs(1);

/// The pid in a pid file.
pub(super) fn recorded(path: &Path) -> Option<i32> {
    fs::read_to_string(path).ok()?.trim().parse().ok().filter(|pid| *pid > 0)
}

/// Describes a process for an error text.
pub(super) fn owner(pid: Option<i32>) -> Owner {
    Owner { pid, command: pid.and_then(Stat::read).map(|stat| stat.command) }
}

/// The process that wrote a pid file, if it still runs. A process that began after the file was
/// written has only inherited the number. We ourselves are not meant either: what we serve answers.
pub(super) fn live_writer(path: &Path) -> Option<Owner> {
    let pid = recorded(path)?;
    if u32::try_from(pid).is_ok_and(|pid| pid == std::process::id()) {
        return None;
    }
    let stat = Stat::read(pid)?;
    let written = fs::metadata(path).and_then(|meta| meta.modified()).ok()?;
    let reused = stat.started().is_some_and(|started| started > written + SLACK);
    (!stat.dead && !reused).then_some(Owner { pid: Some(pid), command: Some(stat.command) })
}

/// What `/proc/PID/stat` says.
struct Stat {
    command: String,
    dead: bool,
    start_ticks: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The command stands in parentheses and may itself hold any of ") (".
        let (before, after) = text.rsplit_once(") ")?;
        let (_, command) = before.split_once('(')?;
        let mut fields = after.split_whitespace();
        let state = fields.next()?;
        // Field 22 of the file; the state is field 3.
        let start_ticks = fields.nth(18)?.parse().ok()?;
        let dead = matches!(state, "Z" | "X" | "x");
        Some(Self { command: command.to_owned(), dead, start_ticks })
    }

    fn started(&self) -> Option<SystemTime> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let boot =
            stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        let since_boot = Duration::from_millis(self.start_ticks * 1000 / USER_HZ);
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(boot) + since_boot)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use super::{Stat, live_writer};

    #[test]
    fn reads_commands_with_any_name() {
        let line = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1 1";
        let stat = Stat::parse(line).expect("parses");
        assert_eq!((stat.command.as_str(), stat.dead, stat.start_ticks), ("a) b (c", false, 4242));
    }

    fn until(condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(40), "not so");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_number_that_another_process_inherited_is_no_owner() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("x.pid");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        std::fs::write(&path, child.id().to_string()).expect("write");
        // A process that was just started has its parent's name for a moment.
        until(|| {
            let owner = live_writer(&path).expect("it runs and began before the file was written");
            owner.command.as_deref() == Some("sleep")
        });
        let file = std::fs::File::options().write(true).open(&path).expect("open");
        file.set_modified(SystemTime::now() - Duration::from_secs(3600)).expect("set time");
        assert_eq!(live_writer(&path), None);
        child.kill().expect("kill");
        file.set_modified(SystemTime::now()).expect("set time");
        // Until it is waited for it is a zombie, which owns nothing.
        until(|| live_writer(&path).is_none());
        child.wait().expect("wait");
        assert_eq!(live_writer(&path), None);
    }
}
