//! The table: what a job does with what comes, in each phase it can be in. Every cell is written
//! out; a new phase or cue does not compile until its cells are.

use serde::{Deserialize, Serialize};

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// It waits for its first start.
    Idle,
    /// Init was asked to start its process.
    Starting,
    /// Its process runs; a job without a process takes part.
    Running,
    /// Its process ended and is started again after a pause.
    Pausing,
    /// Its process ended and it may be started by another event or tick.
    Waiting,
    /// It is to end; those that wait for its `stopping` run first.
    Draining,
    /// Its service is being taken out of the catalog.
    Withdrawing,
    /// Its processes were told to end.
    Terminating,
    /// It has ended for good.
    Ended,
}

impl Phase {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 9] = [
        Self::Idle,
        Self::Starting,
        Self::Running,
        Self::Pausing,
        Self::Waiting,
        Self::Draining,
        Self::Withdrawing,
        Self::Terminating,
        Self::Ended,
    ];
}

/// What comes to a job. Those that are deadlines are tested in this order when they come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cue {
    /// It is time for a check.
    CheckTick,
    /// It was not started within `when.timeout`.
    WhenOver,
    /// It is time for another run of an interval job.
    IntervalTick,
    /// The pause before a restart is over.
    RestartDue,
    /// Its process ran longer than `timeout`.
    TimedOut,
    /// Its process was not ready in time.
    ReadyOver,
    /// Its process was silent for too long.
    WatchdogOver,
    /// A check took too long.
    CheckOver,
    /// It is time to see whether its process is alive.
    LiveTick,
    /// That took too long.
    LiveOver,
    /// Those that wait for its `stopping` took longer than `stopTimeout`.
    DrainOver,
    /// The catalog did not say that the service is gone.
    WithdrawOver,
    /// Its processes did not end in time.
    KillDue,
    /// Its start event came.
    Wanted,
    /// Init started its process.
    Started,
    /// Its process ended.
    Exited,
    /// It is to end: its work is done, the program ends, or another configuration came.
    End,
    /// Nobody that waits for its `stopping` runs any more.
    Drained,
    /// The catalog does not show its service any more.
    Withdrawn,
    /// The lock under which it runs is about to be lost.
    Losing,
    /// A check said something.
    Checked,
    /// It was found whether its process is alive.
    Lived,
    /// Its process said that it is ready.
    Ready,
    /// It may begin to listen: all others do, or the job that it replaces has ended.
    Begin,
}

impl Cue {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::CheckTick,
        Self::WhenOver,
        Self::IntervalTick,
        Self::RestartDue,
        Self::TimedOut,
        Self::ReadyOver,
        Self::WatchdogOver,
        Self::CheckOver,
        Self::LiveTick,
        Self::LiveOver,
        Self::DrainOver,
        Self::WithdrawOver,
        Self::KillDue,
        Self::Wanted,
        Self::Started,
        Self::Exited,
        Self::End,
        Self::Drained,
        Self::Withdrawn,
        Self::Losing,
        Self::Checked,
        Self::Lived,
        Self::Ready,
        Self::Begin,
    ];
}

/// What a job does in one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing, on purpose.
    Skip,
    /// It cannot come: a fault of ours, said in the log, nothing else is done.
    Never,
    /// Use one start and run.
    Launch,
    /// Run once more when the process has ended.
    Remember,
    /// Use one restart and run, or remember to; end where none is left.
    Lap,
    /// Publish `timerExpired` and end.
    Expire,
    /// Run again.
    Rerun,
    /// The process is there.
    Run,
    /// The process is gone: restart, pause, wait or end.
    Next,
    /// Something of it is gone: ended, where nothing is left.
    Reap,
    /// Kill the group of the process.
    Kill,
    /// Kill the check.
    KillCheck,
    /// Kill what looks whether the process is alive.
    KillLive,
    /// Publish `stopping` and wait for those who wait for that.
    Drain,
    /// Take the service out of the catalog; straight on where there is none.
    Withdraw,
    /// Tell the processes to end; straight on where there are none.
    Terminate,
    /// Kill every process that is left.
    KillAll,
    /// End for good afterwards.
    EndAfter,
    /// The lock goes: withdraw and terminate at once, and wait for it to come back.
    Yield,
    /// The lock goes: terminate at once and end.
    Hasten,
    /// The lock goes: no later than its moment.
    Hurry,
    /// Begin a check.
    Check,
    /// Take the outcome of a check for the state of the job.
    Judge,
    /// Look whether the process is alive.
    Look,
    /// Count failures in a row.
    Count,
    /// It is ready.
    MarkReady,
    /// Begin to listen to events.
    Listen,
}

