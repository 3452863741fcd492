//! What the judges say of a run that is over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::PoisonError;

use regrow_consensus::tables::PrefixedOwned;
use regrow_consensus::{Span, View};

use super::World;
use super::keys::Fates;
use super::machine;
use super::node::SCOPE;
use super::observer::{Changed, Delivered};
use crate::history::{Event, History, Seen, What};
use crate::judges::ack::{self, AckViolation, Writes};
use crate::judges::fence::{self, FenceViolation};
use crate::judges::session::{self, SessionViolation};
use crate::judges::watch::{self, Committed, Delivery, Stream};
use crate::linear::{self, Limits, Verdict};
use crate::models::Store;
use crate::models::store::StoreOp;
use crate::report::{Failure, SaveError};

/// What is wrong with a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// After everything was healed, the group did not serve in time, or did not settle.
    #[error("C9: {0}")]
    NotServing(String),
    /// A member stopped or could not be started although nothing was wrong with its disk.
    #[error("node {node} stopped without a cause: {reason}")]
    Halted {
        /// The node.
        node: u64,
        /// What it said.
        reason: String,
    },
    /// No order of the operations explains the replies.
    #[error("C1: {0}")]
    Order(String),
    /// A watcher missed a change, or got one that was not there.
    #[error("C2: a watcher of node {node}: {what}")]
    Watch {
        /// The node.
        node: u64,
        /// What it got.
        what: String,
    },
    /// Somebody acted under an old fence.
    #[error("C3: {0}")]
    Fence(#[from] FenceViolation),
    /// An acknowledged write is gone, or one is there that should not be.
    #[error("C4: {0}")]
    Acknowledged(#[from] AckViolation<u64>),
    /// A request was executed although its client was told that it was not, or at another index, or
    /// twice.
    #[error("C4: request {request} {what}")]
    Executed {
        /// The request.
        request: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Members have other tables than the first.
    #[error("tables of node {node} differ from those of node {first} at key {key:?}")]
    Tables {
        /// The node.
        node: u64,
        /// The node that it was compared with.
        first: u64,
        /// The first key that differs, as text.
        key: String,
    },
    /// A session ended too early.
    #[error("C10: {0}")]
    Session(#[from] SessionViolation),
}

impl Violation {
    /// Whether it says that this node stopped.
    pub(super) fn is_halt_of(&self, id: u64) -> bool {
        matches!(self, Self::Halted { node, .. } if *node == id)
    }
}

/// How much a run was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Operations of clients of the store.
    pub operations: u64,
    /// Of these, acknowledged writes.
    pub acknowledged: u64,
    /// Messages that were delivered.
    pub messages: u64,
    /// Faults that struck.
    pub faults: u64,
    /// How often nodes were started.
    pub starts: u64,
    /// Time of the world, in microseconds.
    pub time: u64,
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The first things that are wrong; empty for a good run.
    pub violations: Vec<Violation>,
    /// How much it was.
    pub stats: Stats,
    /// A hash of every delivery, fault and reply: equal for equal runs.
    pub trace: u64,
    /// The faults with their times.
    pub notes: Vec<String>,
    history: History<StoreOp>,
    verdict: Verdict,
    options: BTreeMap<String, String>,
}

impl Outcome {
    /// Writes what a person needs to look into a bad run into `folder`.
    ///
    /// # Errors
    /// A file could not be written.
    pub fn save(&self, folder: &Path) -> Result<(), SaveError> {
        let failure = Failure {
            seed: self.seed,
            options: &self.options,
            model: "store",
            history: &self.history,
            verdict: &self.verdict,
        };
        failure.save(folder)?;
        let path = folder.join("world.txt");
        let wrong: Vec<String> = self.violations.iter().map(ToString::to_string).collect();
        let text = [wrong, self.notes.clone()].concat().join("\n") + "\n";
        std::fs::write(&path, text).map_err(|source| SaveError::Io { path, source })
    }
}

/// Everything in a node's tables.
type Tables = Vec<(Vec<u8>, Vec<u8>)>;

impl World {
    /// Judges the run.
    pub(super) fn judge(mut self) -> Outcome {
        let members: BTreeMap<u64, Tables> = self
            .members()
            .into_iter()
            .filter_map(|node| {
                let snapshot = self.nodes.get(&node)?.tables()?;
                Some((node, snapshot.view().list(&Span::all(), usize::MAX).ok()?))
            })
            .collect();
        // Before everybody is equal, something may be missing that is only late.
        let settled = self.violations.is_empty();
        if !settled {
            self.note_all();
        }
        let mut history = self.record.history.clone();
        if settled {
            self.judge_equal(&members);
            history = self.judge_ledger(history);
            self.judge_sessions();
        }
        self.judge_watches();
        let steps = if settled { Limits::default().steps } else { 200_000 };
        let verdict = linear::check(&Store, &history, Limits { steps, ..Limits::default() });
        match &verdict {
            Verdict::Linearizable => {}
            Verdict::Unknown { .. } if !settled => {}
            Verdict::NotLinearizable(witness) => {
                self.violations.push(Violation::Order(witness.reason.clone()));
            }
            Verdict::Unknown { steps } => {
                let reason = format!("no verdict within {steps} steps");
                self.violations.push(Violation::Order(reason));
            }
        }
        self.outcome(history, verdict)
    }

    fn outcome(mut self, history: History<StoreOp>, verdict: Verdict) -> Outcome {
        for event in history.events() {
            let line = format!("{event:?}");
            self.mix(&line);
        }
        self.mix(&self.net.trace());
        let stats = Stats {
            operations: history.operations().len() as u64,
            acknowledged: self.record.fates.done.len() as u64,
            messages: self.net.delivered,
            faults: self.nemesis.struck,
            starts: self.nodes.values().map(|node| node.lives).sum(),
            time: self.now,
        };
        let options = BTreeMap::from([
            ("setup".to_owned(), format!("{:?}", self.setup)),
            ("faults".to_owned(), format!("{:?}", self.nemesis.faults)),
        ]);
        let Self { seed, violations, trace, notes, .. } = self;
        Outcome { seed, violations, stats, trace, notes, history, verdict, options }
    }

    fn judge_equal(&mut self, members: &BTreeMap<u64, Tables>) {
        let Some((first, tables)) = members.first_key_value() else { return };
        for (node, others) in members.iter().skip(1) {
            let (left, right): (BTreeSet<_>, BTreeSet<_>) =
                (tables.iter().collect(), others.iter().collect());
            if let Some((key, _)) = left.symmetric_difference(&right).next() {
                let key = String::from_utf8_lossy(key).into_owned();
                self.violations.push(Violation::Tables { node: *node, first: *first, key });
            }
        }
    }

    /// Compares what clients were told with what was executed, and gives writes with unknown outcome
    /// the revision at which they were found.
    fn judge_ledger(&mut self, history: History<StoreOp>) -> History<StoreOp> {
        let Some(snapshot) =
            self.leader().and_then(|leader| self.nodes.get(&leader)).and_then(|node| node.tables())
        else {
            return history;
        };
        let view = PrefixedOwned::new(view_of(snapshot), &[SCOPE.byte()]);
        match self.judge_executed(&view) {
            Ok(violations) => self.violations.extend(violations),
            Err(error) => self.violations.push(Violation::NotServing(error.to_string())),
        }
        let found = |id: u64| machine::ledger(&view, id).ok().flatten();
        let revisions = self.record.fates.unknown.iter().filter_map(|(id, process)| {
            let (index, changed) = found(*id)?;
            changed.then_some((*process, index))
        });
        with_revisions(&history, &revisions.collect())
    }

    fn judge_executed(
        &self,
        view: &dyn View,
    ) -> Result<Vec<Violation>, regrow_consensus::TableError> {
        let Fates { done, not, unknown } = &self.record.fates;
        let mut violations = Vec::new();
        let own: BTreeSet<u64> = self.keys.iter().map(|client| client.number).collect();
        let executed: Vec<u64> = machine::executed(view)?
            .into_iter()
            .filter(|request| own.contains(&(request >> 40)))
            .collect();
        let wrong = |request: u64, what| Violation::Executed { request, what };
        violations.extend(
            executed.iter().filter(|id| not.contains(id)).map(|id| {
                wrong(*id, "was executed after its client was told that it never will be")
            }),
        );
        violations
            .extend(machine::doubled(view)?.into_iter().map(|id| wrong(id, "was executed twice")));
        for (id, index) in done {
            if machine::ledger(view, *id)?.is_some_and(|(at, _)| at != *index) {
                violations
                    .push(wrong(*id, "was executed at another index than its client was told"));
            }
        }
        let writes = Writes {
            acknowledged: done.keys().copied().collect(),
            unknown: unknown.keys().chain(not).copied().collect(),
        };
        violations.extend(ack::check(&writes, &executed).err().map(Violation::from));
        violations.extend(fence::check(&machine::acts(view)?).err().map(Violation::from));
        Ok(violations)
    }

    fn judge_sessions(&mut self) {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for holder in &self.holders {
            for mut session in holder.sessions(|number| ends.get(&number).copied(), self.now) {
                // A clock that is too fast ends them by its own measure; and the time of the world is
                // known to a window.
                session.ttl = (session.ttl * 100 / self.fastest).saturating_sub(super::WINDOW);
                // How late depends on how long nobody led.
                let late = self.now;
                self.violations
                    .extend(session::check(&session, 200, late).err().map(Violation::from));
            }
        }
    }

    /// All nodes told their watchers the same, each change once and in order.
    fn judge_watches(&mut self) {
        let mut log: BTreeMap<u64, (u64, Vec<Changed>)> = BTreeMap::new();
        let mut found = Vec::new();
        for node in self.nodes.values() {
            for delivered in node.observer.streams() {
                for (index, changes) in by_index(&delivered) {
                    let known = log.entry(index).or_insert_with(|| (node.id, changes.clone()));
                    if known.1 != changes {
                        let what = format!("index {index} is not what node {} told", known.0);
                        found.push(Violation::Watch { node: node.id, what });
                    }
                }
            }
        }
        let log: Vec<Committed<Changed>> = log
            .into_iter()
            .map(|(revision, (_, changes))| Committed { revision, changes })
            .collect();
        for node in self.nodes.values() {
            for delivered in node.observer.streams() {
                let stream = stream(&delivered);
                if let Err(violation) = watch::check(&log, |_| true, &stream) {
                    found.push(Violation::Watch { node: node.id, what: violation.to_string() });
                }
            }
        }
        self.violations.extend(found.into_iter().take(3));
    }
}

fn view_of(snapshot: regrow_consensus::Snapshot) -> Box<dyn View> {
    struct Whole(regrow_consensus::Snapshot);
    impl View for Whole {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, regrow_consensus::TableError> {
            self.0.view().get(key)
        }

        fn scan(
            &self,
            span: &Span,
            visit: regrow_consensus::tables::Visit<'_>,
        ) -> Result<(), regrow_consensus::TableError> {
            self.0.view().scan(span, visit)
        }
    }
    Box::new(Whole(snapshot))
}

fn by_index(delivered: &Delivered) -> BTreeMap<u64, Vec<Changed>> {
    let mut found: BTreeMap<u64, Vec<Changed>> = BTreeMap::new();
    for (index, change) in &delivered.changes {
        found.entry(*index).or_default().push(change.clone());
    }
    found
}

fn stream(delivered: &Delivered) -> Stream<Changed> {
    let deliveries = delivered
        .changes
        .iter()
        .map(|(revision, change)| Delivery::Change { revision: *revision, change: change.clone() });
    Stream {
        from: delivered.after + 1,
        deliveries: deliveries.collect(),
        complete_to: Some(delivered.upto),
    }
}

/// The history with revisions for the unknown outcomes of some processes.
fn with_revisions(history: &History<StoreOp>, revisions: &BTreeMap<u64, u64>) -> History<StoreOp> {
    let mut known = History::default();
    for event in history.events() {
        let mut event: Event<StoreOp> = event.clone();
        if let What::Info(_, seen) = &mut event.what {
            *seen = Seen { revision: revisions.get(&event.process).copied(), ..Seen::nothing() };
        }
        let pushed = known.push(event);
        debug_assert!(pushed.is_ok(), "{pushed:?}");
    }
    known
}
