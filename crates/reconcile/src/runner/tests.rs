use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_ids::{Fence, StepKey};

use super::{Authority, Loop, LoopOptions};
use crate::intents::{Intent, IntentError, IntentLog, MemoryIntents};
use crate::{Budget, Class, Controller, Moment, Plan, Report, Sighting, Step};

mod leadership;
mod looks;
mod steps;

/// A toy: keeps a set of numbers at `0..wanted`.
#[derive(Default)]
struct Numbers {
    world: Mutex<BTreeSet<u32>>,
    running: AtomicUsize,
    most_running: AtomicUsize,
    panic_once: AtomicBool,
    slow_look: AtomicBool,
    /// How long a look takes.
    look_takes: Mutex<Duration>,
    /// Called once, by the first step that is called.
    on_step: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// The look is worth nothing, and every plan asks for another at once.
    blind: AtomicBool,
    /// This step never ends.
    hang: Mutex<Option<u32>>,
    looked: AtomicUsize,
    /// Keys are the same each time.
    same_keys: AtomicBool,
    /// The fence of each step that was called.
    fences: Mutex<Vec<Fence>>,
}

#[derive(Default)]
struct Wanted {
    wanted: u32,
    seen: Option<BTreeSet<u32>>,
    under_way: BTreeSet<u32>,
    failures: u32,
    closed: Vec<StepKey>,
    resumed: usize,
    budget: Option<Budget>,
    drawn: u64,
    not_started: usize,
    spared: usize,
    blind: Vec<String>,
}

#[derive(Clone)]
struct Toggle {
    key: StepKey,
    number: u32,
    class: Class,
}

impl Step for Toggle {
    fn key(&self) -> &StepKey {
        &self.key
    }
    fn class(&self) -> Class {
        self.class
    }
    fn intent(&self) -> Any {
        Any::from_serialize(&self.number)
    }
    fn describe(&self) -> String {
        format!("{:?} {}", self.class, self.number)
    }
}

#[async_trait]
impl Controller for Numbers {
    type Key = String;
    type State = Wanted;
    type Question = ();
    type Answer = BTreeSet<u32>;
    type Step = Toggle;
    type Outcome = bool;

    fn resume(&self, state: &mut Wanted, open: Vec<Intent>, _now: Moment) {
        state.resumed = open.len();
        state.closed.extend(open.into_iter().map(|intent| intent.key));
    }

    fn question(&self, _state: &Wanted, _now: Moment) {}

