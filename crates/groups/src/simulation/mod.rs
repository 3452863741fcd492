//! A world in virtual time around the pure parts: provider, lists, lies, crashes.
//!
//! Fault model. The provider may be slow, may answer late although it succeeded, may make an
//! instance and report failure, may make two at once, and may list the world as it was some time
//! ago. Lists may fail, be cut short, be empty, be an hour old, hold everything twice, or hold
//! foreign instances. The controller may crash between any two events; its intent log survives. Two
//! controllers at the same time are out of scope here: that is what fences are for.
//!
//! Every random run prints its seed on failure.

mod crashes;
mod driver;
mod fixpoint;
mod healing;
mod lies;
mod rollouts;
mod unmade;
mod world;

use serde_json::{Value, json};

use crate::config::GroupConfig;
use driver::Sim;
use proptest::prelude::ProptestConfig;
use regrow_codec::Any;
use regrow_ids::GroupId;
use regrow_plugin::spi::GroupSpec;

/// A group document with a version that changes the configuration hash.
fn config(version: u32, rest: &Value) -> GroupConfig {
    let mut document = json!({
        "Instance": {"Plugin": "world", "Properties": {"Version": version}},
        "Flavor": {"Plugin": "vanilla", "Properties": {}},
    });
    if let (Some(document), Some(rest)) = (document.as_object_mut(), rest.as_object()) {
        document.extend(rest.clone());
    }
    let spec = GroupSpec { id: GroupId::from("g"), properties: Any::from(document) };
    GroupConfig::parse(&spec).unwrap_or_else(|fault| panic!("{rest}: {fault}"))
}

fn sized(version: u32, size: u32) -> GroupConfig {
    config(version, &json!({"Allocation": {"Size": size}}))
}

/// A world with a group that has converged.
fn converged(size: u32) -> Sim {
    let mut sim = Sim::new(sized(1, size), 1);
    sim.converge(60);
    sim
}

/// So many random cases, times the factor in `REGROW_SOAK` for a longer run.
fn cases(count: u32) -> ProptestConfig {
    let factor = std::env::var("REGROW_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    ProptestConfig::with_cases(count * factor)
}
