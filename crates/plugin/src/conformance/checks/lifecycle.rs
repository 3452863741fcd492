use std::collections::BTreeSet;

use futures::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};

use super::instance::list;
use crate::conformance::site::Site;
use crate::conformance::{Verdict, ensure, fail, not_applicable};
use crate::spi::{Description, Interface, tags};

/// Instances that are made at once.
const PARALLEL: usize = 5;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Provisioned {
    #[serde(rename = "ID")]
    id: String,
}

/// The settings, if instances may be made at all.
fn settings(site: &Site) -> Verdict<(String, Value)> {
    let kind = site.kind(Interface::Instance)?;
    match &site.options.provision {
        Some(properties) => Ok((kind, properties.to_value())),
        None => not_applicable("no settings to provision with were given"),
    }
}

/// A tag value that no other run uses.
fn unique() -> String {
    format!("check-{:016x}", rand::random::<u64>())
}

/// Instances of one check; they are destroyed at its end.
struct Made<'a> {
    site: &'a Site,
    kind: String,
    properties: Value,
    /// Value of the tag that all of them carry.
    mark: String,
}

/// Tag that tells the instances of one check from all others.
const MARK: &str = "regrow.check";

impl<'a> Made<'a> {
    fn new(site: &'a Site) -> Verdict<Self> {
        let (kind, properties) = settings(site)?;
        Ok(Self { site, kind, properties, mark: unique() })
    }

    fn spec(&self, tags: &Value) -> Value {
        let mut all = tags.clone();
        if let Some(all) = all.as_object_mut() {
            all.insert(MARK.to_owned(), json!(self.mark));
        }
        json!({
            "Properties": self.properties, "Tags": all, "Init": "", "LogicalID": null,
            "Attachments": null,
        })
    }

    async fn provision(&self, spec: &Value) -> Verdict<String> {
        let params = json!({"Type": self.kind, "Spec": spec});
        let made: Provisioned = self.site.result("Instance.Provision", &params).await?;
        ensure(!made.id.is_empty(), || "the new instance has no id".to_owned())?;
        Ok(made.id)
    }

    async fn listed(&self) -> Verdict<Vec<Description>> {
        list(self.site, &json!({ MARK: self.mark }), true).await
    }

    async fn find(&self, id: &str) -> Verdict<Description> {
        let found = self.listed().await?.into_iter().find(|one| one.id.as_str() == id);
        found.map_or_else(|| fail(format!("{id} is not in the list")), Ok)
    }

    async fn destroy(&self, id: &str) -> Verdict {
        let context = json!({"Reason": "terminate"});
        let params = json!({"Type": self.kind, "Instance": id, "Context": context});
        self.site.result::<Value>("Instance.Destroy", &params).await.map(drop)
    }

    async fn label(&self, id: &str, labels: &Value) -> Verdict {
        let params = json!({"Type": self.kind, "Instance": id, "Labels": labels});
        self.site.result::<Value>("Instance.Label", &params).await.map(drop)
    }

    /// Destroys what is left and hands the verdict on.
    async fn end<T>(self, verdict: Verdict<T>) -> Verdict<T> {
        // A plugin that filters by tags wrongly must not make us destroy what is not ours.
        let ours = |one: &Description| one.tags.get(MARK) == Some(&self.mark);
        for one in self.listed().await.unwrap_or_default().iter().filter(|one| ours(one)) {
            let _ = self.destroy(one.id.as_str()).await;
        }
        verdict
    }
}

macro_rules! with_instances {
    ($site:ident, |$made:ident| $body:block) => {{
        let $made = Made::new($site)?;
        let verdict: Verdict = async { $body }.await;
        $made.end(verdict).await
    }};
}

async fn accepts(site: &Site) -> Verdict {
    let (kind, properties) = settings(site)?;
    let params = json!({"Type": kind, "Properties": properties});
    site.result::<Value>("Instance.Validate", &params).await.map(drop)
}

async fn is_visible(site: &Site) -> Verdict {
    with_instances!(site, |made| {
        let id = made.provision(&made.spec(&json!({}))).await?;
        let all = list(site, &json!({}), false).await?;
        ensure(all.iter().any(|one| one.id.as_str() == id), || {
            format!("{id} is not in the list that follows its provision")
        })
    })
}

async fn carries_tags(site: &Site) -> Verdict {
    with_instances!(site, |made| {
        let id = made.provision(&made.spec(&json!({"infrakit.group": "g", "a": "b"}))).await?;
        let tags = made.find(&id).await?.tags;
        let tag = |key| tags.get(key).map_or("", String::as_str);
        ensure(tag("infrakit.group") == "g" && tag("a") == "b", || format!("its tags are {tags:?}"))
    })
}

async fn odd_tags(site: &Site) -> Verdict {
    with_instances!(site, |made| {
        let odd = json!({"a.b/c-d_e": "x=1, y;'\"\\ <&>", "unicode": "ä→水", "empty": ""});
        let id = made.provision(&made.spec(&odd)).await?;
        let tags = json!(made.find(&id).await?.tags);
        for (key, value) in odd.as_object().into_iter().flatten() {
            ensure(tags.get(key) == Some(value), || {
                format!("tag {key:?} is {:?} instead of {value}", tags.get(key))
            })?;
        }
        Ok(())
    })
}

async fn logical_id(site: &Site) -> Verdict {
    with_instances!(site, |made| {
        let logical = unique();
        let mut spec = made.spec(&json!({ tags::LOGICAL_ID: logical }));
        spec["LogicalID"] = json!(logical);
        let id = made.provision(&spec).await?;
        let found = made.find(&id).await?.logical_id();
        ensure(found.as_ref().map(AsRef::as_ref) == Some(logical.as_str()), || {
            format!("asked for {logical}, found {found:?}")
        })
    })
}