/// The cell of a phase and a cue.
#[must_use]
pub fn cell(phase: Phase, cue: Cue) -> Act {
    use Phase::*;
    match (cue, phase) {
        (Cue::CheckTick, Starting | Running | Waiting | Draining) => Act::Check,
        (Cue::CheckTick, Pausing) => Act::Skip,
        (Cue::CheckTick, Idle | Withdrawing | Terminating | Ended) => Act::Never,

        (Cue::WhenOver, Idle) => Act::Expire,
        (Cue::WhenOver, Starting | Running | Pausing | Waiting) => Act::Never,
        (Cue::WhenOver, Draining | Withdrawing | Terminating | Ended) => Act::Never,

        (Cue::IntervalTick, Starting | Running | Waiting) => Act::Lap,
        (Cue::IntervalTick, Idle | Pausing) => Act::Never,
        (Cue::IntervalTick, Draining | Withdrawing | Terminating | Ended) => Act::Never,

        (Cue::RestartDue, Pausing) => Act::Rerun,
        (Cue::RestartDue, Idle | Starting | Running | Waiting) => Act::Never,
        (Cue::RestartDue, Draining | Withdrawing | Terminating | Ended) => Act::Never,

        (Cue::TimedOut, Starting | Running | Draining | Withdrawing | Terminating) => Act::Kill,
        (Cue::TimedOut, Idle | Pausing | Waiting | Ended) => Act::Never,

        (Cue::ReadyOver | Cue::WatchdogOver, Starting | Running) => Act::Kill,
        (Cue::ReadyOver | Cue::WatchdogOver, Idle | Pausing | Waiting | Draining) => Act::Never,
        (Cue::ReadyOver | Cue::WatchdogOver, Withdrawing | Terminating | Ended) => Act::Never,

        (Cue::CheckOver, Starting | Running | Pausing | Waiting) => Act::KillCheck,
        (Cue::CheckOver, Draining | Withdrawing | Terminating) => Act::KillCheck,

        (Cue::LiveTick, Starting | Running) => Act::Look,
        (Cue::LiveTick, Idle | Pausing | Waiting) => Act::Never,
        (Cue::LiveTick, Draining | Withdrawing | Terminating | Ended) => Act::Never,

        (Cue::LiveOver, Starting | Running | Pausing | Waiting) => Act::KillLive,
        (Cue::LiveOver, Draining | Withdrawing | Terminating) => Act::KillLive,
        (Cue::CheckOver | Cue::LiveOver, Idle | Ended) => Act::Never,

        (Cue::DrainOver | Cue::Drained, Draining) => Act::Withdraw,
        (Cue::DrainOver | Cue::Drained, Idle | Starting | Running | Pausing) => Act::Never,
        (Cue::DrainOver | Cue::Drained, Waiting | Withdrawing | Terminating | Ended) => Act::Never,

        (Cue::WithdrawOver | Cue::Withdrawn, Withdrawing) => Act::Terminate,
        (Cue::WithdrawOver, Idle | Starting | Running | Pausing | Waiting) => Act::Never,
        (Cue::WithdrawOver, Draining | Terminating | Ended) => Act::Never,
        (Cue::Withdrawn, Idle | Starting | Running | Pausing | Waiting) => Act::Skip,
        (Cue::Withdrawn, Draining | Terminating | Ended) => Act::Skip,

        (Cue::KillDue, Terminating) => Act::KillAll,
        (Cue::KillDue, Idle | Starting | Running | Pausing | Waiting) => Act::Never,
        (Cue::KillDue, Draining | Withdrawing | Ended) => Act::Never,

        (Cue::Wanted, Idle | Waiting) => Act::Launch,
        (Cue::Wanted, Starting | Running | Terminating) => Act::Remember,
        (Cue::Wanted, Pausing | Draining | Withdrawing | Ended) => Act::Skip,

        (Cue::Started, Starting) => Act::Run,
        (Cue::Started, Running | Draining | Withdrawing | Terminating) => Act::Skip,
        (Cue::Started, Idle | Pausing | Waiting | Ended) => Act::Never,

        (Cue::Exited, Starting | Running) => Act::Next,
        (Cue::Exited, Draining | Withdrawing) => Act::Skip,
        (Cue::Exited, Terminating) => Act::Reap,
        (Cue::Exited, Idle | Pausing | Waiting | Ended) => Act::Never,

        (Cue::End, Idle | Starting | Running | Pausing | Waiting) => Act::Drain,
        (Cue::End, Terminating) => Act::EndAfter,
        (Cue::End, Draining | Withdrawing | Ended) => Act::Skip,

        (Cue::Losing, Starting | Running | Pausing | Waiting) => Act::Yield,
        (Cue::Losing, Draining | Withdrawing) => Act::Hasten,
        (Cue::Losing, Terminating) => Act::Hurry,
        (Cue::Losing, Idle | Ended) => Act::Skip,

        (Cue::Checked, Starting | Running | Waiting | Draining) => Act::Judge,
        (Cue::Checked, Pausing | Withdrawing) => Act::Skip,

        (Cue::Lived, Starting | Running) => Act::Count,
        (Cue::Lived, Pausing | Waiting | Draining | Withdrawing) => Act::Skip,
        (Cue::Checked | Cue::Lived, Terminating) => Act::Reap,
        (Cue::Checked | Cue::Lived, Idle | Ended) => Act::Never,

        (Cue::Ready, Starting | Running) => Act::MarkReady,
        (Cue::Ready, Draining | Withdrawing | Terminating) => Act::Skip,
        (Cue::Ready, Idle | Pausing | Waiting | Ended) => Act::Never,

        (Cue::Begin, Idle) => Act::Listen,
        (Cue::Begin, Starting | Running | Pausing | Waiting) => Act::Never,
        (Cue::Begin, Draining | Withdrawing | Terminating | Ended) => Act::Never,
    }
}
