//! Records and JSON.

use std::collections::BTreeMap;

use regrow_codec::decode::{DecodeError, from_slice, from_slice_strict, from_value_strict};
use regrow_codec::record::{self, Record, RecordError};
use regrow_codec::{Any, gojson};
use regrow_ids::GoDuration;
use serde::{Deserialize, Serialize};

use crate::scratch::{choice, must};

/// A record as it would stand on disk: right in all but its payload.
pub(super) fn sealed(kind: u16, version: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut bytes = b"rgw1".to_vec();
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes), payload);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sample {
    text: String,
    number: i64,
    any: Any,
}

impl Record for Sample {
    const KIND: u16 = 0xf022;
    const VERSION: u16 = 2;
}

/// A record reads back; what is cut off anywhere is torn; nobody cuts off a whole record.
pub fn records(data: &[u8]) {
    let (how, rest) = choice(data, 2);
    let (bytes, whole);
    if how == 0 {
        bytes = rest.to_vec();
        whole = false;
    } else {
        let (version, payload) = choice(rest, 4);
        bytes = sealed(Sample::KIND, version.into(), payload);
        whole = true;
    }
    match record::decode::<Sample>(&bytes) {
        Ok((value, length)) => {
            assert!(length <= bytes.len());
            reads_back(&value);
        }
        Err(RecordError::Torn { have, need }) => {
            assert!(!whole && have == bytes.len() && need > have, "{have} of {need}");
        }
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
    let torn = record::is_torn_tail(&bytes);
    assert!(!(whole && torn), "a whole record is cut off");
    let mut followed = bytes;
    followed.extend(sealed(1, 1, b"{}"));
    assert!(!record::is_torn_tail(&followed), "a later record is cut off");
}

fn reads_back(value: &Sample) {
    let encoded = must(record::encode(value), "encode what was decoded");
    let (again, length) = must(record::decode::<Sample>(&encoded), "decode what was encoded");
    assert_eq!((&again, length), (value, encoded.len()));
    for cut in 0..encoded.len() {
        let part = &encoded[..cut];
        let fault = record::decode::<Sample>(part);
        assert!(matches!(fault, Err(RecordError::Torn { .. })), "cut at {cut}: {fault:?}");
        // Quadratic: a cut of a long record is as good as another.
        if cut < 64 || cut + 8 > encoded.len() {
            assert!(record::is_torn_tail(part), "cut at {cut}");
        }
    }
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Wide {
    text: String,
    number: u32,
    share: f64,
    yes: bool,
    list: Vec<Wide>,
    map: BTreeMap<String, i8>,
    duration: GoDuration,
    maybe: Option<Box<Wide>>,
    #[serde(rename = "ID")]
    id: char,
    any: Any,
}

/// Strict is lenient without unknown fields; faults have a place; Go's print is a fixed point.
pub fn json(data: &[u8]) {
    let lenient = from_slice::<Wide>(data);
    let strict = from_slice_strict::<Wide>(data);
    match (&lenient, &strict) {
        (Ok(lenient), Ok(strict)) => assert_eq!(lenient, strict),
        (Ok(_), Err(unknown)) => assert!(unknown.reason.starts_with("unknown field")),
        (Err(fault), Err(same)) => assert_eq!(fault, same),
        (Err(fault), Ok(_)) => panic!("only strict reading works: {fault}"),
    }
    if let Err(fault) = &strict {
        has_a_place(fault);
    }
    let Ok(any) = Any::from_text(String::from_utf8_lossy(data)) else { return };
    let printed = any.canonical();
    assert_eq!(must(Any::from_text(printed.as_str()), &printed).canonical(), printed);
    let tree = any.to_value();
    let _ = from_value_strict::<Wide>(&tree);
    let compact = gojson::compact(&tree);
    let again: serde_json::Value = must(serde_json::from_str(&compact), &compact);
    assert_eq!(gojson::compact(&again), compact);
}

/// A fault in a text names the line and the column, or the field.
pub(super) fn has_a_place(fault: &DecodeError) {
    assert!(!fault.reason.is_empty());
    assert!(fault.position.is_some() || !fault.pointer.is_empty(), "no place: {fault}");
    assert!(fault.position.is_none_or(|(line, _)| line > 0), "{fault}");
}
