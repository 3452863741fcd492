//! I3: converging twice changes nothing. I5: after faults end the group reaches its spec.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use regrow_plugin::spi::tags;
use regrow_reconcile::Step;
use serde_json::json;

use super::driver::Sim;
use super::{cases, config, sized};
use crate::plan::plan;

#[derive(Clone, Debug)]
struct Found {
    current: bool,
    bootstrap: bool,
    identity: Option<u8>,
    slot: Option<u8>,
    sick: bool,
}

fn found() -> impl Strategy<Value = Found> {
    (
        any::<bool>(),
        proptest::bool::weighted(0.1),
        proptest::option::of(0u8..4),
        proptest::option::of(0u8..6),
        proptest::bool::weighted(0.2),
    )
        .prop_map(|(current, bootstrap, identity, slot, sick)| Found {
            current,
            bootstrap,
            identity,
            slot,
            sick,
        })
}

fn populate(sim: &mut Sim, population: &[Found]) {
    let hash = sim.state.config.hash.as_str().to_owned();
    for found in population {
        let mut labels = vec![(tags::GROUP, "g".to_owned())];
        let made_with = match (found.bootstrap, found.current) {
            (true, _) => tags::BOOTSTRAP.to_owned(),
            (_, true) => hash.clone(),
            _ => "another".to_owned(),
        };
        labels.push((tags::CONFIG_HASH, made_with));
        if let Some(identity) = found.identity {
            labels.push((tags::LOGICAL_ID, format!("pet-{identity}")));
        }
        if let Some(slot) = found.slot {
            labels.push((crate::state::SLOT_TAG, slot.to_string()));
        }
        let labels: Vec<_> = labels.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let id = sim.adds(&labels);
        if found.sick {
            sim.world.sick.insert(id);
        }
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_population_converges_and_stays(
        population in proptest::collection::vec(found(), 0..10),
        size in 0u32..8,
        surge in 0u32..3,
    ) {
        let mut sim = Sim::new(config(1, &json!({
            "Allocation": {"Size": size}, "Update": {"MaxSurge": surge},
        })), 5);
        populate(&mut sim, &population);
        let before = sim.world.instances.len();
        // The sick are healed in time: I5 speaks of the time after the faults.
        sim.run(Duration::from_secs(5));
        sim.world.sick.clear();
        sim.converge(900);
        prop_assert_eq!(sim.world.instances.len(), size as usize);
        prop_assert_eq!(sim.current(), size as usize);
        prop_assert!(sim.world.most <= before.max((size + surge) as usize));
        let slots: BTreeSet<_> = sim.state.members.values().map(|m| m.slot.clone()).collect();
        prop_assert_eq!(slots.len(), size as usize);
        let (made, destroyed) = (sim.world.made, sim.world.destroyed.len());
        sim.run(Duration::from_secs(3_600));
        prop_assert_eq!((sim.world.made, sim.world.destroyed.len()), (made, destroyed));
    }

    #[test]
    fn any_population_of_identities_converges_and_stays(
        population in proptest::collection::vec(found(), 0..8),
        wanted in 1usize..4,
    ) {
        let ids: Vec<_> = (0..wanted).map(|n| format!("pet-{n}")).collect();
        let mut sim = Sim::new(config(1, &json!({"Allocation": {"LogicalIDs": ids}})), 5);
        populate(&mut sim, &population);
        let strays = population.iter().filter(|f| f.identity.is_none()).count();
        sim.run(Duration::from_secs(5));
        sim.world.sick.clear();
        sim.run(Duration::from_secs(900));
        let named = |n: usize| {
            let id = format!("pet-{n}");
            sim.world.instances.values()
                .filter(|d| d.tags.get(tags::LOGICAL_ID).is_some_and(|tag| *tag == id)).count()
        };
        for n in 0..4 {
            prop_assert_eq!(named(n), usize::from(n < wanted), "pet-{}", n);
        }
        // Members without identity are nobody's to destroy.
        let left = sim.world.instances.values()
            .filter(|d| !d.tags.contains_key(tags::LOGICAL_ID)).count();
        prop_assert_eq!(left, strays);
    }

    #[test]
    fn the_same_knowledge_gives_the_same_plan(
        population in proptest::collection::vec(found(), 0..10),
        size in 0u32..8,
        stop in 1usize..60,
    ) {
        let run = || {
            let mut sim = Sim::new(sized(1, size), 5);
            populate(&mut sim, &population);
            let end = sim.now + Duration::from_secs(60);
            while sim.events < stop && sim.step_before(end) {}
            let steps = plan(&sim.state, sim.now).steps;
            steps.iter().map(|s| (s.key.clone(), s.describe())).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(), run());
    }
}

#[test]
fn a_plan_for_ten_thousand_is_one_plan() {
    let mut sim = Sim::new(sized(1, 10_000), 5);
    while sim.last_plan.steps.is_empty() {
        assert!(sim.step_before(sim.now + Duration::from_secs(1)));
    }
    let keys: BTreeSet<_> = sim.last_plan.steps.iter().map(|step| step.key.clone()).collect();
    assert_eq!(keys.len(), 10_000);
}
