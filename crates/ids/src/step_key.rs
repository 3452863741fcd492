use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Generation, GroupId};

/// Idempotency key of one outside effect, stamped on the resource that the effect makes.
///
/// Two attempts with the same key are one effect: whoever finds a resource that carries the key
/// knows that the effect happened. The text is 32 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepKey(String);

/// What a [`StepKey`] is made from. The same parts always yield the same key.
#[derive(Clone, Debug)]
pub struct StepKeyParts<'a> {
    /// The group that the effect is for.
    pub group: &'a GroupId,
    /// Slot within the group: a logical id, or the sequence number of a member without one.
    pub slot: &'a str,
    /// Generation of the spec under which the effect was planned.
    pub generation: Generation,
    /// Distinguishes a deliberate new effect for the same slot from a retry of an old one.
    pub attempt: u64,
    /// Distinguishes controllers that know nothing of each other's counters (a random number
    /// drawn once when the intent log is made).
    pub lineage: u64,
}

impl StepKey {
    /// Derives the key from its parts with two rounds of FNV-1a over the length-prefixed fields
    /// (public domain, Fowler–Noll–Vo). It need not resist an adversary: who can forge tags on
    /// instances owns them already.
    pub fn derive(parts: &StepKeyParts<'_>) -> Self {
        let high = fnv1a(0xcbf2_9ce4_8422_2325, parts);
        let low = fnv1a(high.rotate_left(29) ^ 0x9e37_79b9_7f4a_7c15, parts);
        Self(format!("{high:016x}{low:016x}"))
    }

    /// Takes a key as found on a resource.
    pub fn from_tag(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn fnv1a(seed: u64, parts: &StepKeyParts<'_>) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut hash = seed;
    let mut field = |bytes: &[u8]| {
        for byte in (bytes.len() as u64).to_le_bytes().iter().chain(bytes) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    };
    field(parts.group.as_str().as_bytes());
    field(parts.slot.as_bytes());
    field(&parts.generation.get().to_le_bytes());
    field(&parts.attempt.to_le_bytes());
    field(&parts.lineage.to_le_bytes());
    hash
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{StepKey, StepKeyParts};
    use crate::{Generation, GroupId};

    fn key(group: &str, slot: &str, generation: u64, attempt: u64) -> StepKey {
        StepKey::derive(&StepKeyParts {
            group: &GroupId::from(group),
            slot,
            generation: Generation::new(generation),
            attempt,
            lineage: 7,
        })
    }

    #[test]
    fn same_parts_same_key_and_any_difference_shows() {
        assert_eq!(key("g", "s", 1, 1), key("g", "s", 1, 1));
        let mut seen = BTreeSet::new();
        for group in ["g", "gs", ""] {
            for slot in ["s", "", "ss"] {
                for generation in 0..10 {
                    for attempt in 0..100 {
                        assert!(seen.insert(key(group, slot, generation, attempt)));
                    }
                }
            }
        }
        assert_eq!(seen.first().map(|k| k.as_str().len()), Some(32));
    }

    #[test]
    fn the_derivation_is_part_of_the_stored_format() {
        assert_eq!(key("workers", "3", 2, 1).as_str(), "a014f74abbc6a8910332eccc1e5f3e00");
    }
}
