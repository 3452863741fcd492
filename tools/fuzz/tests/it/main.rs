//! The stored samples, and what small changes make of them, through every target (P1).
#![expect(clippy::expect_used, reason = "a test that lacks its samples has to stop")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fuzz::mutate::{Random, mutated};
use fuzz::{TARGETS, Target};

/// Names the seed of a run that is to be repeated.
const SEED_VARIABLE: &str = "REGROW_SEED";
/// Seed of an ordinary run: a gate must not be red today and green tomorrow.
const SEED: u64 = 20_240;
/// Far above what one input takes on a busy machine.
const HANG: Duration = Duration::from_secs(30);
/// Crates that read nothing that others wrote.
const READ_NOTHING: [&str; 1] = ["base2histogram"];
/// All samples together, in bytes.
const MAX_CORPUS_BYTES: usize = 200_000;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The samples of a target, in the order of their names.
fn samples(target: &Target) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(corpus().join(target.name)).into_iter().flatten();
    let mut samples: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("list the corpus").path();
            (path.display().to_string(), std::fs::read(&path).expect("read a sample"))
        })
        .collect();
    samples.sort();
    samples
}

fn run(target: &Target, what: &str, input: &[u8]) {
    let start = Instant::now();
    let caught = std::panic::catch_unwind(|| (target.run)(input));
    let took = start.elapsed();
    if caught.is_err() || took > HANG {
        panic!(
            "{} found something in {took:?}, input {what}:\n{}",
            target.name,
            input.escape_ascii()
        );
    }
}

fn replay(name: &str) {
    let target = fuzz::find(name).expect("a target");
    fuzz::memory::bound();
    let samples = samples(target);
    assert!(!samples.is_empty(), "no sample of {name}; put one into tools/fuzz/corpus/{name}");
    for (path, bytes) in &samples {
        run(target, path, bytes);
    }
    run(target, "nothing", b"");
    let seed = std::env::var(SEED_VARIABLE).ok();
    let seed = seed.map_or(SEED, |seed| seed.parse().expect("REGROW_SEED is a number"));
    println!("{SEED_VARIABLE}={seed}");
    let bytes: Vec<_> = samples.into_iter().map(|(_, bytes)| bytes).collect();
    let mut random = Random::new(seed);
    for nth in 0..target.mutations {
        let input = mutated(&bytes, &mut random);
        run(target, &format!("number {nth} of seed {seed}"), &input);
    }
}

macro_rules! tests {
    ($($module:ident::$name:ident, $mutations:literal, $about:literal;)*) => {
        mod replays {
            $(#[test]
            fn $name() {
                super::replay(stringify!($name));
            })*
        }
    };
}
fuzz::for_all_targets!(tests);

#[test]
fn every_corpus_belongs_to_a_target_and_all_are_small() {
    let mut bytes = 0;
    for entry in std::fs::read_dir(corpus()).expect("list the corpora") {
        let name = entry.expect("list the corpora").file_name();
        let target = fuzz::find(&name.to_string_lossy());
        let target = target.unwrap_or_else(|| panic!("no target for the corpus {name:?}"));
        bytes += samples(target).iter().map(|(_, sample)| sample.len()).sum::<usize>();
    }
    assert!(bytes <= MAX_CORPUS_BYTES, "{bytes} bytes of samples, at most {MAX_CORPUS_BYTES}");
}

#[test]
fn the_same_seed_makes_the_same_inputs() {
    let samples = [b"abc".to_vec(), b"{\"a\": 1}".to_vec()];
    let draw = |seed| {
        let mut random = Random::new(seed);
        (0..200).map(|_| mutated(&samples, &mut random)).collect::<Vec<_>>()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    let different: BTreeSet<_> = draw(1).into_iter().collect();
    assert!(different.len() > 100, "{} different ones", different.len());
}

#[test]
fn names_are_found_and_unique() {
    for target in TARGETS {
        assert_eq!(fuzz::find(target.name).map(|found| found.about), Some(target.about));
    }
    assert!(fuzz::find("nothing").is_none());
}

/// The rows of the table in the header of the library: paths and targets.
fn rows() -> impl Iterator<Item = (Vec<&'static str>, Vec<&'static str>)> {
    let header = include_str!("../../src/lib.rs").lines().filter_map(|line| {
        let row = line.strip_prefix("//! | `")?.strip_suffix('|')?;
        row.split_once('|')
    });
    let names = |cell: &'static str| cell.split(['`', ',', ' ']).filter(|name| !name.is_empty());
    header.map(move |(paths, targets)| {
        let none = targets.trim_start().starts_with('–');
        (names(paths).collect(), names(targets).filter(|_| !none).collect())
    })
}

#[test]
fn the_table_of_decoders_is_true() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates");
    let (mut listed, mut covered) = (BTreeSet::new(), BTreeSet::new());
    for (paths, targets) in rows() {
        for path in paths {
            assert!(crates.join(path).exists(), "the table names {path}, which is not there");
            listed.insert(path.split('/').next().unwrap_or_default());
        }
        for name in targets {
            let target = fuzz::find(name).unwrap_or_else(|| panic!("no target {name}"));
            assert!(!samples(target).is_empty(), "no sample of {name}");
            covered.insert(name);
        }
    }
    for target in TARGETS {
        assert!(covered.contains(target.name), "{} is not in the table", target.name);
    }
    for entry in std::fs::read_dir(&crates).expect("list the crates") {
        let name = entry.expect("list the crates").file_name();
        let name = name.to_string_lossy();
        let reads_nothing = READ_NOTHING.contains(&name.as_ref());
        assert!(reads_nothing || listed.contains(name.as_ref()), "no row for the crate {name}");
    }
}

#[test]
fn a_length_of_4_gib_is_not_believed() {
    fuzz::memory::bound();
    assert!(Vec::<u8>::new().try_reserve_exact(64 << 20).is_ok());
    assert!(Vec::<u8>::new().try_reserve_exact(4 << 30).is_err());
}
