//! Stored samples of what the machine reads and writes: a change of these bytes is a change of the
//! format, and needs a new version.

use std::fmt::Write as _;

use regrow_consensus::tables::Flush;
use regrow_consensus::{At, Edit as _, Machine as _, Span, Tables, Time, View as _};
use regrow_coord::{Bounds, KeyMachine};

/// Commands and what they are answered, in order, as they were written by version 1.
const SAMPLES: &[(&str, &str)] = &[
    // Grant(5,000 ms)
    ("01 01 88 27", "01 01 01 05 00"),
    // Transact: absent "a", then put "a" = "1" under lease 1
    ("01 00 01 00 01 61 00 01 00 01 61 01 31 01 01 00 00", "01 00 01 01 00"),
    // Transact: modified "a" at 1, then read "a" and put "b" = ""; else read "a"
    (
        "01 00 01 03 01 61 01 01 01 61 01 00 01 62 00 00 01 01 61 00",
        "01 00 01 02 01 01 01 61 01 31 01 01 01 01",
    ),
    // Transact: value of "b" is "x", lease of "b" is none, created "b" at 2, present "b"
    ("01 00 04 04 01 62 01 78 05 01 62 00 02 01 62 02 01 01 62 00 00 00 00", "01 00 00 02 00"),
    // KeepAlive(1)
    ("01 02 01", "01 01 01 05 00"),
    // KeepAlive(2), which is not there
    ("01 02 02", "01 03 02"),
    // Expire
    ("01 04", "01 02"),
    // Transact: delete "b", delete all that begins with "c"
    ("01 00 00 00 02 01 01 62 02 01 63 00 00", "01 00 01 03 00"),
];

/// The tables after the samples, as version 1 keeps them.
const TABLES: &[(&str, &str)] = &[
    ("61 0000000000000001 61", ""),
    ("6b 61", "01 01 31 01 01 01 01"),
    ("6c 0000000000000001", "01 88 27 98 27"),
    ("6e", "0000000000000001"),
    ("72", "0000000000000003"),
    ("74 0000000000001398 0000000000000001", ""),
];

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
    let byte = |pair: &[char]| {
        let text: String = pair.iter().collect();
        u8::from_str_radix(&text, 16).expect("hex")
    };
    digits.chunks(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").expect("text");
    }
    text
}

fn apply(
    machine: &KeyMachine,
    tables: &Tables,
    at: u64,
    command: &[u8],
) -> Result<Vec<u8>, String> {
    let at = At { index: at, time: Time::from_millis(at * 4) };
    let written = tables.write(Flush::Later, |batch| {
        batch.at(at.index);
        machine.apply(at, command, batch)
    });
    written.map(|(reply, _)| reply).map_err(|error| error.to_string())
}

#[test]
fn stored_samples_are_read_and_written_the_same() {
    let machine = KeyMachine::new(Bounds::default());
    let tables = Tables::memory().expect("tables");
    for (number, (command, reply)) in SAMPLES.iter().map(|(a, b)| (bytes(a), bytes(b))).enumerate()
    {
        let found = apply(&machine, &tables, number as u64, &command).expect("applied");
        assert_eq!(hex(&found), hex(&reply), "sample {number}");
    }
    let kept = tables.view().expect("view").list(&Span::all(), usize::MAX).expect("list");
    let kept: Vec<_> = kept.iter().map(|(key, value)| (hex(key), hex(value))).collect();
    let expected: Vec<_> =
        TABLES.iter().map(|(key, value)| (hex(&bytes(key)), hex(&bytes(value)))).collect();
    assert_eq!(kept, expected);
}

#[test]
fn what_is_no_command_changes_nothing_and_a_newer_one_stops_the_replica() {
    let machine = KeyMachine::new(Bounds::default());
    let tables = Tables::memory().expect("tables");
    // Nothing; no such command; cut short; a key that is none; a key written twice.
    let twice = "01 00 00 00 02 01 01 62 01 01 62 00 00";
    for bad in ["", "01 99", "01 00", "01 00 01 00 02 2f 61 00 00 00 00", twice] {
        let reply = apply(&machine, &tables, 1, &bytes(bad)).expect("refused");
        assert_eq!(reply.get(..2), Some(&[1, 4][..]), "{bad}: {}", hex(&reply));
    }
    assert!(tables.view().expect("view").first(&Span::all()).expect("first").is_none());
    let newer = apply(&machine, &tables, 2, &bytes("02 00")).expect_err("stops");
    assert!(newer.contains("it has version 2"), "{newer}");
}

#[test]
fn a_lease_is_never_numbered_twice() {
    let machine = KeyMachine::new(Bounds::default());
    let tables = Tables::memory().expect("tables");
    let last = u64::MAX.to_be_bytes();
    tables.write(Flush::Later, |batch| batch.put(b"n", &last)).expect("written");
    let error = apply(&machine, &tables, 1, &bytes(SAMPLES[0].0)).expect_err("no number is left");
    assert!(error.contains("it has reached its end"), "{error}");
    assert_eq!(tables.view().expect("view").get(b"n").expect("read").as_deref(), Some(&last[..]));
}
