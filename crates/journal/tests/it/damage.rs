//! Damage (C6): every change of a byte that holds acknowledged data, or could, is noticed; the
//! journal is refused and left as it is.

use std::collections::BTreeMap;

use regrow_journal::disk::memory::MemoryDisk;
use regrow_journal::disk::{Disk, SECTOR};
use regrow_journal::{JournalError, OpenError, Options};

use crate::model::{Model, observe, script};
use crate::power::small;
use crate::support::{append, entries, id, open};

/// A journal of several segments, what it holds, and its files before each step.
struct World {
    disk: MemoryDisk,
    model: Model,
    past: Vec<Files>,
}

type Files = BTreeMap<String, Vec<u8>>;

fn files(disk: &MemoryDisk) -> Files {
    let mut files = Files::new();
    for name in disk.list().expect("names") {
        disk.edit(&name, |bytes| {
            files.insert(name.clone(), bytes.clone());
        });
    }
    files
}

fn world() -> World {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk, small()).expect("a new journal");
    let (mut model, mut past) = (Model::default(), Vec::new());
    for step in script() {
        past.push(files(&disk));
        model.step(&journal, step).wait().expect("durable");
    }
    drop(journal);
    World { disk, model, past }
}

/// What becomes of a damaged journal.
enum Verdict {
    Noticed,
    Harmless,
}

impl World {
    /// Damages a copy. Panics when acknowledged data changed and nobody noticed.
    fn inject(&self, what: &str, damage: impl FnOnce(&MemoryDisk)) -> Verdict {
        let disk = self.disk.copy();
        damage(&disk);
        match open(&disk, small()) {
            Err(OpenError::Damaged(_)) => Verdict::Noticed,
            Err(other) => panic!("{what}: {other}"),
            Ok((journal, _)) => {
                let found = observe(&journal).expect("readable");
                assert!(found.same(&self.model), "{what}: not noticed");
                Verdict::Harmless
            }
        }
    }
}

/// A cheap sequence of numbers that look like chance.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

fn flip(disk: &MemoryDisk, name: &str, at: usize, bit: usize) {
    disk.edit(name, |bytes| bytes[at] ^= 1 << bit);
}

fn write(disk: &MemoryDisk, name: &str, sector: usize, content: &[u8]) {
    disk.edit(name, |bytes| {
        let at = sector * SECTOR;
        bytes[at..at + content.len()].copy_from_slice(content);
    });
}

/// Injects `scale` faults for each sector, of each kind; returns how many there were and how many
/// were noticed.
fn campaign(scale: usize) -> (usize, usize) {
    let world = world();
    let now = files(&world.disk);
    let names: Vec<&String> = now.keys().collect();
    assert!(names.len() >= 4, "{names:?}");
    let mut chance = Chance(42);
    let (mut injected, mut noticed) = (0, 0);
    let mut count = |verdict, must: bool, what: &str| {
        injected += 1;
        match verdict {
            Verdict::Noticed => noticed += 1,
            Verdict::Harmless => assert!(!must, "{what}: not noticed"),
        }
    };
    for (name, content) in &now {
        let sectors = content.len() / SECTOR;
        for sector in 0..sectors {
            for _ in 0..scale {
                let (at, bit) = (sector * SECTOR + chance.below(SECTOR), chance.below(8));
                let what = format!("bit {bit} of byte {at} of {name} flipped");
                let must = name.starts_with("segment");
                count(world.inject(&what, |disk| flip(disk, name, at, bit)), must, &what);

                let what = format!("sector {sector} of {name} zeroed");
                let verdict = world.inject(&what, |disk| write(disk, name, sector, &[0; SECTOR]));
                count(verdict, name.starts_with("segment") && sector >= 8, &what);

                let (other, to) = (names[chance.below(names.len())], chance.below(sectors));
                let what = format!("sector {sector} of {name} swapped with {to} of {other}");
                let here = &content[sector * SECTOR..][..SECTOR];
                let there = &now[other][to * SECTOR..][..SECTOR];
                if here != there {
                    let verdict = world.inject(&what, |disk| {
                        write(disk, name, sector, there);
                        write(disk, other, to, here);
                    });
                    count(verdict, name.starts_with("segment") && sector >= 8, &what);
                }
            }
            if name.starts_with("segment") {
                let what = format!("{name} cut at sector {sector}");
                let verdict = world
                    .inject(&what, |disk| disk.edit(name, |all| all.truncate(sector * SECTOR)));
                count(verdict, true, &what);
            }
        }
    }
    misdirect(&world, &now, scale, &mut chance, &mut count);
    (injected, noticed)
}

