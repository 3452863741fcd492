use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::{from_slice, from_slice_strict};
use crate::Any;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Inner {
    count: u32,
    name: String,
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Outer {
    properties: Any,
    logical_id: Option<String>,
    items: Vec<Inner>,
    on: bool,
    inner: Inner,
}

fn read(json: &str) -> Outer {
    from_slice(json.as_bytes()).unwrap_or_else(|fault| panic!("{json}: {fault}"))
}

#[test]
fn field_names_match_without_regard_to_case_at_every_depth() {
    let outer = read(r#"{"PROPERTIES":{"a": 1},"logicalid":"x","items":[{"COUNT":3}],"oN":true}"#);
    assert_eq!(outer.properties.as_text(), r#"{"a": 1}"#);
    assert_eq!(outer.logical_id.as_deref(), Some("x"));
    assert_eq!(outer.items[0].count, 3);
    assert!(outer.on);
}

#[test]
fn an_exact_name_is_not_disturbed_by_map_keys_that_look_alike() {
    let outer = read(r#"{"Inner":{"Tags":{"Name":"a","name":"b"}}}"#);
    assert_eq!(outer.inner.tags.len(), 2);
}

#[test]
fn null_is_the_zero_value_of_every_type() {
    let outer = read(
        r#"{"Properties":null,"LogicalID":null,"Items":[{"Count":null,"Name":null,"Tags":null}],
            "On":null,"Inner":null}"#,
    );
    assert_eq!(outer.items, vec![Inner::default()]);
    assert!(outer.properties.is_null());
    assert_eq!(read("null"), Outer::default());
    assert_eq!(read(r#"{"Items":null}"#).items, vec![]);
}

#[test]
fn faults_name_their_place() {
    for (json, pointer, part) in [
        (r#"{"Items":[{"Count":1},{"Count":"x"}]}"#, "/Items/1/Count", "invalid type: string"),
        (r#"{"Inner":{"Tags":{"a/b~c":3}}}"#, "/Inner/Tags/a~1b~0c", "expected a string"),
        (r#"{"On":[]}"#, "/On", "expected a boolean"),
        (r#"{"inner":{"count":-1}}"#, "/Inner/Count", "expected u32"),
        ("[1]", "", "invalid type: sequence"),
        ("{", "", "EOF"),
        ("{} x", "", "trailing"),
    ] {
        let fault = from_slice::<Outer>(json.as_bytes()).expect_err(json);
        assert_eq!(fault.pointer, pointer, "{json}: {fault}");
        assert!(fault.to_string().contains(part), "{json}: {fault}");
        assert!(!fault.to_string().contains(" at line "), "{fault}");
    }
}

#[test]
fn strict_reading_refuses_unknown_fields_with_a_suggestion() {
    let fault = from_slice_strict::<Outer>(br#"{"Inner":{"Cuont":3}}"#).expect_err("unknown");
    assert_eq!(fault.to_string(), "at /Inner/Cuont: unknown field; did you mean \"Count\"?");
    let fault = from_slice_strict::<Outer>(br#"{"Zebra":3}"#).expect_err("unknown");
    assert_eq!(fault.to_string(), "at /Zebra: unknown field");
    // Whatever stands inside raw JSON is not ours to judge.
    assert!(from_slice_strict::<Outer>(br#"{"Properties":{"Zebra":3}}"#).is_ok());
}

#[test]
fn nesting_is_bounded() {
    let deep = "[".repeat(100_000);
    assert!(from_slice::<Outer>(deep.as_bytes()).is_err());
    let deep = format!(r#"{{"Properties":{}}}"#, "[".repeat(100_000));
    assert!(from_slice::<Outer>(deep.as_bytes()).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = from_slice::<Outer>(&bytes);
        let _ = from_slice_strict::<Outer>(&bytes);
    }

    #[test]
    fn what_serde_reads_we_read_the_same(count in any::<u32>(), name in ".*", on in any::<bool>()) {
        let json = serde_json::json!({"Items":[{"Count":count,"Name":name}],"On":on}).to_string();
        let plain: Outer = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(read(&json), plain);
    }
}
