use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::conformance::site::Site;
use crate::conformance::{Verdict, ensure, not_applicable};
use crate::spi::{Description, Interface};

/// Id that no plugin has given to an instance.
const NOBODY: &str = "regrow-check-no-such-instance";

/// Lists at once.
const PARALLEL_LISTS: usize = 50;

/// Validations in a row, after which nothing may have changed.
const VALIDATIONS: usize = 5;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Listed {
    #[serde(rename = "Type")]
    kind: String,
    descriptions: Vec<Description>,
}

/// Lists instances of the checked object.
pub(super) async fn list(site: &Site, tags: &Value, properties: bool) -> Verdict<Vec<Description>> {
    let kind = site.kind(Interface::Instance)?;
    let params = json!({"Type": kind, "Tags": tags, "Properties": properties});
    let listed: Listed = site.result("Instance.DescribeInstances", &params).await?;
    Ok(listed.descriptions)
}

fn ids(list: &[Description]) -> BTreeSet<&str> {
    list.iter().map(|one| one.id.as_str()).collect()
}

async fn lists(site: &Site) -> Verdict {
    list(site, &json!({}), false).await.map(drop)
}

async fn lists_all_for_null(site: &Site) -> Verdict {
    let (empty, null) =
        (list(site, &json!({}), false).await?, list(site, &Value::Null, false).await?);
    ensure(ids(&empty) == ids(&null), || {
        format!("{} instances for empty tags, {} for null", empty.len(), null.len())
    })
}

async fn ids_are_given(site: &Site) -> Verdict {
    let list = list(site, &json!({}), false).await?;
    ensure(!ids(&list).contains(""), || "an instance has no id".to_owned())?;
    ensure(ids(&list).len() == list.len(), || "an id is listed twice".to_owned())
}

async fn no_match(site: &Site) -> Verdict {
    let list = list(site, &json!({"regrow.check.no-such-tag": "x"}), false).await?;
    ensure(list.is_empty(), || format!("{} instances for a tag that none has", list.len()))
}

async fn values_count(site: &Site) -> Verdict {
    let all = list(site, &json!({}), false).await?;
    let Some((key, _)) = all.iter().find_map(|one| one.tags.first_key_value()) else {
        return not_applicable("no instance has a tag");
    };
    let list = list(site, &json!({ key: "regrow-check-no-such-value" }), false).await?;
    ensure(list.is_empty(), || format!("{} instances for a value that none has", list.len()))
}

async fn filter_is_exact(site: &Site) -> Verdict {
    let all = list(site, &json!({}), false).await?;
    let mut pairs = BTreeMap::<(&str, &str), BTreeSet<&str>>::new();
    for one in &all {
        for (key, value) in &one.tags {
            pairs.entry((key, value)).or_default().insert(one.id.as_str());
        }
    }
    if pairs.is_empty() {
        return not_applicable("no instance has a tag");
    }
    for ((key, value), wanted) in pairs.into_iter().take(10) {
        let found = list(site, &json!({ key: value }), false).await?;
        ensure(ids(&found) == wanted, || {
            format!("{} instances for {key}={value}, {} have it", found.len(), wanted.len())
        })?;
    }
    Ok(())
}

async fn leaves_out_properties(site: &Site) -> Verdict {
    let list = list(site, &json!({}), false).await?;
    ensure(list.iter().all(|one| one.properties.is_null()), || {
        "Properties come although they were not asked for".to_owned()
    })
}

async fn lists_at_once(site: &Site) -> Verdict {
    let tags = json!({});
    let lists = join_all((0..PARALLEL_LISTS).map(|_| list(site, &tags, true))).await;
    for one in lists {
        one?;
    }
    Ok(())
}

