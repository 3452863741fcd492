//! Checks by running a program.

use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{Finding, OUTPUT_BYTES_MAX};
use crate::model::Status;

/// Longest wait for the rest of the output after the program ended, and for its end after it was
/// killed: what it started and left behind may hold its pipes.
const REST: Duration = Duration::from_secs(1);

/// A program in a process group of its own, which is killed unless the program has ended.
struct Group(Child);

impl Group {
    fn kill(&self) {
        // The id is there until the end of the program was seen: so it is still this program's.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a program with its arguments, for as long as the limit says.
pub(super) async fn run(args: &[String], limit: Duration) -> Finding {
    let Some((program, args)) = args.split_first() else {
        return Finding::critical("not run: there is no program");
    };
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = match command.process_group(0).kill_on_drop(true).spawn() {
        Ok(child) => child,
        Err(error) => return Finding::critical(format!("run {program}: {error}")),
    };
    let mut group = Group(child);
    let kept = Mutex::new(Vec::new());
    let (stdout, stderr) = (group.0.stdout.take(), group.0.stderr.take());
    let reading = async { tokio::join!(read(stdout, &kept), read(stderr, &kept)) };
    let ended = timeout(limit, finish(&mut group.0, reading)).await;
    let output = || std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
    match ended {
        Ok(Ok(status)) => Finding::new(judge(status), output()),
        Ok(Err(error)) => Finding::critical(format!("wait for {program}: {error}")),
        Err(_) => {
            group.kill();
            let _ = timeout(REST, group.0.wait()).await;
            let begin = format!("{program} was killed after {limit:?}; it said: ").into_bytes();
            Finding::critical([begin, output()].concat())
        }
    }
}

/// Waits for the end of a program while its output is read, then for the rest of the output.
async fn finish(
    child: &mut Child,
    reading: impl Future<Output = ((), ())>,
) -> std::io::Result<ExitStatus> {
    let mut reading = std::pin::pin!(reading);
    let status = tokio::select! {
        status = child.wait() => status,
        _ = &mut reading => return child.wait().await,
    };
    let _ = timeout(REST, reading).await;
    status
}

/// Keeps the begin of what is read, and reads the rest so that the program is not held up.
async fn read(pipe: Option<impl AsyncRead + Unpin>, kept: &Mutex<Vec<u8>>) {
    let Some(mut pipe) = pipe else { return };
    let mut part = [0; 1024];
    while let Ok(length @ 1..) = pipe.read(&mut part).await {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(part.get(..length.min(room)).unwrap_or_default());
    }
}

/// 0 is passing, 1 a warning, all else critical, also an end by a signal.
fn judge(status: ExitStatus) -> Status {
    match status.code() {
        Some(0) => Status::Passing,
        Some(1) => Status::Warning,
        _ => Status::Critical,
    }
}
