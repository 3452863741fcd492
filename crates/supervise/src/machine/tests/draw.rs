//! Configurations and histories at random.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::rig::{config, exec, health, job, secs, service};
use crate::config::{
    Backoff, Check, Config, Health, Job, Liveness, Notify, Probe, Restarts, Service, Status,
    Trigger, When,
};
use crate::event::Code;

/// One thing that happens to the machine.
#[derive(Clone, Debug)]
pub enum Op {
    /// Init's oldest reply arrives.
    Reply,
    /// A process ends like this.
    End(prop::sample::Index, i32),
    /// A probe answers.
    Answer(prop::sample::Index, bool),
    /// Time passes; the machine hears of it at each of its deadlines, or only in the end.
    Pass(u64, bool),
    /// Signal, watch, maintenance.
    Hangup,
    Watch(Code),
    Maintenance(bool),
    /// The lock comes with the next fence, or goes, so many milliseconds from now.
    Acquire,
    Lose(u64),
    /// It is left to others for so many milliseconds.
    Yield(u64),
    /// The catalog answers.
    Withdrawn,
    /// A process says something of itself.
    Notify(prop::sample::Index, u8),
    /// A signal for the main job.
    Forward,
    /// The other configuration comes.
    Reload(bool),
    /// The worker dies after so many effects of the next input, or before it kept that input.
    Crash(usize),
    CrashBefore,
    Shutdown,
}

