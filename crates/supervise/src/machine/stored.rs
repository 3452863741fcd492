//! The machine as the worker keeps it for the one that follows. What can be found out from the rest is
//! left out; the worker puts a version before it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::hub::Hub;
use super::life::Life;
use super::{JobId, Machine};

/// What cannot be found out from the rest.
#[derive(Serialize, Deserialize)]
struct Stored<L, O, H> {
    lives: L,
    order: O,
    hub: H,
}

impl Serialize for Machine {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Stored { lives: &self.lives, order: &self.order, hub: &self.hub }.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Machine {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let stored: Stored<BTreeMap<JobId, Life>, Vec<JobId>, Hub> = Stored::deserialize(from)?;
        let Stored { lives, order, mut hub } = stored;
        for life in lives.values() {
            hub.deadlines.extend(life.deadlines.iter().map(|(cue, at)| (*at, life.id, *cue)));
        }
        let mut machine = Self { lives, order, hub, waiting: HashMap::new() };
        machine.index();
        Ok(machine)
    }
}
