//! The gate: 200 seeds of the simulated world, the same seed twice in two processes, and bugs that the
//! world must find.

use std::path::PathBuf;
use std::process::Command;

use sim::world::canary::Canary;
use sim::world::{Options, run};

/// Seeds in one test, so that tests run side by side.
const SHARE: u64 = 5;

/// Seconds of faults: what a busy machine does in a debug build. `cargo xtask soak` runs longer ones.
const SECONDS: u64 = 4;

/// Runs one share of the gate. A seed that fails is printed and saved; it becomes a test of its own.
fn share(number: u64) {
    let options = Options { seconds: SECONDS, ..Options::default() };
    let mut failed = Vec::new();
    for seed in number * SHARE + 1..=(number + 1) * SHARE {
        let outcome = run(seed, &options);
        if outcome.violations.is_empty() {
            continue;
        }
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("seed-{seed}"));
        outcome.save(&folder).expect("save what was seen");
        failed.push((seed, outcome.violations, folder));
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

macro_rules! gate {
    ($($name:ident $number:literal)*) => {
        $(#[test]
        fn $name() {
            share($number);
        })*
    };
}

gate! {
    seeds_1_to_5 0
    seeds_6_to_10 1
    seeds_11_to_15 2
    seeds_16_to_20 3
    seeds_21_to_25 4
    seeds_26_to_30 5
    seeds_31_to_35 6
    seeds_36_to_40 7
    seeds_41_to_45 8
    seeds_46_to_50 9
    seeds_51_to_55 10
    seeds_56_to_60 11
    seeds_61_to_65 12
    seeds_66_to_70 13
    seeds_71_to_75 14
    seeds_76_to_80 15
    seeds_81_to_85 16
    seeds_86_to_90 17
    seeds_91_to_95 18
    seeds_96_to_100 19
    seeds_101_to_105 20
    seeds_106_to_110 21
    seeds_111_to_115 22
    seeds_116_to_120 23
    seeds_121_to_125 24
    seeds_126_to_130 25
    seeds_131_to_135 26
    seeds_136_to_140 27
    seeds_141_to_145 28
    seeds_146_to_150 29
    seeds_151_to_155 30
    seeds_156_to_160 31
    seeds_161_to_165 32
    seeds_166_to_170 33
    seeds_171_to_175 34
    seeds_176_to_180 35
    seeds_181_to_185 36
    seeds_186_to_190 37
    seeds_191_to_195 38
    seeds_196_to_200 39
}

/// A leader that had restarted led on in its old term, although its tables were older than what it had
/// acknowledged: reads missed that, and members came to differ. With that restored, this seed fails.
#[test]
fn a_leader_that_restarts_shows_no_old_reads() {
    let outcome = run(8, &Options { seconds: SECONDS, ..Options::default() });
    assert_eq!(outcome.violations, []);
}

#[test]
fn a_seed_is_a_run() {
    let trace = || {
        let ran = Command::new(env!("CARGO_BIN_EXE_soak"))
            .args(["--trace", "--seeds", "3", "--from", "3", "--seconds", "4", "--threads", "1"])
            .args(["--save", env!("CARGO_TARGET_TMPDIR")])
            .output()
            .expect("run");
        let text = String::from_utf8(ran.stdout).expect("text");
        text.lines().take(3).map(str::to_owned).collect::<Vec<_>>()
    };
    let first = trace();
    assert_eq!(first.len(), 3);
    assert_eq!(first, trace());
}

/// The first of `most` seeds that finds the bug.
fn find(canary: Canary, from: u64, most: u64) {
    let options = Options { seconds: SECONDS, canary: Some(canary), ..Options::default() };
    let found = (from..from + most).find(|seed| !run(*seed, &options).violations.is_empty());
    assert!(found.is_some(), "{} was not found", canary.name());
}

#[test]
fn commands_that_are_sent_twice_are_found() {
    find(Canary::SentTwice, 1, 20);
}

#[test]
fn reads_that_ask_nobody_are_found() {
    find(Canary::StaleRead, 1, 20);
}

#[test]
fn a_command_left_out_is_found() {
    find(Canary::SkippedEntry, 1, 20);
}

#[test]
fn sessions_by_wall_clocks_are_found() {
    find(Canary::WallClockLease, 1, 20);
}
