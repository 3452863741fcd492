//! Randomness that reproduces: a tree of seeds, one branch a component.
//!
//! The generator is written out here instead of taken from a crate, because a recorded seed must mean the same run
//! after any update of dependencies.

/// One node of a tree of seeds. The root comes from the seed of the run; a branch depends on that seed and on the names
/// on the way to it, and on nothing else. So one more draw, or one more component, shifts no other component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeedTree(u64);

impl SeedTree {
    /// The root of the tree of a run.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The branch called `name`. Asking twice for the same name gives the same branch.
    #[must_use]
    pub fn branch(self, name: &str) -> Self {
        // FNV-1a of the name, then mixed with the parent, so that `a/bc` and `ab/c` differ.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(mix(mix(self.0.wrapping_add(GOLDEN)) ^ hash))
    }

    /// The branch of the member `index` of the group `name`: a node, a client, a seed of a series.
    #[must_use]
    pub fn member(self, name: &str, index: u64) -> Self {
        Self(mix(self.branch(name).0 ^ mix(index.wrapping_add(GOLDEN))))
    }

    /// A generator that starts at this node.
    pub fn random(self) -> Random {
        let mut seed = self.0;
        Random::from_words(std::array::from_fn(|_| {
            seed = seed.wrapping_add(GOLDEN);
            mix(seed)
        }))
    }
}

/// The odd number nearest to 2^64 divided by the golden ratio: the increment of SplitMix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A deterministic generator: xoshiro256++ (Blackman, Vigna 2019). Good for simulation, useless for secrets.
#[derive(Clone, Debug)]
pub struct Random([u64; 4]);

impl Random {
    fn from_words(words: [u64; 4]) -> Self {
        Self(words)
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.0;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.0 = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// A number in `0..bound`, evenly spread; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Multiply and shift (Lemire 2019) without rejection: the bias is under bound / 2^64.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..=high`; `low` when the range is empty.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// True in `percent` of 100 draws.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of the items, or none of an empty slice.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len() as u64) as usize)
    }

    /// Puts the items in a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_the_published_numbers() {
        let mut random = Random::from_words([1, 2, 3, 4]);
        let drawn: Vec<u64> = (0..6).map(|_| random.next_u64()).collect();
        let published = [
            41_943_041,
            58_720_359,
            3_588_806_011_781_223,
            3_591_011_842_654_386,
            9_228_616_714_210_784_205,
            9_973_669_472_204_895_162,
        ];
        assert_eq!(drawn, published);
    }

    #[test]
    fn branches_depend_on_their_path_only() {
        let root = SeedTree::new(7);
        let mut disk = root.branch("disk").random();
        disk.next_u64();
        assert_eq!(
            root.branch("net").random().next_u64(),
            SeedTree::new(7).branch("net").random().next_u64()
        );

        let paths = [
            root,
            root.branch("a").branch("bc"),
            root.branch("ab").branch("c"),
            root.branch("a"),
            root.member("a", 0),
            root.member("a", 1),
            root.member("b", 0),
            SeedTree::new(8).branch("a"),
        ];
        let first: std::collections::BTreeSet<u64> =
            paths.iter().map(|tree| tree.random().next_u64()).collect();
        assert_eq!(first.len(), paths.len());
    }

    #[test]
    fn a_recorded_seed_keeps_its_meaning() {
        let mut random = SeedTree::new(1).branch("net").member("node", 2).random();
        assert_eq!([random.next_u64(), random.next_u64()], STORED);
    }

    /// Recorded when the tree was made. A change here makes every seed that was ever written down meaningless.
    const STORED: [u64; 2] = [17_159_980_525_360_321_087, 8_368_179_195_749_393_535];

    #[test]
    fn draws_stay_in_their_range() {
        let mut random = SeedTree::new(3).random();
        assert_eq!((random.below(0), random.below(1), random.between(5, 5)), (0, 0, 5));
        assert_eq!(random.pick::<u8>(&[]), None);
        let mut seen = [0_u32; 4];
        for _ in 0..4_000 {
            let drawn = random.between(10, 13);
            assert!((10..=13).contains(&drawn));
            seen[(drawn - 10) as usize] += 1;
        }
        assert!(seen.iter().all(|count| (800..1_200).contains(count)), "{seen:?}");
        let mut items = [1, 2, 3, 4, 5, 6, 7, 8];
        random.shuffle(&mut items);
        assert_ne!(items, [1, 2, 3, 4, 5, 6, 7, 8]);
        items.sort_unstable();
        assert_eq!(items, [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
