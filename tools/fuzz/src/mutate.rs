//! Small changes of samples, from a seed: what a test can try without an engine.

/// Pieces that mean something to one decoder or another.
const PIECES: &[&[u8]] = &[
    b"\"",
    b"\\u0000",
    b"\xff",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"null",
    b"-1",
    b"0",
    b"1e999",
    b"18446744073709551616",
    b"9223372036854775807",
    b"0.1",
    b"{{",
    b"}}",
    b"|",
    b"\n",
    b"\r\n",
    b"\0",
    b"\xc3\xa9",
    b"\xe2\x80\xa8",
    b"- ",
    b"&a ",
    b"*a",
    b"!!",
    b"<<:",
    b"%",
    b"/",
    b"..",
    b"://",
    b"~",
    b"'",
    b"''",
    b"ns",
    b"\xc2\xb5s",
    b"rgw1",
    b"$",
    b"(",
    b")",
];

/// Longest input, in bytes.
const MAX_BYTES: usize = 4096;

/// A stream of random numbers (SplitMix64): the same for the same seed.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Starts at a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 when that is 0.
    fn below(&mut self, end: usize) -> usize {
        // Lossless: the rest is smaller than a usize.
        (self.next() % (end.max(1) as u64)) as usize
    }

    fn pick<'a>(&mut self, items: &'a [Vec<u8>]) -> &'a [u8] {
        items.get(self.below(items.len())).map_or(&[], Vec::as_slice)
    }
}

/// One of the samples with one to four changes.
pub fn mutated(samples: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = random.pick(samples).to_vec();
    for _ in 0..=random.below(4) {
        change(&mut bytes, samples, random);
    }
    bytes.truncate(MAX_BYTES);
    bytes
}

fn change(bytes: &mut Vec<u8>, samples: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let end = at + random.below((bytes.len() - at).min(32) + 1);
    match random.below(7) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.next().to_le_bytes()[0];
            }
        }
        2 => drop(bytes.drain(at..end)),
        3 => {
            let again = bytes[at..end].repeat(1 + random.below(8));
            bytes.splice(at..at, again);
        }
        4 => {
            let piece = PIECES.get(random.below(PIECES.len())).copied().unwrap_or_default();
            bytes.splice(at..end, piece.iter().copied());
        }
        5 => bytes.truncate(at),
        _ => {
            let other = random.pick(samples);
            let from = random.below(other.len() + 1);
            bytes.splice(at.., other[from..].iter().copied());
        }
    }
}
