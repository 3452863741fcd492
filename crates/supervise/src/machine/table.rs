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
    match phase {
        Phase::Idle => idle(cue),
        Phase::Starting => active(cue, Act::Run),
        Phase::Running => active(cue, Act::Skip),
        Phase::Pausing => pausing(cue),
        Phase::Waiting => waiting(cue),
        Phase::Draining => draining(cue),
        Phase::Withdrawing => withdrawing(cue),
        Phase::Terminating => terminating(cue),
        Phase::Ended => ended(cue),
    }
}

/// Its process is asked for, or there: they differ in what the start of it means.
fn active(cue: Cue, started: Act) -> Act {
    use Cue::*;
    match cue {
        CheckTick => Act::Check,
        IntervalTick => Act::Lap,
        TimedOut | ReadyOver | WatchdogOver => Act::Kill,
        CheckOver => Act::KillCheck,
        LiveTick => Act::Look,
        LiveOver => Act::KillLive,
        Wanted => Act::Remember,
        Started => started,
        Exited => Act::Next,
        End => Act::Drain,
        Losing => Act::Yield,
        Checked => Act::Judge,
        Lived => Act::Count,
        Ready => Act::MarkReady,
        Withdrawn => Act::Skip,
        WhenOver | RestartDue | DrainOver | WithdrawOver | KillDue => Act::Never,
        Drained | Begin => Act::Never,
    }
}

fn idle(cue: Cue) -> Act {
    use Cue::*;
    match cue {
        WhenOver => Act::Expire,
        Wanted => Act::Launch,
        End => Act::Drain,
        Begin => Act::Listen,
        Withdrawn | Losing => Act::Skip,
        CheckTick | IntervalTick | RestartDue | TimedOut | ReadyOver => Act::Never,
        WatchdogOver | CheckOver | LiveTick | LiveOver | DrainOver => Act::Never,
        WithdrawOver | KillDue | Started | Exited | Drained => Act::Never,
        Checked | Lived | Ready => Act::Never,
    }
}

fn pausing(cue: Cue) -> Act {
    use Cue::*;
    match cue {
        RestartDue => Act::Rerun,
        CheckOver => Act::KillCheck,
        LiveOver => Act::KillLive,
        End => Act::Drain,
        Losing => Act::Yield,
        CheckTick | Wanted | Withdrawn | Checked | Lived => Act::Skip,
        WhenOver | IntervalTick | TimedOut | ReadyOver | WatchdogOver => Act::Never,
        LiveTick | DrainOver | WithdrawOver | KillDue | Started => Act::Never,
        Exited | Drained | Ready | Begin => Act::Never,
    }
}

fn waiting(cue: Cue) -> Act {
    use Cue::*;
    match cue {
        CheckTick => Act::Check,
        IntervalTick => Act::Lap,
        CheckOver => Act::KillCheck,
        LiveOver => Act::KillLive,
        Wanted => Act::Launch,
        End => Act::Drain,
        Losing => Act::Yield,
        Checked => Act::Judge,
        Withdrawn | Lived => Act::Skip,
        WhenOver | RestartDue | TimedOut | ReadyOver | WatchdogOver => Act::Never,
        LiveTick | DrainOver | WithdrawOver | KillDue | Started => Act::Never,
        Exited | Drained | Ready | Begin => Act::Never,
    }
}

fn draining(cue: Cue) -> Act {
    use Cue::*;
    match cue {
        CheckTick => Act::Check,
        TimedOut => Act::Kill,
        CheckOver => Act::KillCheck,
        LiveOver => Act::KillLive,
        DrainOver | Drained => Act::Withdraw,
        Losing => Act::Hasten,
        Checked => Act::Judge,
        Wanted | Started | Exited | End | Withdrawn => Act::Skip,
        Lived | Ready => Act::Skip,
        WhenOver | IntervalTick | RestartDue | ReadyOver | WatchdogOver => Act::Never,
        LiveTick | WithdrawOver | KillDue | Begin => Act::Never,
    }
}

fn withdrawing(cue: Cue) -> Act {
    use Cue::*;
    match cue {
        TimedOut => Act::Kill,
        CheckOver => Act::KillCheck,
        LiveOver => Act::KillLive,
        WithdrawOver | Withdrawn => Act::Terminate,
        Losing => Act::Hasten,
        Wanted | Started | Exited | End | Checked => Act::Skip,
        Lived | Ready => Act::Skip,
        CheckTick | WhenOver | IntervalTick | RestartDue | ReadyOver => Act::Never,
        WatchdogOver | LiveTick | DrainOver | KillDue | Drained => Act::Never,
        Begin => Act::Never,
    }
}

fn terminating(cue: Cue) -> Act {
    use Cue::*;
    match cue {
        TimedOut => Act::Kill,
        CheckOver => Act::KillCheck,
        LiveOver => Act::KillLive,
        KillDue => Act::KillAll,
        Wanted => Act::Remember,
        Exited | Checked | Lived => Act::Reap,
        End => Act::EndAfter,
        Losing => Act::Hurry,
        Started | Withdrawn | Ready => Act::Skip,
        CheckTick | WhenOver | IntervalTick | RestartDue | ReadyOver => Act::Never,
        WatchdogOver | LiveTick | DrainOver | WithdrawOver | Drained => Act::Never,
        Begin => Act::Never,
    }
}

fn ended(cue: Cue) -> Act {
    use Cue::*;
    match cue {
        Wanted | End | Withdrawn | Losing => Act::Skip,
        CheckTick | WhenOver | IntervalTick | RestartDue | TimedOut => Act::Never,
        ReadyOver | WatchdogOver | CheckOver | LiveTick | LiveOver => Act::Never,
        DrainOver | WithdrawOver | KillDue | Started | Exited => Act::Never,
        Drained | Checked | Lived | Ready | Begin => Act::Never,
    }
}
