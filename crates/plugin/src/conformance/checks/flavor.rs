use serde::Deserialize;
use serde_json::{Value, json};

use crate::conformance::site::Site;
use crate::conformance::{Verdict, ensure, not_applicable};
use crate::spi::{InstanceSpec, Interface};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Prepared {
    #[serde(rename = "Type")]
    kind: String,
    spec: InstanceSpec,
}

fn base(site: &Site) -> Verdict<(String, Value)> {
    let kind = site.kind(Interface::Flavor)?;
    Ok((kind, site.options.flavor_properties.to_value()))
}

fn half_built() -> Value {
    json!({
        "Properties": {"regrow-check": [1, {"a": null}]},
        "Tags": {"infrakit.group": "g", "infrakit.config.hash": "h", "regrow-check": "1"},
        "Init": "", "LogicalID": null, "Attachments": null,
    })
}

async fn prepare(site: &Site, spec: &Value, allocation: &Value) -> Verdict<Prepared> {
    let (kind, properties) = base(site)?;
    let params = json!({
        "Type": kind, "Properties": properties, "Spec": spec, "Allocation": allocation,
        "Index": {"Group": "g", "Sequence": 0},
    });
    let answer = site.call("Flavor.Prepare", &params).await?;
    if let Some(error) = answer.error {
        return not_applicable(format!("it cannot prepare with these settings: {}", error.message));
    }
    site.result("Flavor.Prepare", &params).await
}

async fn validates(site: &Site) -> Verdict {
    let (kind, properties) = base(site)?;
    for allocation in [json!({"Size": 1, "LogicalIDs": null}), json!({"LogicalIDs": ["a"]})] {
        let params = json!({"Type": kind, "Properties": properties, "Allocation": allocation});
        let answer = site.call("Flavor.Validate", &params).await?;
        ensure(answer.error.is_some() || !answer.result.is_null(), || {
            "it answers neither a result nor an error".to_owned()
        })?;
    }
    Ok(())
}

async fn keeps_tags(site: &Site) -> Verdict {
    let prepared = prepare(site, &half_built(), &json!({"Size": 1})).await?;
    for (key, value) in half_built()["Tags"].as_object().into_iter().flatten() {
        let found = prepared.spec.tags.get(key).map(String::as_str);
        ensure(found == value.as_str(), || format!("tag {key} became {found:?}"))?;
    }
    Ok(())
}

async fn keeps_properties(site: &Site) -> Verdict {
    let prepared = prepare(site, &half_built(), &json!({"Size": 1})).await?;
    let found = prepared.spec.properties.to_value();
    ensure(found == half_built()["Properties"], || format!("the settings became {found}"))
}

async fn keeps_logical_id(site: &Site) -> Verdict {
    let mut spec = half_built();
    spec["LogicalID"] = json!("10.0.0.1");
    let prepared = prepare(site, &spec, &json!({"LogicalIDs": ["10.0.0.1"]})).await?;
    let found = prepared.spec.logical_id;
    ensure(found.as_ref().map(AsRef::as_ref) == Some("10.0.0.1"), || {
        format!("the logical id became {found:?}")
    })
}

async fn repeats(site: &Site) -> Verdict {
    let first = prepare(site, &half_built(), &json!({"Size": 1})).await?.spec;
    let second = prepare(site, &half_built(), &json!({"Size": 1})).await?.spec;
    let names = |spec: &InstanceSpec| spec.tags.keys().cloned().collect::<Vec<_>>();
    ensure(names(&first) == names(&second), || {
        format!("tags {:?}, then {:?}", names(&first), names(&second))
    })
}

async fn echoes_type(site: &Site) -> Verdict {
    let (kind, _) = base(site)?;
    let prepared = prepare(site, &half_built(), &json!({"Size": 1})).await?;
    ensure(prepared.kind == kind, || format!("asked for {kind:?}, got {:?}", prepared.kind))
}

async fn health(site: &Site) -> Verdict {
    let (kind, properties) = base(site)?;
    let instance = json!({"ID": "regrow-check", "LogicalID": null, "Tags": {}});
    let params = json!({"Type": kind, "Properties": properties, "Instance": instance});
    let answer = site.call("Flavor.Healthy", &params).await?;
    if let Some(error) = answer.error {
        return not_applicable(format!("it cannot tell: {}", error.message));
    }
    let result = answer.result.to_value();
    let health = result.get("Health").and_then(Value::as_u64);
    ensure(health.is_some_and(|health| health <= 2), || {
        format!("Health is {:?}, not 0, 1 or 2", result.get("Health"))
    })
}

async fn unknown_type(site: &Site) -> Verdict {
    site.offers(Interface::Flavor)?;
    let params = json!({"Type": "regrow-check-nobody", "Properties": {}});
    site.refusal("Flavor.Validate", &params).await.map(drop)
}

super::checks! {
    "flavor.validate" Must "validates either kind of allocation" = validates;
    "flavor.tags" Must "keeps the tags of a spec" = keeps_tags;
    "flavor.properties" Must "keeps the settings of a spec" = keeps_properties;
    "flavor.logical-id" Must "keeps the logical id of a spec" = keeps_logical_id;
    "flavor.repeats" Should "adds the same tags each time" = repeats;
    "flavor.echo" Should "returns the Type of the request" = echoes_type;
    "flavor.health" Must "tells health as 0, 1 or 2" = health;
    "flavor.unknown-type" Must "refuses an unknown object" = unknown_type;
}
