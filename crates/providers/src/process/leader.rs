//! The first process of an instance, which is also the leader of its process group.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use regrow_ids::InstanceId;
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open,
    pidfd_send_signal, waitid,
};
use tokio::io::unix::AsyncFd;

use super::members::Members;
use super::proc::Seen;
use super::record::{Exit, Identity};
use super::{ProcessError, proc};
use crate::readable;

/// How long a leader may take to stop before its group is killed one by one instead.
const PIN_WAIT: Duration = Duration::from_millis(100);
/// Time between looks at it.
const PIN_STEP: Duration = Duration::from_millis(1);

/// A process that is known by more than its number.
#[derive(Debug)]
pub(super) struct Leader {
    pid: Pid,
    start: u64,
    pidfd: Arc<OwnedFd>,
    /// True for a child of ours: its number stays taken until we reap it.
    is_child: bool,
    /// Who else is in the group, as far as it is known. Only for leaders that are not our child.
    members: Members,
    /// Held while a signal goes to the group by number, and while the number is given up.
    reaped: Mutex<bool>,
}

impl Leader {
    /// Takes hold of a child that was just started and not reaped.
    pub(super) fn of_child(pid: Pid) -> io::Result<Self> {
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        let start = proc::stat(pid)?.ok_or(Errno::SRCH)?.start;
        Ok(Self::new(pid, start, pidfd))
    }

    /// Takes hold of a process that an earlier run started; `None` when it is gone or its number
    /// belongs to another process now.
    ///
    /// Its environment is not asked: a program may overwrite that, and one that runs must not be
    /// taken for lost. The process may be dead already.
    ///
    /// # Errors
    /// Nobody can tell: then it must not be taken for gone.
    pub(super) fn adopt(identity: &Identity, boot_id: &str) -> io::Result<Option<Self>> {
        let named = Pid::from_raw(identity.pid).filter(|_| identity.boot_id == boot_id);
        let Some(pid) = named else { return Ok(None) };
        // First the descriptor, then the checks: they hold for the process behind it, because a
        // later process of the same number would have a later start time.
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            // The last two: the number belongs to a thread now.
            Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => return Ok(None),
            opened => opened?,
        };
        let stat = proc::stat(pid)?.filter(|stat| stat.start == identity.start);
        Ok(stat.map(|stat| Self::new(pid, stat.start, pidfd)))
    }

    fn new(pid: Pid, start: u64, pidfd: OwnedFd) -> Self {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let is_child = waitid(WaitId::PidFd(pidfd.as_fd()), look).is_ok();
        let (pidfd, members) = (Arc::new(pidfd), Members::of(pid));
        Self { pid, start, pidfd, is_child, members, reaped: Mutex::new(false) }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn is_child(&self) -> bool {
        self.is_child
    }

    /// True when nothing is left of it but its number. False when nobody can tell: its end shows
    /// later.
    pub(super) fn has_ended(&self) -> bool {
        let is_other = |stat: proc::Stat| stat.start != self.start || stat.is_dead();
        proc::stat(self.pid).is_ok_and(|stat| stat.is_none_or(is_other))
    }

    /// True while its number is its own, dead or alive.
    fn exists(&self) -> bool {
        proc::stat(self.pid).ok().flatten().is_some_and(|stat| stat.start == self.start)
    }

    /// Learns from a look at all processes who is in the group.
    pub(super) fn learn_members(&self, census: &[Seen]) {
        if !self.is_child {
            self.members.learn(census, || self.exists());
        }
    }

    /// Those in the group, as far as it is known.
    pub(super) fn members(&self) -> &Members {
        &self.members
    }

    pub(super) fn identity(&self, boot_id: &str) -> Identity {
        let pid = self.pid.as_raw_nonzero().get();
        Identity { pid, start: self.start, boot_id: boot_id.to_owned() }
    }

    /// A future-friendly handle on the end of the process; must be made inside a runtime.
    pub(super) fn watch(&self) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
        readable::register(Arc::clone(&self.pidfd))
    }

    /// Why it cannot be watched.
    pub(super) fn unwatchable(&self, id: &InstanceId, source: io::Error) -> ProcessError {
        let pid = self.pid.as_raw_nonzero().get();
        ProcessError::Watch { pid, id: id.clone(), source }
    }

    /// Signals the leader alone.
    pub(super) fn signal(&self, signal: Signal) {
        // The only failure that can happen is that it has ended.
        let _ = pidfd_send_signal(self.pidfd.as_fd(), signal);
    }

    /// Signals the whole group by its number; false when that number is not certainly ours.
    pub(super) fn signal_group(&self, signal: Signal) -> bool {
        let reaped = self.reaped();
        let reserved = self.is_child && !*reaped;
        // The group may hold nobody but the dead leader: that is no failure.
        reserved && matches!(kill_process_group(self.pid, signal), Ok(()) | Err(Errno::SRCH))
    }

    /// Kills the whole group of a leader that is not our child, at one stroke.
    ///
    /// A stopped process neither ends by itself nor leaves its group, so while the leader is stopped
    /// the number of the group cannot come to mean another. Without this a group that forks faster
    /// than we can look would never end.
    pub(super) fn kill_pinned_group(&self) {
        self.signal(Signal::STOP);
        let number = self.pid.as_raw_nonzero().get();
        for _ in 0..PIN_WAIT.as_millis() / PIN_STEP.as_millis() {
            match proc::stat(self.pid) {
                Ok(Some(stat)) if stat.start != self.start || stat.is_dead() => return,
                Ok(None) => return,
                Ok(Some(stat)) if stat.state == b'T' && stat.group == number => {
                    let _ = kill_process_group(self.pid, Signal::KILL);
                    return;
                }
                _ => std::thread::sleep(PIN_STEP),
            }
        }
    }

    /// How the leader ended, while it still reserves its number.
    pub(super) fn exit(&self) -> Exit {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::PidFd(self.pidfd.as_fd()), look) {
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Exit::Code(code),
                (_, Some(signal)) => Exit::Signal(signal),
                _ => Exit::Unknown,
            },
            _ => Exit::Unknown,
        }
    }

    /// Gives up the number.
    pub(super) fn reap(&self) {
        let mut reaped = self.reaped();
        if self.is_child && !*reaped {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            // A failure means that somebody else reaped it: the number is gone either way.
            let _ = waitid(WaitId::PidFd(self.pidfd.as_fd()), options);
        }
        *reaped = true;
    }

    fn reaped(&self) -> MutexGuard<'_, bool> {
        self.reaped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Signals a process if it still belongs to the instance.
pub(super) fn signal_member(pid: Pid, signal: Signal, provider: &Path, instance: &InstanceId) {
    if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty())
        && matches!(proc::instance_of(pid, provider), Ok(Some(named)) if named == *instance)
    {
        let _ = pidfd_send_signal(pidfd.as_fd(), signal);
    }
}
