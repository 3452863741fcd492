//! Lost members come back: at once when a provider tells, soon when it does not.

use std::time::Duration;

use regrow_ids::{InstanceId, LogicalId};
use regrow_plugin::spi::tags;
use serde_json::json;

use super::driver::Sim;
use super::world::Manners;
use super::{config, converged, sized};

fn some_member(sim: &Sim) -> InstanceId {
    sim.world.instances.keys().next().cloned().expect("a member")
}

#[test]
fn a_reported_loss_heals_within_milliseconds() {
    let mut sim = converged(10);
    sim.run(Duration::from_secs(33));
    let (lost, began) = (some_member(&sim), sim.now);
    sim.kill(&lost, true);
    while sim.world.instances.len() < 10 {
        assert!(sim.step_before(sim.now + Duration::from_secs(30)));
    }
    let took = sim.now.since(began);
    assert!(took <= Duration::from_millis(20), "{took:?}");
}

#[test]
fn an_unreported_loss_heals_after_the_next_look() {
    let mut sim = converged(10);
    sim.run(Duration::from_secs(33));
    let lost = some_member(&sim);
    sim.kill(&lost, false);
    sim.run(Duration::from_millis(10_100));
    assert_eq!(sim.world.instances.len(), 10);
}

#[test]
fn an_update_begins_when_members_of_another_configuration_turn_up() {
    let mut sim = converged(3);
    sim.adds(&[(tags::GROUP, "g"), (tags::CONFIG_HASH, "another")]);
    sim.run(Duration::from_secs(120));
    assert_eq!((sim.world.instances.len(), sim.current()), (3, 3));
}

#[test]
fn an_instance_that_asks_for_it_is_adopted_and_not_replaced() {
    let mut sim = Sim::new(sized(1, 2), 1);
    let id = sim.adds(&[(tags::GROUP, "g"), (tags::CONFIG_HASH, tags::BOOTSTRAP)]);
    sim.converge(60);
    assert!(sim.world.instances.contains_key(&id));
    assert_eq!((sim.world.made, sim.current()), (2, 2));
}

#[test]
fn a_member_that_keeps_dying_is_replaced_ever_more_rarely() {
    let manners = Manners { new_ones_live: Some(Duration::from_secs(1)), ..Manners::default() };
    let mut sim = Sim::with(sized(1, 1), 1, manners);
    sim.run(Duration::from_secs(600));
    // Each second without back-off would be 600.
    assert!(sim.world.made < 16, "{}", sim.world.made);
    assert!(sim.world.made > 6, "{}", sim.world.made);
}

#[test]
fn a_lost_identity_comes_back_under_its_name() {
    let pets = config(1, &json!({"Allocation":{"LogicalIDs":["a","b","c"]}}));
    let mut sim = Sim::new(pets, 1);
    sim.converge(60);
    let lost = sim.world.instances.values().find(|d| d.logical_id() == Some(LogicalId::from("b")));
    let lost = lost.expect("b").id.clone();
    sim.kill(&lost, true);
    sim.run(Duration::from_secs(1));
    let ids: Vec<_> = sim.world.instances.values().filter_map(|d| d.logical_id()).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.contains(&LogicalId::from("b")));
}

#[test]
fn half_of_a_group_can_be_lost_for_real() {
    let mut sim = converged(10);
    sim.run(Duration::from_secs(33));
    for id in sim.world.instances.keys().take(5).cloned().collect::<Vec<_>>() {
        sim.kill(&id, false);
    }
    sim.run(Duration::from_secs(45));
    assert_eq!((sim.world.instances.len(), sim.destroys.len()), (10, 0));
}

#[test]
fn all_of_a_group_can_be_lost_for_real() {
    let mut sim = converged(10);
    sim.run(Duration::from_secs(33));
    for id in sim.world.instances.keys().cloned().collect::<Vec<_>>() {
        sim.kill(&id, false);
    }
    sim.run(Duration::from_secs(100));
    assert_eq!((sim.world.instances.len(), sim.destroys.len()), (10, 0));
}

#[test]
fn an_unhealthy_member_is_replaced_under_a_health_policy_only() {
    for (policy, replaced) in [(json!(null), false), (json!({"Grace":"0s"}), true)] {
        let document = json!({"Allocation":{"Size":4},"Health":policy});
        let mut sim = Sim::new(config(1, &document), 1);
        sim.converge(60);
        let sick = some_member(&sim);
        sim.world.sick.insert(sick.clone());
        sim.run(Duration::from_secs(120));
        assert_eq!(!sim.world.instances.contains_key(&sick), replaced, "{policy}");
        assert_eq!(sim.world.instances.len(), 4);
    }
}

