//! I6: rolling changes keep the minimum working, stop on failure, and spare the own instance.

use std::time::Duration;

use proptest::prelude::*;
use regrow_ids::LogicalId;
use regrow_plugin::spi::{Health, tags};
use serde_json::{Value, json};

use super::driver::Sim;
use super::{cases, config, converged, sized};
use crate::config::GroupConfig;

/// Runs until converged and returns the fewest healthy and the most existing instances meanwhile.
fn roll(sim: &mut Sim, within: Duration) -> (usize, usize) {
    let end = sim.now + within;
    let (mut fewest, mut most) = (usize::MAX, 0);
    loop {
        let world = &sim.world;
        let healthy =
            world.instances.keys().filter(|id| world.health(id) == Health::Healthy).count();
        fewest = fewest.min(healthy);
        most = most.max(world.instances.len());
        if sim.is_converged() || !sim.step_before(end) {
            return (fewest, most);
        }
    }
}

fn with_update(version: u32, size: u32, update: &Value) -> GroupConfig {
    config(version, &json!({"Allocation":{"Size":size},"Update":update}))
}

#[test]
fn one_at_a_time_and_one_below_by_default() {
    let mut sim = converged(5);
    sim.run(Duration::from_secs(20));
    sim.commit(sized(2, 5));
    let (fewest, most) = roll(&mut sim, Duration::from_secs(60));
    assert_eq!((fewest, most, sim.current()), (4, 5, 5));
}

#[test]
fn a_surge_keeps_the_full_number_working() {
    let mut sim = converged(10);
    sim.run(Duration::from_secs(20));
    sim.commit(with_update(2, 10, &json!({"MaxSurge":"30%"})));
    let (fewest, most) = roll(&mut sim, Duration::from_secs(60));
    assert_eq!((fewest, most, sim.current()), (10, 13, 10));
}

#[test]
fn identities_are_replaced_one_at_a_time() {
    let pets = |version| config(version, &json!({"Allocation":{"LogicalIDs":["a","b","c"]}}));
    let mut sim = Sim::new(pets(1), 1);
    sim.converge(60);
    sim.run(Duration::from_secs(20));
    sim.commit(pets(2));
    let (fewest, most) = roll(&mut sim, Duration::from_secs(60));
    assert_eq!((fewest, most, sim.current()), (2, 3, 3));
}

#[test]
fn an_unhealthy_replacement_stops_the_update() {
    let mut sim = converged(5);
    sim.run(Duration::from_secs(20));
    let bad = sized(2, 5);
    sim.world.sick_hashes.insert(bad.hash.as_str().to_owned());
    sim.commit(bad);
    sim.run(Duration::from_secs(3_600));
    assert_eq!(sim.current(), 1, "only the first replacement was made");
    let blocked = sim.last_plan.blocked.join("\n");
    assert!(blocked.contains("the update waits for 1 new members"), "{blocked}");
}

#[test]
fn a_drain_that_fails_does_not_double_the_group() {
    let mut sim = converged(5);
    sim.run(Duration::from_secs(20));
    sim.world.manners.destroys_fail = true;
    sim.commit(sized(2, 5));
    sim.run(Duration::from_secs(3_600));
    assert_eq!((sim.world.instances.len(), sim.world.most), (5, 5));
    let blocked = sim.last_plan.blocked.join("\n");
    assert!(blocked.contains("a member that cannot be removed"), "{blocked}");
    sim.world.manners.destroys_fail = false;
    sim.converge(900);
    assert_eq!(sim.current(), 5);
}

#[test]
fn an_update_of_a_broken_quorum_goes_one_by_one() {
    let pets = |version| {
        config(
            version,
            &json!({
                "Allocation":{"LogicalIDs":["a","b","c","d","e"]}, "Health":{"Grace":"0s"},
            }),
        )
    };
    let mut sim = Sim::new(pets(1), 1);
    sim.converge(60);
    let old = sim.state.config.hash.as_str().to_owned();
    sim.world.sick_hashes.insert(old);
    sim.run(Duration::from_secs(60));
    assert_eq!(sim.world.instances.len(), 5, "an outage is not five faults");
    sim.commit(pets(2));
    let mut fewest = usize::MAX;
    let end = sim.now + Duration::from_secs(300);
    while !sim.is_converged() && sim.step_before(end) {
        fewest = fewest.min(sim.world.instances.len());
    }
    // All at once are too many: the new configuration waits for a decision.
    assert_eq!((fewest, sim.current()), (5, 0));
    let blocked = sim.last_plan.blocked.join("\n");
    assert!(blocked.contains("outdated members do not work"), "{blocked}");
}