    async fn observe(&self, _key: &String, _: (), _: Option<Fence>) -> BTreeSet<u32> {
        self.looked.fetch_add(1, Ordering::Relaxed);
        if self.slow_look.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
        }
        let takes = *self.look_takes.lock().unwrap();
        tokio::time::sleep(takes).await;
        self.world.lock().unwrap().clone()
    }

    fn absorb(&self, state: &mut Wanted, seen: Sighting<BTreeSet<u32>>) {
        state.seen = Some(seen.items);
    }

    fn plan(&self, state: &Wanted, _now: Moment) -> Plan<Toggle> {
        let mut plan = Plan::default();
        if self.blind.load(Ordering::Relaxed) {
            plan.look_by(Moment::START);
        }
        let Some(seen) = &state.seen else { return plan };
        let wanted: BTreeSet<u32> = (0..state.wanted).collect();
        for number in wanted.symmetric_difference(seen) {
            if state.under_way.contains(number) {
                continue;
            }
            let class = if wanted.contains(number) { Class::Create } else { Class::Destroy };
            let drawn = if self.same_keys.load(Ordering::Relaxed) { 0 } else { state.drawn };
            let key = StepKey::from_tag(format!("{number}-{drawn}"));
            plan.steps.push(Toggle { key, number: *number, class });
        }
        plan.converged = plan.steps.is_empty() && state.under_way.is_empty();
        plan
    }

    fn start(&self, state: &mut Wanted, steps: &[Toggle], _now: Moment) {
        state.drawn += 1;
        state.under_way.extend(steps.iter().map(|step| step.number));
    }

    async fn execute(&self, _key: &String, step: &Toggle, fence: Fence) -> bool {
        self.fences.lock().unwrap().push(fence);
        let on_step = self.on_step.lock().unwrap().take();
        if let Some(on_step) = on_step {
            on_step();
        }
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_running.fetch_max(running, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(10)).await;
        if *self.hang.lock().unwrap() == Some(step.number) {
            std::future::pending::<()>().await;
        }
        self.running.fetch_sub(1, Ordering::Relaxed);
        assert!(!self.panic_once.swap(false, Ordering::Relaxed), "asked to panic");
        let mut world = self.world.lock().unwrap();
        match step.class {
            Class::Create => world.insert(step.number),
            _ => world.remove(&step.number),
        }
    }

    fn abandoned(&self) -> bool {
        false
    }

    fn settle(&self, state: &mut Wanted, step: &Toggle, outcome: bool, _now: Moment) {
        state.under_way.remove(&step.number);
        state.closed.push(step.key.clone());
        state.failures += u32::from(!outcome);
        if let (true, Some(seen)) = (outcome, &mut state.seen) {
            match step.class {
                Class::Create => seen.insert(step.number),
                _ => seen.remove(&step.number),
            };
        }
    }

    fn not_started(&self, state: &mut Wanted, step: &Toggle, _now: Moment) {
        state.under_way.remove(&step.number);
        state.closed.push(step.key.clone());
        state.not_started += 1;
    }

    fn blind(&self, state: &mut Wanted, why: String, _now: Moment) {
        state.blind.push(why);
    }

    fn is_blind(&self, _state: &Wanted) -> bool {
        self.blind.load(Ordering::Relaxed)
    }

    fn report(&self, state: &mut Wanted) -> Report {
        let (closed, spared) =
            (std::mem::take(&mut state.closed), std::mem::take(&mut state.spared));
        Report { closed, spared, notes: vec![] }
    }

    fn destroy_budget(&self, state: &Wanted) -> Option<Budget> {
        state.budget
    }
}

struct Rig {
    engine: Loop<Numbers>,
    numbers: Arc<Numbers>,
    log: Arc<MemoryIntents>,
}

fn rig(authority: Arc<dyn Authority>) -> Rig {
    let numbers = Arc::new(Numbers::default());
    let log = Arc::new(MemoryIntents::new(1));
    let options = LoopOptions { max_parallel: 4, ..LoopOptions::default() };
    let engine = Loop::new(Arc::clone(&numbers), log.clone() as _, authority, options);
    Rig { engine, numbers, log }
}

fn always() -> Arc<dyn Authority> {
    Arc::new(Fence::new(1))
}

impl Rig {
    fn world(&self) -> usize {
        self.numbers.world.lock().unwrap().len()
    }

    async fn converged(&self) {
        let mut status = self.engine.get(&"a".to_owned()).expect("a").watch_status();
        status.wait_for(|status| status.converged).await.expect("running");
    }
}

fn wanted(count: u32) -> Wanted {
    Wanted { wanted: count, ..Wanted::default() }
}

#[tokio::test(start_paused = true)]
async fn converges_with_bounded_parallel_steps_and_closes_its_intents() {
    let rig = rig(always());
    rig.engine.add("a".into(), wanted(20));
    rig.converged().await;
    assert_eq!(rig.world(), 20);
    assert_eq!(rig.numbers.most_running.load(Ordering::Relaxed), 4);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.log.open("a"), []);
}

