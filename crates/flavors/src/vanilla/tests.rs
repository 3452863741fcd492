use std::fmt::Write as _;

use regrow_codec::Any;
use regrow_ids::LogicalId;
use regrow_plugin::spi::{
    Allocation, Attachment, Description, Flavor, Health, Index, InstanceSpec, Interface,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Vanilla, plugin};

/// Params and result of `Flavor.Prepare`, in the order of the wire.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Prepare {
    properties: Any,
    spec: InstanceSpec,
    allocation: Allocation,
    index: Index,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Prepared {
    r#type: &'static str,
    spec: InstanceSpec,
}

async fn prepare(
    properties: serde_json::Value,
    spec: InstanceSpec,
) -> Result<InstanceSpec, String> {
    let allocation = Allocation { size: 3, logical_ids: None };
    let index = Index { group: "q".into(), sequence: 1_000_000 };
    Vanilla::default()
        .prepare(&properties.into(), spec, &allocation, &index)
        .await
        .map_err(|fault| fault.to_string())
}

async fn validate(properties: &str, logical_ids: &[&str]) -> Result<(), String> {
    let ids = logical_ids.iter().map(|id| LogicalId::from(*id)).collect();
    let allocation = Allocation { size: 0, logical_ids: Some(ids) };
    let properties = Any::from_text(properties).expect(properties);
    Vanilla::default().validate(&properties, &allocation).await.map_err(|fault| fault.to_string())
}