#[test]
fn going_back_by_hand_is_not_rolled_back() {
    let auto = json!({"AutoRollback":1});
    let mut sim = Sim::new(with_update(1, 3, &auto), 1);
    sim.converge(60);
    let bad = with_update(2, 3, &auto);
    sim.world.sick_hashes.insert(bad.hash.as_str().to_owned());
    sim.commit(bad.clone());
    sim.run(Duration::from_secs(1));
    // A second try that is bad too goes back to the last that was good, not to the first try.
    let worse = with_update(3, 3, &auto);
    sim.world.sick_hashes.insert(worse.hash.as_str().to_owned());
    sim.commit(worse);
    sim.run(Duration::from_secs(600));
    let good = with_update(1, 3, &auto);
    assert_eq!(sim.state.config.hash, good.hash);
    assert_eq!((sim.current(), sim.world.instances.len()), (3, 3));
}

#[test]
fn too_many_failed_replacements_roll_back() {
    let good = with_update(1, 5, &json!({"AutoRollback":1}));
    let bad = with_update(2, 5, &json!({"AutoRollback":1}));
    let mut sim = Sim::new(good.clone(), 1);
    sim.converge(60);
    sim.run(Duration::from_secs(20));
    sim.world.sick_hashes.insert(bad.hash.as_str().to_owned());
    let tried = bad.spec().properties.to_value();
    sim.commit(bad);
    sim.run(Duration::from_secs(600));
    assert_eq!(sim.state.config.hash, good.hash);
    assert_eq!((sim.current(), sim.world.instances.len()), (5, 5));
    // The document in force says so, and whoever takes over with it does not try again.
    let shown = sim.state.config.spec();
    let properties = shown.properties.to_value();
    assert_eq!(
        properties["RolledBack"],
        json!({"Instance": tried["Instance"], "Flavor": tried["Flavor"], "Failures": 1})
    );
    let destroyed = sim.destroys.len();
    sim.state.config = GroupConfig::parse(&shown).expect("a document").into();
    sim.crash();
    sim.run(Duration::from_secs(600));
    assert_eq!((sim.current(), sim.destroys.len()), (5, destroyed));
}

#[test]
fn a_pause_holds_the_update_and_still_heals() {
    let mut sim = converged(4);
    sim.run(Duration::from_secs(20));
    sim.commit(with_update(2, 4, &json!({"Pause":true})));
    sim.run(Duration::from_secs(60));
    assert_eq!(sim.current(), 0);
    let lost = sim.world.instances.keys().next().cloned().expect("a member");
    sim.kill(&lost, true);
    sim.run(Duration::from_secs(60));
    assert_eq!((sim.world.instances.len(), sim.current()), (4, 1));
    sim.commit(with_update(2, 4, &json!({})));
    sim.converge(60);
    assert_eq!(sim.current(), 4);
}

#[test]
fn the_own_instance_is_last_and_not_destroyed() {
    let pets = |version| config(version, &json!({"Allocation":{"LogicalIDs":["a","b","c"]}}));
    let mut sim = Sim::new(pets(1), 1);
    sim.state.own = Some(LogicalId::from("a"));
    sim.converge(60);
    let own = sim.state.members.values().find(|m| m.description.logical_id() == sim.state.own);
    let own = own.expect("own").description.id.clone();
    sim.commit(pets(2));
    sim.run(Duration::from_secs(300));
    assert_eq!(sim.current(), 2);
    assert!(sim.world.instances.contains_key(&own));
    // The next leader runs elsewhere and finishes.
    sim.state.own = Some(LogicalId::from("b"));
    sim.commit(pets(2));
    sim.run(Duration::from_secs(300));
    assert_eq!(sim.current(), 3);
    assert!(!sim.world.instances.contains_key(&own));
}

