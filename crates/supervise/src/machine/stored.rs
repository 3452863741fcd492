//! The machine as bytes, for the worker that follows. Both are the same program, forked by the same
//! init, and the bytes live in its memory only; the version guards against everything else.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::hub::Hub;
use super::life::Life;
use super::{JobId, Machine};

/// Version of the form; any other is refused.
const VERSION: u8 = 1;

/// Why bytes are no machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read the kept state of all jobs: {0}")]
pub struct StoredError(#[from] regrow_codec::versioned::VersionedError);

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

impl Machine {
    /// The machine as bytes: one byte of version, then all of it.
    ///
    /// # Errors
    /// There is no such form: a fault of this program.
    pub fn encode(&self) -> Result<Vec<u8>, StoredError> {
        Ok(regrow_codec::versioned::encode(VERSION, self)?)
    }

    /// The machine in some bytes.
    ///
    /// # Errors
    /// Another version wrote them, or they are none of its.
    pub fn decode(bytes: &[u8]) -> Result<Self, StoredError> {
        Ok(regrow_codec::versioned::decode(VERSION, bytes)?)
    }
}
