//! How ends and timeouts are told, as ContainerPilot told them.

use std::time::Duration;

use regrow_ids::GoDuration;
use regrow_init::Ended;

use crate::config::Exec;

/// `ENOENT`: no such program.
const NOT_THERE: i32 = 2;

pub(super) fn is_success(how: Ended) -> bool {
    how == Ended::Code(0)
}

/// The exit code as a shell would show it.
pub(super) fn code(how: Ended) -> i32 {
    match how {
        Ended::Code(code) => code,
        Ended::Signal(signal) => 128 + signal,
        Ended::NotStarted(NOT_THERE) => 127,
        Ended::NotStarted(_) => 126,
    }
}

/// `exit status 4`, `signal: terminated`
pub(super) fn how(how: Ended) -> String {
    match how {
        Ended::Code(code) => format!("exit status {code}"),
        Ended::Signal(signal) => match signal_name(signal) {
            Some(name) => format!("signal: {name}"),
            None => format!("signal: signal {signal}"),
        },
        Ended::NotStarted(errno) => std::io::Error::from_raw_os_error(errno).to_string(),
    }
}

/// `NAME timeout after D: '[args]'`
pub(super) fn timeout(name: &str, after: Duration, exec: Option<&Exec>) -> String {
    let args = exec.map_or(String::new(), |exec| exec.args.join(" "));
    format!("{name} timeout after {}: '[{args}]'", GoDuration::new(after))
}

/// What Go's runtime calls the signals of Linux that end processes.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        _ => return None,
    })
}