pub fn op() -> BoxedStrategy<Op> {
    let index = any::<prop::sample::Index>;
    let code = prop_oneof![Just(Code::Healthy), Just(Code::Unhealthy), Just(Code::Changed)];
    prop_oneof![
        8 => Just(Op::Reply),
        6 => (index(), prop_oneof![Just(0), Just(1), Just(3)]).prop_map(|(i, c)| Op::End(i, c)),
        3 => (index(), any::<bool>()).prop_map(|(i, ok)| Op::Answer(i, ok)),
        8 => (1..3000_u64, any::<bool>()).prop_map(|(ms, all)| Op::Pass(ms, all)),
        1 => Just(Op::Hangup),
        2 => code.prop_map(Op::Watch),
        1 => any::<bool>().prop_map(Op::Maintenance),
        2 => Just(Op::Acquire),
        2 => (0..3000_u64).prop_map(Op::Lose),
        1 => (0..3000_u64).prop_map(Op::Yield),
        3 => Just(Op::Withdrawn),
        2 => (index(), 0..3_u8).prop_map(|(i, what)| Op::Notify(i, what)),
        1 => Just(Op::Forward),
        1 => any::<bool>().prop_map(Op::Reload),
        2 => (0..12_usize).prop_map(Op::Crash),
        1 => Just(Op::CrashBefore),
        1 => prop_oneof![3 => Just(Op::Reply), 1 => Just(Op::Shutdown)],
    ]
    .boxed()
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn trigger() -> impl Strategy<Value = Trigger> {
    let name = prop::sample::select(NAMES.to_vec());
    let code = prop::sample::select(vec![
        Code::ExitSuccess,
        Code::ExitFailed,
        Code::Stopping,
        Code::Stopped,
        Code::Healthy,
        Code::Unhealthy,
        Code::TimerExpired,
    ]);
    let other = prop::sample::select(vec![
        ("watch.w", Code::Healthy),
        ("watch.w", Code::Changed),
        ("lock:db", Code::Acquired),
        ("lock:db", Code::Acquired),
        ("lock:db", Code::Lost),
        ("SIGHUP", Code::Signal),
        ("global", Code::Shutdown),
        ("global", Code::EnterMaintenance),
        ("check.a", Code::ExitFailed),
    ]);
    let make = |source: &str, code| Trigger { source: source.into(), code };
    prop_oneof![
        3 => (name, code).prop_map(move |(name, code)| make(name, code)),
        2 => other.prop_map(move |(source, code)| make(source, code)),
    ]
}

fn when() -> impl Strategy<Value = When> {
    let timeout = prop::option::weighted(0.2, (100..4000_u64).prop_map(Duration::from_millis));
    let events = (prop::collection::vec(trigger(), 1..3), any::<bool>(), any::<bool>(), timeout);
    prop_oneof![
        4 => Just(When::Startup),
        1 => (500..3000_u64).prop_map(|ms| When::Interval(Duration::from_millis(ms))),
        5 => events.prop_map(|(triggers, all, each, timeout)| {
            When::Events { triggers, all, each, timeout }
        }),
        1 => Just(When::Never),
    ]
}

fn check() -> impl Strategy<Value = Check> {
    prop_oneof![Just(Check::Exec(exec("check"))), Just(Check::Probe(Probe::Tcp("h:1".to_owned())))]
}

fn checked() -> impl Strategy<Value = Option<Health>> {
    let timeout = prop_oneof![Just(500_u64), Just(1000), Just(2500)];
    let health = (prop::option::weighted(0.8, check()), timeout, any::<bool>()).prop_map(
        |(check, timeout, fail_fast)| Health {
            check,
            timeout: Duration::from_millis(timeout),
            fail_fast,
            ..health()
        },
    );
    prop::option::weighted(0.5, health)
}

fn alive() -> impl Strategy<Value = Option<Liveness>> {
    let liveness = (check(), 1..3_u32).prop_map(|(check, failures)| Liveness {
        check,
        interval: secs(1),
        timeout: Duration::from_millis(700),
        failures,
        grace: Duration::from_millis(1500),
    });
    prop::option::weighted(0.2, liveness)
}

fn notify() -> impl Strategy<Value = Option<Notify>> {
    let some = (prop::option::of(Just(secs(2))), prop::option::of(Just(secs(3))))
        .prop_map(|(ready_within, watchdog)| Notify { ready_within, watchdog });
    prop::option::weighted(0.2, some)
}

fn restarts() -> impl Strategy<Value = Restarts> {
    prop_oneof![
        2 => Just(Restarts::Times(0)),
        1 => (1..4_u64).prop_map(Restarts::Times),
        1 => Just(Restarts::Unlimited),
    ]
}

fn one(name: &'static str) -> BoxedStrategy<Job> {
    let millis = |p| prop::option::weighted(p, (300..4000_u64).prop_map(Duration::from_millis));
    let first = prop_oneof![Just(Duration::ZERO), Just(Duration::from_millis(100))];
    let flags = (any::<bool>(), any::<bool>(), 0..10_u8, 0..10_u8);
    let basics = (when(), restarts(), millis(0.3), millis(0.5), first);
    (basics, checked(), alive(), notify(), flags)
        .prop_map(
            move |(
                (when, restarts, timeout, stop_timeout, first),
                health,
                liveness,
                notify,
                flags,
            )| {
                let (serves, initial, main, idle) = flags;
                let service = health.as_ref().filter(|_| serves).map(|_| Service {
                    initial_status: Some(Status::Warning).filter(|_| initial),
                    ..service(name)
                });
                let given = job(name);
                Job {
                    exec: given.exec.clone().filter(|_| idle > 0),
                    when,
                    restarts,
                    timeout,
                    stop_timeout,
                    backoff: Backoff { first, most: secs(4), reset: secs(3) },
                    health,
                    liveness,
                    notify,
                    service,
                    main: main == 0,
                    ..given
                }
            },
        )
        .boxed()
}

/// Up to five jobs, each under its own name, and sometimes the one of telemetry.
pub fn configs() -> impl Strategy<Value = Arc<Config>> {
    let jobs = (one("a"), one("b"), one("c"), one("d"), one("e"));
    (jobs, 0..=5_usize, any::<bool>(), 0..8_u8, 0..5_u64).prop_map(
        |((a, b, c, d, e), count, telemetry, strict, stop)| {
            let mut jobs: Vec<Job> = [a, b, c, d, e].into_iter().take(count).collect();
            if telemetry {
                let health = Some(Health { check: None, interval: secs(5), ..health() });
                let service = Some(service("containerpilot"));
                let telemetry = job("containerpilot");
                jobs.push(Job { exec: None, health, service, telemetry: true, ..telemetry });
            }
            let stop_timeout = secs(stop);
            Arc::new(Config { stop_timeout, strict: strict == 0, ..config(jobs) })
        },
    )
}
