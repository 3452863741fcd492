//! Calls that are granted and never made. What an earlier call under the same key may have come to is
//! not forgotten with them.

use std::time::Duration;

use super::driver::{Sim, Unmade};
use super::sized;
use super::world::Manners;

/// The provider makes the member, reports failure, and does not list it for a minute.
fn hidden() -> Manners {
    let lag = Duration::from_secs(60);
    Manners { fails_after_making: true, lag, ..Manners::default() }
}

#[test]
fn a_repetition_that_is_not_made_keeps_the_key_of_the_call_before() {
    for unmade in [Unmade::Dropped, Unmade::Unreachable] {
        for times in 1..4 {
            let mut sim = Sim::with(sized(1, 1), 7, hidden());
            sim.unmade.push_back(None);
            sim.unmade.extend(std::iter::repeat_n(Some(unmade), times));
            sim.converge(900);
            sim.run(Duration::from_secs(300));
            assert_eq!(sim.world.made, 1, "{unmade:?}, {times} times");
            assert!(sim.unmade.is_empty(), "{unmade:?}: the call was repeated");
            assert_eq!(sim.log.open("g"), [], "{unmade:?}: every intent is closed in the end");
        }
    }
}

#[test]
fn a_first_call_that_is_not_made_leaves_nothing_behind() {
    for unmade in [Unmade::Dropped, Unmade::Unreachable] {
        let mut sim = Sim::new(sized(1, 1), 7);
        sim.unmade.push_back(Some(unmade));
        sim.converge(60);
        sim.run(Duration::from_secs(60));
        assert_eq!((sim.world.made, sim.log.open("g").len()), (1, 0), "{unmade:?}");
    }
}