/// The messages of InfraKit specification §2.2, captured from the original.
#[tokio::test]
async fn prepares_as_captured() {
    let params = br#"{"Type":"","Properties":{"Init":["echo hello"],"Tags":{"tier":"web"},"Attachments":[{"ID":"attachid","Type":"attachtype"}]},"Spec":{"Properties":{"Note":"v1"},"Tags":{"infrakit.config.hash":"jwc4vmxxqwrpp72ce36c4tbzgfganbao","infrakit.group":"cattle"},"Init":"","LogicalID":null,"Attachments":null},"Allocation":{"Size":2,"LogicalIDs":null},"Index":{"Group":"cattle","Sequence":2}}"#;
    let result = r#"{"Type":"","Spec":{"Properties":{"Note":"v1"},"Tags":{"infrakit.config.hash":"jwc4vmxxqwrpp72ce36c4tbzgfganbao","infrakit.group":"cattle","tier":"web"},"Init":"echo hello","LogicalID":null,"Attachments":[{"ID":"attachid","Type":"attachtype"}]}}"#;
    let Prepare { properties, spec, allocation, index } =
        regrow_codec::decode::from_slice(params).expect("captured params");
    let spec =
        Vanilla::default().prepare(&properties, spec, &allocation, &index).await.expect("prepared");
    let answer = serde_json::to_string(&Prepared { r#type: "", spec }).expect("JSON");
    assert_eq!(answer, result);
}

#[tokio::test]
async fn adds_to_what_is_there() {
    let spec = InstanceSpec {
        tags: [("a", "1"), ("b", "1")].map(|(k, v)| (k.into(), v.into())).into(),
        init: "first".into(),
        attachments: Some(vec![Attachment { id: "x".into(), kind: "ebs".into() }]),
        ..InstanceSpec::default()
    };
    let properties = json!({
        "init": ["second", "third"],
        "tags": {"b": "2", "c": "3"},
        "attachments": [{"id": "x", "type": "ebs"}, {"id": "y"}],
        "Unknown": "ignored, as on the wire",
    });
    let spec = prepare(properties, spec).await.expect("prepared");
    assert_eq!(spec.init, "first\nsecond\nthird");
    assert_eq!(
        spec.tags,
        [("a", "1"), ("b", "2"), ("c", "3")].map(|(k, v)| (k.into(), v.into())).into()
    );
    let ids: Vec<_> = spec.attachments.iter().flatten().map(|a| a.id.as_str()).collect();
    assert_eq!(ids, ["x", "x", "y"]);
}

#[tokio::test]
async fn no_settings_leave_the_instance_as_it_is() {
    for properties in [json!(null), json!({}), json!({"Init": null, "Tags": null})] {
        let spec = InstanceSpec { init: "x".into(), ..InstanceSpec::default() };
        assert_eq!(prepare(properties, spec.clone()).await, Ok(spec));
    }
}

#[tokio::test]
async fn a_template_sees_the_member() {
    let template = "str://{{ .LogicalID }} {{ .Index.Group }}/{{ .Index.Sequence }} of \
        {{ .Allocation.Size }} {{ .Tags.a }} {{ .Tags.b }} {{ (index .Attachments 0).ID }} \
        {{ .Properties.Disk }} after {{ .Init }}";
    let spec = InstanceSpec {
        properties: json!({"Disk": "10G"}).into(),
        tags: [("a".to_owned(), "1".to_owned())].into(),
        init: "first".into(),
        logical_id: Some("10.0.0.1".into()),
        attachments: None,
    };
    let properties = json!({
        "InitScriptTemplateURL": template,
        "Tags": {"b": "2"},
        "Attachments": [{"ID": "vol1", "Type": "ebs"}],
    });
    let spec = prepare(properties, spec).await.expect("prepared");
    assert_eq!(spec.init, "first\n10.0.0.1 q/1000000 of 3 1 2 vol1 10G after first");
}

#[tokio::test]
async fn a_template_may_come_from_a_file() {
    let directory = tempfile::tempdir().expect("directory");
    let mut script = String::new();
    writeln!(script, "#!/bin/sh\n{{{{ include \"part.sh\" }}}}").expect("text");
    std::fs::write(directory.path().join("init.sh"), script).expect("write");
    std::fs::write(directory.path().join("part.sh"), "echo {{ len `abc` }}").expect("write");
    let url = format!("file://{}/init.sh", directory.path().display());
    let spec = prepare(json!({"InitScriptTemplateURL": url}), InstanceSpec::default()).await;
    assert_eq!(spec.expect("prepared").init, "#!/bin/sh\necho 3\n");
}

#[tokio::test]
async fn settings_are_checked() {
    for properties in [
        "null",
        "{}",
        r#"{"Init":["a"],"Tags":{"tier":"web"}}"#,
        r#"{"InitScriptTemplateURL":"str://{{ .Index.Group }} {{ .LogicalID }}"}"#,
    ] {
        assert_eq!(validate(properties, &[]).await, Ok(()), "{properties}");
    }
    let fails_without_id = r#"{"InitScriptTemplateURL":"str://{{ if not .LogicalID }}{{ include `file:///no/id` }}{{ end }}"}"#;
    assert_eq!(validate(fails_without_id, &["10.0.0.1"]).await, Ok(()), "the first id is taken");

    for (properties, parts) in [
        (
            r#"{"Init":["a"],"InitScriptTemplateURL":"str://b"}"#,
            &["Either \"Init\" or \"InitScriptTemplateURL\" can be specified but not both"][..],
        ),
        (r#"{"Init":"a"}"#, &["settings of flavor vanilla", "at /Init", "expected a sequence"]),
        (r#"{"Tgas":{}}"#, &["at /Tgas", "unknown field; did you mean \"Tags\"?"]),
        (
            r#"{"Attachments":[{"Id":"x","Kind":"y"}]}"#,
            &["at /Attachments/0/Kind", "unknown field"],
        ),
        (r#"{"Tags":{"infrakit.group":"x"}}"#, &["\"infrakit.group\"", "remove it from Tags"]),
        (
            r#"{"InitScriptTemplateURL":"str://{{ nope }}"}"#,
            &["InitScriptTemplateURL", ":1:", "nope"],
        ),
        (
            r#"{"InitScriptTemplateURL":"file:///does/not/exist"}"#,
            &["load template file:///does/not/exist"],
        ),
        (fails_without_id, &["fetch file:///no/id"]),
    ] {
        let text = validate(properties, &[]).await.expect_err(properties);
        for part in parts {
            assert!(text.contains(part), "{properties}: {text}");
        }
    }
}

#[tokio::test]
async fn members_are_healthy_and_need_no_draining() {
    let (vanilla, member) = (Vanilla::default(), Description::default());
    assert_eq!(vanilla.healthy(&Any::default(), &member).await, Ok(Health::Healthy));
    assert_eq!(vanilla.drain(&Any::default(), &member).await, Ok(()));
}

#[test]
fn the_plugin_offers_one_unnamed_flavor() {
    let plugin = plugin("vanilla");
    assert_eq!(plugin.name(), "vanilla");
    assert_eq!(plugin.interfaces(), [(Interface::Flavor, vec![".".to_owned()])]);
}