#[test]
fn a_group_shrinks_although_the_own_instance_waits_for_the_next_leader() {
    for surge in [0, 1] {
        let update = json!({"MaxSurge":surge});
        let mut sim = Sim::new(with_update(1, 5, &update), 1);
        sim.state.own = Some(LogicalId::from("here"));
        let hash = sim.hash();
        let labels = [(tags::GROUP, "g"), (tags::CONFIG_HASH, &hash), (tags::LOGICAL_ID, "here")];
        let own = sim.adds(&labels);
        sim.converge(60);
        sim.run(Duration::from_secs(20));
        sim.commit(with_update(2, 5, &update));
        sim.run(Duration::from_secs(300));
        assert_eq!((sim.world.instances.len(), sim.current()), (5 + surge, 4 + surge));
        sim.commit(with_update(2, 3, &update));
        sim.run(Duration::from_secs(60));
        assert_eq!((sim.world.instances.len(), sim.current()), (3 + surge, 2 + surge));
        assert!(sim.world.instances.contains_key(&own));
        // And stays so.
        let (made, destroyed) = (sim.world.made, sim.destroys.len());
        sim.run(Duration::from_secs(600));
        assert_eq!((sim.world.made, sim.destroys.len()), (made, destroyed));
        // The next leader runs elsewhere and finishes.
        sim.state.own = None;
        sim.commit(with_update(2, 3, &update));
        sim.converge(300);
        assert_eq!((sim.world.instances.len(), sim.current()), (3, 3));
    }
}

#[test]
fn a_healthy_row_of_the_asked_length_is_needed() {
    let slow =
        |version| config(version, &json!({"Allocation":{"Size":3},"Updating":{"Duration":"30s"}}));
    let mut sim = Sim::new(slow(1), 1);
    sim.converge(60);
    sim.commit(slow(2));
    let began = sim.now;
    sim.converge(600);
    let took = sim.now.since(began).as_secs();
    assert!((90..130).contains(&took), "{took}");
}

#[test]
fn shrinking_and_changing_at_once_ends_at_the_new_size() {
    let mut sim = converged(6);
    sim.run(Duration::from_secs(20));
    sim.commit(sized(2, 3));
    let (fewest, _) = roll(&mut sim, Duration::from_secs(60));
    assert_eq!((sim.current(), sim.world.instances.len()), (3, 3));
    assert!(fewest >= 2, "{fewest}");
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn no_rollout_ever_leaves_too_few_or_too_many(
        size in 1u32..9,
        // Without both an update cannot move, and the document is refused.
        (surge, unavailable) in (0u32..4, 0u32..4)
            .prop_map(|(surge, unavailable)| (surge, unavailable + u32::from(surge + unavailable == 0))),
        deaths in proptest::collection::vec((0u64..2_000, any::<prop::sample::Index>()), 0..3),
    ) {
        let update = json!({"MaxSurge":surge,"MaxUnavailable":unavailable});
        let mut sim = Sim::new(with_update(1, size, &update), 1);
        sim.converge(60);
        sim.run(Duration::from_secs(20));
        sim.commit(with_update(2, size, &update));
        let least = (size as usize).saturating_sub(unavailable as usize);
        let mut allowance = 0;
        for (pause, which) in deaths {
            let (fewest, most) = roll(&mut sim, Duration::from_millis(pause));
            prop_assert!(fewest + allowance >= least, "{} of {}", fewest, least);
            prop_assert!(most <= (size + surge) as usize);
            let ids: Vec<_> = sim.world.instances.keys().cloned().collect();
            if !ids.is_empty() {
                sim.kill(which.get(&ids), true);
                allowance += 1;
            }
        }
        let (fewest, most) = roll(&mut sim, Duration::from_secs(900));
        prop_assert!(fewest + allowance >= least, "{} of {}", fewest, least);
        prop_assert!(most <= (size + surge) as usize);
        prop_assert_eq!(sim.current(), size as usize, "{:?}", sim.last_plan);
    }
}
