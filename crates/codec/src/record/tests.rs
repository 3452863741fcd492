use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Record, RecordError, decode, encode, is_torn_tail};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Old {
    name: String,
}

impl Record for Old {
    const KIND: u16 = 900;
    const VERSION: u16 = 1;
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct New {
    names: Vec<String>,
}

impl Record for New {
    const KIND: u16 = 900;
    const VERSION: u16 = 2;

    fn migrate(_version: u16, payload: &[u8]) -> Result<Self, RecordError> {
        let old: Old =
            serde_json::from_slice(payload).map_err(|e| RecordError::Payload(e.to_string()))?;
        Ok(Self { names: vec![old.name] })
    }
}

fn sample() -> Vec<u8> {
    encode(&Old { name: "web".into() }).unwrap()
}

#[test]
fn the_layout_is_fixed() {
    let hex: String = sample().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, "72677731840301000e00000032b5a36c7b226e616d65223a22776562227d");
}

#[test]
fn old_versions_are_migrated_and_newer_ones_refused() {
    let (new, _) = decode::<New>(&sample()).unwrap();
    assert_eq!(new.names, ["web"]);
    let newer = encode(&New { names: vec![] }).unwrap();
    assert_eq!(decode::<Old>(&newer), Err(RecordError::Version { found: 2, supported: 1 }));
}

#[test]
fn every_cut_is_torn_and_every_flipped_bit_is_noticed() {
    let whole = sample();
    for cut in 0..whole.len() {
        assert!(matches!(decode::<Old>(&whole[..cut]), Err(RecordError::Torn { .. })), "cut {cut}");
    }
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(decode::<Old>(&bytes).is_err(), "bit {bit}");
    }
}

#[test]
fn only_a_write_that_never_ended_is_a_torn_tail() {
    let whole = sample();
    for cut in 0..whole.len() {
        assert!(is_torn_tail(&whole[..cut]), "cut {cut}");
        let mut page = whole[..cut].to_vec();
        page.resize(4_096, 0);
        assert!(is_torn_tail(&page), "zeros from {cut}");
    }
    for records in 1..3 {
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.repeat(records);
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_torn_tail(&bytes), "{records} records, bit {bit}");
        }
    }
}

proptest! {
    #[test]
    fn written_records_read_back(name in ".*", tail in proptest::collection::vec(any::<u8>(), 0..20)) {
        let mut bytes = encode(&Old { name: name.clone() }).unwrap();
        let length = bytes.len();
        bytes.extend(tail);
        prop_assert_eq!(decode::<Old>(&bytes).unwrap(), (Old { name }, length));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = decode::<Old>(&bytes);
        let _ = is_torn_tail(&bytes);
    }
}
