//! One lock: competes for it, holds it, gives it back, and competes again.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use regrow_coord::{CoordError, Election, Leading};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::time::Instant;

use super::term::{End, Term, Verdict, judge};
use crate::clock;
use crate::config::Lock;
use crate::discovery::complaint::Complaint;
use crate::discovery::pace::pause;
use crate::machine::{Input, Moment};

/// How long giving a lock back may take; after that it ends with its lease.
const RESIGN_WITHIN: Duration = Duration::from_secs(2);

/// What is asked of a contender.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// Compete, or leave it to others. What is held is not given back by that.
    Want(bool),
    /// Nothing runs under the lock any more: give it back, where it is held under this fence.
    Release(u64),
}

/// A contender for one lock.
pub(super) struct Contender {
    pub election: Election,
    pub lock: Lock,
    /// Who this is, said to others.
    pub identity: Bytes,
    /// The fence under which the worker before this one held it.
    pub held: Option<u64>,
    pub orders: UnboundedReceiver<Order>,
    pub answers: UnboundedSender<Input>,
    pub complaint: Mutex<Complaint>,
    /// The fence under which it is held; others may look.
    pub tenure: watch::Sender<Option<u64>>,
    pub wanted: bool,
    /// It does not compete before.
    pub hold_off: Instant,
}

/// Nobody gives orders any more.
pub(super) struct Ended;

impl Contender {
    /// Runs until nobody gives orders any more; then the lock is given back.
    pub async fn run(mut self) {
        let Err(Ended) = self.contend().await;
    }

    async fn contend(&mut self) -> Result<std::convert::Infallible, Ended> {
        let mut resumed = self.resume().await;
        loop {
            let leading = match resumed.take() {
                Some(leading) => Some(leading),
                None => {
                    self.wait().await?;
                    self.compete().await?
                }
            };
            let Some(leading) = leading else { continue };
            let (lock, fence) = (self.lock.name.clone(), leading.fence().get());
            tracing::info!("the lock {lock} is ours under the fence {fence}");
            self.tenure.send_replace(Some(fence));
            self.tell(Input::Acquired { lock, fence });
            let held = self.hold(&leading).await;
            self.tenure.send_replace(None);
            self.resign(leading).await;
            held?;
            let others_turn = Instant::now() + self.lock.ttl / 3;
            self.hold_off = self.hold_off.max(others_turn);
        }
    }

    fn tell(&self, input: Input) {
        // Nobody listens any more: the program ends.
        let _ = self.answers.send(input);
    }

    /// Goes on where the worker before this one stopped. What it held and is not ours any more, or
    /// cannot be asked for in half of the time that jobs have to stop, is lost.
    async fn resume(&mut self) -> Option<Leading> {
        let stop_before = stop_before(&self.lock);
        let (began, boot) = (Instant::now(), clock::now());
        let found = self.look(began + stop_before / 2).await;
        let kill_at = match (self.held.take(), found) {
            (None, found) => return found.flatten(),
            (Some(fence), Some(Some(leading))) if leading.fence().get() == fence => {
                return Some(leading);
            }
            (Some(_), Some(_)) => clock::now(),
            // When the other worker died at least `stop_before` was left, and a new one comes soon.
            (Some(_), None) => boot.after(stop_before * 3 / 4),
        };
        self.stop_jobs(kill_at);
        self.hold_off = began + stop_before;
        None
    }

    /// Looks until then for what is ours; `None` when nobody said.
    async fn look(&self, until: Instant) -> Option<Option<Leading>> {
        let mut failures = 0;
        loop {
            let found = self.election.resume(&self.identity);
            match tokio::time::timeout_at(until, found).await {
                Ok(Ok(found)) => return Some(found),
                Ok(Err(error)) if error.may_pass() && self.held.is_some() => {
                    say(&self.lock.name, &self.complaint, Err(&error));
                    failures += 1;
                    tokio::time::sleep_until(until.min(Instant::now() + pause(failures))).await;
                }
                Ok(Err(_)) | Err(_) => return None,
            }
        }
    }

