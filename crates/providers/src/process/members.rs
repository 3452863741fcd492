//! Who is in the process group of a leader that is not our child.
//!
//! The number of a group stays taken while anybody is in it or its leader exists. So whoever is found
//! in the group belongs to it if somebody of whom that is known already was there before the look and
//! still is after it. This also holds for processes of another user or without an environment, and
//! after the leader has ended. Nobody is signalled by the number of the group: each process is held
//! by a pidfd and looked at again first.

use std::collections::HashMap;
use std::os::fd::AsFd as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::proc::{self, Seen};

/// Processes that are known to have been in the group, with their start times.
#[derive(Debug)]
pub(super) struct Members {
    group: i32,
    known: Mutex<HashMap<Pid, u64>>,
}

impl Members {
    /// For the group of a leader.
    pub(super) fn of(leader: Pid) -> Self {
        Self { group: leader.as_raw_nonzero().get(), known: Mutex::default() }
    }

    /// Learns from a look at all processes. `leader_exists` is asked after the look.
    pub(super) fn learn(&self, census: &[Seen], leader_exists: impl FnOnce() -> bool) {
        let mut known = self.known();
        if leader_exists() || known.iter().any(|(pid, start)| self.is_still(*pid, *start)) {
            let found = census.iter().filter(|seen| seen.stat.group == self.group);
            *known = found.map(|seen| (seen.pid, seen.stat.start)).collect();
        }
    }

    /// True for a process that is known to be in the group.
    pub(super) fn contains(&self, seen: &Seen) -> bool {
        seen.stat.group == self.group && self.known().get(&seen.pid) == Some(&seen.stat.start)
    }

    /// Signals a process if it is still the one that was seen, and still in the group.
    pub(super) fn signal(&self, seen: &Seen, signal: Signal) {
        if let Ok(pidfd) = pidfd_open(seen.pid, PidfdFlags::empty())
            && self.is_still(seen.pid, seen.stat.start)
        {
            // A failure shows: the process is still there at the next look.
            let _ = pidfd_send_signal(pidfd.as_fd(), signal);
        }
    }

    fn is_still(&self, pid: Pid, start: u64) -> bool {
        let stat = proc::stat(pid).ok().flatten();
        stat.is_some_and(|stat| stat.start == start && stat.group == self.group)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Pid, u64>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command};

    use rustix::process::{Pid, Signal};

    use super::Members;
    use crate::process::proc::{Seen, stat};

    fn sleeper(group: i32) -> (Child, Seen) {
        let child = Command::new("sleep").arg("1000").process_group(group).spawn().expect("sleep");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("pid")).expect("pid");
        let stat = stat(pid).expect("look").expect("alive");
        (child, Seen { pid, stat, instance: None })
    }

    #[test]
    fn nobody_is_taken_for_a_member_without_a_witness() {
        let (mut leader, first) = sleeper(0);
        let group = first.stat.group;
        let (mut follower, second) = sleeper(group);
        let (mut stranger, third) = sleeper(0);
        let census = [first.clone(), second.clone(), third.clone()];
        let members = Members::of(first.pid);
        members.learn(&census, || false);
        assert!(!census.iter().any(|seen| members.contains(seen)), "the group may be another's");
        members.learn(&census, || true);
        let known = census.each_ref().map(|seen| members.contains(seen));
        assert_eq!(known, [true, true, false]);
        // The follower is a witness after the end of the leader.
        leader.kill().and_then(|()| leader.wait()).expect("end");
        let (mut late, fourth) = sleeper(group);
        members.learn(&[second.clone(), fourth.clone()], || false);
        assert!(members.contains(&fourth));
        // Somebody else of the same number is not signalled.
        let mut other = second.clone();
        other.stat.start += 1;
        members.signal(&other, Signal::KILL);
        members.signal(&third, Signal::KILL);
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(follower.try_wait().expect("look").is_none());
        assert!(stranger.try_wait().expect("look").is_none());
        members.signal(&second, Signal::KILL);
        members.signal(&fourth, Signal::KILL);
        follower.wait().expect("ended");
        late.wait().expect("ended");
        stranger.kill().and_then(|()| stranger.wait()).expect("end");
    }
}
