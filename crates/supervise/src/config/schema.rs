//! The JSON Schema of files of version 3, for editors.

/// The schema, as JSON text. It describes files after templates and in our spelling of names; names
/// in another case load as well.
pub fn schema() -> &'static str {
    include_str!("schema.json")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::super::keys;
    use super::*;
    use crate::event::Code;

    const BLOCKS: &[(&str, &[&str])] = &[
        ("", keys::TOP),
        ("/$defs/consul", keys::CONSUL),
        ("/$defs/tls", keys::TLS),
        ("/$defs/control", keys::CONTROL),
        ("/$defs/logging", keys::LOGGING),
        ("/$defs/telemetry", keys::TELEMETRY),
        ("/$defs/metric", keys::METRIC),
        ("/$defs/watch", keys::WATCH),
        ("/$defs/lock", keys::LOCK),
        ("/$defs/job", keys::JOB),
        ("/$defs/when", keys::WHEN),
        ("/$defs/trigger", keys::TRIGGER),
        ("/$defs/health", keys::HEALTH),
        ("/$defs/jobConsul", keys::JOB_CONSUL),
        ("/$defs/jobLogging", keys::JOB_LOGGING),
        ("/$defs/liveness", keys::LIVENESS),
        ("/$defs/http", keys::HTTP),
        ("/$defs/grpc", keys::GRPC),
        ("/$defs/notify", keys::NOTIFY),
        ("/$defs/secret", keys::SECRET),
        ("/$defs/signals", &["SIGHUP", "SIGUSR1", "SIGUSR2"]),
    ];

    fn document() -> Value {
        serde_json::from_str(schema()).expect("the schema is JSON")
    }

    #[test]
    fn decoder_and_schema_know_the_same_names() {
        let document = document();
        for (at, names) in BLOCKS {
            let block = document.pointer(at).expect(at);
            let properties = block["properties"].as_object().expect(at);
            let schema: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
            let decoder: BTreeSet<&str> = names.iter().copied().collect();
            assert_eq!(schema, decoder, "{at}");
        }
    }

    /// All objects of the document that are schemas or hold some.
    fn walk<'a>(value: &'a Value, see: &mut impl FnMut(&'a serde_json::Map<String, Value>)) {
        match value {
            Value::Object(map) => {
                see(map);
                map.values().for_each(|value| walk(value, see));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, see)),
            _ => {}
        }
    }

    #[test]
    fn every_block_of_the_schema_is_one_of_the_decoder() {
        let document = document();
        let mut blocks = 0;
        walk(&document, &mut |map| {
            let closed = map.get("additionalProperties") == Some(&Value::Bool(false));
            blocks += usize::from(closed && map.contains_key("properties"));
        });
        assert_eq!(blocks, BLOCKS.len());
    }

    #[test]
    fn references_lead_somewhere_and_everything_is_described() {
        let document = document();
        walk(&document, &mut |map| {
            if let Some(Value::String(target)) = map.get("$ref") {
                let pointer = target.strip_prefix('#').expect("a reference in the document");
                assert!(document.pointer(pointer).is_some(), "{target}");
            }
            if let Some(Value::Object(properties)) = map.get("properties") {
                for (name, property) in properties {
                    let described = property.get("description").or_else(|| property.get("$ref"));
                    assert!(described.is_some(), "{name}");
                }
            }
        });
    }

    #[test]
    fn the_schema_has_every_event() {
        let document = document();
        let listed = document["$defs"]["code"]["enum"].as_array().expect("a list");
        let names = listed.iter().filter_map(Value::as_str).filter(|name| !name.is_empty());
        let codes: BTreeSet<Code> =
            names.map(|name| Code::from_config(name).unwrap_or_else(|| panic!("{name}"))).collect();
        // All but the one of telemetry, which has no name in files.
        assert_eq!(codes.len(), 17);
        assert!(!codes.contains(&Code::Metric));
    }
}
