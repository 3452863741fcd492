//! I1: nothing is destroyed because something was not seen.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::driver::{Lie, Sim};
use super::{cases, config, converged, sized};

/// Lists that are tampered with after the group was first seen.
const FIRST_LISTS: usize = 6;

/// A group that has converged, and in which two members were replaced since: old lists show
/// others than there are.
fn with_a_past(config: crate::config::GroupConfig) -> Sim {
    let mut sim = Sim::new(config, 1);
    sim.converge(60);
    sim.run(Duration::from_secs(10));
    for id in sim.world.instances.keys().take(2).cloned().collect::<Vec<_>>() {
        sim.kill(&id, true);
    }
    sim.converge(60);
    sim.run(Duration::from_secs(20));
    assert_eq!(sim.destroys.len(), 0);
    sim
}

/// Whether each destruction that was started was asked for by nobody.
fn unasked(sim: &Sim) -> Vec<String> {
    sim.destroys
        .iter()
        .map(|(list, step)| format!("list {list}: {} ({})", step.key, step.why))
        .collect()
}

#[test]
fn no_single_or_paired_lie_about_a_healthy_group_destroys_anything() {
    let mut patterns: Vec<VecDeque<Option<Lie>>> = vec![];
    for first in 0..FIRST_LISTS {
        for second in 0..FIRST_LISTS {
            for a in Lie::ALL {
                for b in Lie::ALL {
                    let mut lies = VecDeque::from(vec![None; FIRST_LISTS]);
                    lies[first] = Some(a);
                    lies[second] = Some(b);
                    patterns.push(lies);
                }
            }
        }
    }
    for (label, document) in [
        ("size", json!({"Allocation":{"Size":5}})),
        ("identities", json!({"Allocation":{"LogicalIDs":["a","b","c"]}})),
        ("health", json!({"Allocation":{"Size":5},"Health":{"Grace":"0s"}})),
    ] {
        for lies in &patterns {
            let mut sim = with_a_past(config(1, &document));
            let made = sim.world.made;
            sim.lies.clone_from(lies);
            sim.run(Duration::from_secs(90));
            assert_eq!(unasked(&sim), Vec::<String>::new(), "{label} {lies:?}");
            assert_eq!(sim.world.made, made, "{label} {lies:?}: something was made twice");
            sim.converge(600);
        }
    }
}

#[test]
fn the_very_first_lists_may_lie_too() {
    for first in Lie::ALL {
        for second in Lie::ALL {
            let mut sim = converged(5);
            // Another controller takes over without a log and is lied to from the beginning.
            let mut next = Sim::new(sized(1, 5), 2);
            std::mem::swap(&mut next.world, &mut sim.world);
            next.now = sim.now;
            next.lies = VecDeque::from([Some(first), Some(second)]);
            next.run(Duration::from_secs(120));
            let members: Vec<_> = next.world.destroyed.iter().collect();
            let originals = next.world.instances.keys().filter(|id| id.as_str() <= "i-000005");
            assert_eq!(originals.count(), 5, "{first:?} {second:?}: {members:?}");
        }
    }
}

#[test]
fn a_short_list_is_explained_in_the_status() {
    let mut sim = converged(8);
    sim.lies = VecDeque::from([Some(Lie::Truncated)]);
    sim.run(Duration::from_secs(10));
    sim.lies.push_back(Some(Lie::Truncated));
    sim.commit(sized(1, 4));
    sim.run(Duration::from_millis(1));
    assert_eq!(sim.destroys.len(), 0);
    let blocked = sim.last_plan.blocked.join("\n");
    assert!(blocked.contains("members are missing from the last list"), "{blocked}");
    sim.converge(60);
    assert_eq!(sim.world.instances.len(), 4);
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn no_sequence_of_lies_destroys_anything(
        lies in proptest::collection::vec(proptest::option::weighted(0.4, 0usize..6), 1..12),
        size in 1u32..8,
    ) {
        let mut sim = with_a_past(sized(1, size));
        // At most two lies in a row: a list that always lies is the truth as far as anybody can tell.
        let mut row = 0;
        sim.lies = lies
            .into_iter()
            .map(|lie| {
                row = if lie.is_some() { row + 1 } else { 0 };
                lie.filter(|_| row <= 2).map(|at| Lie::ALL[at])
            })
            .collect();
        sim.run(Duration::from_secs(150));
        prop_assert_eq!(unasked(&sim), Vec::<String>::new());
        sim.converge(600);
        prop_assert_eq!(sim.world.instances.len(), size as usize);
    }
}