    /// Waits until it may compete and somebody wants it.
    async fn wait(&mut self) -> Result<(), Ended> {
        while !self.wanted || Instant::now() < self.hold_off {
            tokio::select! {
                () = tokio::time::sleep_until(self.hold_off), if self.wanted => {}
                order = self.orders.recv() => self.heed(order.ok_or(Ended)?),
            }
        }
        Ok(())
    }

    /// What is not held cannot be given back.
    fn heed(&mut self, order: Order) {
        if let Order::Want(wanted) = order {
            self.wanted = wanted;
        }
    }

    /// Queues until the lock is ours; `None` when it is to be left to others.
    async fn compete(&mut self) -> Result<Option<Leading>, Ended> {
        let Self { election, lock, identity, orders, complaint, .. } = self;
        let report = |how: Result<(), &CoordError>| say(&lock.name, complaint, how);
        let campaign = election.campaign_telling(identity.clone(), lock.ttl, &report);
        let mut campaign = std::pin::pin!(campaign);
        loop {
            tokio::select! {
                won = &mut campaign => {
                    report(won.as_ref().map(|_| ()));
                    if won.is_err() {
                        // It is refused for good; perhaps somebody changes rights or settings.
                        self.hold_off = Instant::now() + lock.ttl;
                    }
                    return Ok(won.ok());
                }
                order = orders.recv() => if let Order::Want(false) = order.ok_or(Ended)? {
                    self.wanted = false;
                    return Ok(None);
                },
            }
        }
    }

    /// Returns when the lock is to be given back: nothing runs under it, or what did is killed.
    async fn hold(&mut self, leading: &Leading) -> Result<(), Ended> {
        let stop_before = stop_before(&self.lock);
        let (mut term, mut told) = (Term::default(), None::<End>);
        loop {
            let (now, boot) = (Instant::now(), clock::now());
            let left = term.left(leading.until(), now, boot);
            let nap = match judge(left, stop_before, told.map(|end| end.left(now, boot))) {
                Verdict::Fine(time) => time,
                Verdict::Over => return Ok(()),
                Verdict::Stop(left) => {
                    tracing::warn!("the lock {} is about to be lost", self.lock.name);
                    self.stop_jobs(boot.after(left));
                    told = Some(End::after(left, now, boot));
                    continue;
                }
            };
            // Short, since timers stand still while the machine sleeps.
            let nap = nap.min(self.lock.ttl / 20);
            tokio::select! {
                () = tokio::time::sleep(nap) => {}
                () = leading.lost(), if leading.holds() => {}
                order = self.orders.recv() => match order.ok_or(Ended)? {
                    Order::Release(fence) if fence == leading.fence().get() => return Ok(()),
                    order => self.heed(order),
                },
            }
        }
    }

    fn stop_jobs(&self, kill_at: Moment) {
        self.tell(Input::Losing { lock: self.lock.name.clone(), kill_at });
    }

    async fn resign(&self, leading: Leading) {
        let resigned = tokio::time::timeout(RESIGN_WITHIN, leading.resign()).await;
        if !matches!(resigned, Ok(Ok(()))) {
            tracing::debug!("the lock {} ends with its lease", self.lock.name);
        }
    }
}

/// How long before the end of its lease the jobs of a lock are told to stop. Never more than half of
/// the lease's time, or renewals on time could not keep it.
fn stop_before(lock: &Lock) -> Duration {
    lock.stop_before.min(lock.ttl / 2)
}

fn say(name: &str, complaint: &Mutex<Complaint>, how: Result<(), &CoordError>) {
    let mut complaint = complaint.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match how {
        Ok(()) => {
            if let Some(failures) = complaint.worked() {
                tracing::info!(
                    "the lock {name} can be competed for again after {failures} failures"
                );
            }
        }
        Err(error) => {
            let text = format!("cannot compete for the lock {name}");
            let kind = if error.may_pass() { 1 } else { 2 };
            match complaint.failed(&text, kind, error) {
                Some(line) => tracing::warn!("{line}"),
                None => tracing::debug!("{text}: {error}"),
            }
        }
    }
}
