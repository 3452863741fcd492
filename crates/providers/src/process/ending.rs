//! The end of an instance, asked for or not.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use regrow_ids::InstanceId;
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpid};
use tokio::io::unix::AsyncFd;
use tokio::task::spawn_blocking;

use super::ProcessError;
use super::leader::{self, Leader};
use super::proc::{self, Seen};
use super::provider::{Core, Live};
use super::record::{InstanceRecord, State};
use crate::hints::Happened;

/// How long killed processes may take to disappear.
const KILL_WAIT: Duration = Duration::from_secs(5);
/// Time between two looks at what is left of a group.
const CLEAR_STEP: Duration = Duration::from_millis(5);
/// Time between attempts to get rid of processes that do not even die when killed.
const RETRY_STEP: Duration = Duration::from_secs(1);

/// Looks at all processes, once for everybody who asks at the same time: a thousand instances that
/// end together must not read `/proc` a thousand times.
pub(super) struct Census {
    provider: PathBuf,
    last: tokio::sync::Mutex<Option<(Instant, Arc<Vec<Seen>>)>>,
}

impl Census {
    pub(super) fn new(provider: &Path) -> Self {
        Self { provider: provider.to_owned(), last: tokio::sync::Mutex::default() }
    }

    /// The processes of all instances and groups, as of some moment after the call.
    pub(super) async fn take(&self) -> Result<Arc<Vec<Seen>>, ProcessError> {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if let Some((begun, seen)) = &*last
            && *begun >= asked
        {
            return Ok(Arc::clone(seen));
        }
        let (begun, provider) = (Instant::now(), self.provider.clone());
        let seen = spawn_blocking(move || proc::census(&provider)).await?;
        let seen = Arc::new(seen.map_err(ProcessError::Proc)?);
        *last = Some((begun, Arc::clone(&seen)));
        Ok(seen)
    }
}

/// Waits for the end of an instance and deals with it.
pub(super) async fn attend(core: Weak<Core>, live: Arc<Live>, ended: AsyncFd<Arc<OwnedFd>>) {
    // Fails only when the runtime shuts down: then the next run takes over.
    if ended.readable().await.is_err() {
        return;
    }
    drop(ended);
    if let Some(core) = core.upgrade() {
        core.bid_farewell(&live).await;
    }
}

/// Ends a child of ours that nobody watches yet; its number is still its own.
pub(super) fn kill_unwatched_child(pid: Pid) {
    let _ = kill_process_group(pid, Signal::KILL);
    let _ = waitpid(Some(pid), WaitOptions::empty());
}

impl Core {
    /// Stops an instance; returns when nothing of it is left.
    pub(super) async fn destroy(self: Arc<Self>, id: InstanceId) -> Result<(), ProcessError> {
        let live = self.live("destroy", &id)?;
        // Another call may be at it. Its end is ours too, its failure is not: then we try.
        let _turn = live.stop_turn.lock().await;
        if *live.gone.borrow() {
            return Ok(());
        }
        let was_stopping = live.stopping.swap(true, Ordering::AcqRel);
        if let Err(fault) = self.mark_stopping(&live).await {
            // Not recorded, nothing done: if it ends now, nobody asked for that.
            live.stopping.store(was_stopping, Ordering::Release);
            return Err(fault);
        }
        self.stop(&live).await
    }

    /// Goes on with a stop that an earlier run began.
    pub(super) async fn resume_stop(&self, live: &Arc<Live>) -> Result<(), ProcessError> {
        let _turn = live.stop_turn.lock().await;
        if *live.gone.borrow() {
            return Ok(());
        }
        self.stop(live).await
    }

    /// Recorded first: should we die on the way, the next run brings it to its end.
    async fn mark_stopping(&self, live: &Live) -> Result<(), ProcessError> {
        let mut record = live.record.lock().await;
        if matches!(record.state, State::Stopping | State::Ended) {
            return Ok(());
        }
        let mut changed = record.clone();
        changed.state = State::Stopping;
        let dir = self.home.of(&live.id);
        *record = spawn_blocking(move || changed.write(&dir).map(|()| changed)).await??;
        Ok(())
    }

    async fn stop(&self, live: &Arc<Live>) -> Result<(), ProcessError> {
        let mut gone = live.gone.subscribe();
        self.signal(live, live.stop_signal).await?;
        // A stopped process acts on no signal but this one.
        self.signal(live, Signal::CONT).await?;
        if wait_gone(&mut gone, live.stop_grace, &live.id).await.is_ok() {
            return Ok(());
        }
        tracing::info!(instance = %live.id, "not ended within its grace; killing it");
        if !live.leader.signal_group(Signal::KILL) {
            self.signal(live, Signal::KILL).await?;
        }
        wait_gone(&mut gone, KILL_WAIT, &live.id).await
    }