async fn validates(site: &Site) -> Verdict {
    let kind = site.kind(Interface::Instance)?;
    let before = list(site, &json!({}), false).await?;
    for _ in 0..VALIDATIONS {
        for properties in [json!({}), Value::Null, json!({"regrow-check": [1, "two", null]})] {
            // Whether the settings are good is for the plugin to say.
            let params = json!({"Type": kind, "Properties": properties});
            site.call("Instance.Validate", &params).await?;
        }
    }
    let after = list(site, &json!({}), false).await?;
    ensure(ids(&before) == ids(&after), || {
        format!("{} instances before, {} after validating", before.len(), after.len())
    })
}

async fn destroy_unknown(site: &Site) -> Verdict {
    let kind = site.kind(Interface::Instance)?;
    let before = list(site, &json!({}), false).await?;
    let context = json!({"Reason": "terminate"});
    let params = json!({"Type": kind, "Instance": NOBODY, "Context": context});
    let message = site.refusal("Instance.Destroy", &params).await;
    let after = list(site, &json!({}), false).await?;
    ensure(after.len() >= before.len(), || "an instance was destroyed".to_owned())?;
    message.map(drop)
}

async fn label_unknown(site: &Site) -> Verdict {
    let kind = site.kind(Interface::Instance)?;
    let params = json!({"Type": kind, "Instance": NOBODY, "Labels": {"a": "b"}});
    site.refusal("Instance.Label", &params).await.map(drop)
}

async fn unknown_type(site: &Site) -> Verdict {
    site.offers(Interface::Instance)?;
    let params = json!({"Type": "regrow-check-nobody", "Tags": {}});
    site.refusal("Instance.DescribeInstances", &params).await.map(drop)
}

async fn unknown_type_text(site: &Site) -> Verdict {
    site.offers(Interface::Instance)?;
    let params = json!({"Type": "regrow-check-nobody", "Tags": {}});
    let message = site.refusal("Instance.DescribeInstances", &params).await?;
    ensure(message == "no-plugin:regrow-check-nobody", || format!("the message is {message:?}"))
}

async fn echoes_type(site: &Site) -> Verdict {
    let kind = site.kind(Interface::Instance)?;
    let params = json!({"Type": kind, "Tags": {}});
    let listed: Listed = site.result("Instance.DescribeInstances", &params).await?;
    ensure(listed.kind == kind, || format!("asked for {kind:?}, answered as {:?}", listed.kind))
}

async fn field_case(site: &Site) -> Verdict {
    let kind = site.kind(Interface::Instance)?;
    let params =
        json!({"type": kind, "TAGS": {"regrow.check.no-such-tag": "x"}, "properties": null});
    let listed: Listed = site.result("Instance.DescribeInstances", &params).await?;
    ensure(listed.descriptions.is_empty(), || "field names in another case are not read".to_owned())
}

super::checks! {
    "instance.list" Must "lists instances" = lists;
    "instance.list-null" Must "takes null tags for none" = lists_all_for_null;
    "instance.ids" Must "gives each instance an id of its own" = ids_are_given;
    "instance.no-match" Must "lists nothing for a tag that no instance has" = no_match;
    "instance.values" Must "lists nothing for a value that no instance has" = values_count;
    "instance.filter" Must "lists exactly the instances with a tag" = filter_is_exact within 12;
    "instance.no-properties" Should "leaves out Properties unless asked" = leaves_out_properties;
    "instance.parallel" Must "answers 50 lists at once" = lists_at_once;
    "instance.validate" Must "validates without side effects" = validates within 16;
    "instance.destroy-unknown" Should "refuses to destroy an unknown instance" = destroy_unknown;
    "instance.label-unknown" Should "refuses to label an unknown instance" = label_unknown;
    "instance.unknown-type" Must "refuses an unknown object" = unknown_type;
    "instance.unknown-type-text" Should "names an unknown object as InfraKit does" = unknown_type_text;
    "instance.echo" Should "returns the Type of the request" = echoes_type;
    "instance.field-case" Should "reads field names in any case" = field_case;
}
