//! Locks over coordination keys in memory, under a clock that is moved, with supervisors that are cut
//! off, die, and come back.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use regrow_coord::{
    Bounds, Capabilities, CoordError, Lease, LeaseId, Listing, Query, Quorum, Span, Txn, TxnReply,
    Watch,
};
use regrow_ids::Revision;
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;
use crate::clock;

const TTL: Duration = Duration::from_secs(15);
const STOP_BEFORE: Duration = Duration::from_secs(5);
/// Longer than anything takes, by the clock that is moved.
const PATIENCE: Duration = Duration::from_secs(600);

/// The backend as one supervisor sees it: it can be cut off.
struct Line {
    inner: Quorum,
    cut: AtomicBool,
}

impl Line {
    async fn reached(&self) {
        if self.cut.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Coordinator for Line {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn range(&self, query: &Query) -> Result<Listing, CoordError> {
        self.reached().await;
        self.inner.range(query).await
    }

    async fn transact(&self, txn: &Txn) -> Result<TxnReply, CoordError> {
        self.reached().await;
        self.inner.transact(txn).await
    }

    async fn watch(&self, span: &Span, from: Revision) -> Result<Watch, CoordError> {
        self.reached().await;
        self.inner.watch(span, from).await
    }

    async fn grant(&self, ttl: Duration) -> Result<Lease, CoordError> {
        self.reached().await;
        self.inner.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<Lease, CoordError> {
        self.reached().await;
        self.inner.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), CoordError> {
        self.reached().await;
        self.inner.revoke(lease).await
    }
}

/// A supervisor that wants the lock.
struct Side {
    line: Arc<Line>,
    locking: Locking,
    inputs: UnboundedReceiver<Input>,
    sender: UnboundedSender<Input>,
}

fn locks() -> [Lock; 1] {
    [Lock { name: "db/primary".into(), ttl: TTL, stop_before: STOP_BEFORE }]
}

fn side(quorum: &Quorum, identity: &str, held: Option<u64>) -> Side {
    let line = Arc::new(Line { inner: quorum.clone(), cut: AtomicBool::new(false) });
    let (sender, inputs) = mpsc::unbounded_channel();
    let coordinator: Arc<dyn Coordinator> = line.clone();
    let held = held.map(|fence| ("db/primary".into(), fence)).into_iter().collect();
    let mut locking = Locking::on(&coordinator, &locks(), identity, &held, &sender).expect("names");
    locking.want(|_| true);
    Side { line, locking, inputs, sender }
}

fn quorum() -> Quorum {
    Quorum::memory(Bounds::default()).expect("memory")
}

impl Side {
    fn cut(&self, cut: bool) {
        self.line.cut.store(cut, Ordering::SeqCst);
    }

    async fn input(&mut self) -> Input {
        let input = tokio::time::timeout(PATIENCE, self.inputs.recv()).await;
        input.expect("an input in time").expect("it lives")
    }

    async fn acquired(&mut self) -> u64 {
        match self.input().await {
            Input::Acquired { lock, fence } => {
                assert_eq!(&*lock, "db/primary");
                fence
            }
            other => panic!("{other:?} instead of the lock"),
        }
    }

    /// The time until its jobs are killed.
    async fn losing(&mut self) -> Duration {
        match self.input().await {
            Input::Losing { kill_at, .. } => kill_at.since(clock::now()),
            other => panic!("{other:?} instead of a loss"),
        }
    }

    async fn nothing_for(&mut self, time: Duration) {
        let input = tokio::time::timeout(time, self.inputs.recv()).await;
        assert!(input.is_err(), "{input:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_held_as_long_as_it_is_renewed() {
    let quorum = quorum();
    let (mut first, mut second) = (side(&quorum, "a", None), side(&quorum, "b", None));
    first.acquired().await;
    first.nothing_for(TTL * 20).await;
    second.nothing_for(Duration::ZERO).await;
}

/// Story 2: who held the lock did not notice that it was lost, and two ran at once.
#[tokio::test(start_paused = true)]
async fn a_holder_that_is_cut_off_stops_before_another_begins() {
    let quorum = quorum();
    let mut first = side(&quorum, "a", None);
    let fence = first.acquired().await;
    let mut second = side(&quorum, "b", None);
    first.cut(true);
    let left = first.losing().await;
    let told = Instant::now();
    assert!(left <= STOP_BEFORE, "{left:?}");
    assert!(left > STOP_BEFORE - TTL / 10, "{left:?}");
    assert!(second.acquired().await > fence);
    assert!(told.elapsed() > left, "another has it {:?} after {left:?} were left", told.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_jobs_were_told_stays_when_a_renewal_succeeds_after_all() {
    let quorum = quorum();
    let mut first = side(&quorum, "a", None);
    first.acquired().await;
    let mut second = side(&quorum, "b", None);
    first.cut(true);
    let left = first.losing().await;
    first.cut(false);
    // Nothing is lost meanwhile, so the other waits until the jobs are dead, and no longer.
    second.nothing_for(left - Duration::from_millis(100)).await;
    tokio::time::timeout(TTL / 10, second.acquired()).await.expect("given back, not run out");
    first.nothing_for(TTL * 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_given_back_is_had_by_another_at_once() {
    let quorum = quorum();
    let mut first = side(&quorum, "a", None);
    let fence = first.acquired().await;
    let mut second = side(&quorum, "b", None);
    second.nothing_for(TTL / 2).await;
    let released = Instant::now();
    first.locking.release("db/primary", fence);
    let next = second.acquired().await;
    assert!(next > fence);
    assert!(released.elapsed() < Duration::from_secs(1), "{:?}", released.elapsed());
    first.nothing_for(TTL).await;
    second.locking.release("db/primary", next);
    first.acquired().await;
}

#[tokio::test(start_paused = true)]
async fn who_gives_it_back_lets_others_go_first() {
    let mut only = side(&quorum(), "a", None);
    let fence = only.acquired().await;
    let released = Instant::now();
    only.locking.release("db/primary", fence);
    assert!(only.acquired().await > fence);
    assert!(released.elapsed() >= TTL / 3, "{:?}", released.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_nobody_wants_is_not_competed_for() {
    let quorum = quorum();
    let mut first = side(&quorum, "a", None);
    let fence = first.acquired().await;
    let mut second = side(&quorum, "b", None);
    second.nothing_for(TTL).await;
    second.locking.want(|_| false);
    // Longer than it takes to leave the queue.
    second.nothing_for(TTL).await;
    first.locking.release("db/primary", fence);
    // The other has left the queue: after a third of its time it is the turn of the first again.
    let again = first.acquired().await;
    first.locking.want(|_| false);
    first.nothing_for(TTL * 2).await;
    assert!(first.locking.still_holds(&held(again)), "what is held is not given back by that");
    first.locking.release("db/primary", again);
    first.nothing_for(TTL * 2).await;
    second.nothing_for(Duration::ZERO).await;
    first.locking.want(|_| true);
    assert!(first.acquired().await > again);
}

/// The end of a tenure that is over comes late: the next one is not given back by it.
#[tokio::test(start_paused = true)]
async fn only_the_tenure_that_is_named_is_given_back() {
    let mut only = side(&quorum(), "a", None);
    let fence = only.acquired().await;
    only.locking.release("db/primary", fence);
    let next = only.acquired().await;
    only.locking.release("db/primary", fence);
    only.nothing_for(TTL * 2).await;
    assert!(only.locking.still_holds(&held(next)));
}

/// Its jobs end before the moment at which they would be killed: nobody waits for that moment.
#[tokio::test(start_paused = true)]
async fn a_lock_that_is_being_lost_goes_when_nothing_runs_under_it_any_more() {
    let quorum = quorum();
    let mut first = side(&quorum, "a", None);
    let fence = first.acquired().await;
    let mut second = side(&quorum, "b", None);
    second.nothing_for(TTL).await;
    first.cut(true);
    let left = first.losing().await;
    first.cut(false);
    second.nothing_for(left / 2).await;
    first.locking.release("db/primary", fence);
    tokio::time::timeout(left / 4, second.acquired()).await.expect("given back at once");
}

/// A reload changes the settings of a lock while word of its acquisition waits to be heard.
#[tokio::test(start_paused = true)]
async fn an_acquisition_that_was_given_back_before_it_was_heard_does_not_hold() {
    let quorum = quorum();
    let mut side = side(&quorum, "a", None);
    let old = side.input().await;
    assert!(side.locking.still_holds(&old), "{old:?}");
    let changed = Lock { stop_before: STOP_BEFORE / 2, ..locks()[0].clone() };
    let coordinator: Arc<dyn Coordinator> = side.line.clone();
    let (added, gone) = ([changed], ["db/primary".into()]);
    let done = side.locking.change(Some(&coordinator), &added, &gone, "a", &side.sender);
    done.expect("names");
    assert!(!side.locking.still_holds(&old), "nothing may begin under it");
    side.locking.want(|_| true);
    let new = side.input().await;
    assert!(side.locking.still_holds(&new), "{new:?}");
    assert!(!side.locking.still_holds(&old), "{old:?}");
    assert!(side.locking.still_holds(&Input::Tick), "only locks are looked at");
}

fn held(fence: u64) -> Input {
    Input::Acquired { lock: "db/primary".into(), fence }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_program_gives_it_back() {
    let quorum = quorum();
    let mut first = side(&quorum, "a", None);
    first.acquired().await;
    let mut second = side(&quorum, "b", None);
    second.nothing_for(TTL).await;
    let ended = Instant::now();
    first.locking.settle(PATIENCE).await;
    second.acquired().await;
    assert!(ended.elapsed() < Duration::from_secs(1), "{:?}", ended.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_program_waits_for_a_silent_backend_no_longer_than_it_may() {
    let mut first = side(&quorum(), "a", None);
    first.acquired().await;
    first.cut(true);
    let ended = Instant::now();
    first.locking.settle(Duration::from_millis(500)).await;
    assert!(ended.elapsed() < Duration::from_millis(600), "{:?}", ended.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_follows_holds_the_lock_under_the_same_fence() {
    let quorum = quorum();
    let mut dead = side(&quorum, "a", None);
    let fence = dead.acquired().await;
    let mut other = side(&quorum, "b", None);
    other.nothing_for(TTL).await;
    // A worker that died says nothing any more.
    dead.cut(true);
    drop(dead);
    let mut next = side(&quorum, "a", Some(fence));
    assert_eq!(next.acquired().await, fence);
    next.nothing_for(TTL * 3).await;
    other.nothing_for(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_follows_too_late_says_that_the_lock_is_lost() {
    let quorum = quorum();
    let mut dead = side(&quorum, "a", None);
    let fence = dead.acquired().await;
    let mut other = side(&quorum, "b", None);
    dead.cut(true);
    drop(dead);
    other.acquired().await;
    let mut next = side(&quorum, "a", Some(fence));
    assert_eq!(next.losing().await, Duration::ZERO);
    other.locking.settle(PATIENCE).await;
    assert!(next.acquired().await > fence);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_follows_and_reaches_nobody_gives_up_in_time() {
    let quorum = quorum();
    let mut next = side(&quorum, "a", Some(7));
    next.cut(true);
    let began = Instant::now();
    let left = next.losing().await;
    assert!(began.elapsed() <= STOP_BEFORE / 2, "{:?}", began.elapsed());
    assert!(left <= STOP_BEFORE * 3 / 4, "{left:?}");
}

mod terms {
    use super::super::term::{End, Term, Verdict, judge};
    use super::*;
    use crate::machine::Moment;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_machine_that_slept_has_less_time_than_the_clock_of_leases_says() {
        let (now, boot) = (Instant::now(), Moment(100 * SECOND));
        let mut term = Term::default();
        let until = now + 9 * SECOND;
        assert_eq!(term.left(Some(until), now, boot), 9 * SECOND);
        // Three seconds asleep, which the first clock does not count.
        assert_eq!(term.left(Some(until), now + SECOND, boot.after(4 * SECOND)), 5 * SECOND);
        assert_eq!(term.left(Some(until), now + SECOND, boot.after(40 * SECOND)), Duration::ZERO);
        // A renewal begins anew.
        let renewed = Some(until + 9 * SECOND);
        assert_eq!(term.left(renewed, now + SECOND, boot.after(40 * SECOND)), 17 * SECOND);
        assert_eq!(term.left(None, now, boot), Duration::ZERO);
        let end = End::after(SECOND, now, boot);
        assert_eq!(end.left(now + 2 * SECOND, boot), Duration::ZERO);
    }

    #[test]
    fn jobs_are_told_once_and_again_only_when_it_comes_sooner() {
        let told = |left| judge(Duration::ZERO, 5 * SECOND, left);
        assert_eq!(judge(9 * SECOND, 5 * SECOND, None), Verdict::Fine(4 * SECOND));
        assert_eq!(judge(5 * SECOND, 5 * SECOND, None), Verdict::Stop(5 * SECOND));
        assert_eq!(judge(9 * SECOND, 5 * SECOND, Some(SECOND)), Verdict::Fine(SECOND));
        assert_eq!(told(Some(SECOND)), Verdict::Stop(Duration::ZERO));
        assert_eq!(told(Some(Duration::ZERO)), Verdict::Over);
    }
}
