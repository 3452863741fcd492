use proptest::prelude::*;
use regrow_codec::Any;
use regrow_ids::GroupId;
use regrow_plugin::spi::GroupSpec;
use serde_json::{Value, json};

use super::{ConfigHash, GroupConfig, Membership, PluginSettings};

fn spec(properties: &Value) -> GroupSpec {
    GroupSpec { id: GroupId::from("g"), properties: Any::from(properties) }
}

fn settings(plugin: &str, properties: Value) -> PluginSettings {
    PluginSettings { plugin: plugin.into(), properties: Any::from(properties) }
}

#[test]
fn hashes_equal_those_captured_from_infrakit() {
    let cattle = json!({"Init":["echo hello"],"Tags":{"tier":"web"},
        "Attachments":[{"ID":"attachid","Type":"attachtype"}]});
    for (instance, flavor, hash) in [
        (
            settings("file", json!({"Note":"v1"})),
            cattle.clone(),
            "jwc4vmxxqwrpp72ce36c4tbzgfganbao",
        ),
        (settings("file", json!({"Note":"v2"})), cattle, "rtaupwfmcliuzk6csdbibocjnbkqjdms"),
        (
            settings("simulator/compute", json!({"a":"b"})),
            json!({"Init":["x"]}),
            "ankkcmknisjetnhkophox27uekmt36us",
        ),
        (
            settings("file", json!({"Note":"v1"})),
            json!({"Init":["echo hi"],"Tags":{"tier":"web"}}),
            "tryysjgoqkfgjfscffaw4rwdlouoqbqy",
        ),
    ] {
        let flavor = settings("vanilla", flavor);
        assert_eq!(ConfigHash::of(&instance, &flavor).as_str(), hash);
    }
}

#[test]
fn the_order_of_fields_does_not_change_the_hash() {
    let flavor = settings("vanilla", json!({}));
    let a = PluginSettings {
        plugin: "file".into(),
        properties: Any::from_text(r#"{"a":1,"b":{"x":1.0,"y":2}}"#).unwrap(),
    };
    let b = PluginSettings {
        plugin: "file".into(),
        properties: Any::from_text(r#"{"b":{"y":2.0,"x":1},"a":1}"#).unwrap(),
    };
    assert_eq!(ConfigHash::of(&a, &flavor), ConfigHash::of(&b, &flavor));
}

#[test]
fn refusals_have_their_texts_and_order() {
    let plugins = json!({"Instance":{"Plugin":"file"},"Flavor":{"Plugin":"vanilla"}});
    let with = |extra: Value| {
        let mut document = plugins.clone();
        document.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        spec(&document)
    };
    for (given, text) in [
        (GroupSpec { id: GroupId::from(""), ..with(json!({})) }, "Group ID must not be blank"),
        (spec(&json!({"Instance": 3})), "Invalid properties: at /Instance: invalid type"),
        (with(json!({})), "Allocation must not be blank"),
        (with(json!({"Allocation":{}})), "Allocation must not be blank"),
        (
            with(json!({"Allocation":{"Size":1,"LogicalIDs":["a"]}})),
            "Only one Allocation method may be used",
        ),
        (
            with(json!({"Allocation":{"Size":1},"Updating":{"Count":1,"Duration":"1s"}})),
            "Only one Updating method may be used",
        ),
        (with(json!({"Allocation":{"Size":-1}})), "at /Allocation/Size: invalid value"),
        (with(json!({"Allocation":{"Size":100_001}})), "at /Allocation: 100001 members; at most"),
        (
            with(json!({"Allocation":{"LogicalIDs":["a","a"]}})),
            "/Allocation/LogicalIDs/1: \"a\" is",
        ),
        (with(json!({"Allocation":{"LogicalIDs":[""]}})), "/Allocation/LogicalIDs/0: an identity"),
        (
            with(json!({"Allocation":{"Size":5},"Limits":{"MaxInstances":4}})),
            "at /Limits/MaxInstances: the group has 5 members",
        ),
        (
            with(json!({"Allocation":{"Size":5},"Update":{"MaxUnavailable":0}})),
            "at /Update: with neither room for surge nor unavailable",
        ),
        (with(json!({"Allocation":{"Size":5},"Health":{"Failures":0}})), "at /Health/Failures"),
        (
            with(json!({"Allocation":{"Size":5},"Updating":{"SkipBeforeInstanceDestroy":"x"}})),
            "at /Updating/SkipBeforeInstanceDestroy: \"x\" is unknown",
        ),
        (
            with(json!({"Allocation":{"Size":5},"Update":{"MaxSurge":"200%"}})),
            "at /Update/MaxSurge: \"200%\" is neither",
        ),
        (with(json!({"Allocation":{"Size":5},"Updating":{"Duration":"5"}})), "a unit is missing"),
    ] {
        let error = GroupConfig::parse(&given).expect_err(text).to_string();
        assert!(error.contains(text), "{error:?} should contain {text:?}");
    }
}

#[test]
fn a_person_is_told_about_fields_that_nobody_reads() {
    let given = spec(&json!({"Allocation":{"Sise":5}}));
    let error = GroupConfig::parse_strict(&given).expect_err("unknown").to_string();
    assert_eq!(
        error,
        "Invalid properties: at /Allocation/Sise: unknown field; did you mean \"Size\"? (line 1, \
         column 21)"
            .split(" (line")
            .next()
            .unwrap()
    );
}

#[test]
fn the_document_comes_back_as_infrakit_prints_it() {
    let given = spec(&json!({"Instance":{"Plugin":"file","Properties":{"Note":"v1"}},
        "Flavor":{"Plugin":"vanilla","Properties":{}},"Allocation":{"Size":2}}));
    let config = GroupConfig::parse(&given).unwrap();
    assert_eq!(
        config.spec().properties.as_text(),
        r#"{"Instance":{"Plugin":"file","Properties":{"Note":"v1"}},"Flavor":{"Plugin":"vanilla","Properties":{}},"Allocation":{"Size":2,"LogicalIDs":null},"Updating":{"Duration":"0s","Count":0,"SkipBeforeInstanceDestroy":null}}"#
    );
}

#[test]
fn zero_is_a_size_when_it_is_written_down() {
    let config = GroupConfig::parse(&spec(&json!({"Allocation":{"Size":0}}))).unwrap();
    assert_eq!(config.membership, Membership::Size(0));
}

#[test]
fn surge_and_unavailable_have_infrakits_defaults() {
    let parse = |update: Value| {
        GroupConfig::parse(&spec(&json!({"Allocation":{"Size":10},"Update":update}))).unwrap()
    };
    for (update, surge, unavailable) in [
        (json!(null), 0, 1),
        (json!({"MaxSurge":2}), 2, 0),
        (json!({"MaxSurge":"15%"}), 2, 0),
        (json!({"MaxUnavailable":"25%"}), 0, 2),
        (json!({"MaxSurge":1,"MaxUnavailable":3,"MinHealthy":"90%"}), 1, 1),
    ] {
        let config = parse(update.clone());
        assert_eq!(
            (config.max_surge(), config.max_unavailable()),
            (surge, unavailable),
            "{update}"
        );
    }
}

proptest! {
    #[test]
    fn any_document_is_read_or_refused(text in r#"[{}\[\]",:A-Za-z0-9 .%-]{0,80}"#) {
        if let Ok(properties) = Any::from_text(text) {
            let spec = GroupSpec { id: GroupId::from("g"), properties };
            let _ = GroupConfig::parse(&spec);
            let _ = GroupConfig::parse_strict(&spec);
        }
    }
}
