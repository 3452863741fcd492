//! What the judges say of a run that is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use regrow_consensus::tables::PrefixedOwned;
use regrow_consensus::{Span, View};

use super::World;
use super::judge_catalog;
use super::judge_keys;
use super::keys::Fates;
use super::kind::Kind;
use super::machine;
use super::observer::{Changed, Delivered, Sights};
use super::outcome::{Outcome, Stats, Violation};
use crate::history::{Event, History, Seen, What};
use crate::judges::ack::{self, Writes};
use crate::judges::fence;
use crate::judges::session::{self, End, Session, SessionViolation};
use crate::judges::watch::{self, Committed, Delivery, Stream};
use crate::linear::{self, Limits, Verdict};
use crate::models::Store;
use crate::models::store::StoreOp;

/// How often a leader looks for what expired, and time for the command, in microseconds.
const TICK: u64 = 200_000;

/// The changes that were committed, by index.
type Changes = BTreeMap<u64, Vec<Changed>>;

/// What is known of a request that was executed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ledger {
    /// The index or revision at which it was.
    pub at: u64,
    /// Whether it changed something.
    pub changed: bool,
    /// Whether it was more than once.
    pub twice: bool,
}

/// The requests that were executed, from the machine's tables.
fn ledger(
    kind: Kind,
    view: &dyn View,
) -> Result<BTreeMap<u64, Ledger>, regrow_consensus::TableError> {
    let mut found = BTreeMap::new();
    if kind == Kind::Store {
        let twice: BTreeSet<u64> = machine::doubled(view)?.into_iter().collect();
        for id in machine::executed(view)? {
            if let Some((at, changed)) = machine::ledger(view, id)? {
                found.insert(id, Ledger { at, changed, twice: twice.contains(&id) });
            }
        }
        return Ok(found);
    }
    let read = if kind == Kind::Keys { judge_keys::ledger } else { judge_catalog::ledger };
    let rows = view.list(&Span::prefix(b"kdid/"), usize::MAX)?;
    found.extend(rows.iter().filter_map(|(key, value)| read(key, value)));
    Ok(found)
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
        let sights = self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let changes = self.judge_watches();
        self.violations.extend(sights.torn.first().map(|index| Violation::Torn(*index)));
        match self.setup.kind {
            Kind::Store => {}
            Kind::Keys => self.judge_keys(&changes, &sights, settled),
            Kind::Catalog => self.judge_catalog(&changes, &sights),
        }
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
        let kind = self.setup.kind;
        let view = PrefixedOwned::new(view_of(snapshot), &[kind.scope().byte()]);
        let ledger = match ledger(kind, &view) {
            Ok(ledger) => ledger,
            Err(error) => {
                self.violations.push(Violation::NotServing(error.to_string()));
                return history;
            }
        };
        let violations = self.judge_executed(&ledger);
        self.violations.extend(violations);
        if kind == Kind::Store {
            let acts = machine::acts(&view).unwrap_or_default();
            self.violations.extend(fence::check(&acts).err().map(Violation::from));
        }
        let revisions = self.record.fates.unknown.iter().filter_map(|(id, process)| {
            let found = ledger.get(id).filter(|found| found.changed)?;
            Some((*process, found.at))
        });
        with_revisions(&history, &revisions.collect())
    }

    fn judge_executed(&self, ledger: &BTreeMap<u64, Ledger>) -> Vec<Violation> {
        let Fates { done, idle, not, unknown } = &self.record.fates;
        let mut violations = Vec::new();
        let own: BTreeSet<u64> = self.crowd.keys.iter().map(|client| client.number).collect();
        let executed: Vec<u64> =
            ledger.keys().copied().filter(|request| own.contains(&(request >> 40))).collect();
        let wrong = |request: u64, what| Violation::Executed { request, what };
        violations.extend(
            executed.iter().filter(|id| not.contains(id)).map(|id| {
                wrong(*id, "was executed after its client was told that it never will be")
            }),
        );
        let twice = ledger.iter().filter(|(_, found)| found.twice);
        violations.extend(twice.map(|(id, _)| wrong(*id, "was executed twice")));
        for (id, index) in done.iter().chain(idle) {
            if ledger.get(id).is_some_and(|found| found.at != *index) {
                violations
                    .push(wrong(*id, "was executed at another index than its client was told"));
            }
        }
        let writes = Writes {
            acknowledged: done.keys().copied().collect(),
            unknown: unknown.keys().chain(not).chain(idle.keys()).copied().collect(),
        };
        violations.extend(ack::check(&writes, &executed).err().map(Violation::from));
        violations
    }

    /// Watchers, leases, locks and elections of the coordination keys.
    fn judge_keys(&mut self, changes: &Changes, sights: &Sights, settled: bool) {
        let replay = match judge_keys::Replay::run(changes, sights) {
            Ok(replay) => replay,
            Err(violation) => return self.violations.push(violation.into()),
        };
        self.violations.extend(fence::check(&replay.acts).err().map(Violation::from));
        if self.nemesis.keeps_time() {
            let beliefs = judge_keys::beliefs(&sights.beliefs, 2 * super::WINDOW);
            self.violations.extend(beliefs.err().map(Violation::from));
        }
        let last = replay.log.last().map_or(0, |committed| committed.revision);
        let nodes: Vec<u64> = self.members();
        for (at, watcher) in self.crowd.watchers.iter_mut().enumerate() {
            let node = nodes.get(at % nodes.len().max(1)).and_then(|id| self.nodes.get(id));
            if let Some(node) = node.filter(|_| settled) {
                watcher.catch_up(last, node);
            }
            let checks = watcher.streams.iter().map(|stream| {
                watch::check(&replay.log, |_| true, stream).map_err(|error| error.to_string())
            });
            if let Some(what) = checks.filter_map(Result::err).next() {
                self.violations.push(Violation::Watch { node: watcher.number, what });
            }
        }
    }

    /// Sessions, locks and sleepers of the catalog.
    fn judge_catalog(&mut self, changes: &Changes, sights: &Sights) {
        match judge_catalog::Replay::run(changes, sights) {
            Ok(replay) => {
                self.violations.extend(fence::check(&replay.acts).err().map(Violation::from));
            }
            Err(violation) => self.violations.push(violation.into()),
        }
        let mut known = BTreeMap::new();
        for sleeper in &self.crowd.sleepers {
            self.violations.extend(sleeper.judge(&mut known).map(Violation::from));
        }
    }

    fn judge_sessions(&mut self) {
        let ends = self.shared.lock().unwrap_or_else(PoisonError::into_inner).ends.clone();
        for holder in &self.crowd.holders {
            for session in holder.sessions(|number| ends.get(&number).copied(), self.now) {
                // A clock that is too fast ends them by its own measure; and the time of the world is
                // known to a window.
                let shortest = (session.ttl * 100 / self.fastest).saturating_sub(super::WINDOW);
                let short = Session { ttl: shortest, ..session.clone() };
                let early = session::check(&short, 200, self.now);
                self.violations.extend(early.err().map(Violation::from));
                self.violations.extend(self.judge_late(session).err().map(Violation::from));
            }
        }
    }

    /// A session ends at most a fifth of its time late, where nothing disturbs the group.
    fn judge_late(&self, session: Session) -> Result<(), SessionViolation> {
        let heard = session.renewals.iter().rev().find_map(|renewal| renewal.acked);
        // One without an answer may have come at any time.
        let all = session.renewals.last().is_some_and(|last| last.acked.is_some());
        let (Some(heard), End::Expired(seen) | End::StillThere(seen), true) =
            (heard, session.end, all)
        else {
            return Ok(());
        };
        let grace = TICK + self.rough_time(heard, seen);
        session::check(&Session { end: End::StillThere(seen), ..session }, 120, grace)
    }

    /// All nodes told their watchers the same, each change once and in order.
    fn judge_watches(&mut self) -> Changes {
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
        let changes: Changes =
            log.into_iter().map(|(index, (_, changes))| (index, changes)).collect();
        let committed = |(index, changes): (&u64, &Vec<_>)| Committed {
            revision: *index,
            changes: changes.clone(),
        };
        let log: Vec<Committed<Changed>> = changes.iter().map(committed).collect();
        for node in self.nodes.values() {
            for delivered in node.observer.streams() {
                let stream = stream(&delivered);
                if let Err(violation) = watch::check(&log, |_| true, &stream) {
                    found.push(Violation::Watch { node: node.id, what: violation.to_string() });
                }
            }
        }
        self.violations.extend(found.into_iter().take(3));
        changes
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