#[tokio::test(start_paused = true)]
async fn a_wake_heals_at_once_and_the_revisit_heals_without_one() {
    let rig = rig(always());
    let handle = rig.engine.add("a".into(), wanted(3));
    rig.converged().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    rig.numbers.world.lock().unwrap().clear();
    handle.wake();
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(rig.world(), 3);
    rig.numbers.world.lock().unwrap().clear();
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(rig.world(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_removed_object_is_left_alone() {
    let rig = rig(always());
    rig.engine.add("a".into(), wanted(50));
    tokio::time::sleep(Duration::from_millis(25)).await;
    let state = rig.engine.remove(&"a".to_owned()).await.expect("state");
    assert_eq!(state.wanted, 50);
    let running = rig.numbers.running.load(Ordering::Relaxed);
    let at_stop = rig.world();
    tokio::time::sleep(Duration::from_secs(60)).await;
    // Calls that ran already end on their own; none begins.
    assert_eq!(rig.world(), at_stop + running);
    assert!(rig.world() < 50);
}

#[tokio::test(start_paused = true)]
async fn the_destroy_budget_is_kept_and_shown() {
    let rig = rig(always());
    rig.numbers.world.lock().unwrap().extend(0..10);
    let budget = Some(Budget { most: 3, window: Duration::from_secs(60) });
    let handle = rig.engine.add("a".into(), Wanted { budget, ..wanted(0) });
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(rig.world(), 7);
    let blocked = handle.status().blocked;
    assert_eq!(blocked, ["7 destructions wait: the budget is 3 in 60 s"]);
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(rig.world(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_panicking_step_harms_itself_only() {
    let rig = rig(always());
    rig.numbers.panic_once.store(true, Ordering::Relaxed);
    rig.engine.add("a".into(), wanted(5));
    rig.converged().await;
    assert_eq!(rig.world(), 5);
}

#[tokio::test(start_paused = true)]
async fn reading_the_state_causes_no_plan() {
    let rig = rig(always());
    let handle = rig.engine.add("a".into(), wanted(3));
    rig.converged().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = handle.status().plans;
    for _ in 0..100 {
        assert_eq!(handle.read(|state| state.wanted).await, Some(3));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(handle.status().plans, before);
}

#[tokio::test(start_paused = true)]
async fn open_intents_are_handed_over() {
    let rig = rig(always());
    let intent = Intent {
        key: StepKey::from_tag("k"),
        owner: "a".into(),
        class: Class::Create.into(),
        body: Any::default(),
        fence: Fence::new(1),
    };
    rig.log.record(&[intent]);
    let handle = rig.engine.add("a".into(), wanted(1));
    assert_eq!(handle.with(|state, _| state.resumed).await, Some(1));
    rig.converged().await;
    assert_eq!(rig.log.open("a"), []);
}

/// A log that refuses for a while.
struct Refusing(MemoryIntents, AtomicUsize);

#[async_trait]
impl IntentLog for Refusing {
    fn lineage(&self) -> u64 {
        1
    }
    async fn next_epoch(&self) -> Result<u64, IntentError> {
        Ok(self.0.next_epoch())
    }
    async fn record(&self, intents: &[Intent]) -> Result<(), IntentError> {
        let left = self.1.load(Ordering::Relaxed);
        if left > 0 {
            self.1.store(left - 1, Ordering::Relaxed);
            return Err(IntentError::Halted { path: "disk".into() });
        }
        self.0.record(intents);
        Ok(())
    }
    async fn close(&self, _owner: &str, keys: &[StepKey]) -> Result<(), IntentError> {
        self.0.close(keys);
        Ok(())
    }
    async fn open(&self, owner: &str) -> Result<Vec<Intent>, IntentError> {
        Ok(self.0.open(owner))
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_done_while_intents_cannot_be_recorded() {
    let numbers = Arc::new(Numbers::default());
    let log = Arc::new(Refusing(MemoryIntents::new(1), AtomicUsize::new(3)));
    let engine = Loop::new(Arc::clone(&numbers), log, always(), LoopOptions::default());
    let handle = engine.add("a".to_owned(), wanted(3));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(numbers.world.lock().unwrap().len(), 0);
    let blocked = handle.status().blocked;
    assert!(blocked[0].contains("an earlier write failed"), "{blocked:?}");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(numbers.world.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_change_takes_back_that_the_object_has_converged() {
    let rig = rig(always());
    let handle = rig.engine.add("a".into(), wanted(3));
    rig.converged().await;
    handle.with(|state, _| state.wanted = 5).await;
    assert!(!handle.status().converged);
    rig.converged().await;
    assert_eq!(rig.world(), 5);
}
