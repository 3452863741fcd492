//! The text of an instance file, byte for byte as InfraKit writes it.
//!
//! That is Go's `MarshalIndent` with empty prefix and indent: line breaks, but no spaces before the
//! names; fields in the order of Go's structs, maps sorted, raw JSON in its own order.

use regrow_codec::{Any, decode, gojson};
use regrow_ids::{InstanceId, LogicalId};
use regrow_plugin::spi::{Description, InstanceSpec, Tags};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Stored {
    #[serde(rename = "ID")]
    pub(super) id: InstanceId,
    #[serde(rename = "LogicalID")]
    pub(super) logical_id: Option<LogicalId>,
    pub(super) tags: Tags,
    /// The whole spec that the instance was made from, as it came.
    pub(super) spec: Any,
}

impl Stored {
    pub(super) fn new(id: InstanceId, spec: &InstanceSpec) -> Self {
        Self {
            id,
            logical_id: spec.logical_id.clone(),
            tags: spec.tags.clone(),
            spec: Any::from_text(spec_text(spec)).unwrap_or_default(),
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, decode::DecodeError> {
        decode::from_slice(bytes)
    }

    /// The text of the file.
    pub(super) fn text(&self) -> String {
        object(&[
            ("ID", quoted(self.id.as_str())),
            ("LogicalID", optional(self.logical_id.as_ref())),
            ("Tags", tags_text(&self.tags)),
            ("Spec", relaid(self.spec.as_text(), true)),
        ])
    }

    /// How lists show it. The name of the file is the id: by it the instance can be destroyed.
    pub(super) fn description(self, name: &str) -> Description {
        let compact = relaid(self.spec.as_text(), false);
        Description {
            id: InstanceId::from(name),
            logical_id: self.logical_id,
            tags: self.tags,
            properties: Any::from_text(compact).unwrap_or_default(),
        }
    }
}

fn spec_text(spec: &InstanceSpec) -> String {
    let attachment = |id: &str, kind: &str| object(&[("ID", quoted(id)), ("Type", quoted(kind))]);
    let attachments = match &spec.attachments {
        None => "null".to_owned(),
        Some(list) if list.is_empty() => "[]".to_owned(),
        Some(list) => {
            let items: Vec<_> = list.iter().map(|a| attachment(&a.id, &a.kind)).collect();
            format!("[\n{}\n]", items.join(",\n"))
        }
    };
    object(&[
        ("Properties", relaid(spec.properties.as_text(), true)),
        ("Tags", tags_text(&spec.tags)),
        ("Init", quoted(&spec.init)),
        ("LogicalID", optional(spec.logical_id.as_ref())),
        ("Attachments", attachments),
    ])
}

fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, text)| format!("\"{name}\": {text}")).collect();
    format!("{{\n{}\n}}", fields.join(",\n"))
}

fn quoted(text: &str) -> String {
    gojson::compact(&Value::from(text))
}

fn optional(id: Option<&LogicalId>) -> String {
    id.map_or_else(|| "null".to_owned(), |id| quoted(id.as_str()))
}

fn tags_text(tags: &Tags) -> String {
    let tree = tags.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str())));
    gojson::indented(&Value::Object(tree.collect()), "", "")
}

/// Lays valid JSON out anew without touching names, numbers and their order.
fn relaid(json: &str, lines: bool) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 4);
    let mut in_text = false;
    let mut escaped = false;
    let mut opened = false;
    for c in json.chars() {
        if in_text {
            match c {
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    out.push_str(&format!("\\u{:04x}", c as u32));
                }
                c => out.push(c),
            }
            in_text = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
            continue;
        }
        if c.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(c, '}' | ']');
        // A line break stands before the first and after the last element, not in an empty pair.
        if lines && opened != closes && (opened || closes) {
            out.push('\n');
        }
        opened = matches!(c, '{' | '[');
        out.push(c);
        match c {
            '"' => in_text = true,
            ',' if lines => out.push('\n'),
            ':' if lines => out.push(' '),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use regrow_codec::Any;
    use regrow_plugin::spi::{Attachment, InstanceSpec, Tags};

    use super::{Stored, relaid};

    /// A file as the original writes it.
    const ORIGINAL: &str = "{\n\"ID\": \"instance-2996529747050757360\",\n\"LogicalID\": null,\n\
        \"Tags\": {\n\"infrakit.config.hash\": \"jwc4\",\n\"infrakit.group\": \"cattle\"\n},\n\
        \"Spec\": {\n\"Properties\": {\n\"Note\": \"a \\u003c b\",\n\"Empty\": {},\n\"List\": [\n1.50,\n\
        []\n]\n},\n\"Tags\": {\n\"infrakit.config.hash\": \"jwc4\",\n\"infrakit.group\": \"cattle\"\n},\n\
        \"Init\": \"echo hello \\u0026\\u0026 \\\"x\\\"\",\n\"LogicalID\": null,\n\"Attachments\": [\n\
        {\n\"ID\": \"attachid\",\n\"Type\": \"attachtype\"\n}\n]\n}\n}";

    fn spec() -> InstanceSpec {
        let tags = [("infrakit.group", "cattle"), ("infrakit.config.hash", "jwc4")];
        InstanceSpec {
            properties: Any::from_text(r#"{"Note":"a < b","Empty" : {}, "List":[1.50,[ ]]}"#)
                .expect("valid"),
            tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            init: "echo hello && \"x\"".to_owned(),
            logical_id: None,
            attachments: Some(vec![Attachment {
                id: "attachid".into(),
                kind: "attachtype".into(),
            }]),
        }
    }

    #[test]
    fn writes_the_bytes_of_the_original() {
        let stored = Stored::new("instance-2996529747050757360".into(), &spec());
        assert_eq!(stored.text(), ORIGINAL);
        let again = Stored::parse(ORIGINAL.as_bytes()).expect("valid");
        assert_eq!(again.text(), ORIGINAL);
        let shown = again.description("name").properties;
        assert!(
            shown.as_text().starts_with(r#"{"Properties":{"Note":"a \u003c b","Empty":{},"List""#)
        );
        let parsed: InstanceSpec = shown.decode().expect("a spec");
        assert_eq!((parsed.tags, parsed.init), (spec().tags, spec().init));
    }

    #[test]
    fn nothing_is_written_as_go_writes_nothing() {
        let text = Stored::new("i".into(), &InstanceSpec::default()).text();
        let spec = "\"Properties\": null,\n\"Tags\": {},\n\"Init\": \"\",\n\"LogicalID\": null,\n\
            \"Attachments\": null";
        let expected = format!(
            "{{\n\"ID\": \"i\",\n\"LogicalID\": null,\n\"Tags\": {{}},\n\"Spec\": {{\n{spec}\n}}\n}}"
        );
        assert_eq!(text, expected);
        assert_eq!(Stored::parse(b"{}").expect("valid").description("x").tags, Tags::new());
    }

    proptest::proptest! {
        #[test]
        fn laying_out_changes_no_value(text in proptest::collection::vec(".*", 0..4), lines: bool) {
            let value = serde_json::json!({"a": text, "b": [[], {}, [{"c": text}]], "\"": "\\"});
            let laid = relaid(&value.to_string(), lines);
            let back: serde_json::Value = serde_json::from_str(&laid).expect("valid");
            proptest::prop_assert_eq!(&back, &value);
            proptest::prop_assert_eq!(relaid(&laid, lines), laid);
        }
    }
}
