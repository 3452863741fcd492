//! What `/proc` says about processes.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use regrow_ids::InstanceId;
use rustix::io::Errno;
use rustix::process::Pid;

/// Environment variable that names the instance which a process belongs to.
pub(super) const INSTANCE_VARIABLE: &str = "REGROW_INSTANCE_ID";
/// Environment variable that names the directory of the provider which made the instance.
pub(super) const PROVIDER_VARIABLE: &str = "REGROW_PROVIDER_DIR";

/// Position of the start time in `/proc/PID/stat`, counted from the field after the name.
const START_TIME_FIELD: usize = 19;
/// Position of the process group there.
const GROUP_FIELD: usize = 2;

/// What `/proc/PID/stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// One letter, such as `R`, `S`, `T` or `Z`.
    pub(super) state: u8,
    pub(super) group: i32,
    /// Clock ticks between boot and the start of the process: with the pid it names the process.
    pub(super) start: u64,
}

impl Stat {
    /// True when nothing of the process is left but its number.
    pub(super) fn is_dead(self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }

    fn parse(text: &str) -> Option<Self> {
        // The name may hold spaces and parentheses; what follows the last one is plain.
        let fields: Vec<_> = text.rsplit_once(") ")?.1.split(' ').collect();
        Some(Self {
            state: *fields.first()?.as_bytes().first()?,
            group: fields.get(GROUP_FIELD)?.parse().ok()?,
            start: fields.get(START_TIME_FIELD)?.parse().ok()?,
        })
    }
}

fn path(pid: Pid, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/{file}", pid.as_raw_nonzero()))
}

/// Tells a process that is not there from one that we fail to look at, such as for want of
/// descriptors: that one must not be taken for ended.
fn if_there<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) if e.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The same, for what the system may keep from us: then it is somebody else's.
fn if_shown<T>(read: io::Result<Option<T>>) -> io::Result<Option<T>> {
    match read {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        read => read,
    }
}

/// State of a process; `None` when there is no such process.
pub(super) fn stat(pid: Pid) -> io::Result<Option<Stat>> {
    let text = if_there(fs::read(path(pid, "stat")))?;
    // The name of a program need not be UTF-8.
    Ok(text.and_then(|text| Stat::parse(&String::from_utf8_lossy(&text))))
}

/// Names this run of the kernel: pids and start times mean something only within it.
pub(super) fn boot_id() -> io::Result<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned())
}

/// The instance of the given provider that a process of ours belongs to.
///
/// Only processes of our own user count: anybody can write anything into an environment.
pub(super) fn instance_of(pid: Pid, provider: &Path) -> io::Result<Option<InstanceId>> {
    let own = rustix::process::geteuid().as_raw();
    let metadata = if_shown(if_there(fs::metadata(path(pid, ""))))?;
    if metadata.is_none_or(|metadata| metadata.uid() != own) {
        return Ok(None);
    }
    let environment = if_shown(if_there(fs::read(path(pid, "environ"))))?;
    Ok(environment.and_then(|environment| named_in(&environment, provider)))
}

fn named_in(environment: &[u8], provider: &Path) -> Option<InstanceId> {
    let value = |name: &str| {
        environment.split(|byte| *byte == 0).find_map(|entry| {
            entry.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
        })
    };
    if value(PROVIDER_VARIABLE)? != provider.as_os_str().as_bytes() {
        return None;
    }
    std::str::from_utf8(value(INSTANCE_VARIABLE)?).ok().map(InstanceId::from)
}

/// True when a process writes to the given standard output or standard error.
pub(super) fn writes_to(pid: Pid, stdout: &Path, stderr: &Path) -> io::Result<bool> {
    for (file, log) in [("fd/1", stdout), ("fd/2", stderr)] {
        let target = if_shown(if_there(fs::read_link(path(pid, file))))?;
        if target.is_some_and(|target| target == log) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A living process that matters to a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) pid: Pid,
    pub(super) stat: Stat,
    /// The instance that its environment names.
    pub(super) instance: Option<InstanceId>,
}

/// All processes that are not dead, with the instance of this provider that they belong to.
pub(super) fn census(provider: &Path) -> io::Result<Vec<Seen>> {
    let mut seen = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|text| text.parse().ok()).and_then(Pid::from_raw)
        else {
            continue;
        };
        // A process may end at any moment; what has ended is not there.
        let Some(stat) = if_shown(stat(pid))?.filter(|stat| !stat.is_dead()) else { continue };
        seen.push(Seen { pid, stat, instance: instance_of(pid, provider)? });
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::{Stat, boot_id, stat};

    #[test]
    fn reads_names_with_parentheses() {
        let text = "17 (a) b (c) S 1 42 3 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 9876 1 2";
        let expected = Stat { state: b'S', group: 42, start: 9876 };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse("17 (a"), None);
        assert_eq!(Stat::parse("17 (a) S 1"), None);
    }

    #[test]
    fn knows_itself() {
        let own = stat(rustix::process::getpid()).expect("look").expect("we are alive");
        assert!(!own.is_dead() && own.start > 0);
        assert_eq!(boot_id().expect("boot id").len(), 36);
    }
}
