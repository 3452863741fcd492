//! I2: a crash between provision and record never makes a second instance, nor loses the first.

use std::time::Duration;

use serde_json::json;

use super::driver::Sim;
use super::world::Manners;
use super::{config, sized};
use crate::config::GroupConfig;

fn providers() -> Vec<(&'static str, Manners)> {
    let base = Manners { delay: Duration::from_millis(20), ..Manners::default() };
    vec![
        ("consistent", base),
        ("lagging", Manners { lag: Duration::from_secs(60), ..base }),
        ("late", Manners { delay: Duration::from_secs(20), answers_late: true, ..base }),
        (
            "late, promises keys",
            Manners {
                delay: Duration::from_secs(20),
                answers_late: true,
                promises_keys: true,
                ..base
            },
        ),
        ("twice", Manners { makes_two: true, ..base }),
        ("fails after making", Manners { fails_after_making: true, ..base }),
    ]
}

/// Runs a scenario with a crash after each of its events in turn.
fn crash_everywhere(
    label: &str,
    manners: Manners,
    start: &GroupConfig,
    change: Option<&GroupConfig>,
) {
    let size = change.unwrap_or(start).membership.size() as usize;
    let mut crash_at = 1;
    loop {
        let mut sim = Sim::with(start.clone(), 7, manners);
        let mut crashed = false;
        if let Some(change) = change {
            sim.converge(900);
            sim.events = 0;
            sim.commit(change.clone());
        }
        let end = sim.now + Duration::from_secs(900);
        while sim.step_before(end) {
            if !crashed && sim.events == crash_at {
                sim.crash();
                crashed = true;
            }
            if crashed && sim.is_converged() {
                break;
            }
            if !crashed && sim.is_converged() {
                // The scenario has fewer events than this.
                eprintln!("{label}: {} crash points", crash_at - 1);
                return;
            }
        }
        assert!(sim.is_converged(), "{label}, crash at {crash_at}: {:?}", sim.last_plan.blocked);
        assert_eq!(sim.world.instances.len(), size, "{label}, crash at {crash_at}");
        assert_eq!(sim.current(), size, "{label}, crash at {crash_at}");
        // What is claimed forever is lost forever.
        assert!(sim.state.claims.is_empty(), "{label}, crash at {crash_at}");
        if !manners.makes_two {
            let surplus = sim.destroyed_for(regrow_plugin::spi::DestroyReason::Terminate);
            let wanted = start.membership.size().saturating_sub(size as u32) as usize;
            assert_eq!(surplus, wanted, "{label}, crash at {crash_at}: made more than needed");
        }
        crash_at += 1;
    }
}

#[test]
fn creating_a_group() {
    for (label, manners) in providers() {
        crash_everywhere(label, manners, &sized(1, 3), None);
    }
}

#[test]
fn creating_identities() {
    let pets = config(1, &json!({"Allocation":{"LogicalIDs":["a","b","c"]}}));
    for (label, manners) in providers() {
        crash_everywhere(label, manners, &pets, None);
    }
}

#[test]
fn growing_and_shrinking() {
    for (label, manners) in providers() {
        crash_everywhere(label, manners, &sized(1, 2), Some(&sized(1, 4)));
        crash_everywhere(label, manners, &sized(1, 4), Some(&sized(1, 2)));
    }
}

#[test]
fn rolling_through_a_crash() {
    for (label, manners) in providers() {
        crash_everywhere(label, manners, &sized(1, 3), Some(&sized(2, 3)));
    }
}

#[test]
fn a_slow_provider_is_not_asked_twice() {
    // InfraKit makes 10 and 20 instances here (baselines, "slow provisioning").
    for (secs, late) in [(20, false), (20, true), (60, false), (60, true)] {
        let manners =
            Manners { delay: Duration::from_secs(secs), answers_late: late, ..Manners::default() };
        let mut sim = Sim::with(sized(1, 5), 3, manners);
        sim.converge(300);
        assert_eq!((sim.world.made, sim.world.most), (5, 5), "{secs} s, late: {late}");
    }
}

#[test]
fn a_provider_that_ignores_keys_and_lags_is_not_asked_twice() {
    let manners =
        Manners { lag: Duration::from_secs(60), ignores_keys: true, ..Manners::default() };
    let mut sim = Sim::with(sized(1, 5), 3, manners);
    sim.converge(300);
    sim.run(Duration::from_secs(300));
    assert_eq!(sim.world.made, 5);
}

#[test]
fn a_provider_that_remembers_keys_is_asked_again_at_once() {
    let base = Manners { delay: Duration::from_secs(1), ..Manners::default() };
    for (promises_keys, most_secs) in [(true, 3), (false, 120)] {
        let mut sim = Sim::with(sized(1, 3), 3, Manners { promises_keys, ..base });
        // The intents are recorded, and the controller dies before a call is made.
        while sim.last_plan.steps.is_empty() {
            assert!(sim.step_before(sim.now + Duration::from_secs(1)));
        }
        sim.crash_before_calls();
        let began = sim.now;
        sim.converge(300);
        assert!(
            sim.now.since(began) < Duration::from_secs(most_secs),
            "{:?}",
            sim.now.since(began)
        );
        assert_eq!(sim.world.made, 3);
    }
}