#[test]
fn when_most_are_unhealthy_none_is_replaced() {
    let document = json!({"Allocation":{"Size":4},"Health":{"Grace":"0s","MaxUnhealthy":"50%"}});
    let mut sim = Sim::new(config(1, &document), 1);
    sim.converge(60);
    for id in sim.world.instances.keys().take(3).cloned().collect::<Vec<_>>() {
        sim.world.sick.insert(id);
    }
    sim.run(Duration::from_secs(300));
    assert_eq!(sim.destroys.len(), 0);
    let blocked = sim.last_plan.blocked.join("\n");
    assert!(blocked.contains("Health.MaxUnhealthy"), "{blocked}");
}

#[test]
fn the_destroy_budget_holds_in_every_window() {
    let document = json!({"Allocation":{"Size":20},
        "Limits":{"DestroyBudget":{"Most":3,"Window":"1m"}}});
    let mut sim = Sim::new(config(1, &document), 1);
    sim.converge(60);
    let smaller = json!({"Allocation":{"Size":2},
        "Limits":{"DestroyBudget":{"Most":3,"Window":"1m"}}});
    sim.commit(config(1, &smaller));
    sim.converge(600);
    assert_eq!(sim.world.instances.len(), 2);
    let times: Vec<_> = sim.world.destroyed.iter().map(|(at, _, _)| *at).collect();
    for (n, at) in times.iter().enumerate() {
        let within =
            times[..=n].iter().filter(|t| at.since(**t) < Duration::from_millis(59_900)).count();
        assert!(within <= 3, "{within} within a minute");
    }
}

#[test]
fn destructions_that_are_refused_do_not_use_the_budget_up() {
    let sized = |size: u32| {
        let limits = json!({"DestroyBudget":{"Most":1,"Window":"1h"}});
        config(1, &json!({"Allocation":{"Size":size},"Limits":limits}))
    };
    let mut sim = Sim::new(sized(3), 1);
    sim.converge(60);
    sim.world.manners.destroys_fail = true;
    sim.commit(sized(0));
    sim.run(Duration::from_secs(600));
    assert!(sim.destroys.len() > 3, "{} attempts", sim.destroys.len());
    assert_eq!(sim.world.instances.len(), 3);
    sim.world.manners.destroys_fail = false;
    sim.run(Duration::from_secs(1_200));
    assert_eq!(sim.world.instances.len(), 2, "what does happen counts");
}

#[test]
fn a_share_of_a_budget_is_not_taken_of_the_new_size() {
    let limits = json!({"DestroyBudget":{"Most":"10%","Window":"1m"}});
    let sized = |size: u32| config(1, &json!({"Allocation":{"Size":size},"Limits":limits}));
    let mut sim = Sim::new(sized(20), 1);
    sim.converge(60);
    sim.commit(sized(0));
    sim.run(Duration::from_secs(30));
    assert_eq!(sim.world.instances.len(), 18);
    sim.converge(3_600);
    assert_eq!(sim.world.instances.len(), 0);
}

#[test]
fn a_destruction_that_a_crash_cut_off_is_not_gone_on_with_unasked() {
    let mut sim = converged(6);
    sim.commit(sized(1, 2));
    while sim.destroys.is_empty() {
        assert!(sim.step_before(sim.now + Duration::from_secs(1)));
    }
    // Recorded, and not one call made. Then the user thinks better of it.
    sim.crash_before_calls();
    sim.commit(sized(1, 6));
    sim.run(Duration::from_secs(300));
    assert_eq!((sim.world.instances.len(), sim.world.destroyed.len()), (6, 0));
}

#[test]
fn a_destruction_that_was_only_said_is_repeated() {
    let mut sim = converged(3);
    sim.commit(sized(1, 2));
    while sim.world.destroyed.is_empty() {
        assert!(sim.step_before(sim.now + Duration::from_secs(1)));
    }
    // The provider said yes, and the instance is there again.
    let id = sim.world.destroyed[0].1.clone();
    let undead = sim.adds(&[(tags::GROUP, "g"), (tags::CONFIG_HASH, sim.hash().as_str())]);
    sim.world.rename(&undead, &id);
    sim.run(Duration::from_secs(300));
    assert_eq!(sim.world.instances.len(), 2);
}

#[test]
fn a_group_is_dissolved_in_full() {
    let mut sim = converged(6);
    sim.state.dissolve();
    sim.run(Duration::from_secs(30));
    assert!(sim.state.is_dissolved());
    assert_eq!(sim.world.instances.len(), 0);
}