    /// Signals every process of an instance whose leader lives.
    async fn signal(&self, live: &Arc<Live>, signal: Signal) -> Result<(), ProcessError> {
        if live.leader.signal_group(signal) {
            return Ok(());
        }
        // Not our child: its number may be given away the moment it ends, so everybody is
        // signalled for himself.
        if signal == Signal::KILL {
            let live = Arc::clone(live);
            spawn_blocking(move || live.leader.kill_pinned_group()).await?;
        }
        let census = self.census.take().await?;
        live.leader.learn_members(&census);
        for seen in census.iter().filter(|seen| seen.pid != live.leader.pid()) {
            if live.leader.members().contains(seen) {
                live.leader.members().signal(seen, signal);
            } else if seen.instance.as_ref() == Some(&live.id) {
                leader::signal_member(seen.pid, signal, self.home.path(), &live.id);
            }
        }
        live.leader.signal(signal);
        Ok(())
    }

    /// What happens once the leader has ended.
    async fn bid_farewell(self: &Arc<Self>, live: &Live) {
        let exit = live.leader.exit();
        // The dead leader still reserves the number of the group, so this reaches no stranger.
        live.leader.signal_group(Signal::KILL);
        self.strike_out(&live.id);
        if live.stopping.load(Ordering::Acquire) {
            self.tell(Happened::Destroyed, &live.id, exit.to_string());
        } else {
            let logs = self.home.path().join(".dead");
            let message = format!("{exit}; its logs are kept in {}", logs.display());
            tracing::info!(instance = %live.id, %exit, "instance ended by itself");
            self.tell(Happened::Lost, &live.id, message);
        }
        while let Err(fault) = self.clear(&live.id, Some(&live.leader)).await {
            tracing::error!(instance = %live.id, error = %fault, "processes are left; trying again");
            tokio::time::sleep(RETRY_STEP).await;
        }
        live.leader.reap();
        let mut record = live.record.lock().await;
        record.state = State::Ended;
        record.exit = Some(exit);
        self.bury(record.clone()).await;
        drop(record);
        live.gone.send_replace(true);
    }

    /// Kills what is left of an instance whose leader has ended.
    pub(super) async fn clear(
        &self,
        id: &InstanceId,
        leader: Option<&Leader>,
    ) -> Result<(), ProcessError> {
        let deadline = Instant::now() + KILL_WAIT;
        // The number of the group means something only while we have not reaped its leader.
        let group = leader.filter(|leader| leader.signal_group(Signal::KILL));
        let group = group.map(|leader| leader.pid().as_raw_nonzero().get());
        loop {
            let census = self.census.take().await?;
            if let Some(leader) = leader {
                leader.learn_members(&census);
            }
            let is_known = |seen: &Seen| leader.is_some_and(|l| l.members().contains(seen));
            let in_group = |seen: &Seen| Some(seen.stat.group) == group;
            let named = |seen: &Seen| seen.instance.as_ref() == Some(id);
            let is_left = |seen: &&Seen| is_known(seen) || in_group(seen) || named(seen);
            let rest: Vec<_> = census.iter().filter(is_left).collect();
            if rest.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(ProcessError::StillThere { id: id.clone() });
            }
            for seen in rest {
                match leader.filter(|_| is_known(seen)) {
                    Some(leader) => leader.members().signal(seen, Signal::KILL),
                    None => leader::signal_member(seen.pid, Signal::KILL, self.home.path(), id),
                }
            }
            tokio::time::sleep(CLEAR_STEP).await;
        }
    }

    /// Stores how an instance ended and moves it to the dead.
    pub(super) async fn bury(self: &Arc<Self>, record: InstanceRecord) {
        let (core, id) = (Arc::clone(self), record.id.clone());
        let buried = spawn_blocking(move || {
            record.write_whole(&core.home.of(&record.id))?;
            Ok(core.home.bury(&record.id)?)
        });
        if let Err(fault) = buried.await.unwrap_or_else(|fault| Err(ProcessError::Task(fault))) {
            // The instance is gone all the same; the next run finds its directory and tries again.
            tracing::error!(instance = %id, error = %fault, "cannot put away a dead instance");
        }
    }
}

async fn wait_gone(
    gone: &mut tokio::sync::watch::Receiver<bool>,
    limit: Duration,
    id: &InstanceId,
) -> Result<(), ProcessError> {
    match tokio::time::timeout(limit, gone.wait_for(|gone| *gone)).await {
        Ok(Ok(_)) => Ok(()),
        _ => Err(ProcessError::StillThere { id: id.clone() }),
    }
}