/// Writes that went to another place: the right place has what it had before.
fn misdirect(
    world: &World,
    now: &Files,
    scale: usize,
    chance: &mut Chance,
    count: &mut impl FnMut(Verdict, bool, &str),
) {
    let names: Vec<&String> = now.keys().collect();
    let past = &world.past;
    let steps = past.iter().zip(past.iter().skip(1).chain([now]));
    for (step, (before, after)) in steps.enumerate() {
        for (name, content) in after {
            let (Some(old), Some(end)) = (before.get(name), now.get(name)) else { continue };
            let changed: Vec<usize> = (8..content.len() / SECTOR)
                .filter(|sector| {
                    old[sector * SECTOR..][..SECTOR] != content[sector * SECTOR..][..SECTOR]
                })
                .collect();
            let (Some(first), Some(last)) = (changed.first(), changed.last()) else { continue };
            let (from, behind) = (first * SECTOR, (last + 1) * SECTOR);
            if end[from..behind] != content[from..behind] {
                continue;
            }
            // The very last write, lost without a trace, cannot be told from one that never was.
            if step + 1 < past.len() {
                let what = format!("write of {first} of {name} lost");
                let verdict =
                    world.inject(&what, |disk| write(disk, name, *first, &old[from..behind]));
                count(verdict, true, &what);
            }
            for _ in 0..scale * 8 {
                let to_name = names[chance.below(names.len())];
                let blocks = (now[to_name].len() - (behind - from)) / SECTOR / 8;
                let to = chance.below(blocks + 1) * 8;
                if (to_name, to * SECTOR) == (name, from) {
                    continue;
                }
                let what = format!("write of {first} of {name} went to {to} of {to_name}");
                let verdict = world.inject(&what, |disk| {
                    write(disk, name, *first, &old[from..behind]);
                    write(disk, to_name, to, &content[from..behind]);
                });
                count(verdict, to >= 8, &what);
            }
        }
    }
}

/// `REGROW_SOAK=N` makes N times as many; 5 gives more than 8,000 injections.
#[test]
fn damage_anywhere_is_noticed() {
    let scale = std::env::var("REGROW_SOAK").ok().and_then(|scale| scale.parse().ok());
    let (injected, noticed) = campaign(scale.unwrap_or(1));
    println!("{injected} injections, {noticed} noticed, 0 undetected changes");
    assert!(injected > 1500 && noticed * 10 > injected * 9, "{noticed} of {injected}");
}

#[test]
fn a_refused_journal_is_left_as_it_is() {
    let world = world();
    let name = "segment-0000000002";
    let names = files(&world.disk);
    let name = names.keys().find(|other| other.as_str() >= name).expect("a segment");
    flip(&world.disk, name, 9 * SECTOR + 100, 3);
    let before = files(&world.disk);
    let error = open(&world.disk, small()).expect_err("damaged");
    let OpenError::Damaged(damage) = &error else { panic!("{error}") };
    assert_eq!(damage.offset, 9 * SECTOR as u64);
    assert!(error.to_string().contains("is damaged at byte 4608"), "{error}");
    assert!(error.to_string().contains("begin with a copy or with an empty folder"), "{error}");
    assert!(files(&world.disk) == before, "a refused journal was changed");
}

#[test]
fn a_segment_that_is_gone_is_noticed() {
    let world = world();
    let names = files(&world.disk);
    for name in names.keys().filter(|name| name.starts_with("segment")) {
        let disk = world.disk.copy();
        disk.remove(name).expect("a file");
        // The spare holds nothing yet.
        let spare = names.keys().rfind(|name| name.starts_with("segment")) == Some(name);
        assert_eq!(open(&disk, small()).is_err(), !spare, "{name}");
    }
}

#[test]
fn damage_is_noticed_by_readers() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(&disk, Options { cache_bytes: 0, ..small() }).expect("a new journal");
    let stream = journal.stream(id(0));
    append(&stream, &[(0, &[1; 3000])]).wait().expect("durable");
    append(&stream, &[(1, &[2; 3000])]).wait().expect("durable");
    assert_eq!(entries(&stream).expect("readable").len(), 2);
    flip(&disk, "segment-0000000001", 18 * SECTOR, 0);
    assert_eq!(stream.read(0..1, 1).expect("the whole one").len(), 1);
    let error = stream.read(1..2, 1).expect_err("damaged");
    let JournalError::Damaged(damage) = error else { panic!("{error}") };
    assert_eq!((damage.stream, damage.index), (Some(id(0)), Some(1)));
}