async fn finds_by_tags(site: &Site) -> Verdict {
    with_instances!(site, |made| {
        let id = made.provision(&made.spec(&json!({"x": "1", "y": "2"}))).await?;
        let mark = &made.mark;
        for (wanted, tags) in [
            (true, json!({MARK: mark, "x": "1", "y": "2"})),
            (true, json!({MARK: mark, "y": "2"})),
            (false, json!({MARK: mark, "x": "1", "y": "3"})),
            (false, json!({MARK: mark, "x": "1", "z": "2"})),
            (false, json!({MARK: mark, "x": ""})),
        ] {
            let found = list(site, &tags, false).await?;
            let found = found.iter().any(|one| one.id.as_str() == id);
            ensure(found == wanted, || {
                let verb = if found { "finds" } else { "does not find" };
                format!("a list for {tags} {verb} an instance with x=1 and y=2")
            })?;
        }
        Ok(())
    })
}

async fn labels(site: &Site) -> Verdict {
    with_instances!(site, |made| {
        let id = made.provision(&made.spec(&json!({"keep": "1", "change": "1"}))).await?;
        made.label(&id, &json!({"change": "2", "add": "3"})).await?;
        let tags = made.find(&id).await?.tags;
        let tag = |key| tags.get(key).map_or("", String::as_str);
        ensure(tag("add") == "3", || "a new label is missing".to_owned())?;
        ensure(tag("change") == "2", || "a label was not overwritten".to_owned())?;
        ensure(tag("keep") == "1", || "labelling removed another tag".to_owned())
    })
}

async fn repeats(site: &Site) -> Verdict {
    with_instances!(site, |made| {
        let spec = made.spec(&json!({ tags::STEP_KEY: unique() }));
        let first = made.provision(&spec).await?;
        let second = made.provision(&spec).await?;
        let count = made.listed().await?.len();
        ensure(first == second && count == 1, || {
            format!(
                "the same {} gave {first} and {second}; a repeated call makes doubles",
                tags::STEP_KEY
            )
        })
    })
}

async fn at_once(site: &Site) -> Verdict {
    with_instances!(site, |made| {
        let spec = made.spec(&json!({}));
        let made_ids = join_all((0..PARALLEL).map(|_| made.provision(&spec))).await;
        let made_ids: Vec<String> = made_ids.into_iter().collect::<Verdict<_>>()?;
        let unique: BTreeSet<_> = made_ids.iter().collect();
        ensure(unique.len() == PARALLEL, || format!("{PARALLEL} calls gave {made_ids:?}"))?;
        let listed = made.listed().await?;
        ensure(listed.len() == PARALLEL, || format!("{PARALLEL} made, {} listed", listed.len()))
    })
}

async fn is_gone(site: &Site) -> Verdict {
    with_instances!(site, |made| {
        let spec = made.spec(&json!({}));
        let (first, second) = (made.provision(&spec).await?, made.provision(&spec).await?);
        made.destroy(&first).await?;
        let left = made.listed().await?;
        let left: Vec<_> = left.iter().map(|one| one.id.as_str()).collect();
        ensure(!left.contains(&first.as_str()), || format!("{first} is listed after its end"))?;
        ensure(left.contains(&second.as_str()), || "another instance is gone as well".to_owned())
    })
}

async fn destroys_once(site: &Site) -> Verdict {
    with_instances!(site, |made| {
        let id = made.provision(&made.spec(&json!({}))).await?;
        made.destroy(&id).await?;
        let context = json!({"Reason": "terminate"});
        let params = json!({"Type": made.kind, "Instance": id, "Context": context});
        site.refusal("Instance.Destroy", &params).await.map(drop)
    })
}

async fn reasons(site: &Site) -> Verdict {
    with_instances!(site, |made| {
        for context in [json!({"Reason": "rolling_update"}), json!({"Reason": ""}), Value::Null] {
            let id = made.provision(&made.spec(&json!({}))).await?;
            let params = json!({"Type": made.kind, "Instance": id, "Context": context});
            site.result::<Value>("Instance.Destroy", &params).await?;
        }
        Ok(())
    })
}

async fn leaves_nothing(site: &Site) -> Verdict {
    let made = Made::new(site)?;
    let id = made.provision(&made.spec(&json!({}))).await?;
    let destroyed = made.destroy(&id).await;
    let left = made.listed().await?.len();
    destroyed?;
    ensure(left == 0, || format!("{left} instances are left"))
}

super::checks! {
    "lifecycle.validate" Must "accepts the given settings" = accepts;
    "lifecycle.visible" Must "lists an instance right after its provision" = is_visible within 8;
    "lifecycle.tags" Must "keeps the tags of an instance" = carries_tags within 8;
    "lifecycle.odd-tags" Should "keeps tags with any characters" = odd_tags within 8;
    "lifecycle.logical-id" Must "knows the logical id of an instance" = logical_id within 8;
    "lifecycle.filter" Must "finds instances that have all the tags, and only those" = finds_by_tags within 12;
    "lifecycle.label" Must "adds and overwrites labels and keeps the others" = labels within 8;
    "lifecycle.key" Should "makes one instance for one idempotency key" = repeats within 8;
    "lifecycle.parallel" Must "makes five instances at once" = at_once within 16;
    "lifecycle.destroy" Must "lists an instance no more after its end" = is_gone within 12;
    "lifecycle.destroy-twice" Should "refuses to destroy an instance twice" = destroys_once within 8;
    "lifecycle.reasons" Must "destroys for any reason" = reasons within 12;
    "lifecycle.clean" Must "leaves nothing behind" = leaves_nothing within 8;
}
